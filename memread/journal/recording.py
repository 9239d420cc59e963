"""A run being recorded: takes the events of a reading, one durable transaction for each that matters."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import os
import platform
import secrets
from collections.abc import Sequence
from types import TracebackType

import msgspec

from memread.errors import JournalError
from memread.events import (
    AnswerStarted,
    Event,
    EvidenceFound,
    MemoryUpdated,
    Piece,
    Prefilled,
    ReplyRejected,
    RunStarted,
    SegmentStarted,
)
from memread.journal.database import Database
from memread.journal.identity import Identity, encode, plain
from memread.journal.lease import Lease, discard
from memread.journal.records import (
    COLUMNS,
    Ending,
    Record,
    Step,
    chained,
    claims_of,
    damaged,
    genesis,
    load,
    skipped_of,
    steps_of,
)
from memread.types import Claim, Skipped

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: nothing that looks like something else
_ID_LENGTH = 8


class Recording:
    """A run that this process holds. A context manager; `close` it, or `finish` it.

    `Journal.begin`, `Journal.unfinished` and `fork` make them. For the thread that opened the journal.
    """

    def __init__(
        self,
        database: Database,
        lease: Lease,
        n: int,
        run_id: str,
        identity: Identity,
        records: Sequence[Record],
    ) -> None:
        """`records`: what is stored already, verified, RunStarted first."""
        self.run_id = run_id
        self.identity = identity
        self._database = database
        self._lease: Lease | None = lease
        self._n = n
        self._count = 0
        self._head = b""
        self._steps = 0
        self._tokens = 0
        self._started: RunStarted | None = None
        self._seen: set[bytes] = set()
        self._broken = False
        for record in records:
            self._take_in(record, record.event())

    @property
    def started(self) -> RunStarted:
        """The last RunStarted of the run, with its id filled in: what to show as the first event."""
        assert self._started is not None
        return self._started

    @property
    def broken(self) -> bool:
        """A record could not be stored: nothing more will be. What was stored can be resumed later."""
        return self._broken

    @property
    def recorded(self) -> int:
        """How many segments are stored; the index that is due next."""
        return self._steps

    def steps(self) -> list[Step]:
        """The stored segments, in order, verified. Raises JournalError."""
        with self._database.transaction(write=False):
            return steps_of(load(self._database, self._n))

    def claims(self) -> dict[int, tuple[Claim, ...]]:
        """The stored claims that came in with each segment, verified. Raises JournalError."""
        with self._database.transaction(write=False):
            return claims_of(load(self._database, self._n))

    def skipped(self) -> list[Skipped]:
        """The stored parts that were skipped, in order, verified. Raises JournalError."""
        with self._database.transaction(write=False):
            return skipped_of(load(self._database, self._n))

    def record(self, event: Event) -> None:
        """Store an event; on return it is on disk. Raises JournalError, and then the recording is `broken`.

        SegmentStarted, Prefilled, Piece and AnswerStarted are for views only: nothing happens. A RunStarted
        equal to the last one, and a Skipped or ReplyRejected that is stored already (after a resume the
        document is read again), are not stored twice. Raises ValueError if the segment is not the one due.
        """
        if isinstance(event, SegmentStarted | Prefilled | Piece | AnswerStarted):
            return
        if self._lease is None:
            raise ValueError(f"run {self.run_id} was closed")
        if self._broken:
            raise JournalError(f"run {self.run_id} is no longer recorded: an earlier record failed")
        if isinstance(event, MemoryUpdated | ReplyRejected) and event.segment.index != self._steps:
            raise ValueError(f"segment {event.segment.index} recorded where {self._steps} is due")
        if isinstance(event, EvidenceFound) and event.segment != self._steps - 1:
            raise ValueError(f"evidence of segment {event.segment} recorded after {self._steps} segments")
        if event == self._started or _fingerprint(event) in self._seen:
            return
        record = chained(self._head, self._count, event, _now())
        read = event.segment.tokens if isinstance(event, MemoryUpdated) else None
        values = (
            *(plain(platform.node()), os.getpid(), record.created, record.seq + 1, record.hash),
            *(self._steps + (read is not None), self._tokens + (read or 0), self._n, self._head),
        )
        # Broken until proved otherwise: whatever interrupts this, even a KeyboardInterrupt between COMMIT
        # and the next line, what is in memory may no longer be what is on disk.
        self._broken = True
        with self._database.transaction():
            _insert(self._database, self._n, record)
            changed = self._database.change(
                "UPDATE runs SET status = 'running', host = ?, pid = ?, updated = ?, records = ?, head = ?,"
                " steps = ?, tokens = ? WHERE n = ? AND head = ?",
                values,
            )
            if changed != 1:  # in spite of the lease: a network drive, or deleted by hand
                raise _changed(self.run_id)
        self._take_in(record, event)
        self._broken = False

    def fork(self, k: int, started: RunStarted) -> Recording:
        """A new run that takes over the first `k` segments, because the text differs from there on.

        `started` is completed by the new run's id and `k`. This run stays as it is, and is closed; it is
        not resumed any more as long as the new one exists. Segments, their evidence and rejected replies are
        taken over, skipped places are not: the document was edited, and the caller reads it again.

        Raises JournalError (this run then stays open), ValueError if there are no `k` segments.
        """
        if self._lease is None:
            raise ValueError(f"run {self.run_id} was closed")
        if not 0 <= k <= self._steps:
            raise ValueError(f"{k} segments of {self._steps} cannot be taken over")
        with self._database.transaction(write=False):
            records = load(self._database, self._n)
        taken = [record for record in records if record.segment is not None and record.segment < k]
        fork = begin(self._database, self.identity, started, self.run_id, taken)
        self.close()
        return fork

    def finish(self, status: Ending) -> None:
        """Set the status and close. "done" is final; the others can be resumed. Raises JournalError.

        A broken recording is only closed: on disk it is a run that was interrupted.
        """
        if self._lease is None:
            raise ValueError(f"run {self.run_id} was closed")
        try:
            if self._broken:
                return
            with self._database.transaction():
                changed = self._database.change(
                    "UPDATE runs SET status = ?, updated = ? WHERE n = ? AND head = ?",
                    (status, _now(), self._n, self._head),
                )
                if changed != 1:
                    raise _changed(self.run_id)
        finally:
            self.close()
        if status == "done":
            discard(self._database.path, self.run_id)

    def close(self) -> None:
        """Let go of the run. If it is not finished, it can be resumed. A second call does nothing."""
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.release()

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take_in(self, record: Record, event: Event) -> None:
        self._count += 1
        self._head = record.hash
        match event:
            case RunStarted():
                self._started = event
            case MemoryUpdated():
                self._steps += 1
                self._tokens += event.segment.tokens
            case Skipped() | ReplyRejected():
                self._seen.add(_fingerprint(event))


def begin(
    database: Database,
    identity: Identity,
    started: RunStarted,
    parent: str = "",
    taken: Sequence[Record] = (),
) -> Recording:
    """A new run, on disk, with copies of the records `taken` from the run `parent`.

    `started` gets the new id, `recorded` and the number of segments taken over. Raises JournalError.
    """
    for _ in range(16):  # one would do but once in 10^12 runs
        run_id = "".join(secrets.choice(_ALPHABET) for _ in range(_ID_LENGTH))
        if database.rows("SELECT 1 FROM runs WHERE id = ?", (run_id,)):
            continue
        # Held before the run can be seen, so that nobody resumes it in between.
        lease = Lease.take(database.path, run_id)
        if lease is None:
            continue
        try:
            return _begin(database, lease, run_id, identity, started, parent, taken)
        except BaseException:
            lease.release()
            discard(database.path, run_id)
            raise
    raise JournalError(f"{database.path}: no free run id")


def _begin(
    database: Database,
    lease: Lease,
    run_id: str,
    identity: Identity,
    started: RunStarted,
    parent: str,
    taken: Sequence[Record],
) -> Recording:
    body = encode(msgspec.to_builtins(identity))
    now = _now()
    resumed = sum(record.kind == "memory_updated" for record in taken)
    started = msgspec.structs.replace(started, run=run_id, recorded=True, resumed=resumed)
    records = [chained(genesis(run_id, body), 0, started, now)]
    tokens = 0
    for old in taken:
        event = old.event()
        assert isinstance(event, MemoryUpdated | EvidenceFound | ReplyRejected)
        if isinstance(event, MemoryUpdated):
            tokens += event.segment.tokens
        origin = old.taken_from or parent
        records.append(chained(records[-1].hash, len(records), event, old.created, origin))
    values = (
        *(run_id, identity.key, body, "running", plain(identity.weights), plain(started.engine.device)),
        *(
            plain(platform.node()),
            os.getpid(),
            parent,
            len(records),
            records[-1].hash,
            resumed,
            tokens,
            now,
            now,
        ),
    )
    with database.transaction():
        database.change(
            "INSERT INTO runs (id, key, identity, status, weights, device, host, pid, taken_from, records,"
            f" head, steps, tokens, created, updated) VALUES ({', '.join('?' * len(values))})",
            values,
        )
        ((n,),) = database.rows("SELECT n FROM runs WHERE id = ?", (run_id,))
        for record in records:
            _insert(database, n, record)
    return Recording(database, lease, n, run_id, identity, records)


def resume(database: Database, n: int, run_id: str, identity: Identity) -> Recording | None:
    """The unfinished run number `n`, or None if somebody holds it or it is no longer there to resume.

    Raises JournalError, also if a record of the run is damaged.
    """
    lease = Lease.take(database.path, run_id)
    if lease is None:
        return None
    with contextlib.ExitStack() as undo:
        undo.callback(lease.release)
        with database.transaction(write=False):
            # Only now: between the look that found the run and the lease it may have been finished.
            if not database.rows("SELECT 1 FROM runs WHERE n = ? AND status <> 'done'", (n,)):
                return None
            records = load(database, n)
        if not records or not isinstance(records[0].event(), RunStarted):
            raise damaged(run_id, "it has no beginning")
        recording = Recording(database, lease, n, run_id, identity, records)
        undo.pop_all()
    return recording


def _insert(database: Database, n: int, record: Record) -> None:
    database.change(
        f"INSERT INTO records (run, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (n, *msgspec.structs.astuple(record)),
    )


def _changed(run_id: str) -> JournalError:
    return JournalError(f"run {run_id} was changed or removed by another process")


def _fingerprint(event: Event) -> bytes:
    return hashlib.sha256(encode(msgspec.to_builtins(event))).digest()


def _now() -> str:
    now = datetime.datetime.now(datetime.timezone.utc)
    return now.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
