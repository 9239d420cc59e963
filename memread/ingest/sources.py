"""Where bytes come from: files, pipes, gzip. One small interface, bounded memory."""

from __future__ import annotations

import contextlib
import os
import select
import stat
import sys
import threading
import zlib
from typing import BinaryIO, Protocol

CHUNK = 65536
"""Bytes read at a time, at most."""


class Source(Protocol):
    """Bytes, once, in order."""

    @property
    def problem(self) -> str:
        """Why the bytes ended too early, or ""."""
        ...

    @property
    def cancelled(self) -> bool:
        """`close` was called."""
        ...

    def read(self) -> bytes:
        """The next bytes, as soon as there are any; b"" at the end and after `close`. Raises OSError."""
        ...

    def fraction(self) -> float | None:
        """How much has been read, 0..1; None when the size is not known."""
        ...

    def close(self) -> None:
        """End the reading. Safe from any thread."""
        ...


class FileSource:
    """A regular file."""

    problem = ""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size
        self._done = 0
        self.cancelled = False

    def read(self) -> bytes:
        if self.cancelled or self._file.closed:
            self._file.close()
            return b""
        data = self._file.read(CHUNK)
        self._done += len(data)
        if not data:
            self._file.close()
        return data

    def fraction(self) -> float | None:
        # A log may grow while it is read.
        return min(1.0, self._done / self._size) if self._size else 1.0

    def close(self) -> None:
        # Only the flag: a descriptor closed under a thread that reads from it may be another file by then.
        self.cancelled = True

    def __del__(self) -> None:
        self._file.close()


class PipeSource:
    """A pipe, terminal or other stream, by its file descriptor.

    `close` from another thread ends a read that waits. Not on Windows, where one cannot wait for a pipe
    and something else at once: there a read ends with the next data.
    """

    problem = ""

    def __init__(self, descriptor: int, *, owned: bool) -> None:
        """owned: close the descriptor at the end (standard input is left open)."""
        self._wake: tuple[int, int] | None = None
        self._descriptor = descriptor
        self._owned = owned
        self._lock = threading.Lock()
        self._done = 0
        self._released = False
        self.cancelled = False
        self.size: int | None = None
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode):  # `memread ask - < book.txt`
            with contextlib.suppress(OSError):
                self.size = max(0, status.st_size - os.lseek(descriptor, 0, os.SEEK_CUR))
        if sys.platform != "win32":
            self._wake = os.pipe()

    def read(self) -> bytes:
        data = b""
        if not self._released and self._ready():
            data = os.read(self._descriptor, CHUNK)
        self._done += len(data)
        if not data:
            self._release()
        return data

    def _ready(self) -> bool:
        """Waits until there is something to read (True), or close() was called (False)."""
        if self.cancelled or self._wake is None:
            return not self.cancelled
        wake = self._wake[0]
        if max(self._descriptor, wake) < 1024:
            ready, _, _ = select.select([self._descriptor, wake], [], [])
        else:  # more than select() can take
            poll = select.poll()
            poll.register(self._descriptor, select.POLLIN)
            poll.register(wake, select.POLLIN)
            ready = [descriptor for descriptor, _ in poll.poll()]
        return wake not in ready

    def fraction(self) -> float | None:
        if self.size is None:
            return None
        return min(1.0, self._done / self.size) if self.size else 1.0

    def close(self) -> None:
        with self._lock:
            if not self.cancelled and not self._released and self._wake is not None:
                os.write(self._wake[1], b"x")
            self.cancelled = True

    def _release(self) -> None:
        with self._lock:
            if self._released:
                return
            self._released = True
            for descriptor in self._wake or ():
                os.close(descriptor)
            if self._owned:
                os.close(self._descriptor)

    def __del__(self) -> None:
        if hasattr(self, "size"):
            self._release()


class PushedSource:
    """A source whose first bytes have been looked at, and are read once more."""

    def __init__(self, head: bytes, rest: Source) -> None:
        self._head = head
        self._rest = rest

    @property
    def problem(self) -> str:
        return self._rest.problem

    @property
    def cancelled(self) -> bool:
        return self._rest.cancelled

    def read(self) -> bytes:
        if self.cancelled or not self._head:
            return self._rest.read()
        head, self._head = self._head, b""
        return head

    def fraction(self) -> float | None:
        return self._rest.fraction()

    def close(self) -> None:
        self._rest.close()


class GzipSource:
    """What gzip data hold, member after member. Damage ends it, and is said in `problem`."""

    def __init__(self, packed: Source) -> None:
        self._packed = packed
        self._waiting = b""
        self._inflate = zlib.decompressobj(wbits=31)
        self._begun = False
        self._ended = False
        self.problem = ""

    @property
    def cancelled(self) -> bool:
        return self._packed.cancelled

    def read(self) -> bytes:
        while not self._ended:
            # A few compressed bytes may hold gigabytes: never more than a chunk of them at a time.
            if not self._waiting and not self._refill():
                break
            before = self._inflate.copy()
            try:
                data = self._inflate.decompress(self._waiting, CHUNK)
            except zlib.error:
                self._end("the gzip data are damaged; what comes after is lost")
                return _until_damage(before, self._waiting)
            self._begun = True
            self._waiting = self._inflate.unconsumed_tail
            if self._inflate.eof:
                self._next_member()
            elif not data and not self._waiting:
                continue
            if data:
                return data
        return b""

    def _refill(self) -> bool:
        self._waiting = self._packed.read()
        if not self._waiting:
            if self._begun and not self.cancelled:
                self._end("the gzip data end too early; the rest is missing")
            self._ended = True
        return bool(self._waiting)

    def _next_member(self) -> None:
        self._waiting = self._inflate.unused_data
        self._inflate = zlib.decompressobj(wbits=31)
        self._begun = False
        while not self.problem:
            self._waiting = self._waiting.lstrip(b"\x00")  # padding, as tape drives leave it
            if self._waiting:
                break
            self._waiting = self._packed.read()
            if not self._waiting:
                self._ended = True
                return
        if self._waiting[:1] != b"\x1f":
            self._end("something that is not gzip data follows; it is left out")

    def _end(self, problem: str) -> None:
        self._ended = True
        self.problem = problem

    def fraction(self) -> float | None:
        return self._packed.fraction()

    def close(self) -> None:
        self._packed.close()


def _until_damage(inflate: zlib._Decompress, packed: bytes) -> bytes:
    """What unpacks before the byte that cannot be: less than a chunk, where a chunk was asked for in vain."""
    found = bytearray()
    with contextlib.suppress(zlib.error):
        for place in range(len(packed)):
            found += inflate.decompress(packed[place : place + 1])
    return bytes(found)
