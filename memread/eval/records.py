"""Records of a JSON or JSONL file, gzipped or not; what cannot be read is named, never dropped silently."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

import msgspec

from memread.errors import DamagedDocument, EmptyInput, FileMissing, FileUnreadable

Record = dict[str, Any]
_GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"
_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises; the last for lists in lists a thousand deep."""


class Malformed(msgspec.Struct, frozen=True):
    """A record that was skipped."""

    path: str
    place: str
    """ "line 12" of a JSONL file, "entry 12" of a JSON list; both from 1."""
    reason: str

    def __str__(self) -> str:
        return f"{self.path}, {self.place}: {self.reason}"


class Placed(msgspec.Struct, frozen=True):
    """A record and where it stands."""

    place: str
    offset: int | None
    """Of its line, in bytes of the (unpacked) file; None in a JSON list."""
    record: Record


def open_file(path: str) -> IO[bytes]:
    """The file's bytes, unpacked. Raises FileMissing, FileUnreadable."""
    try:
        with Path(path).open("rb") as file:
            packed = file.read(2) == _GZIP
        return cast("IO[bytes]", gzip.open(path, "rb")) if packed else Path(path).open("rb")
    except FileNotFoundError as error:
        raise FileMissing(f"{path}: there is no such file", "Check the spelling and the folder.") from error
    except OSError as error:
        raise FileUnreadable(f"{path}: {error.strerror or error}") from error


def records(path: str) -> Iterator[Placed | Malformed]:
    """Each record in turn. JSONL is read line by line; a JSON list or one JSON object is read whole.

    Raises FileMissing, FileUnreadable, DamagedDocument (a list that is not JSON, a cut gzip), EmptyInput.
    """
    try:
        with open_file(path) as file:
            head = file.readline()
            while head and not head.removeprefix(_BOM).strip():
                head = file.readline()
            if not head:
                raise EmptyInput(f"{path}: the file is empty")
            file.seek(0)
            by_line = _is_lines(head, file)
            file.seek(0)
            yield from _lines(path, file) if by_line else _whole(path, file.read())
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DamagedDocument(f"{path}: the compressed file is damaged ({error})") from error


def record_at(path: str, offset: int) -> Record:
    """The record of the line at `offset`. Raises what `records` does, DamagedDocument if it has changed."""
    with open_file(path) as file:
        file.seek(offset)
        found = _decode(file.readline().removeprefix(_BOM))
    if isinstance(found, str):
        raise DamagedDocument(f"{path}: the file has changed since its questions were read ({found})")
    return found


def _is_lines(head: bytes, file: IO[bytes]) -> bool:
    """Whether each line is a record: the first is one, or the file as a whole is not JSON."""
    start = head.removeprefix(_BOM).lstrip()
    if start.startswith(b"["):
        return False
    if not isinstance(_decode(start), str):
        return True
    try:
        msgspec.json.decode(file.read().removeprefix(_BOM))
    except _NOT_JSON:
        return True
    return False


def _lines(path: str, file: IO[bytes]) -> Iterator[Placed | Malformed]:
    offset = 0
    for number, line in enumerate(file, start=1):
        content = line.removeprefix(_BOM) if number == 1 else line
        if content.strip():
            found = _decode(content)
            if isinstance(found, str):
                yield Malformed(path, f"line {number}", found)
            else:
                yield Placed(f"line {number}", offset, found)
        offset += len(line)


def _whole(path: str, data: bytes) -> Iterator[Placed | Malformed]:
    try:
        found = msgspec.json.decode(data.removeprefix(_BOM))
    except _NOT_JSON as error:
        raise DamagedDocument(f"{path}: this is not JSON ({error})") from error
    for number, entry in enumerate(found if isinstance(found, list) else [found], start=1):
        if isinstance(entry, dict):
            yield Placed(f"entry {number}", None, entry)
        else:
            yield Malformed(path, f"entry {number}", _unexpected(entry))


def _decode(line: bytes) -> Record | str:
    """The object of a line, or what is wrong with it."""
    try:
        found = msgspec.json.decode(line)
    except _NOT_JSON as error:
        return f"not JSON ({error})"
    return found if isinstance(found, dict) else _unexpected(found)


def _unexpected(found: object) -> str:
    return f"an object is expected, not {'a list' if isinstance(found, list) else f'{found!r:.40}'}"
