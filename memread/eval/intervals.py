"""How sure a measured mean is: 95 % intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from memread.eval.draw import Draw

_Z = 1.959963984540054  # the 97.5 % point of the normal distribution
_RESAMPLES = 2000
_FEW = 30


class Interval(msgspec.Struct, frozen=True):
    """A mean, and where the true one lies with 95 % confidence."""

    mean: float
    low: float
    high: float


def interval(scores: Sequence[float]) -> Interval:
    """Wilson's where every score is 0 or 1 or there are few, else the bootstrap's.

    Of few scores the bootstrap knows too little of the spread, of one nothing. Wilson's is then wide enough:
    of all scores from 0 to 1 with a given mean, zeros and ones are spread most. Raises ValueError when there
    is none.
    """
    if len(scores) < _FEW or all(score in (0.0, 1.0) for score in scores):
        return wilson(math.fsum(scores), len(scores))
    return bootstrap(scores)


def wilson(right: float, total: int) -> Interval:
    """The score interval of a proportion (Wilson 1927): sound for few items and near 0 and 1.

    right: how many of `total`, or the sum of scores from 0 to 1.

    Raises ValueError unless 0 <= right <= total and total > 0.
    """
    if total < 1 or not 0 <= right <= total:
        raise ValueError(f"{right} of {total}")
    share, z2 = right / total, _Z * _Z
    middle = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = _Z / (1 + z2 / total) * math.sqrt(share * (1 - share) / total + z2 / (4 * total * total))
    # At the ends the formula gives exactly 0 and 1, but for rounding.
    return Interval(share, 0.0 if right == 0 else middle - half, 1.0 if right == total else middle + half)


def bootstrap(values: Sequence[float], seed: str = "bootstrap", resamples: int = _RESAMPLES) -> Interval:
    """The percentile bootstrap of a mean (Efron 1979); `seed` decides which resamples are drawn.

    Where all values are the same it knows no spread, and the interval is that value. Raises ValueError
    for no values.
    """
    if not values:
        raise ValueError("no values")
    draw, size = Draw(seed), len(values)
    means = sorted(math.fsum(values[draw.below(size)] for _ in range(size)) / size for _ in range(resamples))
    return Interval(math.fsum(values) / size, _percentile(means, 0.025), _percentile(means, 0.975))


def paired(
    ours: Sequence[float], theirs: Sequence[float], seed: str = "paired", resamples: int = _RESAMPLES
) -> Interval:
    """How much better `ours` is than `theirs` on the same items, in the same order: a bootstrap over items.

    An interval without 0 in it is a difference that is probably no accident. Raises ValueError unless both
    have the same number of scores, and some.
    """
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} scores against {len(theirs)}")
    return bootstrap([a - b for a, b in zip(ours, theirs, strict=True)], seed, resamples)


def _percentile(ordered: Sequence[float], share: float) -> float:
    """Interpolated between the nearest two, as numpy does by default."""
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
