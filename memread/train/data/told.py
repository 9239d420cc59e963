"""Sentences of texts that never were, and questions about them (told.jsonl).

A large language model wrote them for memread: those of a set stand in different places of one long text
about the same few persons and things, so that a memory is full of what looks like the answer and is none.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from memread.train.data.puzzles import Plant, Puzzle, Query, Wordings
from memread.train.data.splits import split_of
from memread.train.episode import Split

_ASKED = (3, 5)
"""Questions of a set that are asked about one text, beside none to two that it does not answer."""


class Asked(NamedTuple):
    """A question, its answers (each right by itself), and the numbers of the sentences that it needs."""

    question: str
    answers: tuple[str, ...]
    needs: tuple[int, ...]


class Told(NamedTuple):
    """A set: sentences, questions about them, and questions that none of them answers."""

    lines: tuple[str, ...]
    asked: tuple[Asked, ...]
    unsaid: tuple[str, ...]


@lru_cache
def sets(split: Split) -> tuple[Told, ...]:
    """Those of a split."""
    found = []
    for line in Path(__file__).with_name("told.jsonl").read_bytes().splitlines():
        item = json.loads(line)
        if split_of(item["lines"][0]) == split:
            asked = tuple(Asked(each[0], tuple(each[1]), tuple(each[2])) for each in item["asked"])
            found.append(Told(tuple(item["lines"]), asked, tuple(item["unsaid"])))
    return tuple(found)


def told(w: Wordings) -> Puzzle:
    """Some questions of a set, and all its sentences, in any order and anywhere."""
    r = w.random
    chosen = r.choice(sets(w.words.split))
    asked = r.sample(chosen.asked, min(len(chosen.asked), r.randint(*_ASKED)))
    unsaid = r.sample(chosen.unsaid, min(len(chosen.unsaid), r.randint(0, 2)))
    queries = [Query("told", each.question, each.answers, each.needs) for each in asked]
    queries += [Query("not-in-text", question, ()) for question in unsaid]
    return Puzzle(tuple(map(Plant, chosen.lines)), tuple(queries))


MAKERS: dict[str, tuple[Callable[[Wordings], Puzzle], float]] = {"told": (told, 0.0)}
"""The maker, and how often it is used."""
