"""The SQLite file: opened safely, private to its owner, brought to this program's schema."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from memread.errors import JournalError

APPLICATION_ID = 0x6D656D72  # "memr": `file` and this program know the journal by it
MOVE_AWAY = "Move the file away; the next reading makes a new one."

# One script a version; a journal of version n gets the scripts after n. Never edit one that was released.
# Derived numbers (steps, tokens, records, head) live in `runs`, so that a list needs no record, and so
# that records missing at the end are noticed.
MIGRATIONS: Sequence[Sequence[str]] = (
    (
        """
        CREATE TABLE runs (
            n INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order of beginning: clocks jump
            id TEXT NOT NULL UNIQUE,
            key TEXT NOT NULL,
            identity BLOB NOT NULL,
            status TEXT NOT NULL CHECK (status IN ('running', 'done', 'partial', 'failed')),
            weights TEXT NOT NULL,
            device TEXT NOT NULL,
            host TEXT NOT NULL,
            pid INTEGER NOT NULL,
            taken_from TEXT NOT NULL,             -- the run forked from, or ''
            records INTEGER NOT NULL,
            head BLOB NOT NULL,                   -- the hash of the last record
            steps INTEGER NOT NULL,
            tokens INTEGER NOT NULL,              -- of the segments read
            created TEXT NOT NULL,
            updated TEXT NOT NULL
        )
        """,
        "CREATE INDEX runs_by_key ON runs (key)",
        "CREATE INDEX runs_by_parent ON runs (taken_from)",
        """
        CREATE TABLE records (
            run INTEGER NOT NULL REFERENCES runs (n) ON DELETE CASCADE,
            seq INTEGER NOT NULL,
            kind TEXT NOT NULL,                   -- the event's tag
            segment INTEGER,                      -- of memory_updated and reply_rejected
            taken_from TEXT NOT NULL,             -- the run that read it, if not this one
            created TEXT NOT NULL,
            body BLOB NOT NULL,                   -- the event: identity.encode(events.to_dict(event))
            hash BLOB NOT NULL,                   -- records.chained()
            UNIQUE (run, seq)
        )
        """,
        "CREATE UNIQUE INDEX steps ON records (run, segment) WHERE kind = 'memory_updated'",
    ),
)
VERSION = len(MIGRATIONS)


class Database:
    """One connection. `path` is absolute. For one thread."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    @classmethod
    def open(cls, path: Path, busy_seconds: float) -> Database:
        """Open or create the file at `path`, waiting up to `busy_seconds` for other processes.

        Raises JournalError: no permission, no database, not memread's, newer than this program, locked,
        disk full.
        """
        path = Path(os.path.abspath(path))  # noqa: PTH100  # and not resolve(): the name stays the user's
        with translated(path):
            _make_private(path)
            connection = sqlite3.connect(path, timeout=busy_seconds, isolation_level=None)
        database = cls(path, connection)
        try:
            with translated(path):
                database._prepare(busy_seconds)
        except BaseException:
            database.close()
            raise
        return database

    def close(self) -> None:
        self._connection.close()

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a statement. Raises JournalError."""
        with translated(self.path):
            return self._connection.execute(sql, parameters).fetchall()

    def change(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run a statement that writes; how many rows it changed. Raises JournalError."""
        with translated(self.path):
            return self._connection.execute(sql, parameters).rowcount

    @contextlib.contextmanager
    def transaction(self, write: bool = True) -> Iterator[None]:
        """All of the block or nothing of it; on disk when the block has ended. Raises JournalError."""
        with translated(self.path):
            try:
                # IMMEDIATE: the write lock is waited for here, not met half-way as an error.
                self._connection.execute("BEGIN IMMEDIATE" if write else "BEGIN DEFERRED")
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                # After some failures SQLite has already rolled back by itself.
                if self._connection.in_transaction:
                    with contextlib.suppress(sqlite3.Error):
                        self._connection.execute("ROLLBACK")
                raise

    def copy(self, target: Path) -> None:
        """Write all of it, as it is at one moment, to the new file `target`. Raises JournalError.

        The file is complete when it appears, and private; processes that write meanwhile are not disturbed.
        """
        with translated(target):
            if target.exists():  # such as "." and "/", which have no name
                raise JournalError(f"{target} exists already", "Name a new file.")
            part = target.with_name(f"{target.name}.{os.getpid()}.part")
            try:
                os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
                with contextlib.closing(sqlite3.connect(part, isolation_level=None)) as copied:
                    self._connection.backup(copied)
                    copied.execute("PRAGMA journal_mode = DELETE")  # one file, without -wal and -shm
                _put(part, target)
            finally:
                part.unlink(missing_ok=True)

    def forget(self) -> None:
        """Let nothing that was deleted linger in the write-ahead log (other readers permitting)."""
        self.rows("PRAGMA wal_checkpoint(TRUNCATE)")

    def _prepare(self, busy_seconds: float) -> None:
        with self.transaction(write=False):  # of one moment: another process may be making the file
            version = self._checked_version()  # before anything is written to what may be another's
        execute = self._connection.execute
        execute("PRAGMA foreign_keys = ON")
        execute("PRAGMA secure_delete = ON")  # a removed run is overwritten, not only unlinked
        execute("PRAGMA trusted_schema = OFF")
        deadline = time.monotonic() + busy_seconds
        while True:  # two processes switching a new file to WAL get "locked" without any wait
            try:
                execute("PRAGMA journal_mode = WAL")
                break
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        execute("PRAGMA synchronous = FULL")  # a step that was recorded survives a power cut
        execute("PRAGMA fullfsync = ON")  # and on macOS, where fsync alone does not reach the platter
        if version == VERSION:
            return
        with self.transaction():
            for script in MIGRATIONS[self._checked_version() :]:
                for statement in script:
                    execute(statement)
            execute(f"PRAGMA application_id = {APPLICATION_ID}")
            execute(f"PRAGMA user_version = {VERSION}")

    def _checked_version(self) -> int:
        """The schema's version, 0 for a new file. Raises JournalError if the file is not for us."""
        ((application,),) = self.rows("PRAGMA application_id")
        ((version,),) = self.rows("PRAGMA user_version")
        ((tables,),) = self.rows("SELECT count(*) FROM sqlite_master")
        if application != APPLICATION_ID and (application or version or tables):
            raise JournalError(f"{self.path} is a database of another program, not a journal", MOVE_AWAY)
        if version > VERSION:
            raise JournalError(
                f"{self.path} was written by a newer memread"
                f" (journal version {version}, this one knows {VERSION})",
                "Upgrade memread, or move the file away.",
            )
        return int(version)


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turns errors of SQLite and of the operating system into JournalError, one line each.

    Misuse of the connection (from another thread, after close) is a mistake in memread and stays as it is.
    """
    try:
        yield
    except sqlite3.ProgrammingError:
        raise
    except sqlite3.Error as error:
        raise _for_sqlite(path, str(error)) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise JournalError(f"{path}: the journal cannot be used ({reason})", _WRITABLE) from error


_WRITABLE = "Check that the folder exists and that you may write there."


def _for_sqlite(path: Path, text: str) -> JournalError:
    # By SQLite's texts (sqlite3_errstr, stable for decades): Python 3.10 does not give the codes.
    if "not a database" in text or "encrypted" in text:
        return JournalError(f"{path} is not a journal (not a database)", MOVE_AWAY)
    if "locked" in text or "busy" in text:
        return JournalError(f"{path} is locked by another process", "Wait until it is done, and try again.")
    if "readonly" in text or "read-only" in text:
        return JournalError(f"{path} cannot be written to (read-only)", _WRITABLE)
    if "unable to open" in text:
        return JournalError(f"{path} cannot be opened or created", _WRITABLE)
    if "is full" in text:
        return JournalError(f"{path}: no space left on the disk for the journal", "Free some space.")
    if "malformed" in text or "no such table" in text or "no such column" in text:
        return JournalError(f"{path} is damaged ({text})", MOVE_AWAY)
    return JournalError(f"{path}: the journal failed ({text})")


def _put(part: Path, target: Path) -> None:
    """Rename, but never over another file. Raises OSError."""
    try:
        os.link(part, target)
    except FileExistsError:
        raise
    except OSError:  # FAT has no links: the name is taken by an empty file, which is then replaced
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            part.replace(target)
        except BaseException:
            target.unlink(missing_ok=True)
            raise


def _make_private(path: Path) -> None:
    """Create the folder (0700) and the file (0600) if need be; close a file that others can read.

    The file is never opened when it exists: closing it would drop the locks that SQLite holds on it for
    another connection of this process. -wal and -shm get the mode of the file from SQLite.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        # SQLite takes a file that is shorter than any database for an empty one, and writes over it.
        if path.is_file() and 0 < path.stat().st_size < 512:
            raise JournalError(f"{path} is not a journal (not a database)", MOVE_AWAY) from None
        for name in (path, *(path.with_name(path.name + suffix) for suffix in ("-wal", "-shm"))):
            with contextlib.suppress(OSError):
                mode = stat.S_IMODE(name.stat().st_mode)
                if os.name == "posix" and mode & 0o077:
                    name.chmod(mode & ~0o077)
