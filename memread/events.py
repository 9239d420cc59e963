"""Everything that happens in a reading, as a closed union of frozen structs.

The driver emits them in one order; the journal stores those it needs, views show them, `--events`
prints them. `to_dict` and `from_dict` round-trip every event exactly.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from memread.types import Answer, Budget, Claim, Counts, DocumentInfo, EngineInfo, SegmentInfo, Skipped


class RunStarted(msgspec.Struct, frozen=True, tag="run_started"):
    """First event of every reading."""

    run: str
    question: str
    documents: tuple[DocumentInfo, ...]
    engine: EngineInfo
    profile: str
    budget: Budget
    recorded: bool
    resumed: int = 0
    """Segments taken over from an earlier run, not read again."""
    memory: str = ""
    """The memory the reading starts from."""
    summary: bool = False
    """No question was asked: `question` is the profile's request for a summary."""
    lanes: int = 1
    """Parts of the text that are read side by side, at most."""
    unchanged: str = ""
    """The word by which a reply says that the memory stays (Wording.unchanged)."""
    skim: bool = False
    """The model notes nothing: the memory is made of the sentences nearest to the question (Profile.skim)."""
    lane: int = 0
    """Which of them this reading reads, from 1; 0: it merges what those came to, or there is one only."""


class SegmentStarted(msgspec.Struct, frozen=True, tag="segment_started"):
    segment: SegmentInfo


class Prefilled(msgspec.Struct, frozen=True, tag="prefilled"):
    """The prompt is being read: `done` of `total` prompt tokens. For views only."""

    done: int
    total: int


class Piece(msgspec.Struct, frozen=True, tag="piece"):
    """Text of a reply as it is decoded. For views only. Untrusted."""

    text: str


class ReplyRejected(msgspec.Struct, frozen=True, tag="reply_rejected"):
    """A memory the guard did not accept. `attempt` is 0 first, 1 for the retry."""

    segment: SegmentInfo
    attempt: int
    reason: str
    text: str


class MemoryUpdated(msgspec.Struct, frozen=True, tag="memory_updated"):
    """A segment is done: what the journal commits. `memory` is the memory after it."""

    segment: SegmentInfo
    memory: str
    outcome: Literal["updated", "unchanged", "kept"]
    """kept: every reply was rejected, the old memory stays."""
    counts: Counts = Counts()
    reason: str = ""


class EvidenceFound(msgspec.Struct, frozen=True, tag="evidence_found"):
    """After MemoryUpdated, for the statements that are new or reworded in it; the others keep theirs."""

    segment: int
    """The index of that segment."""
    claims: tuple[Claim, ...]


class AnswerStarted(msgspec.Struct, frozen=True, tag="answer_started"):
    memory: str


class Answered(msgspec.Struct, frozen=True, tag="answered"):
    """Last event of a reading that ended with an answer."""

    answer: Answer


class Stopping(msgspec.Struct, frozen=True, tag="stopping"):
    """The user asked to stop: the answer will rest on what was read so far."""


class Notice(msgspec.Struct, frozen=True, tag="notice"):
    """Something the user should know that is no failure: the document changed, recording has stopped."""

    message: str


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """Last event of a reading that ended with an error. `error` is its class name."""

    error: str
    message: str
    hint: str
    exit_code: int


Event = (
    RunStarted
    | SegmentStarted
    | Prefilled
    | Piece
    | ReplyRejected
    | MemoryUpdated
    | EvidenceFound
    | Skipped
    | AnswerStarted
    | Answered
    | Stopping
    | Notice
    | Failed
)


def to_dict(event: Event) -> dict[str, Any]:
    """The event as plain JSON data; its kind is under "type"."""
    data: dict[str, Any] = msgspec.to_builtins(event)
    return data


def from_dict(data: dict[str, Any]) -> Event:
    """The event that `to_dict` wrote. Raises msgspec.ValidationError for anything else."""
    event: Event = msgspec.convert(data, Event)
    return event
