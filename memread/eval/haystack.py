"""What needles are hidden in: noise, a book, or anything else that comes in units."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from typing import Protocol

import regex

from memread.errors import EmptyInput
from memread.eval.lengths import Text, cut
from memread.ingest import open_document
from memread.protocols import Tokenizer
from memread.types import LIMITS, Limits, Passage

_PARAGRAPH = regex.compile(r"\n[^\S\n]*\n\s*")
# A sentence ends here unless a small letter follows (“Why?” said Alice), or after "I." and "Mr." alone.
_SENTENCE = regex.compile(
    r"(?:[!?…]|(?<!\b(?:\p{Lu}|[IVXLC]+|Mrs?|Ms|Dr|St|Prof))\.)[\"'”’»)\]]*(\s+)(?=[^\p{Ll}\s])"
    r"|[。！？．][」』】）”’]*()"
)
_LONGEST = 2000
"""Characters; a longer "sentence" (a table, a text without full stops) is cut between words."""
_NOISE = "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back again."


class Units(Protocol):
    """An endless row of units, each with the white space before it."""

    period: int
    """After so many units it begins again; 0 if never."""

    def __getitem__(self, index: int) -> str: ...

    def before(self, index: int) -> float:
        """The tokens of the units before this one."""
        ...

    def at(self, tokens: float) -> int:
        """How many whole units have at most so many tokens."""
        ...


class Haystack:
    """A text to hide needles in, over and over. Held whole: it is a book, not an item."""

    def __init__(self, name: str, units: Sequence[str], separator: str) -> None:
        self.name = name
        self.units = units
        self.separator = separator
        """What stands before a needle."""
        self._sums: tuple[Tokenizer, list[int]] | None = None

    def cycle(self, tokenizer: Tokenizer, start: int = 0) -> Units:
        """The units from `start` on, again and again. Each is counted once per tokenizer."""
        if self._sums is None or self._sums[0] is not tokenizer:
            counts = map(tokenizer.count, self.units)
            self._sums = (tokenizer, list(itertools.accumulate(counts, initial=0)))
        return _Cycle(self.units, self._sums[1], start)


class _Cycle:
    def __init__(self, units: Sequence[str], sums: list[int], start: int) -> None:
        self._units, self._sums, self._start = units, sums, start
        self.period = len(units)

    def __getitem__(self, index: int) -> str:
        return self._units[(self._start + index) % self.period]

    def before(self, index: int) -> float:
        return self._absolute(self._start + index) - self._absolute(self._start)

    def at(self, tokens: float) -> int:
        rounds, rest = divmod(tokens + self._absolute(self._start), self._sums[-1])
        return int(rounds) * self.period + bisect_right(self._sums, rest) - 1 - self._start

    def _absolute(self, index: int) -> int:
        rounds, rest = divmod(index, self.period)
        return rounds * self._sums[-1] + self._sums[rest]


class Made:
    """Units that `make` makes by their index, all of about the same size."""

    period = 0
    _SAMPLE = 1000

    def __init__(self, make: Callable[[int], str], tokenizer: Tokenizer) -> None:
        self._make = make
        self._mean = sum(tokenizer.count(make(index)) for index in range(self._SAMPLE)) / self._SAMPLE

    def __getitem__(self, index: int) -> str:
        return self._make(index)

    def before(self, index: int) -> float:
        return index * self._mean

    def at(self, tokens: float) -> int:
        return int(tokens / self._mean)


def hide(
    needles: Sequence[tuple[float, str]], units: Units, tokens: float, tokenizer: Tokenizer
) -> Text | None:
    """`tokens` tokens of `units` with each needle (depth 0..1, text with the white space before it) at the
    border of units nearest to its depth; None when less than one unit would remain.

    Text.marks are where the needles came to stand, in the order given. The last unit is cut to fit; no needle
    stands after it.
    """
    sizes = [tokenizer.count(text) for _, text in needles]
    body = tokens - sum(sizes)
    if body < units.before(1):
        return None
    whole = units.at(body)
    tail = cut(units[whole], body - units.before(whole), tokenizer)
    placed = []
    for number, (depth, text) in enumerate(needles):
        border = min(units.at(depth * body), whole)
        if border < whole and depth * body - units.before(border) > units.before(border + 1) - depth * body:
            border += 1
        placed.append((border, number, text))
    placed.sort(key=lambda place: place[0])  # stable: needles at one border stay in the order given
    marks = [0.0] * len(needles)
    used = 0
    for border, number, _ in placed:
        marks[number] = (units.before(border) + used) / tokens
        used += sizes[number]

    def pieces() -> Iterator[str]:
        done = 0
        for border, _, text in placed:
            for index in range(done, border):
                yield units[index]
            yield text
            done = border
        for index in range(done, whole):
            yield units[index]
        if tail:
            yield tail

    count = whole + len(needles) + bool(tail)
    repeats = (whole + bool(tail) - 1) // units.period if units.period else 0
    return Text(pieces, count, tokens, tuple(marks), repeats)


def noise() -> Haystack:
    """RULER's: five short sentences, a line each time."""
    return Haystack("noise", ["\n" + _NOISE], "\n")


def book() -> Haystack:
    """The book that ships: Lewis Carroll's "Alice's Adventures in Wonderland"."""
    text = resources.files("memread.eval").joinpath("data/alice.txt").read_text(encoding="utf-8")
    return prose("alice", text)


def load(path: str, limits: Limits = LIMITS) -> Haystack:
    """The prose of any document memread reads. Raises InputError; EmptyInput when there is no sentence."""
    document = open_document(path, limits=limits)
    try:
        text = "".join(part.text for part in document.passages() if isinstance(part, Passage))
    finally:
        document.close()
    return prose(path, text)


def prose(name: str, text: str) -> Haystack:
    """The sentences of `text`, its paragraphs kept. Raises EmptyInput when there is none."""
    units = list(_sentences(text))
    if not units:
        raise EmptyInput(f"{name}: there is no text to hide needles in")
    return Haystack(name, units, " ")


def _sentences(text: str) -> Iterator[str]:
    for paragraph in _PARAGRAPH.split(text.replace("\r\n", "\n")):
        before, start = "\n\n", 0
        stripped = paragraph.strip()
        for found in _SENTENCE.finditer(stripped):
            end = found.end() if found[1] is None else found.start(1)
            yield from _pieces(before, stripped[start:end])
            before, start = found[1] or "", found.end()
        if start < len(stripped):
            yield from _pieces(before, stripped[start:])


def _pieces(before: str, sentence: str) -> Iterator[str]:
    while len(sentence) > _LONGEST:
        place = sentence.rfind(" ", 1, _LONGEST)
        place = place if place > 0 else _LONGEST
        yield before + sentence[:place]
        before, sentence = "", sentence[place:]
    if sentence:
        yield before + sentence
