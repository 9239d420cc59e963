"""Finding the passage of a text that says what a statement says.

First letter for letter (but for case, white space and typography), then by the words that carry meaning:
places where several of the statement's rarer words stand close together are aligned with it by their longest
common subsequence (rapidfuzz). The work is bounded by the number of words, whatever the text.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator

import msgspec
import regex
from rapidfuzz.distance import LCSseq

from memread.evidence.statements import abbreviated
from memread.evidence.words import Word, words
from memread.segment import lines_are_joints

LONGEST = 64
"""Words of a statement that are compared; of a longer one nothing is verified."""
ANCHORS = 512
"""Places in a text from which a statement is looked for, at most."""
WINDOWS = 4
"""The most promising places, which are aligned."""
_NEAR = 0.3
"""From this score on a passage is worth showing for a statement that it does not verify."""
_BEFORE = 6
"""Words before the first one in common, in its sentence, that can deny it."""
_QUOTE = 320
"""Characters: a sentence that is longer is quoted in part."""
_MISSING = 8
"""Missing words that are named."""
_BORDER = "\x1f"

_LONGEST_QUOTE = 2000
"""Characters: words that are spread wider say nothing together."""

_SENTENCE_END = regex.compile(r"[.!?…؟۔।॥።][\"'”’»)\]]*\s|[。！？][」』”’]*|\n[^\S\n]*\n")
_LINE_END = regex.compile(_SENTENCE_END.pattern + r"|\n")


class Match(msgspec.Struct, frozen=True):
    """A passage of the text, text[start:end]."""

    start: int
    end: int
    score: float
    verified: bool
    missing: tuple[str, ...] = ()


class Text:
    """A text to find statements in. Takes memory and time in proportion to its length."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._words = words(text)
        self._content = [word for word in self._words if word.counts]
        self._at: dict[str, list[int]] = {}
        for index, word in enumerate(self._content):
            self._at.setdefault(word.stem, []).append(index)
        self._run = _Run([word.key for word in self._words])
        # In logs, tables and lists a line is what a sentence is elsewhere; two lines are not a log yet.
        lines = text.count("\n") > 2 and lines_are_joints(text)
        self._end = _LINE_END if lines else _SENTENCE_END

    def find(self, statement: str) -> Match | None:
        """The passage that says `statement`; else the one most like it; None when there is none like it."""
        said = words(statement)
        content = [word for word in said if word.counts]
        if not content:
            return None
        at = self._run.find([word.key for word in said])
        if at is not None:
            return self._match(statement, said, self._words, [(k, at + k) for k in range(len(said))], 1.0)
        compared = content[:LONGEST]
        weights = [self._weight(word) for word in compared]
        found: list[Match] = []
        for low in self._windows(compared, weights):
            pairs = self._aligned(compared, low)
            score = sum(weights[i] for i, _ in pairs) / sum(weights)
            if score >= _NEAR and len(pairs) >= min(2, len(content)):
                found.append(self._match(statement, content, self._content, pairs, score))
        return max(found, key=lambda match: (match.verified, match.score), default=None)

    def _weight(self, word: Word) -> float:
        return 1 / (1 + 0.5 * math.log(max(1, len(self._at.get(word.stem, ())))))

    def _windows(self, content: list[Word], weights: list[float]) -> list[int]:
        """Where in the text the most of the statement's words, by weight, stand within one window."""
        stems = {word.stem: weight for word, weight in zip(content, weights, strict=True)}
        anchors: list[tuple[int, str]] = []
        for stem in sorted(stems, key=lambda stem: (len(self._at.get(stem, ())), stem)):
            # Of a text that repeats itself the beginning will do: it says the same there.
            anchors += [(at, stem) for at in self._at.get(stem, ())[: ANCHORS - len(anchors)]]
        anchors.sort()
        width, inside, last, weight = _width(content), Counter[str](), 0, 0.0
        ranked: list[tuple[float, int]] = []
        for first, (low, leaving) in enumerate(anchors):
            while last < len(anchors) and anchors[last][0] < low + width:
                stem = anchors[last][1]
                weight += stems[stem] if not inside[stem] else 0.0
                inside[stem] += 1
                last += 1
            ranked.append((-weight, anchors[first][0]))
            inside[leaving] -= 1
            weight -= stems[leaving] if not inside[leaving] else 0.0
        chosen: list[int] = []
        for _, low in sorted(ranked):
            if all(abs(low - other) > width // 3 for other in chosen):
                chosen.append(low)
                if len(chosen) == WINDOWS:
                    break
        return chosen

    def _aligned(self, content: list[Word], low: int) -> list[tuple[int, int]]:
        low = max(0, low - len(content))
        window = self._content[low : low + len(content) + _width(content)]
        pairs = _pairs(content, window)
        return [(i, low + j) for i, j in pairs if _same(content[i], window[j], first=i == 0)]

    def _match(
        self, statement: str, said: list[Word], read: list[Word], pairs: list[tuple[int, int]], score: float
    ) -> Match:
        """What `pairs` of alike words, (of those in the statement, of those in the text), come to."""
        met = {i for i, _ in pairs}
        lacking = [word for i, word in enumerate(said) if i not in met]
        first, last = pairs[0][1], pairs[-1][1]
        start, end = read[first].start, read[last].end
        verified = (
            not lacking
            # By the endings alone one word is soon like another.
            and (len(said) > 1 or said[0].key == read[first].key)
            and last - first < _width(said)
            and end - start <= _LONGEST_QUOTE
            and not self._denied(start, end, {read[j].start for _, j in pairs})
        )
        start, end = self._quote(start, min(end, start + _LONGEST_QUOTE))
        # Words that are there in another order are not missing; the order is why it is not verified.
        there = {word.key if word.name else word.stem for word in words(self.text[start:end])}
        missing = dict.fromkeys(
            statement[word.start : word.end]
            for word in lacking
            if (word.key if word.name else word.stem) not in there
        )
        return Match(start, end, round(score, 3), verified, tuple(missing)[:_MISSING])

    def _denied(self, start: int, end: int, paired: set[int]) -> bool:
        """Whether a word that the statement does not have makes something else of those it has."""
        first = bisect_left(self._words, start, key=lambda word: word.start)
        for word in reversed(self._words[max(0, first - _BEFORE) : first]):
            if next(self._ends(word.end, start), None):
                break
            if word.negates:
                return True
        last = bisect_left(self._words, end, key=lambda word: word.start)
        return any(word.turns and word.start not in paired for word in self._words[first:last])

    def _ends(self, start: int, end: int) -> Iterator[int]:
        """Where sentences end in text[start:end], white space included."""
        for found in self._end.finditer(self.text, start, end):
            if found[0][0] != "." or not abbreviated(self.text, found.start() + 1):
                yield found.end()

    def _quote(self, start: int, end: int) -> tuple[int, int]:
        """The sentences around the words found, or as much of them as can be read at a glance."""
        room = max(0, _QUOTE - (end - start))
        before = max(0, start - room)
        ends = list(self._ends(before, start))
        low = ends[-1] if ends else self._word_border(before, start) if before else 0
        after = min(len(self.text), end + max(0, room - (start - low)))
        closing = next(self._ends(end, after), None)
        high = closing or (after if after == len(self.text) else self._word_border(after, end))
        quoted = self.text[low:high]
        return low + len(quoted) - len(quoted.lstrip()), high - (len(quoted) - len(quoted.rstrip()))

    def _word_border(self, wanted: int, toward: int) -> int:
        """The border of a word between `wanted` and `toward`, as near to `wanted` as there is one."""
        step = 1 if toward > wanted else -1
        for at in range(wanted, toward, step):
            if 0 < at < len(self.text) and (self.text[at].isspace() or self.text[at - 1].isspace()):
                return at
        return toward


class _Run:
    """A sequence of keys in which another one can be found as fast as a text in a text."""

    def __init__(self, keys: list[str]) -> None:
        self._joined = _BORDER + _BORDER.join(keys) + _BORDER
        self._starts = []
        at = 0
        for key in keys:
            self._starts.append(at)
            at += len(key) + 1

    def find(self, keys: list[str]) -> int | None:
        """The index of the first of `keys` where they all follow each other, for the first time."""
        at = self._joined.find(_BORDER + _BORDER.join(keys) + _BORDER)
        return bisect_left(self._starts, at) if at >= 0 else None


def _width(content: list[Word]) -> int:
    """Words over which a passage that says so much may be spread."""
    return 2 * len(content) + 8


def _pairs(content: list[Word], window: list[Word]) -> list[tuple[int, int]]:
    """The longest common subsequence, as (index in the statement, index in the window), drawn together."""
    blocks = LCSseq.editops([w.stem for w in content], [w.stem for w in window]).as_matching_blocks()
    pairs = [(b.a + k, b.b + k) for b in blocks for k in range(b.size) if _says(content, b.a, b.size)]
    # The last word stands fast; each one before it is taken as close to it as it occurs.
    for at in range(len(pairs) - 2, -1, -1):
        i, j = pairs[at]
        closer = range(pairs[at + 1][1] - 1, j, -1)
        pairs[at] = (i, next((k for k in closer if window[k].stem == content[i].stem), j))
    return pairs


def _says(content: list[Word], start: int, size: int) -> bool:
    """Whether a run of equal words is more than one letter of a script without spaces."""
    if size > 1 or len(content) == 1 or not content[start].alone:
        return True
    neighbours = content[max(0, start - 1) : start] + content[start + 1 : start + 2]
    return not any(word.alone for word in neighbours)


def _same(said: Word, read: Word, *, first: bool) -> bool:
    """Whether a pair of alike words are the same: names and numbers by every letter.

    first: at the beginning of a sentence, where any word has a capital letter.
    """
    return said.key == read.key or not said.name or (first and not read.name)
