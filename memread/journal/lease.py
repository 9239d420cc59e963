"""Who is writing a run: a lock of the operating system, gone when its process is, even by kill -9."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from filelock import FileLock, Timeout

from memread.journal.database import translated

# Somebody who lists runs touches a lock for microseconds, to see whether it is held.
_PATIENCE_SECONDS = 0.1


class Lease:
    """The right to write a run. Held from `Lease.take` to `release`."""

    def __init__(self, lock: FileLock) -> None:
        self._lock = lock

    @classmethod
    def take(cls, database: Path, run_id: str, patience: float = _PATIENCE_SECONDS) -> Lease | None:
        """The lease of a run, or None if somebody (in this process or another) holds it.

        Raises JournalError if there can be no lock file beside the database.
        """
        path = _path(database, run_id)
        with translated(database):
            path.parent.mkdir(mode=0o700, exist_ok=True)
            # thread_local: the thread that closes a recording at the end of a program may be another one.
            lock = FileLock(path, timeout=patience, mode=0o600, thread_local=False)
            try:
                lock.acquire(poll_interval=0.02)
            except Timeout:
                return None
        return cls(lock)

    def release(self) -> None:
        self._lock.release()


def held(database: Path, run_id: str) -> bool:
    """Whether a live process holds the run. True if that cannot be found out."""
    if not _path(database, run_id).exists():
        return False
    try:
        lease = Lease.take(database, run_id, patience=0)
    except Exception:  # a list of runs must not fail over a lock file
        return True
    if lease is None:
        return True
    lease.release()
    return False


def discard(database: Path, run_id: str) -> None:
    """Delete the lock file of a run that nobody will take again: one that is done or removed.

    Never of one that can be resumed: a second process could hold a lock on the deleted file while a third
    locks a new one. (Whoever takes a lease looks at the run again afterwards, so here it does not matter.)
    """
    with contextlib.suppress(OSError):  # Windows: somebody is looking at it
        _path(database, run_id).unlink()


def _path(database: Path, run_id: str) -> Path:
    # The id comes out of the file: whatever it holds, it names no place elsewhere.
    return database.parent / "locks" / f"{re.sub('[^0-9a-z]', '_', str(run_id))}.lock"
