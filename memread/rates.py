"""How fast this machine reads with a model: bare llama.cpp measured, and what a reading makes of it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from importlib import resources
from typing import TYPE_CHECKING, Final

import msgspec

from memread.profile import Profile

if TYPE_CHECKING:
    from memread.engine.llamacpp.bare import Bare

FILLED: Final = 0.5
"""Of the memory's limit, what is taken to be in it."""
WORDING: Final = 120
"""Tokens of a prompt besides section and memory, about: wording, question, chat template."""
_DECODED: Final = 12
"""Tokens decoded to measure the rate."""


class Rates(msgspec.Struct, frozen=True):
    """What was measured, in tokens a second."""

    prefill: dict[int, float]
    """By the length of the prompt."""
    decode: float
    """One token at a time, after the longest prompt."""

    @property
    def best(self) -> float:
        """The limit: the fastest that any prompt passes through the model."""
        return max(self.prefill.values(), default=0.0)

    def seconds(self, tokens: int) -> float:
        """What a prompt takes: between measured lengths in proportion, beyond them as the nearest."""
        points = sorted((length, length / rate) for length, rate in self.prefill.items())
        below = [point for point in points if point[0] <= tokens]
        above = [point for point in points if point[0] > tokens]
        if not below or not above:
            length, took = (below or above)[-1 if below else 0]
            return took * tokens / length
        (one, first), (other, second) = below[-1], above[0]
        return first + (second - first) * (tokens - one) / (other - one)

    def reading(self, segment: int, memory: int, rewritten: float = FILLED) -> float:
        """Tokens of text read in a second, in segments of that size, with a memory of that limit, such a
        share of which is decoded each time."""
        prompt = self.seconds(round(segment + memory * FILLED + WORDING))
        return segment / (prompt + memory * rewritten / self.decode)


def rewritten(profile: Profile) -> float:
    """Of the memory's limit, what is taken to be decoded in each segment. Copied text costs less. Models that
    say that it stays seldom write it."""
    return 0.0 if profile.wording.unchanged else FILLED


def measure(
    context: Bare,
    text: Sequence[int],
    lengths: Sequence[int],
    *,
    seconds: float,
    say: Callable[[int, float], None] = lambda length, rate: None,
) -> Rates:
    """Measure prompts of these lengths, shortest first, twice each, and decoding after the longest.

    text: token ids, repeated as often as needed. seconds: no length is begun that would not fit into them,
    but for the first. say: told each length and its rate. The better of two counts: other programs only
    make a measurement slower. Raises EngineFailed.
    """
    until = time.perf_counter() + seconds
    found: dict[int, float] = {}
    context.prefill(_ids(text, min(lengths)))  # the first pass reads the weights from the disk
    took = 0.0
    for length in sorted(lengths):
        if found:
            longest = max(found)
            expected = longest / found[longest] * (length / longest) ** 1.3
            if time.perf_counter() + 1.5 * expected > until:
                break
        ids = _ids(text, length)
        took = context.prefill(ids)
        if time.perf_counter() + took < until:
            took = min(took, context.prefill(ids))
        found[length] = length / took
        say(length, found[length])
    last = max(found)
    decoded = [context.decode(_ids(text, 1), last + i) for i in range(_DECODED)]
    return Rates(found, 1 / statistics.median(decoded))


def sample(characters: int) -> str:
    """Prose that ships, from the middle of a book."""
    book = resources.files("memread.eval").joinpath("data/alice.txt").read_text(encoding="utf-8")
    return book[len(book) // 3 :][:characters]


def lengths_for(profile: Profile, trained: int) -> list[int]:
    """Prompt lengths worth measuring, in tokens: from short to the window, the profile's among them."""
    own = profile.budget.segment + round(profile.budget.memory * FILLED) + WORDING
    most = max(256, min(trained, 16384) - _DECODED)
    return sorted({min(length, most) for length in (256, 512, 1024, 2048, 4096, 8192, own)})


def _ids(text: Sequence[int], count: int) -> list[int]:
    return [text[i % len(text)] for i in range(count)]
