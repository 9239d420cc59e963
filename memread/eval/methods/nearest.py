"""What memread has of a text where no model notes anything: the sentences nearest to the question."""

from __future__ import annotations

from memread import loop
from memread.eval.item import Item
from memread.eval.methods.base import Cost, Method, Setup, Text
from memread.events import MemoryUpdated, SegmentStarted
from memread.loop import Flow, Progress
from memread.memory import with_nearest, within
from memread.types import Counts

_COUNT = 3
"""Sentences of a section, where the profile says no number."""
_OVERHEAD = 256
"""Tokens for wording and question, for an estimate."""


def nearest(item: Item, text: Text, setup: Setup) -> Flow:
    """The memory is kept by the rule of Profile.nearest alone, and answered from as memread does: what the
    model's own notes add to it is the difference."""
    profile, question = setup.profile, item.question
    now, memory = Progress(profile.wording.initial_memory), ""
    for segment in text.segments(profile.budget.segment):
        info = segment.info
        yield SegmentStarted(info)
        now.met = now.met.after(segment.text, question)
        made = with_nearest(memory, segment.text, question, profile.nearest or _COUNT, now.met)
        made = within(made, question, profile.budget.memory, setup.tokenizer, now.met) or memory
        changed, memory = made != memory, made
        now.memory = memory or profile.wording.initial_memory
        now.segments += 1
        now.tokens += info.tokens
        yield MemoryUpdated(info, now.memory, "updated" if changed else "unchanged", Counts())
    return (yield from loop.flow(question, (), profile, setup.frame, setup.tokenizer, now))


def _cost(length: int, setup: Setup) -> Cost:
    budget = setup.profile.budget
    return Cost(_OVERHEAD + budget.memory, budget.answer)


NEAREST = Method(
    name="nearest",
    keeps="rewrites",
    summary="the sentences nearest to the question, by memread's rule; no model notes anything",
    flow=nearest,
    cost=_cost,
)
