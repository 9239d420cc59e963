"""Flows + engine → events: any number of readings against one engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from memread import guard
from memread.errors import ContextTooSmall
from memread.events import (
    Answered,
    AnswerStarted,
    Event,
    MemoryUpdated,
    Notice,
    Piece,
    Prefilled,
    SegmentStarted,
    Stopping,
)
from memread.loop import Flow
from memread.protocols import Decoded, Done, Engine, Prefill, Restarted
from memread.types import Reply, Request


def drive(
    engine: Engine, flows: Iterable[Flow], *, width: int = 1, abreast: bool = False
) -> Iterator[tuple[int, Event]]:
    """Run flows, `width` at a time, until all have answered; (number of the flow, event) as they happen.

    abreast: for flows over one text. None begins a segment before all have finished those before it, so that
    they ask about a section at the same time and an engine can read it once.
    The order of a flow's events depends on that flow alone. Raises what the engine raises.
    """
    waiting = enumerate(flows)
    running: dict[int, _Running] = {}
    while True:
        while len(running) < width and (following := next(waiting, None)):
            current = _Running(*following, waits=abreast)
            yield from current.advance(engine, None)
            if not current.over:
                running[current.number] = current
        if not running:
            return
        while level := _level(running.values()):
            for current in level:
                yield from current.advance(engine, None)
                if current.over:
                    del running[current.number]
        for output in engine.step():
            current = running[output.ticket]
            match output:
                case Prefill(_, done, total):
                    yield current.number, Prefilled(done, total)
                case Decoded(_, text):
                    if current.stopped:  # it comes from a batch that was computed before
                        continue
                    yield current.number, Piece(text)
                    if current.looping(text):
                        engine.stop(current.number, "loop")
                case Restarted(_, message):
                    yield current.number, Notice(message)
                case Done(_, reply):
                    yield from current.advance(engine, current.said(reply))
                    if current.over:
                        del running[current.number]


def _level(running: Iterable[_Running]) -> list[_Running]:
    """The waiting flows that may go on: no flow is behind them."""
    reading = [flow for flow in running if flow.finished is not None]
    last = min((flow.finished for flow in reading if flow.finished is not None), default=None)
    return [flow for flow in reading if flow.waiting and flow.finished == last]


class _Running:
    """A flow, and the reply it waits for."""

    def __init__(self, number: int, flow: Flow, *, waits: bool) -> None:
        self.number = number
        self.over = False
        self.waiting = False
        """It is about to begin a segment, and waits for the others."""
        self.finished: int | None = None
        """The index of the last segment it has finished; None while it answers."""
        self._waits = waits
        self._flow = flow
        self.stopped = False
        """The reply repeated itself and was ended."""
        self._text = ""
        self._pieces = 0

    def advance(self, engine: Engine, reply: Reply | None) -> Iterator[tuple[int, Event]]:
        """Run the flow to its next request, or its end."""
        self._text, self._pieces = "", 0
        self.stopped = self.waiting = False
        try:
            while True:
                item = self._flow.send(reply)
                reply = None
                # A request that cannot fit is an error of the flow that makes it, not of the others; most let
                # it through, and then it is raised here as it was.
                while isinstance(item, Request):
                    try:
                        engine.submit(self.number, item)
                        return
                    except ContextTooSmall as error:
                        item = self._flow.throw(error)
                yield self.number, item
                if self._waits and self._at_border(item):
                    self.waiting = True
                    return
        except StopIteration as end:
            self.over = True
            yield self.number, Answered(end.value)

    def _at_border(self, event: Event) -> bool:
        """Whether the flow is between two segments: where flows that go abreast wait for each other.

        Once before the next segment is taken, since that may have to be waited for, and once when its place
        in the text is known, since a resumed flow may be ahead of the others.
        """
        match event:
            case SegmentStarted(segment):
                self.finished = segment.index - 1
            case MemoryUpdated(segment):
                self.finished = segment.index
            case AnswerStarted() | Stopping():
                self.finished = None
        return isinstance(event, SegmentStarted | MemoryUpdated)

    def looping(self, text: str) -> bool:
        """Whether the reply so far repeats itself, looked at once in a while: it will not end by itself."""
        self._text += text
        self._pieces += 1
        self.stopped = self._pieces % guard.EVERY == 0 and guard.loops(self._text)
        return self.stopped

    def said(self, reply: Reply) -> Reply:
        """The reply up to where it was ended: the same however many tokens the engine computes at a time."""
        if not self.stopped or reply.finish == "cancelled":
            return reply
        return msgspec.structs.replace(reply, text=self._text, finish="loop")
