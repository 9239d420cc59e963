"""What is asked of a reader."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import msgspec

from memread.types import Passage

Metric = Literal["all", "part", "exact", "f1", "substring"]
"""all: the share of the answers found in the reply (RULER's string_match_all). part: 1 if any is
(string_match_part). exact, f1, substring: after the usual normalisation, the best over the answers."""


class Gold(msgspec.Struct, frozen=True):
    """A piece of evidence that the answer needs, and where it stands."""

    text: str
    """As it stands in the text."""
    keys: tuple[str, ...]
    """What a memory must contain to hold it; any one of them does."""
    depth: float
    """Where it begins, as a share of the text: 0..1."""


class Item(msgspec.Struct, frozen=True):
    """One question about one text. Made from (task, seed, length) alone: the same anywhere, any time."""

    id: str
    """Unique within a result file, such as "niah_single_1/8192/3"."""
    task: str
    length: int
    """Asked for, in tokens of the model that reads."""
    seed: int
    question: str
    answers: tuple[str, ...]
    """() when the text does not answer the question."""
    metric: Metric
    text: Callable[[], Iterator[Passage]]
    """Makes the text, from its start, as a stream: a 3.5M-token text is never held whole."""
    document: str = ""
    """The path of the document that the text is; "" where it is none."""
    gold: tuple[Gold, ...] = ()
    documents: int | None = None
    """For tasks made of documents: how many."""
    repeated: int = 0
    """Distractors that had to be used again because the corpus was too small."""
    details: dict[str, str | int | float] = {}
    """Whatever the task wants to be found again in the result: depth, number of keys, …"""
