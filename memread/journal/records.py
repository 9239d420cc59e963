"""What is stored of a run, how its records are chained, and what is read back."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Literal

import msgspec

from memread import events
from memread.errors import JournalError
from memread.events import Answered, Event, EvidenceFound, MemoryUpdated, ReplyRejected
from memread.journal.database import Database
from memread.journal.identity import Identity, decode, encode
from memread.types import Answer, Claim, Counts, Skipped

Ending = Literal["done", "partial", "failed"]
"""How a sitting ended: answered after all of the text, answered after a part of it, with an error."""
Status = Literal["running", "interrupted", "done", "partial", "failed"]
"""running: a live process holds it; interrupted: it was, and the process is gone."""


class Record(msgspec.Struct, frozen=True):
    """One stored event. `hash` covers all the other fields and every record before it."""

    seq: int
    kind: str
    segment: int | None
    taken_from: str
    created: str
    body: bytes
    hash: bytes

    def event(self) -> Event:
        """Raises ValueError if the body is not an event: the file may hold anything."""
        try:
            return events.from_dict(decode(self.body))
        except (msgspec.ValidationError, AttributeError, TypeError, RecursionError) as error:
            raise ValueError(f"not an event: {error}") from error


COLUMNS = "seq, kind, segment, taken_from, created, body, hash"


def genesis(run_id: str, identity: bytes) -> bytes:
    """The hash before the first record: a record of one run is no record of another."""
    return hashlib.sha256(b"memread run 1\n" + run_id.encode() + b"\n" + identity).digest()


def chained(previous: bytes, seq: int, event: Event, created: str, taken_from: str = "") -> Record:
    """The record of `event` after the record whose hash is `previous` (32 bytes)."""
    data = events.to_dict(event)
    return _hashed(previous, seq, data["type"], _segment(event), taken_from, created, encode(data))


def verified(record: Record, previous: bytes, seq: int) -> Event | None:
    """The event of a record; None if it is not, byte for byte, the record that was written there."""
    try:
        expected = _hashed(
            previous, seq, record.kind, record.segment, record.taken_from, record.created, record.body
        )
        event = record.event()
    except (ValueError, TypeError):  # a column of another type
        return None
    return event if record == expected else None


def _hashed(
    previous: bytes, seq: int, kind: str, segment: int | None, taken_from: str, created: str, body: bytes
) -> Record:
    # `previous` has a fixed length and JSON has no raw newline: the parts cannot run into each other.
    head = encode([seq, kind, segment, taken_from, created])
    digest = hashlib.sha256(previous + head + b"\n" + body).digest()
    return Record(seq, kind, segment, taken_from, created, body, digest)


def _segment(event: Event) -> int | None:
    if isinstance(event, EvidenceFound):
        return event.segment
    return event.segment.index if isinstance(event, MemoryUpdated | ReplyRejected) else None


class Step(msgspec.Struct, frozen=True):
    """A segment that was read: the memory after it, and where that comes from."""

    event: MemoryUpdated
    chain: str
    """"sha256:" and the hex hash of this record and of all before it."""
    created: str
    """UTC, ISO 8601. For people: no logic rests on a clock."""
    taken_from: str = ""
    """The run that read the segment, if it was another one."""

    @property
    def index(self) -> int:
        return self.event.segment.index

    @property
    def digest(self) -> str:
        """`types.digest` of the segment's text."""
        return self.event.segment.digest

    @property
    def memory(self) -> str:
        """The memory after the segment."""
        return self.event.memory


class RunRow(msgspec.Struct, frozen=True):
    """A run in a list. Texts come from users, documents and models: untrusted."""

    run_id: str
    question: str
    summary: bool
    """No question was asked: `question` is the request for a summary."""
    documents: tuple[str, ...]
    """Names as the user gave them."""
    model: str
    status: Status
    created: str
    updated: str
    """UTC, ISO 8601."""
    steps: int
    """Segments read."""
    tokens: int
    """Of those segments."""
    answer: str
    """The first line of the answer that rests on all of the steps, or ""."""
    taken_from: str
    """The run whose first steps were taken over, or ""."""
    lanes: int = 1
    lane: int = 0
    """As RunStarted has them: where parts of the text were read side by side, each is a run."""


class RunRecord(msgspec.Struct, frozen=True):
    """All that is known of a run; its chain was verified."""

    row: RunRow
    identity: Identity
    records: tuple[Record, ...]

    def events(self) -> Iterator[Event]:
        """The stored events in order. The first is RunStarted; each time the run was resumed, another."""
        return (record.event() for record in self.records)

    def steps(self) -> list[Step]:
        """The segments that were read, in order, without a gap."""
        return steps_of(self.records)

    def claims(self) -> dict[int, tuple[Claim, ...]]:
        """The claims that came in with each segment (0-based), where it was looked for evidence."""
        return claims_of(self.records)

    @property
    def answer(self) -> Answer | None:
        """The last answer, if no segment was read after it."""
        for record in reversed(self.records):
            if record.kind == "memory_updated":
                return None
            if isinstance(event := record.event(), Answered):
                return event.answer
        return None


class Speed(msgspec.Struct, frozen=True):
    """How fast a model read lately."""

    tokens: int
    """Of the text, not of the prompts."""
    seconds: float
    """Prefill and decoding, rejected replies included where the counts include them."""

    @property
    def tokens_per_second(self) -> float:
        return self.tokens / self.seconds


def steps_of(records: tuple[Record, ...]) -> list[Step]:
    """The steps among verified records."""
    found = []
    for record in records:
        if record.kind == "memory_updated":
            event = record.event()
            assert isinstance(event, MemoryUpdated)
            found.append(Step(event, "sha256:" + record.hash.hex(), record.created, record.taken_from))
    return found


def claims_of(records: tuple[Record, ...]) -> dict[int, tuple[Claim, ...]]:
    """What `EvidenceFound` says among verified records, by segment."""
    found = (record.event() for record in records if record.kind == "evidence_found")
    return {event.segment: event.claims for event in found if isinstance(event, EvidenceFound)}


def skipped_of(records: tuple[Record, ...]) -> list[Skipped]:
    """The skipped parts among verified records, in order."""
    found = (record.event() for record in records if record.kind == "skipped")
    return [event for event in found if isinstance(event, Skipped)]


def seconds(counts: Counts) -> float:
    """What a step cost."""
    return counts.prefill_seconds + counts.decode_seconds


def load(database: Database, n: int) -> tuple[Record, ...]:
    """All records of run number `n`, verified: the chain, its length, its end, the order of the steps.

    Raises JournalError if anything is not as it was written. Call it in a transaction, if others write.
    """
    found = database.rows("SELECT id, identity, records, head, steps FROM runs WHERE n = ?", (n,))
    if not found:
        raise JournalError("the run was removed from the journal by another process")
    run_id, identity, count, head, steps = found[0]
    if not isinstance(identity, bytes) or not isinstance(run_id, str):
        raise damaged(str(run_id), "its identity is not as it was written")
    records: list[Record] = []
    previous, due = genesis(run_id, identity), 0
    for row in database.rows(f"SELECT {COLUMNS} FROM records WHERE run = ? ORDER BY seq", (n,)):
        record = Record(*row)
        event = verified(record, previous, len(records))
        if event is None:
            raise damaged(run_id, f"record {len(records)} is not as it was written")
        if isinstance(event, MemoryUpdated):
            if event.segment.index != due:
                raise damaged(run_id, f"segment {due} is missing")
            due += 1
        records.append(record)
        previous = record.hash
    if len(records) != count or previous != head or due != steps:
        raise damaged(run_id, f"{len(records)} of {count} records are there")
    return tuple(records)


def damaged(run_id: str, what: str) -> JournalError:
    return JournalError(
        f"run {run_id} is damaged in the journal ({what}): it is neither shown nor resumed",
        f"Restore the journal from a backup, or remove the run: memread runs rm {run_id}",
    )
