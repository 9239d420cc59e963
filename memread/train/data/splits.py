"""What belongs to which split: decided by the thing itself, so that nothing can be in two."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TypeVar

from memread.train.episode import Split

T = TypeVar("T")

SPLITS: tuple[Split, ...] = ("train", "dev", "test")
"""In this order: what one of them has is not in those behind it."""

_TRAIN, _DEV = 0.70, 0.15


def split_of(key: str) -> Split:
    """The split of a wording, a word or a text: by its hash, so that adding others moves nothing."""
    place = int.from_bytes(hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()[:4], "big") / 2**32
    return "train" if place < _TRAIN else "dev" if place < _TRAIN + _DEV else "test"


def share(items: Iterable[T], split: Split) -> list[T]:
    """Those of `items` that belong to `split`, by what they are written as."""
    return [item for item in items if split_of(str(item)) == split]


def deal(items: Iterable[T], split: Split) -> list[T]:
    """Those of `items` that belong to `split`, by their place: for short lists, where every split needs some.
    New ones go to the end of a list, then nothing moves."""
    return [item for place, item in enumerate(items) if _DEALT[place % len(_DEALT)] == split]


_DEALT: tuple[Split, ...] = ("train", "train", "dev", "train", "train", "test", "train")
