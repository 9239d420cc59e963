"""What was measured on this machine: type, threads, batch, attention and KV type that read a model fastest.

One JSON file in the data folder, by the digest of the model. It can be removed at any time. What was measured
on another machine, or with another llama.cpp, is not used.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import platform
from pathlib import Path
from typing import Final

import filelock
import msgspec

from memread.errors import ConfigError

_FILE: Final = "tuning.json"


class Choice(msgspec.Struct, frozen=True, omit_defaults=True):
    """What reads a model fastest here. All of it goes into a reading's recorded settings or weights."""

    machine: str
    """See `fingerprint`."""
    name: str = ""
    """The model's, for lists."""
    kind: str | None = None
    """The type to read it in; "" as it is; None: not measured."""
    threads: int = 0
    """0: not measured, as is "" of what follows."""
    batch: int = 0
    flash: str = ""
    kv: str = ""
    segment: int = 0
    """Tokens of a segment that read fastest, for a profile that is not tied to one; 0: the profile's."""
    reading: float = 0.0
    """Tokens of text read in a second, as measured; 0: not measured."""


def choice_for(data_dir: Path, digest: str) -> Choice | None:
    """What was measured for the model with this digest on this machine."""
    found = load(data_dir).get(digest)
    return found if found is not None and found.machine == fingerprint() else None


def load(data_dir: Path) -> dict[str, Choice]:
    """By digest; {} where there is nothing that can be read: nothing is lost but speed."""
    try:
        return msgspec.json.decode((data_dir / _FILE).read_bytes(), type=dict[str, Choice])
    except (OSError, msgspec.DecodeError):
        return {}


def remember(data_dir: Path, digest: str, choice: Choice | None) -> None:
    """Write it down, over what was known; None forgets it. Raises ConfigError."""
    path = data_dir / _FILE
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(f"{path}.lock", timeout=10):
            choices = load(data_dir)
            choices.pop(digest, None)
            if choice is not None:
                choices[digest] = choice
            temporary = path.with_name(path.name + ".part")
            temporary.write_bytes(msgspec.json.format(msgspec.json.encode(choices)))
            temporary.replace(path)
    except (OSError, filelock.Timeout) as error:
        raise ConfigError(
            f"{path}: cannot be written ({getattr(error, 'strerror', None) or error})"
        ) from error


@functools.cache
def fingerprint() -> str:
    """This machine, its usable cores and its llama.cpp, as one short hash."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        build = version("llama-cpp-python")
    except PackageNotFoundError:
        build = ""
    # Compiled again, for a GPU say, llama.cpp is another one of the same version.
    spec = importlib.util.find_spec("llama_cpp")
    for place in (spec.submodule_search_locations if spec else None) or ():
        libraries = sorted(Path(place, "lib").glob("*ggml*"))
        build += "".join(f"|{path.name}:{path.stat().st_size}" for path in libraries)
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    facts = (platform.system(), platform.machine(), _processor(), str(usable), build)
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]


def _processor() -> str:
    """The model of the processor and what it can do; "" where that cannot be read."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return "\n".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
