"""The wordings of a split, and how they are filled in.

A wording is frame × wrapping × attribute: half a million for training.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from memread.train.data.questions import (
    CHAIN_QUESTIONS,
    CHAIN_STEPS,
    CORRECTIONS,
    QUESTIONS,
    RULER_CHAIN_QUESTION,
    RULER_CHAIN_STEP,
    RULER_QUESTION,
    RULER_STATEMENT,
    SEVERAL_HOLDERS,
    SEVERAL_VALUES,
)
from memread.train.data.splits import deal
from memread.train.data.wordings import ATTRIBUTES, LINES, PREFIXES, STATEMENTS, WRAPS
from memread.train.episode import Split


class Frames(NamedTuple):
    """The lines of one split."""

    statements: list[str]
    lines: list[str]
    wraps: list[str]
    prefixes: list[str]
    questions: list[str]
    several_values: list[str]
    several_holders: list[str]
    corrections: list[str]
    chain_steps: list[str]
    chain_questions: list[str]
    attributes: dict[str, list[list[str]]]
    """Kind of value → attributes, each with the words for it."""


def frames(split: Split) -> Frames:
    test = split == "test"
    attributes = {
        kind: deal([" ".join(a.split()) for a in text.split(",")], split) for kind, text in ATTRIBUTES.items()
    }
    return Frames(
        deal(STATEMENTS, split) + [RULER_STATEMENT] * test,
        deal(LINES, split),
        deal(WRAPS, split),
        deal(PREFIXES, split),
        deal(QUESTIONS, split) + [RULER_QUESTION] * test,
        deal(SEVERAL_VALUES, split),
        deal(SEVERAL_HOLDERS, split),
        deal(CORRECTIONS, split),
        deal(CHAIN_STEPS, split) + [RULER_CHAIN_STEP] * test,
        deal(CHAIN_QUESTIONS, split) + [RULER_CHAIN_QUESTION] * test,
        {
            kind: [a.replace("/ ", "/").split("/") for a in found]
            for kind, found in attributes.items()
            if found
        },
    )


def fill(template: str, **fields: str) -> str:
    """`template` with its {X} replaced; other braces stay. A sentence begins with a capital."""
    text = template
    for name in fields:
        text = text.replace("{" + name + "}", f"\0{name}\0")
    for name, value in fields.items():
        text = text.replace(f"\0{name}\0", value)
    return text


def sentence(text: str) -> str:
    """`text` with a capital, where it begins with a small letter of the wording."""
    return text[:1].upper() + text[1:]


def wrapped(frame: str, text: str, name: str) -> str:
    """The sentence `text` inside the wrapping `frame`."""
    bare = text.rstrip(".")
    first = text.split(" ", 1)[0]
    if first in _STARTERS:
        bare = first.lower() + bare[len(first) :]
    return fill(frame, S=text, s=bare, N=name)


_SENTENCES_BEGIN = """
The It For In As What Remember Note Do Keep They If Should When Under Next Somebody Use Please On Regarding
With By Here This There One To Without Nobody We You He She After Of Not People Someone Somewhere Everyone
"""
_STARTERS = frozenset(_SENTENCES_BEGIN.split())


def stamp(random: random.Random) -> str:
    """A time stamp as a log has it."""
    r = random
    day = f"20{r.randint(10, 29)}-{r.randint(1, 12):02}-{r.randint(1, 28):02}"
    return f"{day}{r.choice(' T')}{r.randint(0, 23):02}:{r.randint(0, 59):02}:{r.randint(0, 59):02}"
