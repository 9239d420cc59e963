"""A document that is read by a child process (see worker.py)."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from memread.errors import DamagedDocument, by_name
from memread.ingest.selection import Selection
from memread.ingest.wire import Failed, Finished, Job, Lost, Message, Opened, Read
from memread.spawn import end, how_it_ended, spawn
from memread.types import DocumentInfo, Format, Locator, Passage, Skipped

PAGE_SECONDS: Final = 120.0
"""A page or chapter that takes longer does not end: a drawing of a million lines, or an attack."""


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
    ) -> None:
        """on_close: called once, when the document is closed or read."""
        self._job = Job(format, str(Path(path).absolute()), name, index, password, selection)
        self._decoder = msgspec.json.Decoder(Message)
        self._child: subprocess.Popen[bytes] | None = None
        self._info: DocumentInfo | None = None
        self._lock = threading.RLock()
        self._closed = threading.Event()
        self._slow = False
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
            child = self._child
            self._reading = True
        assert child is not None
        place = Locator(document=self._job.index)
        try:
            for message in self._messages(child):
                if self._closed.is_set():
                    return
                if isinstance(message, Read):
                    place = message.passage.locator
                    yield message.passage
                elif isinstance(message, Lost):
                    place = message.skipped.locator
                    yield message.skipped
                elif isinstance(message, Failed):
                    raise by_name(message.error, message.message, message.hint)
                elif isinstance(message, Finished):
                    return
            if not self._closed.is_set():
                raise self._crashed(child, place)
        finally:
            self._reading = False
            self.close()

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
        child = spawn("memread.ingest.worker")
        self._child = child
        assert child.stdin is not None
        with contextlib.suppress(OSError):  # it has died already; what it did not say says so
            child.stdin.write(msgspec.json.encode(self._job) + b"\n")
            child.stdin.flush()
        first = next(self._messages(child), None)
        if isinstance(first, Opened):
            self._info = first.info
            return
        self.close()
        if isinstance(first, Failed):
            raise by_name(first.error, first.message, first.hint)
        raise self._crashed(child, None)

    def _messages(self, child: subprocess.Popen[bytes]) -> Iterator[Message]:
        assert child.stdout is not None
        while True:
            timer = threading.Timer(PAGE_SECONDS, self._too_slow, [child])
            timer.daemon = True
            timer.start()
            try:
                line = child.stdout.readline()
            except (OSError, ValueError):  # closed under us
                return
            finally:
                timer.cancel()
            if not line.endswith(b"\n"):  # the end, or half a line of a child that was killed
                return
            yield self._decoder.decode(line)

    def _too_slow(self, child: subprocess.Popen[bytes]) -> None:
        self._slow = True
        with contextlib.suppress(OSError):
            child.kill()

    def _crashed(self, child: subprocess.Popen[bytes], place: Locator | None) -> DamagedDocument:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(5)
        where = f" after {place.label()}" if place is not None and place.label() else ""
        if self._slow:
            return DamagedDocument(
                f"{self._job.name}: its reader was stopped{where}: "
                f"it took more than {PAGE_SECONDS:.0f} s for one page",
                "What was read up to there stays valid. Saving the document anew may help.",
            )
        return DamagedDocument(
            f"{self._job.name}: its reader crashed{where} ({how_it_ended(child)})",
            "What was read up to there stays valid. Saving the document anew may help.",
        )

    def __del__(self) -> None:
        if hasattr(self, "_on_close"):
            self.close()
