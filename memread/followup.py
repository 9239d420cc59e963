"""Another question to a reading that is over: answered from the memory it kept, without reading again."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from memread.driver import drive
from memread.errors import JournalError
from memread.events import Answered, Event, Notice, RunStarted
from memread.evidence import Tracer
from memread.journal import RunRecord
from memread.loop import Progress, flow
from memread.profile import Profile
from memread.protocols import Engine
from memread.types import Coverage


def follow_up(record: RunRecord, question: str, engine: Engine, profile: Profile) -> Iterator[Event]:
    """The events of answering `question` from the last memory of `record`; the last one is Answered.

    Nothing of it is recorded. Raises JournalError where no memory was kept, and what the engine raises.
    """
    begun = started(record)
    progress, tracer = _kept(record, profile)
    yield msgspec.structs.replace(
        begun,
        question=question,
        engine=engine.info,
        profile=profile.name,
        budget=profile.budget,
        recorded=False,
        resumed=progress.segments,
        memory=progress.memory,
        summary=False,
    )
    asked = "a summary" if begun.summary else f"“{begun.question}”"
    part = f" It is that of part {begun.lane} alone, of {begun.lanes} at most." if begun.lane else ""
    yield Notice(
        f"Answered from the memory that run {record.row.run_id} kept for {asked}; nothing was read again. "
        f"What that memory left out is not known here.{part}"
    )
    for _, event in drive(engine, [flow(question, (), profile, engine.frame, engine.tokenizer, progress)]):
        if isinstance(event, Answered):
            evidence = tracer.evidence(event.answer.text, question)
            answer = msgspec.structs.replace(event.answer, evidence=evidence)
            if begun.lanes > 1 and record.answer is not None and not begun.lane:
                # What was read for this memory is the text; its own segments are the notes of the lanes.
                answer = msgspec.structs.replace(answer, coverage=record.answer.coverage)
            event = Answered(answer)
        yield event


def started(record: RunRecord) -> RunStarted:
    """The first event of a run."""
    event = next(record.events())
    assert isinstance(event, RunStarted)
    return event


def _kept(record: RunRecord, profile: Profile) -> tuple[Progress, Tracer]:
    """Where the reading ended, and the evidence for its memory."""
    steps, claims = record.steps(), record.claims()
    if not steps:
        raise JournalError(f"run {record.row.run_id} kept no memory", "Read the text: memread ask")
    tracer = Tracer(unsaid=profile.wording.unsaid)
    for step in steps:
        tracer.restore(step.memory, claims.get(step.index, ()))
    # A run that was never answered ends where its last segment does, not where the text does.
    coverage = record.answer.coverage if record.answer else Coverage(0, 0, complete=False)
    lane = started(record).lane  # it ends where its part does
    last = steps[-1].event.segment
    progress = Progress(
        steps[-1].memory,
        segments=len(steps),
        tokens=sum(step.event.segment.tokens for step in steps),
        kept=sum(step.event.outcome == "kept" for step in steps),
        skipped=coverage.skipped,
        fraction=last.fraction,
        last=last.span,
        complete=coverage.complete and not lane,
    )
    return progress, tracer
