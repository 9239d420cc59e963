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
from typing import BinaryIO, Protocol, runtime_checkable

import msgspec

from memread.errors import DamagedDocument, FileUnreadable, MemreadError
from memread.ingest.units import Begun, why
from memread.ingest.wire import Failed, Finished, Job, Lost, Message, Opened, Read
from memread.types import DocumentInfo, Passage, Skipped


class Reading(Protocol):
    """What the readers of this package are. Made from (open file, name, index)."""

    info: DocumentInfo

    def passages(self) -> Iterator[Passage | Skipped]: ...


@runtime_checkable
class Divided(Reading, Protocol):
    """A reader whose units can be lost one by one."""

    def units(self, start: Begun | None = None) -> Iterator[Passage | Skipped | Begun]:
        """A Begun before each unit. start: go on with that unit, or after it."""


def limit_memory(most: int) -> None:
    """A page that explodes must not take the machine's memory: it is a MemoryError, and then a lost page.

    most: bytes of address space.
    """
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash leaves no file of a private text


def limit_time(seconds: float) -> None:
    """End this process in so many seconds; 0: do not. The system does it: parsers hold Python's lock."""
    if sys.platform == "win32":
        import faulthandler

        faulthandler.cancel_dump_traceback_later()
        if seconds:
            faulthandler.dump_traceback_later(seconds, exit=True)
    else:
        signal.setitimer(signal.ITIMER_REAL, seconds)


def main() -> None:
    # Ctrl-C is for the parent, which decides what still has to be read.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform != "win32":
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    lines = sys.stdin.buffer
    # What a library prints must not come between the messages.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    job = msgspec.json.decode(lines.readline(), type=Job)
    limit_memory(job.limits.memory)
    limit_time(job.limits.seconds)
    threading.Thread(target=_end_with_parent, args=(lines,), daemon=True).start()
    encoder = msgspec.json.Encoder()
    try:
        for message in read(job):
            limit_time(0)  # waiting for room in the pipe is no work
            out.write(encoder.encode(message) + b"\n")
            # Flushed each time: what is in a buffer here would be lost in a crash.
            out.flush()
            limit_time(job.limits.seconds)
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
    """Everything that is to be said about a document. Errors are messages too."""
    try:
        with Path(os.fsdecode(job.path)).open("rb") as file:
            reading = _open(job, file)
            yield Opened(reading.info)
            for part in reading.units(job.start) if isinstance(reading, Divided) else reading.passages():
                match part:
                    case Begun():
                        yield part
                    case Passage():
                        yield Read(part)
                    case Skipped():
                        yield Lost(part)
            yield Finished()
    except BrokenPipeError:
        raise
    except MemreadError as error:
        yield Failed(type(error).__name__, error.message, error.hint)
    except OSError as error:
        yield Failed(FileUnreadable.__name__, f"{job.name}: {error.strerror or error}", "")
    except Exception as error:
        yield Failed(DamagedDocument.__name__, f"{job.name}: it cannot be read ({why(error)})", "")


def _open(job: Job, file: BinaryIO) -> Reading:
    match job.format:
        case "pdf":
            from memread.ingest.pdf import PdfReading

            return PdfReading(file, job.name, job.index, job.password, job.selection)
        case "epub":
            from memread.ingest.epub import EpubReading

            return EpubReading(file, job.name, job.index, job.selection)
        case "docx":
            from memread.ingest.docx import DocxReading

            return DocxReading(file, job.name, job.index)
        case "odt":
            from memread.ingest.odt import OdtReading

            return OdtReading(file, job.name, job.index)
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
