"""What makes a reply unfit to become the memory."""

from __future__ import annotations

from memread.types import Reply

_TAIL = 600
"""Characters at the end of a reply that are looked at for repetition."""
_REPEATS = 4
_LEAST = 120
"""A loop is at least this many characters long and holds its period at least _REPEATS times."""
EVERY = 32
"""Ask `loops` once in so many pieces: it costs about a millisecond."""


def fault(reply: Reply, memory: str) -> str:
    """Why `memory`, made from `reply`, must not become the memory; "" if it may."""
    if reply.finish == "loop" or loops(reply.text):
        return "it repeats itself"
    if reply.finish == "length":
        return "it ran into the memory limit"
    if not memory:
        return "it is empty"
    return ""


def loops(text: str) -> bool:
    """Whether `text` ends in the same few words again and again."""
    tail = text[-_TAIL:][::-1]
    return any(
        run >= _LEAST and run >= _REPEATS * period for period, run in enumerate(_periodic_runs(tail), start=1)
    )


def _periodic_runs(text: str) -> list[int]:
    """For every period p ≥ 1: how long a prefix of `text` has that period (Z-algorithm, linear time)."""
    n = len(text)
    match = [0] * n  # match[p]: length of the common prefix of text and text[p:]
    left = right = 0
    for p in range(1, n):
        if p < right:
            match[p] = min(right - p, match[p - left])
        while p + match[p] < n and text[match[p]] == text[p + match[p]]:
            match[p] += 1
        if p + match[p] > right:
            left, right = p, p + match[p]
    return [match[p] + p for p in range(1, n)]
