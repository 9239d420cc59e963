"""Small readings to record, for the tests of the journal and the processes they start."""

from __future__ import annotations

import msgspec

from memread.events import MemoryUpdated, ReplyRejected, RunStarted
from memread.journal import Identity
from memread.types import (
    Budget,
    Counts,
    DocumentInfo,
    EngineInfo,
    Locator,
    Sampling,
    SegmentInfo,
    Span,
    digest,
)

WEIGHTS = digest("weights")
IDENTITY = Identity(
    inputs=("/texts/moby.txt",),
    question="Who is the captain?",
    profile=digest("profile"),
    weights=WEIGHTS,
    engine="build 1",
    settings={"context": 4096, "flash": True, "device": "CPU", "scale": 0.5},
    budget=Budget(),
    sampling=Sampling(),
    versions={"segmenter": 1},
)
STARTED = RunStarted(
    run="",
    question="Who is the captain?",
    documents=(DocumentInfo("moby.txt", "text", size=1_200_000),),
    engine=EngineInfo("tiny", "/models/tiny.gguf", WEIGHTS, "build 1", "CPU", 4096, settings={"f": 1.0}),
    profile="default",
    budget=Budget(),
    recorded=False,
    memory="No previous memory",
)


def identity(question: str) -> Identity:
    return msgspec.structs.replace(IDENTITY, question=question)


def segment(index: int) -> SegmentInfo:
    place = Locator(line=1 + 100 * index)
    return SegmentInfo(index, 700, Span(place, place), digest(f"segment {index}"), index / 1000)


def update(index: int, memory: str | None = None) -> MemoryUpdated:
    counts = Counts(900, 100, 50, 0.5, 0.2)
    return MemoryUpdated(segment(index), memory or f"memory after {index}", "updated", counts)


def rejected(index: int, attempt: int = 0) -> ReplyRejected:
    return ReplyRejected(segment(index), attempt, "it repeats itself", "and and and")
