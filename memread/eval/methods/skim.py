"""What memread has of a text where no model notes anything: the sentences nearest to the question."""

from __future__ import annotations

from memread import loop
from memread.eval.item import Item
from memread.eval.methods.base import OVERHEAD, Cost, Method, Setup, Text
from memread.loop import Flow
from memread.profile import skimming


def skim(item: Item, text: Text, setup: Setup) -> Flow:
    """What `memread ask --skim` does: what the model's own notes add to it is the difference."""
    profile = skimming(setup.profile)
    sections = text.segments(profile.budget.segment)
    return loop.flow(item.question, sections, profile, setup.frame, setup.tokenizer)


def _cost(length: int, setup: Setup) -> Cost:
    budget = setup.profile.budget
    return Cost(OVERHEAD + budget.memory, budget.answer)


SKIM = Method(
    name="skim",
    keeps="rewrites",
    summary="the sentences nearest to the question, by a rule; the model reads no others",
    flow=skim,
    cost=_cost,
)
