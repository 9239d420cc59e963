"""The state of a reading, folded from its events: what all views say is taken from here."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from memread.events import (
    Answered,
    AnswerStarted,
    Event,
    EvidenceFound,
    Failed,
    MemoryUpdated,
    Notice,
    Piece,
    Prefilled,
    ReplyRejected,
    RunStarted,
    SegmentStarted,
    Stopping,
)
from memread.memory import rewritten
from memread.types import Answer, DocumentInfo, SegmentInfo, Skipped, Span
from memread.views.base import assert_never

Phase = Literal["opening", "waiting", "reading", "writing", "thinking", "answering", "done", "failed"]
"""opening: nothing yet. waiting: between segments. reading and thinking: the prompt of an update, of the
answer is being read. writing and answering: their replies are being decoded."""

_WINDOW = 8
"""Segments over which speed and remaining time are measured."""


@dataclass
class Reading:
    """All that is known of a reading at this moment. Times are those of the view's clock."""

    started: RunStarted | None = None
    begun: float = 0.0
    now: float = 0.0
    """The time of the last event."""
    phase: Phase = "opening"
    stopping: bool = False
    segment: SegmentInfo | None = None
    """The segment being read, or read last."""
    prefill: tuple[int, int] = (0, 0)
    segments: int = 0
    """Finished in this reading; those taken over from an earlier one are in `started.resumed`."""
    tokens: int = 0
    fraction: float | None = None
    """How much of the inputs has been read."""
    last: Span | None = None
    memory: str = ""
    before: str = ""
    """The memory before the last segment."""
    memory_tokens: int | None = None
    kept: int = 0
    rejected: int = 0
    rejections: dict[str, int] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)
    """What the user should know. Untrusted."""
    notice: str = ""
    """The latest of those, or why something else went wrong. Untrusted."""
    answer: Answer | None = None
    failure: Failed | None = None
    pieces: int = 0
    """How many pieces the current reply has: about its tokens."""
    _pieces: list[str] = field(default_factory=list)
    _retried: bool = False
    _samples: deque[tuple[float, int, float | None]] = field(
        default_factory=lambda: deque([(0.0, 0, 0.0)], maxlen=_WINDOW + 1)
    )

    @property
    def documents(self) -> tuple[DocumentInfo, ...]:
        return self.started.documents if self.started else ()

    @property
    def resumed(self) -> int:
        return self.started.resumed if self.started else 0

    @property
    def skims(self) -> bool:
        """The model sees of the text only the sentences that a rule takes into the memory."""
        return self.started is not None and self.started.skim

    @property
    def elapsed(self) -> float:
        """Seconds from RunStarted to the last event."""
        return max(0.0, self.now - self.begun)

    @property
    def over(self) -> bool:
        return self.answer is not None or self.failure is not None

    @property
    def answering(self) -> bool:
        """All is read; the answer is on its way, or there."""
        return self.phase in ("thinking", "answering", "done")

    def reply(self) -> str:
        """What has been decoded of the current reply. Untrusted."""
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""

    @property
    def draft(self) -> str:
        """The memory that the current reply gives so far. Untrusted."""
        reply, unchanged = self.reply(), self._unchanged
        if unchanged and unchanged.startswith(reply.strip()):
            return self.memory
        return rewritten(self.memory, reply, unchanged)

    @property
    def draft_tokens(self) -> int | None:
        """About how many tokens that is, if it can be known."""
        if not self._stays(self.draft):
            return self.pieces
        return None if self.memory_tokens is None else self.memory_tokens + self.pieces

    def _stays(self, memory: str) -> bool:
        """Whether `memory` is the present one, or that and more, because the reply says so."""
        return bool(self._unchanged and self.memory) and f"{memory}\n".startswith(f"{self.memory}\n")

    @property
    def _unchanged(self) -> str:
        """The word by which a reply says that the memory stays; "" for none."""
        return self.started.unchanged if self.started else ""

    def _still_empty(self, event: MemoryUpdated) -> bool:
        """Whether it leaves what the profile calls an empty memory as it was."""
        started = self.started
        return not self.memory and started is not None and event.memory == started.memory

    def speed(self) -> float | None:
        """Tokens of the text read a second, over the last segments; None before one is finished."""
        (since, before, _), (until, after, _) = self._samples[0], self._samples[-1]
        return (after - before) / (until - since) if until > since and after > before else None

    def remaining(self, now: float) -> float | None:
        """Seconds to the end of the inputs at the recent pace; None when nobody can know."""
        (since, _, low), (until, _, high) = self._samples[0], self._samples[-1]
        if low is None or high is None or high <= low or until <= since:
            return None
        pace = (high - low) / (until - since)
        return max(0.0, (1.0 - high) / pace - (now - until))

    @property
    def position(self) -> float | None:
        """How much of the inputs lies before the segment being read, where that can be known."""
        if self.fraction is not None or self.segment is None or self.segment.fraction is None:
            return self.fraction
        return self.segment.fraction * self.resumed / (self.resumed + 1)

    def apply(self, event: Event, now: float) -> None:
        """Take the next event, which came at `now`."""
        self.now = now
        match event:
            case Piece(text):
                # Joined when somebody looks, so that a token costs no more than this.
                self._pieces.append(text)
                self.pieces += 1
                if self.phase == "reading":
                    self.phase = "writing"
                elif self.phase == "thinking":
                    self.phase = "answering"
            case Prefilled(done, total):
                self.prefill = (done, total)
                if self.phase in ("writing", "answering"):
                    self._listen("reading" if self.phase == "writing" else "thinking")
            case RunStarted():
                begun = Reading(event, begun=now, now=now, phase="waiting")
                if event.resumed and self.started is not None and event.run == self.started.run:
                    # The run was gone on with: what was met before is in its record once, and still counts.
                    begun.skipped, begun.kept = self.skipped, self.kept
                    begun.rejected, begun.rejections = self.rejected, self.rejections
                vars(self).update(vars(begun))
                # What the profile calls an empty memory is wording for the model, not something noted.
                self.memory = self.before = event.memory if event.resumed else ""
                self._samples[0] = (now, 0, 0.0)
            case SegmentStarted(segment):
                self.segment = segment
                self._retried = False
                self._listen("reading")
            case MemoryUpdated():
                self._finish(event, now)
            case ReplyRejected(_, _, reason, _):
                self.rejected += 1
                self.rejections[reason] = self.rejections.get(reason, 0) + 1
                self.notice = reason
                self._retried = True
                self._listen("reading" if self.phase in ("reading", "writing") else "thinking")
            case Skipped(_, reason):
                self.skipped.append(event)
                self.notice = reason
            case AnswerStarted():
                self._retried = False
                self._listen("thinking")
            case Notice(message):
                self.notices.append(message)
                self.notice = message
            case Stopping():
                self.stopping = True
            case EvidenceFound():
                pass  # the answer comes with all that still counts then
            case Answered(answer):
                self.answer = answer
                self.phase = "done"
            case Failed():
                self.failure = event
                self.phase = "failed"
            case _:
                assert_never(event)

    def _listen(self, phase: Phase) -> None:
        """A new reply is on its way."""
        self.phase = phase
        self.prefill = (0, 0)
        self._pieces, self.pieces = [], 0

    def _finish(self, event: MemoryUpdated, now: float) -> None:
        info = event.segment
        if self.segments == 0 and self.resumed and info.fraction is not None:
            # Where this reading took over: segments are equally long, so the first ones tell.
            self._samples[0] = (self.begun, 0, info.fraction * self.resumed / (self.resumed + 1))
        self.segment = info
        self.segments += 1
        self.tokens += info.tokens
        if info.fraction is not None:
            self.fraction = max(info.fraction, self.fraction or 0.0)
        self.last = info.span
        stays = self._stays(event.memory)
        self.before = self.memory
        self.memory = "" if self._still_empty(event) else event.memory
        if event.outcome == "kept":
            self.kept += 1
            self.notice = event.reason or self.notice
            self.memory = self.before
        elif stays:
            if event.outcome == "updated":
                known = self.memory_tokens is not None and not self._retried
                self.memory_tokens = (self.memory_tokens or 0) + event.counts.reply_tokens if known else None
        elif event.counts.reply_tokens and not self._retried:
            # The counts of a retried segment are those of all its replies.
            self.memory_tokens = event.counts.reply_tokens
        elif event.outcome == "updated":
            self.memory_tokens = None
        self._samples.append((now, self.tokens, info.fraction))
        self._listen("waiting")
