"""A document that is read by a child process (see worker.py)."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from memread.errors import DamagedDocument, by_name
from memread.ingest.selection import Selection
from memread.ingest.units import Begun, held_back
from memread.ingest.wire import Failed, Finished, Job, Lost, Message, Opened, Read
from memread.spawn import end, how_it_ended, spawn
from memread.types import LIMITS, DocumentInfo, Format, Limits, Locator, Passage, Skipped

_DEATHS: Final = 20
"""A document whose reader died so often is read no further."""


class ChildDocument:
    """What needs a parser. The child starts when something is first asked for; then it runs ahead."""

    def __init__(
        self,
        format: Format,
        path: str,
        name: str,
        index: int = 0,
        password: str | None = None,
        on_close: Callable[[], None] | None = None,
        selection: Selection | None = None,
        limits: Limits = LIMITS,
        problem: str = "",
    ) -> None:
        """on_close: called once, when the document is closed or read. problem: why the file at `path` is not
        all of the document, said after what is read of it."""
        # A name of a file may hold halves of characters, which have no UTF-8 form.
        sendable = name.encode("utf-8", "replace").decode()
        there = os.fsencode(Path(path).absolute())
        self._job = Job(format, there, sendable, index, password, selection, limits)
        self._name = name
        self._problem = problem
        self._decoder = msgspec.json.Decoder(Message)
        self._child: subprocess.Popen[bytes] | None = None
        self._info: DocumentInfo | None = None
        self._lock = threading.RLock()
        self._closed = threading.Event()
        self._reading = False
        """A generator of passages exists, and closes the child's output when it ends."""
        self._on_close = on_close

    @property
    def info(self) -> DocumentInfo:
        """Waits for the child to open the document. Raises what stops it from being read."""
        with self._lock:
            if self._info is None:
                self._start()
            assert self._info is not None
            return self._info

    def passages(self) -> Iterator[Passage | Skipped]:
        """Raises the reader's errors, and DamagedDocument if it crashes: what came before stays valid."""
        with self._lock:
            if self._closed.is_set():
                return
            if self._child is None:
                self._start()
            self._reading = True
        try:
            yield from held_back(self._parts())
            if self._problem and not self._closed.is_set():
                yield Skipped(Locator(document=self._job.index), self._problem)
        finally:
            self._reading = False
            self.close()

    def _parts(self) -> Iterator[Passage | Skipped | Begun]:
        """What the child says; when it dies of a unit, a new one goes on after that.

        A crash may have come from elsewhere (the system's memory killer), so the unit is tried once more; a
        unit that took too long is not. Parts are the same each time: those given already are left out.
        """
        begun: Begun | None = None
        tried = -1
        given = again = 0  # parts of this unit; of those, how many are to come once more
        for deaths in range(_DEATHS + 1):
            assert self._child is not None
            child = self._child
            for message in self._messages(child):
                if self._closed.is_set():
                    return
                match message:
                    case Begun(number=number):
                        if begun is None or number != begun.number:
                            given = again = 0
                        begun = message
                        yield message
                    case Read() | Lost():
                        if again:
                            again -= 1
                            continue
                        given += 1
                        yield message.passage if isinstance(message, Read) else message.skipped
                    case Failed():
                        raise by_name(message.error, message.message, message.hint)
                    case Opened(info):
                        if self._named(info) != self._info:
                            raise DamagedDocument(f"{self._job.name}: it changed while it was read")
                    case Finished():
                        return
            if self._closed.is_set():
                return
            why = self._end_of(child)
            if begun is None:  # of a format without units
                raise self._crashed(why)
            if begun.lost or deaths == _DEATHS:  # it died before it came to the next unit; or it is enough
                break
            if tried != begun.number and not _out_of_time(child):
                tried, again = begun.number, given
            else:
                yield Skipped(begun.place, why, begun.pages, begun.chapters)
                begun = msgspec.structs.replace(begun, lost=True, failed=begun.failed or why)
            self._spawn(begun)
        assert begun is not None
        if not begun.written:
            raise self._crashed(why)
        yield Skipped(begun.place, f"{why}; the document is given up here: what follows is not read")

    def close(self) -> None:
        """Ends the child, and with it a read that waits for it in another thread."""
        self._closed.set()
        child = self._child
        if child is not None:
            end(child)
            # A thread that waits for its output sees the end of it now, and closes it then.
            if not self._reading and child.stdout is not None:
                child.stdout.close()
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close()

    def _start(self) -> None:
        child = self._spawn(None)
        first = next(self._messages(child), None)
        if isinstance(first, Opened):
            self._info = self._named(first.info)
            return
        self.close()
        if isinstance(first, Failed):
            raise by_name(first.error, first.message, first.hint)
        raise self._crashed(self._end_of(child))

    def _named(self, info: DocumentInfo) -> DocumentInfo:
        return msgspec.structs.replace(info, name=self._name)

    def _spawn(self, start: Begun | None) -> subprocess.Popen[bytes]:
        """A child that goes on from `start`, in place of the last."""
        if self._child is not None and self._child.stdout is not None:
            end(self._child)
            self._child.stdout.close()
        child = self._child = spawn("memread.ingest.worker")
        if self._closed.is_set():  # meanwhile, in another thread: which ended the last one
            end(child)
        assert child.stdin is not None
        job = msgspec.structs.replace(self._job, start=start)
        line = msgspec.json.encode(job) + b"\n"
        with contextlib.suppress(OSError, ValueError):  # it has ended already; what it did not say says so
            child.stdin.write(line)
            child.stdin.flush()
        return child

    def _messages(self, child: subprocess.Popen[bytes]) -> Iterator[Message]:
        assert child.stdout is not None
        while True:
            try:
                line = child.stdout.readline()
            except (OSError, ValueError):  # closed under us
                return
            if not line.endswith(b"\n"):  # the end, or half a line of a child that was killed
                return
            yield self._decoder.decode(line)

    def _end_of(self, child: subprocess.Popen[bytes]) -> str:
        """Why a child ended that had not finished."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(5)
        if _out_of_time(child):
            return f"it took more than {self._job.limits.seconds:g} s: ingest.page_seconds"
        return f"its reader crashed ({how_it_ended(child)})"

    def _crashed(self, why: str) -> DamagedDocument:
        return DamagedDocument(
            f"{self._job.name}: {why}",
            "What was read up to there stays valid. Saving the document anew may help.",
        )

    def __del__(self) -> None:
        if hasattr(self, "_on_close"):
            self.close()


def _out_of_time(child: subprocess.Popen[bytes]) -> bool:
    """Whether it ended itself: see worker.limit_time."""
    return child.returncode == (1 if sys.platform == "win32" else -signal.SIGALRM)
