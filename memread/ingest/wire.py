"""What a reader in a child process says: one JSON object a line."""

from __future__ import annotations

import msgspec

from memread.ingest.selection import Selection
from memread.ingest.units import Begun
from memread.types import DocumentInfo, Format, Limits, Passage, Skipped


class Job(msgspec.Struct, frozen=True):
    """The one line that the parent sends. The password goes this way because a command line is public."""

    format: Format
    path: bytes
    """As the system has it: not every name of a file is UTF-8."""
    name: str
    index: int
    password: str | None = None
    selection: Selection | None = None
    """The part that is wanted: of a PDF, other pages need not be extracted."""
    limits: Limits = Limits()
    start: Begun | None = None
    """Where to go on, after a process that died."""


class Opened(msgspec.Struct, frozen=True, tag="opened"):
    """The document is open; always the first line unless it is Failed."""

    info: DocumentInfo


class Read(msgspec.Struct, frozen=True, tag="read"):
    passage: Passage


class Lost(msgspec.Struct, frozen=True, tag="lost"):
    skipped: Skipped


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """An error of memread.errors, by name. Nothing follows."""

    error: str
    message: str
    hint: str


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """The whole document has been read. Nothing follows."""


Message = Opened | Begun | Read | Lost | Failed | Finished
