"""Views of lines: the log of a reading, only what went wrong in it, and the record of one that is over."""

from __future__ import annotations

import time
from typing import TextIO

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
from memread.types import Skipped
from memread.views import diff, evidence, summary, words
from memread.views.base import Clock, Closing, assert_never, numbered, write_line
from memread.views.reading import Reading

_SKIPS = 5
"""Skipped parts that are told one by one; a scanned book has hundreds."""


class PlainView(Closing):
    """One line for a finished segment, at most one in `every` seconds; at once for what is unusual."""

    def __init__(
        self, stream: TextIO, *, every: float = 5.0, clock: Clock = time.monotonic, lane: int = 0
    ) -> None:
        """lane: which of several lanes it shows; the summary is told by number 0, which merges them."""
        self._lane = lane
        self._stream = stream
        self._every = every
        self._clock = clock
        self._reading = Reading()
        self._said = float("-inf")
        self._unsaid = False
        self._closed = False

    def __enter__(self) -> PlainView:
        return self

    def show(self, event: Event) -> None:
        now = self._clock()
        reading = self._reading
        match event:
            case Piece() | Prefilled():
                return
            case Stopping() if reading.stopping:
                return
            case _:
                reading.apply(event, now)
        match event:
            case RunStarted():
                self._begin(event)
            case MemoryUpdated(outcome="kept", reason=reason):
                why = f" ({words.line(reason)})" if reason else ""
                self._line(f"[{self._tag(event.segment.index)}] memory kept: the replies were rejected{why}")
                self._unsaid = True
            case MemoryUpdated():
                self._unsaid = True
                if now - self._said >= self._every:
                    self._segment(now)
            case ReplyRejected(segment, attempt, reason, _):
                again = " again" if attempt else ""
                self._line(f"[{self._tag(segment.index)}] reply rejected{again}: {words.line(reason)}")
            case Answered() if self._lane:
                self._segment(now)
            case Skipped() if self._lane:
                pass  # told of the whole
            case Stopping() if self._lane > 1:
                pass
            case Skipped(_, reason):
                self._skip(words.place(event, reading.documents), words.line(reason))
            case AnswerStarted(memory):
                self._segment(now)
                self._line(f"Answering from a memory of {words.plural(len(memory), 'character')}")
            case Notice(message):
                self._line(words.line(message, 400))
            case Stopping():
                self._line("Stopping: the answer will rest on what was read so far")
            case SegmentStarted() | EvidenceFound() | Answered() | Failed():
                pass
            case _:
                assert_never(event)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._segment(self._clock())
        if self._lane:
            return
        for line in summary.lines(self._reading):
            self._line(line)

    def _tag(self, index: int) -> str:
        """Which segment: its number, in the lane, or among the memories that are merged."""
        of = f"lane {self._lane}, " if self._lane else "merging " if self._merges else ""
        return f"{of}{index + 1}"

    @property
    def _merges(self) -> bool:
        """Its segments are the memories of lanes."""
        started = self._reading.started
        return started is not None and started.lanes > 1 and not started.lane

    def _begin(self, event: RunStarted) -> None:
        names = ", ".join(words.title(event.documents, at) for at in range(min(3, len(event.documents))))
        if len(event.documents) > 3:
            names += f" and {len(event.documents) - 3} more"
        device = words.line(event.engine.device, 60)
        with_model = f" with {words.line(event.engine.model, 80)}" + (f" ({device})" if device else "")
        if not self._lane:
            side = f", up to {event.lanes} parts side by side" if event.lanes > 1 else ""
            verb = "Skimming" if event.skim else "Reading"
            self._line(f"{verb} {names}{with_model}{side}")
        if event.resumed:
            lane = f"[lane {self._lane}] " if self._lane else ""
            self._line(f"{lane}Resuming after {words.plural(event.resumed, 'segment')} read earlier")

    def _segment(self, now: float) -> None:
        """The line of the segment that was finished last, unless it has been said."""
        reading = self._reading
        if not self._unsaid or reading.segment is None:
            return
        self._unsaid, self._said = False, now
        speed = reading.speed()
        added, dropped = diff.changes(reading.before, reading.memory)
        facts = (
            words.place(reading.last, reading.documents),
            f"{words.count(reading.tokens)} tokens" if not self._merges else "",
            words.percent(reading.fraction) if reading.fraction is not None else "",
            words.rate(speed) if speed is not None and not self._merges else "",
            f"memory {words.count(len(reading.memory))} chars (+{added} −{dropped} words)",
        )
        self._line(f"[{self._tag(reading.segment.index)}] " + "  ".join(fact for fact in facts if fact))

    def _skip(self, where: str, why: str) -> None:
        done = len(self._reading.skipped)
        if done <= _SKIPS:
            self._line(f"skipped {where or 'a part'}: {why}")
        elif done == _SKIPS + 1:
            self._line("skipped more parts: they are counted at the end")

    def _line(self, line: str) -> None:
        write_line(self._stream, line)


class _AtTheEnd(Closing):
    """A view that says nothing before it is closed."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._reading = Reading()
        self._closed = False

    def __enter__(self) -> _AtTheEnd:
        return self

    def show(self, event: Event) -> None:
        if not isinstance(event, Piece | Prefilled):
            self._reading.apply(event, 0.0)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self.tell()

    def tell(self) -> None:
        """Write what there is to say, once."""
        raise NotImplementedError


class QuietView(_AtTheEnd):
    """Only what a user must know to trust the answer: parts not read, memories not accepted.

    As with every view, the error that ended a reading is told by whoever ran it.
    """

    def __init__(self, stream: TextIO, number: int | None = None, *, lanes: bool = False) -> None:
        """number: of the question, where there are several; what they share is told with the first. lanes:
        of the lane."""
        super().__init__(stream)
        self._number, self._lanes = number, lanes

    def tell(self) -> None:
        reading = self._reading
        own = [*summary.cut(reading), *summary.guarded(reading)]
        for line in own if self._number else summary.warnings(reading):
            write_line(self._stream, numbered(line, self._number, lanes=self._lanes))


class RecordView(_AtTheEnd):
    """A reading that is over, from its recorded events: what was asked, read and answered."""

    def tell(self) -> None:
        reading = self._reading
        if reading.started is None:
            return
        self._fact("Run", words.line(reading.started.run, 80))
        for at, document in enumerate(reading.documents):
            name, author = words.line(document.name), words.line(document.author)
            title = words.title(reading.documents, at)
            said = (
                title
                + (f" – {author}" if author else "")
                + (f" ({name})" if name not in (title, "-") else "")
            )
            self._fact("" if at else "Document" if len(reading.documents) == 1 else "Documents", said)
        self._fact(
            "Question", "a summary" if reading.started.summary else words.shown(reading.started.question)
        )
        engine = reading.started.engine
        self._fact("Model", f"{words.line(engine.model)}, profile {words.line(reading.started.profile)}")
        unread = [*summary.skipped(reading), *summary.guarded(reading), *summary.notices(reading)]
        verb = summary.verb(reading)
        read = summary.read(reading, timed=False).removeprefix(f"{verb} ")
        self._fact(verb, "\n".join([read, *summary.cut(reading), *unread]))
        if reading.failure is not None:
            self._fact("Error", "\n".join(summary.failure(reading)).removeprefix("error: "))
        if reading.answer is not None:
            self._fact("Answer", words.shown(reading.answer.text) or "(none)")
            found = reading.answer.evidence
            if found is not None and found.answer:
                run = words.line(reading.started.run, 80)
                said = f"{evidence.summed(found.answer)}; see them: memread runs show {run} --evidence"
                self._fact("Evidence", said)

    def _fact(self, name: str, text: str) -> None:
        for at, line in enumerate(text.splitlines() or [""]):
            write_line(self._stream, f"{'' if at else name:<10} {line}".rstrip())
