"""Models that are made ready on the user's machine: base + adapter, in the type that reads fastest.

A recipe is `models/NAME/model.toml`; the files it names lie beside it. It applies to the base that it names
by size and hash, and to no other.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from memread import profile
from memread.errors import ConfigError


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is made of a base."""

    base_bytes: int
    """Size of the base's file: a quick look whether it is the one that is meant."""
    base: str
    """The base's digest, "sha256:…"."""
    kind: str = "F16"
    """The type it is read in, unless another was measured to be faster."""
    adapter: Path | None = None
    """A LoRA as llama.cpp has it, to be merged in."""
    adapter_digest: str = ""
    profile: Path | None = None
    """The profile it was trained with; None: by the base's metadata."""


def _path(kind: type, value: object) -> Path:
    if kind is not Path or not isinstance(value, str):
        raise TypeError("a file's name was expected")
    return Path(value)


def shipped(name: str, size: int) -> Recipe | None:
    """The recipe of that name, if the base's file has the right size. Raises ConfigError."""
    return load(profile.shipped_dir() / name / "model.toml", size)


def load(path: Path, size: int) -> Recipe | None:
    """The recipe in a file; None if there is none, or if it is for a file of another size.

    Raises ConfigError.
    """
    try:
        found = msgspec.toml.decode(path.read_bytes(), type=Recipe, dec_hook=_path)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as a recipe ({error})") from error
    if found.base_bytes != size:
        return None
    here = path.parent
    return msgspec.structs.replace(
        found,
        adapter=here / found.adapter if found.adapter else None,
        profile=here / found.profile if found.profile else None,
    )
