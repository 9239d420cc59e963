"""A child process that reads one document that needs a parser: `python -m memread.ingest.worker`.

The libraries that do it hold Python's lock, hang, crash and grow: none of that may reach the process that
draws the screen and owns the model. The child runs ahead as far as its pipe has room, then waits.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, Protocol

import msgspec

from memread.errors import DamagedDocument, FileUnreadable, MemreadError
from memread.ingest.wire import Failed, Finished, Job, Lost, Message, Opened, Read
from memread.types import DocumentInfo, Passage, Skipped


class Reading(Protocol):
    """What the readers of this package are. Made from (open file, name, index)."""

    info: DocumentInfo

    def passages(self) -> Iterator[Passage | Skipped]: ...


MEMORY: Final = 4 << 30
"""Bytes of address space, where the system can limit it."""


def limit_memory() -> None:
    """A page that explodes must not take the machine's memory: it is a MemoryError, and then a lost page."""
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def main() -> None:
    limit_memory()
    # Ctrl-C is for the parent, which decides what still has to be read.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    lines = sys.stdin.buffer
    out = sys.stdout.buffer
    job = msgspec.json.decode(lines.readline(), type=Job)
    threading.Thread(target=_end_with_parent, args=(lines,), daemon=True).start()
    encoder = msgspec.json.Encoder()
    try:
        for message in read(job):
            out.write(encoder.encode(message) + b"\n")
            # Flushed each time: what is in a buffer here would be lost in a crash.
            out.flush()
    except BrokenPipeError:
        os._exit(0)
    with contextlib.suppress(OSError):
        out.flush()
    os._exit(0)  # without waiting for libraries to tidy up


def _end_with_parent(lines: BinaryIO) -> None:
    """The parent never writes again: the pipe only ends, and it ends even if the parent was killed."""
    while lines.read1(4096) if hasattr(lines, "read1") else lines.read(1):
        pass
    os._exit(0)


def read(job: Job) -> Iterator[Message]:
    """Everything that is to be said about a document. Errors are messages too.

    Limits of time and memory for a page belong here (set before `passages()` goes on) and in the parent,
    which sees how long a message takes.
    """
    try:
        with Path(job.path).open("rb") as file:
            reading = _open(job, file)
            yield Opened(reading.info)
            for part in reading.passages():
                yield Lost(part) if isinstance(part, Skipped) else Read(part)
            yield Finished()
    except BrokenPipeError:
        raise
    except MemreadError as error:
        yield Failed(type(error).__name__, error.message, error.hint)
    except OSError as error:
        yield Failed(FileUnreadable.__name__, f"{job.name}: {error.strerror or error}", "")
    except Exception as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        yield Failed(DamagedDocument.__name__, f"{job.name}: it cannot be read ({why})", "")


def _open(job: Job, file: BinaryIO) -> Reading:
    match job.format:
        case "pdf":
            from memread.ingest.pdf import PdfReading

            return PdfReading(file, job.name, job.index, job.password, job.selection)
        case "epub":
            from memread.ingest.epub import EpubReading

            return EpubReading(file, job.name, job.index)
        case "docx":
            from memread.ingest.docx import DocxReading

            return DocxReading(file, job.name, job.index)
        case "notebook":
            from memread.ingest.notebook import NotebookReading

            return NotebookReading(file, job.name, job.index)
        case "subtitles":
            from memread.ingest.subtitles import SubtitlesReading

            return SubtitlesReading(file, job.name, job.index)
        case "mail":
            from memread.ingest.mail import MailReading

            return MailReading(file, job.name, job.index)
        case "html" | "text":
            raise AssertionError(f"{job.format} is streamed, not read in a child")


if __name__ == "__main__":
    main()
