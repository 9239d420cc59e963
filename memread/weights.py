"""Weights made ready for reading: the base with its adapter merged in, in the type that reads fastest here.

Made once, in the data folder: `prepared/NAME-KIND-KEY.gguf`, where KEY is the digest of what it was made of,
and beside it a record with its own digest. So a changed base or adapter is another file, and a damaged file
is noticed and made again. Nothing here stops a reading: where the file cannot be made, the base is read as it
is, with the adapter applied by llama.cpp.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import filelock
import msgspec

from memread import registry
from memread.config import Config, digest_cache
from memread.errors import MemreadError, ModelUnloadable
from memread.registry import InstalledModel
from memread.tuning import Choice, choice_for

VERSION: Final = 1
"""Raise it when the same base and adapter would make another file."""
_PATIENCE: Final = 900.0
"""Seconds to wait for another process that makes the same file."""
_DIVERGENCE: Final = 0.1
"""A file whose predictions are further than this (nats, mean) from those of what it was made of is not used.
Rounding costs less than 0.01; a row in the wrong place costs whole nats."""
_PROBE: Final = (
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of "
    "foolishness, it was the epoch of belief, it was the epoch of incredulity. In 1775 there were 7 of them."
)

Say = Callable[[str, float | None], None]
"""Told what is done, and the share that is done of it (0 to 1) where that is known."""


class Weights(msgspec.Struct, frozen=True):
    """What a model is read with."""

    path: Path
    adapter: Path | None
    """Still to be applied by llama.cpp."""
    digest: str
    """Of path and adapter together; "sha256:…"."""
    kind: str = ""
    """The type it was made in; "" as it came."""
    choice: Choice | None = None
    """What was measured for it on this machine."""
    notices: tuple[str, ...] = ()


class Record(msgspec.Struct, frozen=True):
    """What is remembered beside a file that was made."""

    digest: str
    base: str
    adapter: str
    kind: str
    divergence: float
    agreement: float


class Sources(msgspec.Struct, frozen=True):
    """What weights are made of."""

    name: str
    base: Path
    base_digest: str
    adapter: Path | None = None
    adapter_digest: str = ""

    @property
    def digest(self) -> str:
        """Of base and adapter, read as they are."""
        return _joined(self.base_digest, self.adapter_digest) if self.adapter else self.base_digest

    def file(self, folder: Path, kind: str) -> Path:
        key = _joined(self.base_digest, self.adapter_digest, kind, str(VERSION)).rpartition(":")[2][:16]
        return folder / f"{self.name}-{kind}-{key}.gguf"


def prepare(config: Config, found: InstalledModel, say: Say = lambda text, share: None) -> Weights:
    """The weights to read `found` with; made now, if they have not been. Raises ModelMissing."""
    sources, notices = sources_of(found)
    choice = choice_for(config.data_dir, sources.digest)
    plain = Weights(sources.base, sources.adapter, sources.digest, notices=notices, choice=choice)
    kind = wanted_kind(config, found, sources)
    if not kind:
        return plain
    try:
        new = not sources.file(folder_of(config), kind).exists()
        path, record = made(folder_of(config), sources, kind, say)
        if new:
            _remove_older(path, sources.name)
        return msgspec.structs.replace(plain, path=path, adapter=None, digest=record.digest, kind=kind)
    except (OSError, MemreadError, filelock.Timeout) as error:
        reason = getattr(error, "strerror", None) or str(error)
        notice = f"The model could not be prepared for faster reading ({reason}): it is read as it is."
        return msgspec.structs.replace(plain, notices=(*notices, notice))


def digest_of(config: Config, found: InstalledModel) -> str:
    """The digest that `prepare` gives, without making anything; "" if it is not known before that.

    Raises ModelMissing.
    """
    sources, _ = sources_of(found)
    kind = wanted_kind(config, found, sources)
    if not kind:
        return sources.digest
    record = _record(sources.file(folder_of(config), kind))
    return record.digest if record else ""


def sources_of(found: InstalledModel) -> tuple[Sources, tuple[str, ...]]:
    """What a model is made of, and notices: a base that is not the one its adapter was made for has none."""
    base = registry.weights_digest(found.path, digest_cache())
    name = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in found.name)[:80]
    sources = Sources(name, found.path, base)
    recipe = found.recipe
    if recipe is None or recipe.adapter is None:
        return sources, ()
    if recipe.base != base:
        return sources, ("The adapter was trained for other weights than these: it is left out.",)
    adapter = registry.weights_digest(recipe.adapter, digest_cache())
    if recipe.adapter_digest and recipe.adapter_digest != adapter:
        return sources, (f"{recipe.adapter.name} is damaged (its SHA-256 is another): it is left out.",)
    return msgspec.structs.replace(sources, adapter=recipe.adapter, adapter_digest=adapter), ()


def wanted_kind(config: Config, found: InstalledModel, sources: Sources) -> str:
    """The type to read a model in: what was measured here, or what its recipe says; "" as it is."""
    choice = choice_for(config.data_dir, sources.digest)
    if choice is not None and choice.kind is not None:
        return choice.kind
    return found.recipe.kind if found.recipe else ""


def folder_of(config: Config) -> Path:
    """Beside the folder of models, not in it: these are not models to choose from."""
    return config.data_dir / "prepared"


def made(folder: Path, sources: Sources, kind: str, say: Say) -> tuple[Path, Record]:
    """The file in that type, made now if it is not there, by one process at a time; and its record.

    Raises OSError, filelock.Timeout and what `make` raises.
    """
    path = sources.file(folder, kind)
    record = _verified(path)
    if record is None:
        folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path.with_suffix(".lock"))
        try:
            held = lock.acquire(timeout=0)
        except filelock.Timeout:
            say("Another memread is preparing the model; waiting for it", None)
            held = lock.acquire(timeout=_PATIENCE)
        with held:
            record = _verified(path) or make(sources, path, kind, say)
    return path, record


def make(sources: Sources, path: Path, kind: str, say: Say) -> Record:
    """Write the file and its record. Atomic: what has the file's name is whole, tested and on the disk.

    Raises OSError, ModelUnloadable, OutOfMemory, EngineFailed.
    """
    from memread.engine.llamacpp import fidelity
    from memread.engine.llamacpp.conversion import convert, space

    what = "Preparing the model, once"
    need, free = space(sources.base, kind, sources.adapter), shutil.disk_usage(path.parent).free
    if need > free:
        raise OSError(f"{need / 1e9:.1f} GB are needed in {path.parent}, {free / 1e9:.1f} are free")
    temporary = path.with_name(path.name + ".part")
    try:
        convert(
            sources.base,
            temporary,
            kind,
            adapter=sources.adapter,
            progress=lambda share: say(what, share * 0.9),
        )
        wanted = fidelity.predictions(sources.base, _PROBE, adapter=sources.adapter, tokens=64)
        tested = fidelity.compare(wanted, fidelity.predictions(temporary, _PROBE, tokens=64))
        if not tested.divergence <= _DIVERGENCE:  # also when it is not a number
            raise ModelUnloadable(
                f"the {kind} file that was made does not predict what it should "
                f"(divergence {tested.divergence:.3f}, same token {tested.agreement:.0%})"
            )
        _flush(temporary)
        temporary.replace(path)
        record = Record(
            registry.weights_digest(path, digest_cache()),
            sources.base_digest,
            sources.adapter_digest,
            kind,
            tested.divergence,
            tested.agreement,
        )
        _write(path.with_suffix(".json"), msgspec.json.format(msgspec.json.encode(record)))
        say(what, 1.0)
        return record
    finally:
        temporary.unlink(missing_ok=True)


def _verified(path: Path) -> Record | None:
    """The record of a file that is what was written. Its digest is remembered by size and time."""
    record = _record(path)
    if record is None:
        return None
    try:
        same = registry.weights_digest(path, digest_cache()) == record.digest
    except MemreadError:
        return None
    return record if same and math.isfinite(record.divergence) else None


def _record(path: Path) -> Record | None:
    try:
        return msgspec.json.decode(path.with_suffix(".json").read_bytes(), type=Record)
    except (OSError, msgspec.DecodeError):
        return None


def discard(path: Path) -> None:
    """Remove a file that was made, and what belongs to it. One that is being read stays readable."""
    for doomed in (path, path.with_suffix(".json"), path.with_suffix(".lock")):
        with contextlib.suppress(OSError):
            doomed.unlink()


def bits(kind: str) -> float:
    """Bits of disk and memory that a weight takes in a type, about."""
    from memread.engine.llamacpp.conversion import BITS

    return BITS[kind]


def _remove_older(keep: Path, name: str) -> None:
    """What was made of this model before, from another base or in another type."""
    for path in keep.parent.glob(f"{name}-*.gguf*"):
        parts = path.name.removeprefix(f"{name}-").split("-")
        if path != keep and len(parts) == 2:  # another model's name may begin with this one's
            discard(path)


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(content)
    _flush(temporary)
    temporary.replace(path)


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _joined(*digests: str) -> str:
    return "sha256:" + hashlib.sha256("\n".join(digests).encode()).hexdigest()
