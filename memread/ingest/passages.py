"""Cutting a text with marks into passages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

PASSAGE = 65536
"""Characters in a passage, at most."""


def cut(text: str, offsets: Sequence[int]) -> Iterator[tuple[int, str]]:
    """`text` in pieces with their offsets: cut at `offsets`, and where a piece is longer than PASSAGE."""
    bounds = sorted({0, *(offset for offset in offsets if 0 < offset < len(text)), len(text)})
    for begin, end in pairwise(bounds):
        while end - begin > PASSAGE:
            middle = line_end(text, begin, begin + PASSAGE)
            yield begin, text[begin:middle]
            begin = middle
        yield begin, text[begin:end]


def line_end(text: str, begin: int, end: int) -> int:
    """Where to cut: after the last line end in text[begin:end]; without one, the last space; else at end."""
    for mark in ("\n\n", "\n", " "):
        found = text.rfind(mark, begin, end)
        if found >= begin + (end - begin) // 4:
            return found + len(mark)
    return end
