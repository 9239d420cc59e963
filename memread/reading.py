"""One reading, from documents to answer: segments run ahead, the engine works, the journal writes first.

Three threads: one extracts and cuts the text, one owns the engine and runs the driver, and the caller's takes
the events. The caller's thread alone uses the journal, and records an event before anyone sees it.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Generator, Iterator

import msgspec

from memread.ahead import Ahead
from memread.driver import drive
from memread.errors import EmptyInput, JournalError, MemreadError
from memread.events import (
    Answered,
    AnswerStarted,
    Event,
    Failed,
    Notice,
    Piece,
    Prefilled,
    RunStarted,
    Stopping,
)
from memread.journal import Identity, Journal, Recording
from memread.loop import Progress, flow
from memread.profile import Profile
from memread.protocols import Engine
from memread.segment import VERSION as SEGMENTER_VERSION
from memread.segment import segments
from memread.types import DocumentInfo, Passage, Segment, Skipped

LOOP_VERSION = 1
"""Part of a run's identity: raise it when the same replies would lead to another memory or answer."""


_AHEAD = 256
"""Events the engine may be ahead of the journal and the views: some seconds of tokens, a segment or two."""


class Task(msgspec.Struct, frozen=True):
    """What to read, and for what."""

    documents: tuple[DocumentInfo, ...]
    inputs: tuple[str, ...]
    """Absolute paths, or "-"."""
    passages: Iterator[Passage | Skipped]
    question: str
    profile: Profile
    summary: bool = False
    notices: tuple[str, ...] = ()


class Reading:
    """Reads once. `events` is iterated by one thread; `stop` may be called from any, and from a signal."""

    def __init__(self, task: Task, engine: Engine, journal: Journal | None, *, fresh: bool = False) -> None:
        """journal None: the reading is not recorded. fresh: an unfinished run is not gone on with."""
        self._task, self._engine, self._journal, self._fresh = task, engine, journal, fresh
        self._ahead = Ahead(segments(task.passages, engine.tokenizer, task.profile.budget.segment))
        self._events: queue.Queue[Event | BaseException | None] = queue.Queue(_AHEAD)
        self._stopped = threading.Event()
        self._phase = threading.Lock()
        self._answering = False
        self._recording: Recording | None = None
        self._notices = list(task.notices)
        self._again: list[Skipped] = []
        self._text_seen = False

    def stop(self) -> None:
        """End the reading and answer from what was read; while it answers, end the answer."""
        with self._phase:
            if not self._answering:
                self._stopped.set()
                self._ahead.stop()
            self._engine.interrupt()

    def events(self) -> Generator[Event, None, None]:
        """Everything that happens. The last event is Answered or Failed; nothing a MemreadError is raised.

        Closing the iterator early leaves a run that the same call goes on with.
        """
        worker: threading.Thread | None = None
        try:
            progress, first = self._resume()
            yield from self._recorded(self._started(progress))
            for skipped in self._again:  # the journal knows those it has; the views start from nothing
                yield from self._recorded(skipped)
            yield from map(Notice, self._notices)
            worker = threading.Thread(target=self._work, args=(progress, first), name="memread-engine")
            worker.start()
            while (item := self._next_event()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield from self._recorded(item)
        except MemreadError as error:
            yield from self._recorded(
                Failed(type(error).__name__, error.message, error.hint, error.exit_code)
            )
        finally:
            self._ahead.stop()
            if worker is not None and worker.is_alive():
                self._stopped.set()
                self._engine.interrupt()
                while worker.is_alive():  # it may have been between two requests, or wait for room
                    with contextlib.suppress(queue.Empty):
                        while True:
                            self._events.get_nowait()
                    worker.join(0.2)
                    self._engine.interrupt()
            if self._recording is not None:
                self._recording.close()

    # ── the caller's thread ──

    def _next_event(self) -> Event | BaseException | None:
        while True:
            with contextlib.suppress(queue.Empty):
                return self._events.get(timeout=0.5)  # without an end, Windows would not see Ctrl-C

    def _resume(self) -> tuple[Progress, Segment | None]:
        """Where to start: after the recorded segments whose text is still the same.

        The text is read again and compared, which costs seconds; also a pipe can be gone on with.
        """
        progress = Progress(self._task.profile.wording.initial_memory)
        if self._journal is None:
            return progress, None
        try:
            if not self._fresh:
                self._recording = self._unfinished(self._journal)
            if self._recording is None:
                self._recording = self._journal.begin(self._identity(), self._run_started(progress))
                return progress, None
            steps = self._recording.steps()
        except JournalError as error:
            self._lose_journal(error)
            return progress, None
        for k, step in enumerate(steps):
            segment = self._next_segment(progress)
            if segment is None or segment.info.digest != step.digest:
                # The state after k segments follows from these alone, so the reading goes on from there, as
                # a run of its own: the one that read the text as it was stays as it is.
                if segment is not None or not self._stopped.is_set():
                    self._fork(k, progress)
                return progress, segment
            progress.memory, progress.last = step.memory, segment.info.span
            progress.segments, progress.tokens = k + 1, progress.tokens + segment.info.tokens
            progress.kept += step.event.outcome == "kept"
            progress.fraction = segment.info.fraction
            progress.counts += step.event.counts
        return progress, None

    def _unfinished(self, journal: Journal) -> Recording | None:
        try:
            return journal.unfinished(self._identity())
        except JournalError as error:  # its records are damaged: nothing is built on them
            self._notices.append(f"An earlier reading cannot be gone on with: {error.message}")
            return None

    def _next_segment(self, progress: Progress) -> Segment | None:
        for item in self._ahead:
            self._note_text(item)
            if isinstance(item, Segment):
                return item
            progress.skipped += 1
            self._again.append(item)
        return None

    def _fork(self, k: int, progress: Progress) -> None:
        assert self._recording is not None
        old = self._recording.run_id
        self._notices.append(
            f"The text has changed since run {old}: "
            + (f"its first {k} segments are the same and are not read again." if k else "it is read afresh.")
        )
        try:
            self._recording = self._recording.fork(k, self._run_started(progress))
        except JournalError as error:
            self._lose_journal(error)

    def _started(self, progress: Progress) -> RunStarted:
        if self._recording is None:
            return self._run_started(progress)
        return msgspec.structs.replace(
            self._recording.started, resumed=progress.segments, memory=progress.memory, recorded=True
        )

    def _run_started(self, progress: Progress) -> RunStarted:
        task = self._task
        return RunStarted(
            run="",
            question=task.question,
            documents=task.documents,
            engine=self._engine.info,
            profile=task.profile.name,
            budget=task.profile.budget,
            recorded=False,
            resumed=progress.segments,
            memory=progress.memory,
            summary=task.summary,
        )

    def _identity(self) -> Identity:
        task, info = self._task, self._engine.info
        return Identity(
            inputs=task.inputs,
            question=task.question,
            profile=task.profile.digest,
            weights=info.digest,
            engine=info.build,
            settings=info.settings,
            budget=task.profile.budget,
            sampling=task.profile.sampling,
            versions={"segmenter": SEGMENTER_VERSION, "loop": LOOP_VERSION},
        )

    def _recorded(self, event: Event) -> Iterator[Event]:
        """The event, once it is on disk."""
        if self._recording is not None:
            try:
                self._recording.record(event)
                if isinstance(event, Answered):
                    self._recording.finish("done" if event.answer.coverage.complete else "partial")
                elif isinstance(event, Failed):
                    self._recording.finish("failed")
            except JournalError as error:
                self._lose_journal(error)
                yield Notice(self._notices.pop())
        yield event

    def _lose_journal(self, error: JournalError) -> None:
        """A reading does not end because it cannot be recorded; it says so."""
        if self._recording is not None:
            with contextlib.suppress(JournalError):
                self._recording.close()
        self._recording = self._journal = None
        self._notices.append(f"This reading is no longer recorded: {error.message}")

    # ── the engine's thread ──

    def _work(self, progress: Progress, first: Segment | None) -> None:
        task = self._task
        try:
            reading = flow(task.question, self._segments(first), task.profile, self._engine.frame, progress)
            for _, event in drive(self._engine, [reading]):
                self._note_phase(event)
                if isinstance(event, Answered) and event.answer.coverage.complete and not self._text_seen:
                    raise EmptyInput("there is no text to read in what was given")
                self._events.put(event)
            self._events.put(None)
        except BaseException as error:  # raised again by the thread that takes the events
            self._events.put(error)

    def _segments(self, first: Segment | None) -> Iterator[Segment | Skipped | Stopping]:
        if first is not None:
            yield first
        for item in self._ahead:
            if self._stopped.is_set():
                break
            self._note_text(item)
            yield item
        if self._stopped.is_set():
            yield Stopping()

    def _note_text(self, item: Segment | Skipped) -> None:
        self._text_seen = self._text_seen or (isinstance(item, Segment) and not item.text.isspace())

    def _note_phase(self, event: Event) -> None:
        with self._phase:
            if isinstance(event, AnswerStarted):
                self._answering = True
            elif isinstance(event, Prefilled | Piece) and self._stopped.is_set() and not self._answering:
                # `stop` came between two requests, and the next one has taken its interrupt back.
                self._engine.interrupt()
