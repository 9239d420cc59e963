"""What memread remembers about models that a folder does not say: files elsewhere, aliases, the default.

One JSON file, `catalogue.json` in memread's own folder of models. It can be removed at any time: models in
the folder are found without it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from memread.errors import ConfigError

Source = Literal[
    "given", "tiny", "folder", "added", "pulled", "ollama", "lm-studio", "hugging-face", "llama.cpp"
]
"""How a model came to be known: a path, the package, a folder, a command, another program's store."""

STORES: tuple[Source, ...] = ("ollama", "lm-studio", "hugging-face", "llama.cpp")


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A model file, wherever it lies."""

    path: str
    """Absolute; of a split model the first file."""
    source: Source = "added"
    origin: str = ""
    """Where it was downloaded from: "hf:owner/repo@commit:file", or the address."""


class Catalogue(msgspec.Struct, frozen=True, omit_defaults=True):
    default: str = ""
    """The name of the model that reads when none is named; "": the first one."""
    aliases: dict[str, str] = {}
    """Alias → name of a model."""
    models: dict[str, Entry] = {}
    """By name."""

    def with_model(self, name: str, entry: Entry) -> Catalogue:
        return msgspec.structs.replace(self, models={**self.models, name: entry})

    def without(self, name: str) -> Catalogue:
        """Without the model or alias `name`, and without what refers to it."""
        aliases = {alias: of for alias, of in self.aliases.items() if name not in (alias, of)}
        models = {key: entry for key, entry in self.models.items() if key != name}
        return Catalogue("" if self.default == name else self.default, aliases, models)


def load(folders: Sequence[Path]) -> Catalogue:
    """The catalogue in the first of `folders`, memread's own; empty if there is none.

    Raises ConfigError if it is damaged.
    """
    if not folders:
        return Catalogue()
    path = _file(folders[0])
    try:
        return msgspec.json.decode(path.read_bytes(), type=Catalogue)
    except (FileNotFoundError, NotADirectoryError):
        return Catalogue()
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path}: the catalogue of models cannot be read ({error})",
            "Remove it: models in the folder are found without it; `memread models scan` finds the others",
        ) from error


def change(folder: Path, how: Callable[[Catalogue], Catalogue]) -> Catalogue:
    """Replace the catalogue in `folder` by `how` of it, one process at a time. Raises ConfigError."""
    import filelock

    path = _file(folder)
    temporary: Path | None = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(f"{path}.lock", timeout=10):
            changed = how(load([folder]))
            with tempfile.NamedTemporaryFile(dir=folder, prefix=f".{path.name}", delete=False) as file:
                temporary = Path(file.name)
                file.write(msgspec.json.format(msgspec.json.encode(changed)))
            temporary.replace(path)
    except (OSError, filelock.Timeout) as error:
        if temporary:
            temporary.unlink(missing_ok=True)
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{path}: cannot be written ({reason})") from error
    return changed


def _file(folder: Path) -> Path:
    return folder / "catalogue.json"
