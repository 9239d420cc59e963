"""One reading, from documents to answers: segments run ahead, the engine works, the journal writes first.

Three threads: one extracts and cuts the text, one owns the engine and runs the driver, and the caller's takes
the events. The caller's thread alone uses the journal, and records an event before anyone sees it.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Generator, Iterator, Sequence
from itertools import chain, tee

from memread.ahead import Ahead
from memread.asking import Asking, Task
from memread.driver import drive
from memread.errors import EmptyInput, MemreadError
from memread.events import Answered, AnswerStarted, Event, Failed, Notice, Piece, Prefilled, Stopping
from memread.journal import Journal
from memread.loop import Flow, flow
from memread.protocols import Engine
from memread.segment import segments
from memread.types import Segment, Skipped

_AHEAD = 256
"""Events the engine may be ahead of the journal and the views: some seconds of tokens, a segment or two."""


class Reading:
    """Reads once. The events are iterated by one thread; `stop` may be called from any, and from a signal."""

    def __init__(self, task: Task, engine: Engine, journal: Journal | None, *, fresh: bool = False) -> None:
        """journal None: the reading is not recorded. fresh: unfinished runs are not gone on with."""
        self._task, self._engine, self._journal, self._fresh = task, engine, journal, fresh
        self._ahead = Ahead(segments(task.passages, engine.tokenizer, task.profile.budget.segment))
        self._events: queue.Queue[tuple[int, Event] | BaseException | None] = queue.Queue(_AHEAD)
        self._stopped = threading.Event()
        self._phase = threading.RLock()  # `stop` may interrupt a thread that holds it
        self._answering: set[int] = set()
        self._driving = 1
        """How many flows there are, once they run."""
        self._text_seen = False
        self._worker: threading.Thread | None = None

    def stop(self) -> None:
        """End the reading and answer from what was read; while it answers, end the answer."""
        with self._phase:
            # A question that was read to the end earlier is answered while others still read.
            if len(self._answering) < self._driving:
                self._stopped.set()
                self._ahead.stop()
            self._engine.interrupt()

    def close(self) -> None:
        """Let go of the text, which is read ahead from the beginning: for who never iterates the events."""
        self._ahead.stop()

    def events(self) -> Generator[Event, None, None]:
        """Everything that happens with the first question: all there is when there is one."""
        with contextlib.closing(self.numbered_events()) as found:
            for number, event in found:
                if number == 0:
                    yield event

    def numbered_events(self) -> Generator[tuple[int, Event], None, None]:
        """Everything that happens, each with the number of its question, in the order of `Task.questions`.

        The last event of every question is Answered or Failed; nothing a MemreadError is raised. Closing the
        iterator early leaves runs that the same call goes on with.
        """
        asked: list[Asking] = []
        try:
            yield from self._run(asked)
        except MemreadError as error:
            failed = Failed(type(error).__name__, error.message, error.hint, error.exit_code)
            for each in asked:
                if not each.over:
                    yield from recorded(each, failed)
        finally:
            self._ahead.stop()
            self._end_worker()
            for each in asked:
                each.close()

    # ── the caller's thread ──

    def _run(self, asked: list[Asking]) -> Iterator[tuple[int, Event]]:
        """All of it. asked: what is begun goes there, to be failed and closed."""
        asked.extend(map(self._asking, range(len(self._task.questions))))
        held = self._go_on(asked)
        for each in asked:
            yield from self._begun(each)
        items = tee(self._items(held), len(asked))
        flows = [self._flow(each, own) for each, own in zip(asked, items, strict=True)]
        yield from self._driven(asked, flows, ends=asked)

    def _asking(self, number: int) -> Asking:
        return Asking(number, self._task, self._engine.info, self._journal, fresh=self._fresh)

    def _begun(self, each: Asking) -> Iterator[tuple[int, Event]]:
        """Its first events."""
        yield from recorded(each, each.started())
        for skipped in each.passed:  # the journal knows those it has; the views start from nothing
            yield from recorded(each, skipped)
        notices = (*self._task.notices, *each.notices) if each.number == 0 else each.notices
        yield from ((each.number, Notice(notice)) for notice in notices)

    def _driven(
        self, asked: Sequence[Asking], flows: Sequence[Flow], ends: Sequence[Asking]
    ) -> Iterator[tuple[int, Event]]:
        """The events of the flows, one of each of `asked`, while a thread drives them to their end.

        ends: whose runs end with the last answer, before it is passed on: who has it may not ask for more.
        """
        self._driving = len(flows)
        self._worker = threading.Thread(target=self._work, args=(asked, flows), name="memread-engine")
        self._worker.start()
        while (item := self._next_event()) is not None:
            if isinstance(item, BaseException):
                raise item
            ticket, event = item
            for number, stored in recorded(asked[ticket], event):
                if isinstance(stored, Answered) and all(each.over for each in asked):
                    complete = all(each.answered for each in asked)
                    for each in ends:
                        yield from ((each.number, notice) for notice in each.finish(complete))
                yield number, stored
        self._worker.join()

    def _end_worker(self) -> None:
        worker = self._worker
        if worker is None or not worker.is_alive():
            return
        self._stopped.set()
        self._engine.interrupt()
        while worker.is_alive():  # it may have been between two requests, or wait for room
            with contextlib.suppress(queue.Empty):
                while True:
                    self._events.get_nowait()
            worker.join(0.2)
            self._engine.interrupt()

    def _next_event(self) -> tuple[int, Event] | BaseException | None:
        while True:
            with contextlib.suppress(queue.Empty):
                return self._events.get(timeout=0.5)  # without an end, Windows would not see Ctrl-C

    def _go_on(self, asked: list[Asking]) -> list[Segment | Skipped]:
        """Take every question to where it goes on: after its recorded segments whose text is still the same.

        The text is read again and compared, which costs seconds; also a pipe can be gone on with. Returns
        what was taken from the text and is still to be read for some of them.
        """
        held: list[Segment | Skipped] = []
        behind = [each for each in asked if each.recorded_segments]
        while behind:
            segment, skipped = self._next_segment()
            passed = [each for each in behind if segment is not None and each.passes(segment, skipped)]
            stopped = segment is None and self._stopped.is_set()
            for each in behind:
                if stopped:
                    each.stop_comparing()
                elif each not in passed:
                    each.fork()
            if len(passed) < len(asked):
                held += skipped
                held += [segment] if segment is not None else []
            behind = [each for each in passed if each.progress.segments < each.recorded_segments]
        return held

    def _next_segment(self) -> tuple[Segment | None, list[Skipped]]:
        """The next segment, None at the end; and what was skipped before it."""
        skipped: list[Skipped] = []
        for item in self._ahead:
            self._note_text(item)
            if isinstance(item, Segment):
                return item, skipped
            skipped.append(item)
        return None, skipped

    # ── the engine's thread ──

    def _work(self, asked: Sequence[Asking], flows: Sequence[Flow]) -> None:
        try:
            for ticket, event in drive(self._engine, flows, width=len(flows), abreast=len(flows) > 1):
                self._note_phase(asked[ticket].number, ticket, event)
                if isinstance(event, Answered) and event.answer.coverage.complete and not self._text_seen:
                    raise EmptyInput("there is no text to read in what was given")
                self._events.put((ticket, event))
            self._events.put(None)
        except BaseException as error:  # raised again by the thread that takes the events
            self._events.put(error)

    def _flow(self, each: Asking, items: Iterator[Segment | Skipped | Stopping]) -> Flow:
        task = self._task
        own = noted(following(items, each.progress.segments), each.texts)
        engine = self._engine
        return flow(each.question, own, task.profile, engine.frame, engine.tokenizer, each.progress)

    def _items(self, held: list[Segment | Skipped]) -> Iterator[Segment | Skipped | Stopping]:
        for item in chain(held, self._ahead):
            if self._stopped.is_set():
                break
            self._note_text(item)
            yield item
        if self._stopped.is_set():
            yield Stopping()

    def _note_text(self, item: Segment | Skipped) -> None:
        self._text_seen = self._text_seen or (isinstance(item, Segment) and not item.text.isspace())

    def _note_phase(self, number: int, ticket: int, event: Event) -> None:
        with self._phase:
            if isinstance(event, AnswerStarted):
                self._answering.add(number)
            elif number in self._answering or not self._stopped.is_set():
                return
            elif isinstance(event, Prefilled | Piece):  # `stop` came before this request was made
                self._engine.stop(ticket, "cancelled")


def recorded(each: Asking, event: Event) -> Iterator[tuple[int, Event]]:
    """The event, once it is on disk, and then the evidence for it."""
    for found in each.with_evidence(event):
        yield from ((each.number, stored) for stored in each.recorded(found))


def noted(
    items: Iterator[Segment | Skipped | Stopping], texts: dict[int, Segment]
) -> Iterator[Segment | Skipped | Stopping]:
    """The items, noted down before they are used."""
    for item in items:
        if isinstance(item, Segment):
            texts[item.info.index] = item
        yield item


def following(
    items: Iterator[Segment | Skipped | Stopping], first: int
) -> Iterator[Segment | Skipped | Stopping]:
    """What there is from segment number `first` on; skipped parts belong to the segment after them."""
    if first == 0:
        yield from items
        return
    before: list[Skipped] = []
    for item in items:
        if isinstance(item, Skipped):
            before.append(item)
            continue
        if isinstance(item, Segment) and item.info.index < first:
            before.clear()
            continue
        yield from before
        yield item
        break
    else:
        yield from before
    yield from items
