"""Segment by segment, other than memread: the answer refined, answers combined, notes looked up."""

from __future__ import annotations

import math
from collections.abc import Generator

from memread.eval.item import Item
from memread.eval.methods.base import OVERHEAD, Cost, Method, Setup, Talk, Text
from memread.eval.methods.search import best
from memread.events import Event
from memread.loop import Flow, unbox
from memread.types import Reply, Request


def refine(item: Item, text: Text, setup: Setup) -> Flow:
    """The answer so far is rewritten with each segment; the last one is the answer."""
    talk = Talk(item, text, setup)
    words = setup.words.refine
    answer = ""
    for segment in talk.read(setup.profile.budget.segment):
        if answer:
            answer = yield from talk.step(segment, words.next, old=answer, answer=unbox(answer)[0])
        else:
            answer = yield from talk.step(segment, words.first)
    made, boxed = unbox(answer)
    return talk.outcome(made, boxed, answer, answer)


def mapreduce(item: Item, text: Text, setup: Setup) -> Flow:
    """Findings for each segment; findings that fill a segment's worth are combined into one, and those
    again; the answer is given from what is left. Memory grows with the logarithm of the text."""
    talk = Talk(item, text, setup)
    words, room = setup.words.mapreduce, setup.profile.budget.segment
    levels: list[list[str]] = [[]]
    combined = 0

    def put(level: int, found: str) -> Generator[Request | Event, Reply | None, None]:
        nonlocal combined
        if level == len(levels):
            levels.append([])
        pending = levels[level]
        if pending and talk.tokens(_joined([*pending, found])) > room:
            levels[level] = [found]
            combined += 1
            whole = yield from talk.combine(words.combine, _joined(pending), combined)
            # Findings that could not be combined are better cut short than lost altogether.
            yield from put(level + 1, whole or _cut(talk, _joined(pending), setup.profile.budget.memory))
        else:
            pending.append(found)

    for segment in talk.read(room):
        found = yield from talk.step(segment, words.map)
        if not nothing(found):
            yield from put(0, found)
    # What is left on the lower levels is later in the text than what is above it.
    left = [found for level in reversed(levels) for found in level if not nothing(found)]
    while talk.tokens(_joined(left)) > room and len(left) > 1:
        combined += 1
        half = _half(talk, left, room)
        whole = yield from talk.combine(words.combine, _joined(left[:half]), combined)
        left = [whole or _cut(talk, _joined(left[:half]), setup.profile.budget.memory), *left[half:]]
    return (yield from talk.answer(words.answer, _joined(left) or "(none)"))


def notes(item: Item, text: Text, setup: Setup) -> Flow:
    """Facts are noted, one a line, and never changed; at the end those that BM25 ranks highest for the
    question, as many as memread reads at a time. Memory grows with the number of notes."""
    talk = Talk(item, text, setup)
    words, room = setup.words.notes, setup.profile.budget.segment
    taken: dict[str, None] = {}  # in order, each once
    for segment in talk.read(room):
        found = yield from talk.step(segment, words.take)
        if not nothing(found):
            taken.update(dict.fromkeys(line.strip() for line in found.splitlines() if line.strip()))
    lines = list(taken)
    chosen = best(item.question, lines, [talk.tokens(line) + 1 for line in lines], room)
    shown = "\n".join(lines[index] for index in chosen)
    return (yield from talk.answer(words.answer, shown or "(none)"))


def nothing(found: str) -> bool:
    """Whether a reply says that there is nothing of use, as it was asked to."""
    return found.strip(" .*\"'`").upper() in ("", "NONE")


def _joined(found: list[str]) -> str:
    return "\n\n".join(found)


def _half(talk: Talk, left: list[str], room: int) -> int:
    """How many of `left`, from its start, fit: two at least, or combining would come to no end."""
    count = 2
    while count < len(left) and talk.tokens(_joined(left[: count + 1])) <= room:
        count += 1
    return count


def _cut(talk: Talk, text: str, limit: int) -> str:
    """The beginning of `text`, in lines, of at most `limit` tokens."""
    kept: list[str] = []
    for line in text.splitlines():
        if talk.tokens("\n".join([*kept, line])) > limit:
            break
        kept.append(line)
    return "\n".join(kept)


def _cost(length: int, setup: Setup, extra: float = 1.0) -> Cost:
    budget = setup.profile.budget
    steps = math.ceil(length / budget.segment)
    prompt = round(extra * (length + steps * (OVERHEAD + budget.memory))) + OVERHEAD + budget.memory
    return Cost(prompt, round(extra * steps * budget.memory) + budget.answer)


def _cost_mapreduce(length: int, setup: Setup) -> Cost:
    budget = setup.profile.budget
    return _cost(length, setup, 1 + budget.memory / budget.segment)


REFINE = Method(
    name="refine",
    keeps="rewrites",
    summary="the answer, rewritten segment by segment",
    flow=refine,
    cost=_cost,
)
MAPREDUCE = Method(
    name="mapreduce",
    keeps="appends",
    summary="findings of each segment, combined until one answer is left",
    flow=mapreduce,
    cost=_cost_mapreduce,
)
NOTES = Method(
    name="notes",
    keeps="appends",
    summary="a list of facts that only grows; the best of them, found by BM25, at the end",
    flow=notes,
    cost=_cost,
)
MEMREAD_COST = _cost
