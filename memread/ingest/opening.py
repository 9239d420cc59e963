"""From a name to a document that can be read."""

from __future__ import annotations

import contextlib
import difflib
import os
import stat
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import cast, get_args

import msgspec

from memread.errors import (
    BinaryFile,
    DamagedDocument,
    EmptyInput,
    FileMissing,
    FileUnreadable,
    InputError,
    UsageError,
)
from memread.ingest.child import ChildDocument
from memread.ingest.plain import TextDocument
from memread.ingest.selection import SelectedDocument, Selection
from memread.ingest.sniff import HEAD, look_into_zip, sniff, undecided
from memread.ingest.sources import FileSource, GzipSource, PipeSource, PushedSource, Source
from memread.protocols import Document
from memread.types import LIMITS, DocumentInfo, Format, Limits, Passage, Skipped

STANDARD_INPUT = "-"
_IN_CHILD = frozenset(get_args(Format)) - {"html", "text"}
"""Formats that a child process reads: their parsers meet hostile files."""


def open_document(
    name: str,
    index: int = 0,
    *,
    password: str | None = None,
    selection: Selection | None = None,
    limits: Limits = LIMITS,
) -> Document:
    """The document called `name`; "-" is standard input. `index` goes into the locators.

    selection: only that part of it is read; its errors are UsageError, from `info` and `passages()`.
    limits: what a page may cost the process that reads it, for formats that one reads.

    Files are looked at here; pipes when something is first asked for, since that may wait.
    Raises FileMissing, FileUnreadable, UsageError (a folder), EmptyInput, BinaryFile. What is wrong inside
    a PDF or EPUB (PasswordNeeded, DrmProtected, DamagedDocument) is raised by `info` and `passages()`.
    """
    if selection is not None:
        return SelectedDocument(_document(name, _How(index, password, selection, limits)), selection)
    return _document(name, _How(index, password, None, limits))


class _How(msgspec.Struct, frozen=True):
    """What open_document was told."""

    index: int = 0
    password: str | None = None
    selection: Selection | None = None
    limits: Limits = LIMITS


def _document(name: str, how: _How) -> Document:
    if name == STANDARD_INPUT:
        return PipeDocument(PipeSource(0, owned=False), name, how)
    try:
        status = Path(name).stat()
        if stat.S_ISDIR(status.st_mode):
            raise UsageError(f"{name}: this is a folder")
        if not stat.S_ISREG(status.st_mode):
            source = PipeSource(os.open(name, os.O_RDONLY), owned=True)
            return PipeDocument(source, name, how)
        file = Path(name).open("rb")  # noqa: SIM115 - the source closes it
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise missing(name) from error
    except OSError as error:
        raise unreadable(name, error) from error
    size = status.st_size
    return _open(FileSource(file, size), name, how, path=name, size=size)


def is_pipe(name: str) -> bool:
    """Whether `name` can be read only once, and opening it may wait: "-", a named pipe, a device."""
    try:
        if name == STANDARD_INPUT:
            return True
        mode = Path(name).stat().st_mode
        return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)
    except (OSError, ValueError):
        return False


def missing(name: str) -> FileMissing:
    """The error, with a name that is there and nearly the same."""
    hint = "Check the spelling and the folder."
    with contextlib.suppress(OSError, ValueError):
        there = [each.name for each in Path(name).parent.iterdir()]
        near = difflib.get_close_matches(Path(name).name, there, n=1, cutoff=0.7)
        if near:
            hint = f"Did you mean {Path(name).parent / near[0]}?"
    return FileMissing(f"{name}: there is no such file", hint)


def unreadable(name: str, error: OSError) -> FileUnreadable:
    hint = "You may not read it: check its permissions." if isinstance(error, PermissionError) else ""
    return FileUnreadable(f"{name}: {error.strerror or error}", hint)


def _open(
    source: Source,
    name: str,
    how: _How,
    *,
    path: str | None = None,
    size: int | None = None,
    packed: bool = False,
) -> Document:
    """path: a file with these very bytes, if there is one."""
    head = _peek(source, name, live=path is None)
    source = PushedSource(head, source)
    bare = name[:-3] if packed and name.lower().endswith(".gz") else name
    found = sniff(head[:HEAD], bare)
    if found.kind == "empty" and source.problem:
        raise DamagedDocument(
            f"{_shown(name)}: {source.problem}", "Get it again, or unpack what can be saved."
        )
    if found.kind == "empty":
        raise EmptyInput(f"{_shown(name)}: it is empty")
    if found.kind == "gzip" and not packed:
        return _open(GzipSource(source), name, how, size=size, packed=True)
    if found.kind == "text":
        info = DocumentInfo(name=name, format="text", size=size)
        return TextDocument(source, info, how.index, live=path is None and size is None)
    if found.kind == "html":
        from memread.ingest.html import HtmlDocument

        return HtmlDocument(source, DocumentInfo(name=name, format="html", size=size), how.index)
    if found.kind == "zip" or found.kind in _IN_CHILD:
        spool = None if path else _spool(source, name)
        file = cast(str, path or spool)
        if found.kind == "zip":
            with Path(file).open("rb") as archive:
                found = look_into_zip(archive, bare)
        if found.kind in _IN_CHILD:
            source.close()
            format = cast(Format, found.kind)
            return ChildDocument(
                format,
                file,
                name,
                how.index,
                how.password,
                lambda: _remove(spool),
                how.selection,
                how.limits,
                source.problem,
            )
        _remove(spool)
    source.close()
    raise BinaryFile(f"{_shown(name)}: this is {found.what}, not text", found.hint)


def _shown(name: str) -> str:
    return "standard input" if name == STANDARD_INPUT else name


def _peek(source: Source, name: str, *, live: bool) -> bytes:
    """The first bytes: of a file and of gzip enough to sniff, of a pipe as few as will do."""
    head = b""
    try:
        while len(head) < HEAD:
            data = source.read()
            if not data:
                break
            head += data
            if live and not undecided(head):
                break
    except OSError as error:
        raise unreadable(name, error) from error
    return head


def _spool(source: Source, name: str) -> str:
    """A temporary file with what the source holds: most formats cannot be read from front to back."""
    descriptor, path = tempfile.mkstemp(prefix="memread-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            while data := source.read():
                file.write(data)
    except OSError as error:
        _remove(path)
        raise FileUnreadable(f"{_shown(name)}: it cannot be copied to a temporary file ({error})") from error
    except BaseException:
        _remove(path)
        raise
    return path


def _remove(path: str | None) -> None:
    if path is not None:
        with contextlib.suppress(OSError):
            Path(path).unlink()


class PipeDocument:
    """Standard input, a named pipe or a process substitution: what it is shows in its first bytes."""

    def __init__(self, source: PipeSource, name: str, how: _How = _How()) -> None:  # noqa: B008 - frozen
        self._source, self._name, self._how = source, name, how
        self.size = source.size
        """Bytes, of standard input that is a file; else None."""
        self._document: Document | None = None
        self._lock = threading.Lock()
        self._closed = False

    @property
    def info(self) -> DocumentInfo:
        """Waits for the first bytes. Raises as open_document does."""
        document = self._opened()
        return DocumentInfo(name=self._name, format="text") if document is None else document.info

    def passages(self) -> Iterator[Passage | Skipped]:
        document = self._opened()
        if document is not None:
            yield from document.passages()

    def _opened(self) -> Document | None:
        """The document behind; None when closed before anything came."""
        with self._lock:
            if self._document is None and not self._closed:
                try:
                    self._document = _open(self._source, self._name, self._how, size=self._source.size)
                except InputError:
                    if not self._closed:
                        raise
            return self._document

    def close(self) -> None:
        self._closed = True
        self._source.close()
        document = self._document
        if document is not None:
            document.close()
