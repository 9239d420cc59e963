"""Items × arms → results: many at a time through one engine, each result on disk before it is told of."""

from __future__ import annotations

import datetime
import itertools
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import msgspec

from memread import interrupts, planning
from memread.driver import drive
from memread.errors import ContextTooSmall, EngineFailed, InputError, OutOfMemory, QuestionTooLong
from memread.eval.arms import Arm, key, settings, versions
from memread.eval.diagnose import Watch
from memread.eval.item import Item
from memread.eval.methods import Setup, Text
from memread.eval.methods.wording import shipped
from memread.eval.results import Outcome, Result, ResultFile, StepLog, Timing
from memread.eval.scores import score
from memread.events import Answered, Event, MemoryUpdated, ReplyRejected
from memread.loop import Flow
from memread.protocols import Engine
from memread.types import Answer, Coverage

_FAULTS = 3
"""Items in a row at which the engine failed: then it is the engine, and not the items."""


class Told(msgspec.Struct, frozen=True):
    """What a view of the progress is told."""

    kind: Literal["skipped", "step", "result"]
    """skipped: the result is there already. step: tokens of a text were read. result: it is on disk."""
    item: Item
    arm: Arm
    tokens: int = 0
    result: Result | None = None


class Runner:
    """Runs once."""

    def __init__(
        self,
        engine: Engine,
        file: ResultFile,
        *,
        window: int,
        trained: int,
        width: int = 1,
        abreast: bool = False,
        command: str = "",
        tell: Callable[[Told], None] = lambda told: None,
    ) -> None:
        """window: tokens of a single context for the methods that have one. trained: tokens the model was
        trained to attend to. width: items at a time; the engine needs as many slots. abreast:
        they are about one text, and none goes on to its next segment before the others."""
        self._engine, self._file, self._tell = engine, file, tell
        self._window, self._trained, self._width, self._abreast = window, trained, width, abreast
        self._command, self._versions = command, versions()
        self._live: dict[int, _Job] = {}
        self._number = 0

    def run(self, items: Iterable[Item], arms: Iterable[Arm]) -> None:
        """Do what the file does not have yet. Raises EngineFailed, OutOfMemory when the engine fails at one
        item after the other, FileUnreadable when results cannot be written, KeyboardInterrupt between two
        steps of the engine."""
        jobs = self._jobs(items, list(arms))
        while True:
            try:
                while self._abreast and (some := list(itertools.islice(jobs, self._width))):
                    self._drive(self._flows(iter(some)), self._width)
                self._drive(self._flows(jobs), self._width)
                return
            except (EngineFailed, OutOfMemory):
                stuck, self._live = list(self._live.values()), {}
                self._recover()
            self._alone(stuck)

    def _drive(self, flows: Iterator[Flow], width: int) -> None:
        first = self._number
        abreast = self._abreast and width > 1
        for number, event in drive(self._engine, flows, width=width, abreast=abreast):
            interrupts.check()
            job = self._live[first + number]
            job.see(event)
            if isinstance(event, MemoryUpdated):
                self._tell(Told("step", job.item, job.arm, event.segment.tokens))
            elif isinstance(event, Answered):
                del self._live[first + number]
                self._put(job, *job.outcome(event.answer))

    def _alone(self, jobs: list[_Job]) -> None:
        """Those that ran when the engine failed, one at a time: which of them it failed at is not known."""
        faults = 0
        for job in jobs:
            again = job.again(self._file)
            try:
                self._drive(self._flows(iter([again])), 1)
                faults = 0
            except (EngineFailed, OutOfMemory) as error:
                self._live.clear()
                self._put(again, "fault", f"{type(error).__name__}: {error.message}", _NOTHING)
                self._recover()
                faults += 1
                if faults >= _FAULTS:
                    raise

    def _recover(self) -> None:
        """End what the engine still has. Raises what it raises: then it cannot be used any more."""
        while True:
            self._engine.interrupt()
            if not self._engine.step():
                return

    def _flows(self, jobs: Iterator[_Job]) -> Iterator[Flow]:
        for job in jobs:
            self._live[self._number] = job
            self._number += 1
            yield job.flow()

    def _jobs(self, items: Iterable[Item], arms: list[Arm]) -> Iterator[_Job]:
        """What is to be done, made when it is due; what cannot be done is recorded at once."""
        info = self._engine.info
        for item in items:
            for arm in arms:
                setup = Setup(
                    arm.profile,
                    shipped(),
                    self._engine.tokenizer,
                    self._engine.frame,
                    self._window,
                    arm.lanes,
                )
                refusal = ""
                try:
                    fitted, _ = planning.fit(
                        arm.profile, setup.frame, setup.tokenizer, item.question, self._trained
                    )
                    setup = msgspec.structs.replace(setup, profile=fitted)
                    longest = arm.method.longest(setup)
                    if longest is not None and item.length > longest:
                        refusal = f"about {item.length} tokens of text; {longest} fit into {setup.window}"
                except (ContextTooSmall, QuestionTooLong) as error:
                    refusal = error.message
                found = settings(arm, setup, info)
                name = key(item, arm, found, info)
                if name in self._file.done:
                    self._tell(Told("skipped", item, arm))
                    continue
                job = _Job(item, arm, setup, name, found, self._file.log(name))
                if refusal:
                    self._put(job, "does-not-fit", refusal, _NOTHING)
                else:
                    yield job

    def _put(self, job: _Job, outcome: Outcome, reason: str, answer: Answer) -> None:
        result = self._result(job, outcome, reason, answer)
        self._file.append(result)
        self._tell(Told("result", job.item, job.arm, result=result))

    def _result(self, job: _Job, outcome: Outcome, reason: str, answer: Answer) -> Result:
        item, info, counts = job.item, self._engine.info, answer.counts
        answered = outcome == "answered"
        points = score(item, answer.text) if answered else None
        return Result(
            key=job.key,
            item=item.id,
            task=item.task,
            length=item.length,
            tokens=answer.coverage.tokens,
            seed=item.seed,
            question=item.question,
            answers=item.answers,
            metric=item.metric,
            method=job.arm.method.name,
            variant=job.arm.variant,
            outcome=outcome,
            reason=reason,
            prediction=answer.text,
            raw=answer.raw,
            score=points,
            diagnosis=job.watch.diagnose(answer, points) if points is not None else None,
            memories=tuple(job.memories),
            segments=answer.coverage.segments,
            kept=answer.coverage.kept,
            rejected=dict(sorted(job.rejected.items())),
            prompt_tokens=counts.prompt_tokens,
            reply_tokens=counts.reply_tokens,
            documents=item.documents,
            repeated=item.repeated,
            details=item.details,
            settings=job.settings,
            model=info.model,
            weights=info.digest,
            build=info.build,
            device=info.device,
            versions=self._versions,
            command=self._command,
            timing=Timing(
                seconds=round(counts.prefill_seconds + counts.decode_seconds, 3),
                prefill_seconds=round(counts.prefill_seconds, 3),
                decode_seconds=round(counts.decode_seconds, 3),
                wall_seconds=round(job.elapsed, 3),
                cached_tokens=counts.cached_tokens,
                peak_rss=peak_rss(),
                finished=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            ),
        )


_NOTHING = Answer("", False, "", "", Coverage(0, 0, False))


class _Job:
    """An item and an arm, on the way to a result."""

    def __init__(
        self, item: Item, arm: Arm, setup: Setup, key: str, settings: dict[str, object], log: StepLog
    ) -> None:
        self.item, self.arm, self.setup, self.key, self.settings = item, arm, setup, key, settings
        self._log = log
        self._text = Text(item, setup.tokenizer)
        self.watch = Watch(item, arm.method.keeps, self._text)
        self.memories: list[tuple[int, str]] = []
        self.rejected: Counter[str] = Counter()
        self._refused: tuple[Outcome, str] | None = None
        self._begun = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds since its first step in this sitting."""
        return time.monotonic() - self._begun if self._begun else 0.0

    def flow(self) -> Flow:
        """The method's flow, its replies logged; a text that does not fit, or cannot be read, ends it."""
        self._begun = time.monotonic()
        try:
            return (yield from self._log.recorded(self.arm.method.flow(self.item, self._text, self.setup)))
        except ContextTooSmall as error:
            self._refused = "does-not-fit", error.message
        except InputError as error:  # a text that cannot be read is nobody's wrong answer
            self._refused = "fault", error.message
        return _NOTHING

    def again(self, file: ResultFile) -> _Job:
        self._log.close()
        return _Job(self.item, self.arm, self.setup, self.key, self.settings, file.log(self.key))

    def see(self, event: Event) -> None:
        self.watch.see(event)
        if isinstance(event, MemoryUpdated):
            if event.outcome == "updated":
                self.memories.append((event.segment.index, event.memory))
        elif isinstance(event, ReplyRejected):
            self.rejected[event.reason] += 1

    def outcome(self, answer: Answer) -> tuple[Outcome, str, Answer]:
        return (*self._refused, answer) if self._refused else ("answered", "", answer)


def peak_rss() -> int | None:
    """The peak of this process's resident memory, in bytes; None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
