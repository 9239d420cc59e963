"""Flows + engine → events: any number of readings against one engine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from memread import guard
from memread.errors import ContextTooSmall
from memread.events import Answered, Event, Piece, Prefilled
from memread.loop import Flow
from memread.protocols import Decoded, Done, Engine, Prefill
from memread.types import Reply, Request


def drive(engine: Engine, flows: Iterable[Flow], *, width: int = 1) -> Iterator[tuple[int, Event]]:
    """Run flows, `width` at a time, until all have answered; (number of the flow, event) as they happen.

    The order of a flow's events depends on that flow alone. Raises what the engine raises.
    """
    waiting = enumerate(flows)
    running: dict[int, _Running] = {}
    while True:
        while len(running) < width and (following := next(waiting, None)):
            current = _Running(*following)
            yield from current.advance(engine, None)
            if not current.over:
                running[current.number] = current
        if not running:
            return
        for output in engine.step():
            current = running[output.ticket]
            match output:
                case Prefill(_, done, total):
                    yield current.number, Prefilled(done, total)
                case Decoded(_, text):
                    yield current.number, Piece(text)
                    if current.looping(text):
                        engine.stop(current.number, "loop")
                case Done(_, reply):
                    yield from current.advance(engine, reply)
                    if current.over:
                        del running[current.number]


class _Running:
    """A flow, and the reply it waits for."""

    def __init__(self, number: int, flow: Flow) -> None:
        self.number = number
        self.over = False
        self._flow = flow
        self._text = ""
        self._pieces = 0

    def advance(self, engine: Engine, reply: Reply | None) -> Iterator[tuple[int, Event]]:
        """Run the flow to its next request, or its end."""
        self._text, self._pieces = "", 0
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
        except StopIteration as end:
            self.over = True
            yield self.number, Answered(end.value)

    def looping(self, text: str) -> bool:
        """Whether the reply so far repeats itself, looked at once in a while: it will not end by itself."""
        self._text += text
        self._pieces += 1
        return self._pieces % guard.EVERY == 0 and guard.loops(self._text)
