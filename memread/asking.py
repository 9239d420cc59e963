"""One question of a reading: how far it is, and its run in the journal."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from memread.errors import JournalError
from memread.events import Answered, Event, EvidenceFound, Failed, MemoryUpdated, Notice, RunStarted
from memread.evidence import Tracer
from memread.journal import Identity, Journal, Recording
from memread.lanes import VERSION as LANES_VERSION
from memread.loop import Progress
from memread.profile import Profile
from memread.segment import VERSION as SEGMENTER_VERSION
from memread.types import Claim, DocumentInfo, EngineInfo, Passage, Segment, Skipped

LOOP_VERSION = 2
"""Part of a run's identity: raise it when the same replies would lead to another memory or answer."""


class Task(msgspec.Struct, frozen=True):
    """What to read, and for what."""

    documents: tuple[DocumentInfo, ...]
    inputs: tuple[str, ...]
    """What input_name() calls them."""
    passages: Iterator[Passage | Skipped]
    questions: tuple[str, ...]
    """Each is a run of its own in the journal; they read every section together."""
    profile: Profile
    summary: bool = False
    """No question was asked: the only one is the profile's request for a summary."""
    notices: tuple[str, ...] = ()
    lanes: int = 1
    """Parts of the text to be read side by side, at most; more than 1 only with one question."""


def input_name(info: DocumentInfo) -> str:
    """What names an input in a run's identity: its absolute path or "-", and the part that is read of it."""
    name = info.name if info.name == "-" else str(Path(info.name).absolute())
    return f"{name} ({info.part})" if info.part else name


class Asking:
    """A question, where its reading stands, and its recording. For the thread that opened the journal.

    With lanes there is one question, and `number` is the lane's, from 1: each reads a part of the text for
    it. 0 is what they are merged in.
    """

    def __init__(
        self, number: int, task: Task, engine: EngineInfo, journal: Journal | None, *, fresh: bool
    ) -> None:
        """Finds the unfinished run to go on with, or begins one. See Reading."""
        self.number, self.question = number, task.questions[0 if task.lanes > 1 else number]
        self.progress = Progress(task.profile.wording.initial_memory)
        self.notices: list[str] = []
        self.passed: list[Skipped] = []
        """Skipped parts before the place where it goes on."""
        self.over = False
        self.answered = False
        """Answered, with nothing left to go on with."""
        self.texts: dict[int, Segment] = {}
        """Segments handed to the engine whose memory has not come back yet: what evidence is found in."""
        self.noted: dict[int, tuple[Claim, ...]] = {}
        """Of those that are memories of a part: the claims of that memory."""
        self._task, self._engine, self._journal = task, engine, journal
        self._recording: Recording | None = None
        self._digests: list[tuple[str, Progress]] = []
        self._tracer = Tracer(task.profile.wording.initial_memory, task.profile.wording.unsaid)
        self._claims: dict[int, tuple[Claim, ...]] = {}
        if journal is None:
            return
        try:
            if not fresh:
                self._recording = self._unfinished(journal)
            if self._recording is None:
                if not fresh and number == 0:
                    self._say_otherwise(journal)
                self._recording = journal.begin(self._identity(), self._run_started())
            else:
                self._go_on_with(self._recording)
        except JournalError as error:
            self._lose(error)

    @property
    def recorded_segments(self) -> int:
        """How many segments its run has, which need not be read again while the text is the same."""
        return len(self._digests)

    def agrees(self, digests: Sequence[str]) -> int:
        """How many of the first segments with these digests are recorded."""
        pairs = zip(self._digests, digests, strict=False)
        return next(
            (at for at, ((mine, _), other) in enumerate(pairs) if mine != other),
            min(len(self._digests), len(digests)),
        )

    def passes(self, segment: Segment, skipped: list[Skipped]) -> bool:
        """Go on to after `segment`, if it is the next of those recorded. skipped: what was before it."""
        at = self.progress.segments
        if not at and self._digests and self._digests[0][0] != segment.info.digest:
            self._turn(segment.info.digest)
        if at >= len(self._digests) or self._digests[at][0] != segment.info.digest:
            return False
        before, self.progress = self.progress, self._digests[at][1]
        self.progress.skipped = before.skipped + len(skipped)
        self.progress.last, self.progress.fraction = segment.info.span, segment.info.fraction
        self.progress.tokens = before.tokens + segment.info.tokens
        self.progress.met = before.met
        self.progress.past(segment, self.question, self._task.profile)
        self.passed += skipped
        if at in self._claims:
            self._tracer.restore(self.progress.memory, self._claims[at])
        else:  # nothing new was stated, or the reading was cut off before it was looked up
            self._tracer.update(segment, self.progress.memory)
        return True

    def stop_comparing(self) -> None:
        """Stand after all recorded segments, although the reading is stopped before the text came so far.

        The answer is to rest on all that was read, and the run not to end with less than it had. Where
        nothing was compared and the text may be another, as that of another pipe, the run says nothing of
        this one: it is left as it is, and nothing counts as read.
        """
        recording, compared = self._recording, self.progress.segments
        if recording is None or not self._digests or compared == len(self._digests):
            return
        try:
            passed = [*recording.skipped(), *self.passed]
        except JournalError as error:
            self._lose(error)
            return
        sizes = [each.size for each in self._task.documents]
        same = None not in sizes and sizes == [each.size for each in recording.started.documents]
        if not compared and not same:
            recording.close()
            self._recording = None
            self.notices.append(
                f"It was stopped before the text could be compared with what run {recording.run_id} read: "
                "that run stays as it is, and can be gone on with."
            )
            return
        for at in range(compared, len(self._digests)):
            self.progress = self._digests[at][1]
            self._tracer.restore(self.progress.memory, self._claims.get(at, ()))
        self.passed = list(dict.fromkeys(passed))
        self.progress.skipped = len(self.passed)
        self.notices.append(
            f"It was stopped when {compared:,} of the {len(self._digests):,} segments read earlier had been "
            "compared with the text: the answer rests on all of them, as they were read then."
        )

    def _turn(self, first: str) -> None:
        """Go on with a run whose first segment has this digest instead, if there is one: all pipes have the
        same name."""
        if self._journal is None or self._recording is None:
            return
        try:
            other = self._unfinished(self._journal, first)
            if other is not None:
                self._recording.close()
                self._go_on_with(other)
        except JournalError as error:
            self._lose(error)

    def _go_on_with(self, recording: Recording) -> None:
        """Raises JournalError."""
        self._recording = recording
        self._claims = recording.claims()
        self._digests = self._recorded_steps(recording)

    def fork(self, *, say: bool = True) -> None:
        """The text goes on differently from what was recorded.

        The state after k segments follows from these alone, so the reading goes on from there, as a run of
        its own: the one that read the text as it was stays as it is. say: with a notice, since the text has
        changed. If nothing of it is the same, the other run has another text, and can still be gone on with.
        """
        if self._recording is None or self._journal is None:
            return
        k = self.progress.segments
        if say:
            self.notices.append(
                f"The text has changed since run {self._recording.run_id}: "
                + (
                    f"its first {k} segments are the same and are not read again."
                    if k
                    else "it is read afresh."
                )
            )
        try:
            if say and not k:
                begun = self._journal.begin(self._identity(), self._run_started())
                self._recording.close()
                self._recording = begun
            else:
                self._recording = self._recording.fork(k, self._run_started())
        except JournalError as error:
            self._lose(error)

    def started(self) -> RunStarted:
        """The first event, when it is settled where to go on."""
        if self._recording is None:
            return self._run_started()
        return msgspec.structs.replace(
            self._recording.started,
            resumed=self.progress.segments,
            memory=self.progress.memory,
            recorded=True,
        )

    def with_evidence(self, event: Event) -> Iterator[Event]:
        """The event, and what in the text speaks for it: looked up here, while the engine goes on."""
        if isinstance(event, Answered):
            asked = "" if self._task.summary else self.question
            evidence = self._tracer.evidence(event.answer.text, asked)
            event = Answered(msgspec.structs.replace(event.answer, evidence=evidence))
        yield event
        if isinstance(event, MemoryUpdated):
            segment = self.texts.pop(event.segment.index)
            noted = self.noted.pop(event.segment.index, None)
            if noted is None:
                claims = self._tracer.update(segment, event.memory)
            else:
                claims = self._tracer.merge(segment, event.memory, noted)
            if claims:
                yield EvidenceFound(event.segment.index, claims)

    def recorded(self, event: Event) -> Iterator[Event]:
        """The event, once it is on disk. An answer does not end the run: `finish` does."""
        self.over = self.over or isinstance(event, Answered | Failed)
        if isinstance(event, Answered):
            self.answered = event.answer.whole
        if self._recording is not None:
            try:
                self._recording.record(event)
                if isinstance(event, Failed):
                    self._recording.finish("failed")
            except JournalError as error:
                self._lose(error)
                yield Notice(self.notices.pop())
        yield event

    @property
    def claims(self) -> tuple[Claim, ...]:
        """Of the memory as it is now."""
        return self._tracer.claims

    def finish(self, complete: bool) -> Iterator[Notice]:
        """End the run: once every run has ended that the reading is made of, and not before, or a reading
        that is gone on with would not find it. complete: as all of them were. Gives what went wrong."""
        if self._recording is not None:
            try:
                self._recording.finish("done" if complete else "partial")
            except JournalError as error:
                self._lose(error)
                yield Notice(self.notices.pop())

    def close(self) -> None:
        """Let go of the run. If it is not finished, it can be resumed."""
        if self._recording is not None:
            self._recording.close()

    def _unfinished(self, journal: Journal, first: str = "") -> Recording | None:
        try:
            return journal.unfinished(self._identity(), first)
        except JournalError as error:  # its records are damaged: nothing is built on them
            self.notices.append(f"An earlier reading cannot be gone on with: {error.message}")
            return None

    def _say_otherwise(self, journal: Journal) -> None:
        other = journal.otherwise(self._identity())
        if other is not None and other.differences:
            how = " and ".join(other.differences)
            plural = "" if other.steps == 1 else "s"
            self.notices.append(
                f"Run {other.run_id}, which stopped after {other.steps:,} segment{plural}, was read with "
                f"{how}: it is not gone on with, and the text is read from its beginning."
            )

    def _recorded_steps(self, recording: Recording) -> list[tuple[str, Progress]]:
        """(digest of the segment, how things stood after it) of every recorded step."""
        found: list[tuple[str, Progress]] = []
        now = Progress("")
        for step in recording.steps():
            read = step.event.segment
            now = Progress(
                step.memory,
                segments=now.segments + 1,
                tokens=now.tokens + read.tokens,
                fraction=read.fraction,
                last=read.span,
                kept=now.kept + (step.event.outcome == "kept"),
                counts=now.counts + step.event.counts,
            )
            found.append((step.digest, now))
        return found

    def _lose(self, error: JournalError) -> None:
        """A reading does not end because it cannot be recorded; it says so."""
        if self._recording is not None:
            with contextlib.suppress(JournalError):
                self._recording.close()
        self._recording = None
        self.notices.append(f"This reading is no longer recorded: {error.message}")

    def _run_started(self) -> RunStarted:
        task = self._task
        return RunStarted(
            run="",
            question=self.question,
            documents=task.documents,
            engine=self._engine,
            profile=task.profile.name,
            budget=task.profile.budget,
            recorded=False,
            resumed=self.progress.segments,
            memory=self.progress.memory,
            summary=task.summary,
            lanes=task.lanes,
            unchanged=task.profile.wording.unchanged,
            skim=task.profile.skim,
            lane=self.number if task.lanes > 1 else 0,
        )

    def _identity(self) -> Identity:
        task, info = self._task, self._engine
        settings, versions = info.settings, {"segmenter": SEGMENTER_VERSION, "loop": LOOP_VERSION}
        if task.lanes > 1:
            settings = {**settings, "lanes": task.lanes, "lane": self.number}
            versions["lanes"] = LANES_VERSION
        return Identity(
            inputs=task.inputs,
            question=self.question,
            profile=task.profile.digest,
            weights=info.digest,
            engine=info.build,
            settings=settings,
            budget=task.profile.budget,
            sampling=task.profile.sampling,
            versions=versions,
        )
