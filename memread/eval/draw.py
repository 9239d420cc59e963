"""Chance that is the same anywhere: any platform, any Python, now and in ten years.

Of the standard library's `random`, only two things are promised to stay as they are: seeding with a string,
and `random()`. So all here is made from these (and SHA-256), not from `choice`, `sample` or `shuffle`.
"""

from __future__ import annotations

import hashlib
import random
import uuid
from collections.abc import Sequence
from typing import TypeVar

_T = TypeVar("_T")
_ROUNDS = 5


class Draw:
    """Random choices, decided by `seed` alone."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed).random

    def below(self, limit: int) -> int:
        """One of 0 … limit - 1. The bias is at most limit / 2**53."""
        return int(self._random() * limit)

    def choice(self, options: Sequence[_T]) -> _T:
        return options[self.below(len(options))]

    def sample(self, size: int, count: int) -> list[int]:
        """`count` different numbers of 0 … size - 1, in random order. Needs memory for `count` of them."""
        if count > size:
            raise ValueError(f"{count} of {size}")
        moved: dict[int, int] = {}  # a Fisher-Yates shuffle that holds only what was moved
        found = []
        for index in range(count):
            other = index + self.below(size - index)
            found.append(moved.get(other, other))
            moved[other] = moved.get(index, index)
        return found

    def shuffled(self, options: Sequence[_T]) -> list[_T]:
        return [options[index] for index in self.sample(len(options), len(options))]


class Permutation:
    """A random order of 0 … size - 1 that is computed, not stored: memory grows with the root of `size`.

    A Feistel network over pairs (x, y) of a square with at least `size` fields, its round functions tables of
    random numbers; what falls outside is sent round again (Black and Rogaway 2002, "Ciphers with arbitrary
    finite domains", calls this cycle walking).
    """

    def __init__(self, size: int, seed: str) -> None:
        self.size = size
        side = 1
        while side * side < size:  # integer arithmetic: a float root could be one off
            side *= 2
        while side > 1 and (side - 1) * (side - 1) >= size:
            step = max((side - 1) // 64, 1)
            side -= step if (side - step) * (side - step) >= size else 1
        self._side = side
        draw = Draw(seed)
        self._tables = [[draw.below(side) for _ in range(side)] for _ in range(_ROUNDS)]

    def __getitem__(self, index: int) -> int:
        """The number at place `index`."""
        side = self._side
        while True:
            x, y = divmod(index, side)
            for table in self._tables:
                x, y = y, (x + table[y]) % side
            index = x * side + y
            if index < self.size:
                return index

    def index(self, number: int) -> int:
        """The place of `number`."""
        side = self._side
        while True:
            x, y = divmod(number, side)
            for table in reversed(self._tables):
                x, y = (y - table[x]) % side, x
            number = x * side + y
            if number < self.size:
                return number


def uuid4(seed: str) -> str:
    """A random UUID (version 4) decided by `seed`."""
    return str(uuid.UUID(bytes=hashlib.sha256(seed.encode()).digest()[:16], version=4))
