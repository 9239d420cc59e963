"""The hashes of weights, and the file that remembers them."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec

from memread import gguf
from memread.errors import ModelMissing

_HASH_CHUNK = 1 << 22


def weights_digest(path: Path, cache: Path | None = None) -> str:
    """The hash of a model's files, "sha256:…"; of a split model, of its files' digests.

    cache: a file that remembers digests by path, size, times and inode, since gigabytes take seconds. Where
    it cannot be read or written, nothing is lost but time. Raises ModelMissing.
    """
    return _of_all([file_digest(file, cache) for file in gguf.shards(path)])


def _of_all(digests: list[str]) -> str:
    """Of a split model: of its files' digests."""
    if len(digests) == 1:
        return digests[0]
    return "sha256:" + hashlib.sha256("\n".join(digests).encode()).hexdigest()


def file_digest(path: Path, cache: Path | None = None) -> str:
    """The hash of one file, "sha256:…", as `weights_digest`."""
    try:
        known = _remembered(cache).get(_key(path))
        digest = known or _sha256(path)
    except OSError as error:
        raise ModelMissing(f"{path}: {error.strerror or error}") from error
    if known is None:
        remember(path, digest, cache)
    return digest


def known_digest(path: Path, cache: Path | None) -> str:
    """The hash of a model if it is remembered, else "": nothing is read but the cache."""
    remembered = _remembered(cache)
    try:
        return _of_all([remembered[_key(file)] for file in gguf.shards(path)])
    except (OSError, KeyError, ModelMissing):
        return ""


def remember(path: Path, digest: str, cache: Path | None) -> None:
    """Have the next `weights_digest` know the hash of a file that was hashed on the way to the disk."""
    if cache:
        _remember(cache, _remembered(cache) | {_key(path): digest})


def _key(path: Path) -> str:
    status = path.stat()
    # The time of the last change of anything too: a file that is overwritten may get its old time back.
    times = f"{status.st_mtime_ns}|{status.st_ctime_ns}"
    return f"{path.resolve()}|{status.st_size}|{times}|{status.st_ino}"


def _sha256(path: Path) -> str:
    hasher = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_HASH_CHUNK):
            hasher.update(chunk)
    return "sha256:" + hasher.hexdigest()


def _remembered(cache: Path | None) -> dict[str, str]:
    if cache is None:
        return {}
    try:
        return msgspec.json.decode(cache.read_bytes(), type=dict[str, str])
    except (OSError, ValueError):
        return {}


def _remember(cache: Path, digests: Mapping[str, str]) -> None:
    """Written beside and renamed, so that a reader never sees half a file. The latest thousand stay."""
    content = msgspec.json.format(msgspec.json.encode(dict([*digests.items()][-1000:])))
    temporary: Path | None = None
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=cache.parent, prefix=cache.name, delete=False) as file:
            temporary = Path(file.name)
            file.write(content)
        temporary.replace(cache)
    except OSError:
        if temporary:
            temporary.unlink(missing_ok=True)
