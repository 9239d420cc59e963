"""Passages → segments: the text is cut where the model's own tokens and the text's own joints say.

A segment never has more tokens than the budget, ends at a paragraph if it can, else at a sentence or
line, else between words, else between graphemes; joined again, the segments are the text.

Where a cut falls depends on the text alone, never on how it arrived: a cut is decided from a window of
fixed length, and only once that window is full or the text has ended.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator

import regex

from memread.protocols import Tokenizer
from memread.types import Locator, Passage, Segment, SegmentInfo, Skipped, Span, digest

VERSION = 1
"""Part of a run's identity: raise it when the same text would be cut elsewhere."""

_WINDOW = 6
"""Characters looked at per token of the budget, before the window is doubled. English has about 4."""
_FULL = 0.75
"""A segment at least this full may end at the joint found; an emptier one looks for a finer joint."""

_PARAGRAPH = regex.compile(r"\n[^\S\n]*\n\s*")
# Possessive, and begun only where a run begins: a line of a thousand dots is looked at once.
_SENTENCE = regex.compile(r"(?<![.!?…])[.!?…]++[\"'”’»)\]]*+\s+|[。！？．]++[」』】）”’]*+\s*")
_LINE = regex.compile(r"\n\s*")
_WORD = regex.compile(r"\s+")
_GRAPHEME = regex.compile(r"\X")
_WRAPPED = regex.compile(r"[\p{Ll},;]\n[\p{Ll}]")


def segments(
    items: Iterable[Passage | Skipped], tokenizer: Tokenizer, budget: int
) -> Iterator[Segment | Skipped]:
    """Cut passages into segments of at most `budget` tokens. Skipped parts pass through in place.

    Needs memory for one window and one passage, however long the text.
    """
    buffer = _Buffer()
    index = 0

    def cut(final: bool) -> Iterator[Segment]:
        nonlocal index
        while buffer.text and (found := _cut(buffer.text, final, tokenizer, budget)):
            yield buffer.take(*found, index)
            index += 1

    for item in items:
        if isinstance(item, Skipped):
            yield item
            continue
        buffer.add(item)
        yield from cut(final=False)
    yield from cut(final=True)


class _Buffer:
    """Text not yet cut, and where its passages start in it."""

    def __init__(self) -> None:
        self.text = ""
        self._passages: list[tuple[int, Passage]] = []  # (offset of its first character in text, passage)
        self._fraction: float | None = 0.0

    def add(self, passage: Passage) -> None:
        if passage.text:
            self._passages.append((len(self.text), passage))
            self.text += passage.text

    def take(self, length: int, tokens: int, index: int) -> Segment:
        """The segment of the first `length` characters, which leave the buffer."""
        text, self.text = self.text[:length], self.text[length:]
        last = max(len(text.rstrip()) - 1, 0)
        span = Span(self._place(len(text) - len(text.lstrip()) if text.strip() else 0), self._place(last))
        fraction = self._fraction_at(length)
        places = self._places(length)
        # The passage that was cut stays, with a start before the buffer's: its line count is needed.
        while self._passages and self._passages[0][0] + len(self._passages[0][1].text) <= length:
            self._fraction = self._passages.pop(0)[1].fraction
        self._passages = [(start - length, passage) for start, passage in self._passages]
        return Segment(SegmentInfo(index, tokens, span, digest(text), fraction), text, places)

    def _places(self, length: int) -> tuple[tuple[int, Locator], ...]:
        """Where in the segment a new page, chapter or document begins: what counting lines does not tell."""
        places: list[tuple[int, Locator]] = []
        following: Locator | None = None
        for start, passage in self._passages:
            if start >= length:
                break
            inside = max(0, -start)
            locator = passage.locator.advanced(passage.text[:inside])
            if locator != following:
                places.append((max(0, start), locator))
            following = passage.locator.advanced(passage.text)
        return tuple(places)

    def _fraction_at(self, length: int) -> float | None:
        before = self._fraction
        for offset, passage in self._passages:
            after = passage.fraction
            if offset + len(passage.text) >= length:
                if before is None or after is None:
                    return after
                return before + (after - before) * (length - offset) / len(passage.text)
            before = after
        return before

    def _place(self, offset: int) -> Locator:
        start, passage = next(p for p in reversed(self._passages) if p[0] <= offset)
        return passage.locator.advanced(passage.text[: offset - start])


def _cut(text: str, final: bool, tokenizer: Tokenizer, budget: int) -> tuple[int, int] | None:
    """Length and tokens of the next segment; None when more text is needed to tell."""
    window = budget * _WINDOW
    while True:
        whole = final and len(text) <= window
        if len(text) < window and not whole:
            return None
        length, tokens = _fit(text[:window], tokenizer, budget)
        if length < min(window, len(text)) or whole:
            return length, tokens
        window *= 2  # all of it fits (long tokens): look further before deciding


def _fit(text: str, tokenizer: Tokenizer, budget: int) -> tuple[int, int]:
    """Length and tokens of the prefix of `text` that is the segment: within the budget, at the best joint."""
    total = tokenizer.count(text)
    if total <= budget:
        return len(text), total
    taken, used = 0, 0
    lines_first = lines_are_joints(text)
    for joint in (
        _PARAGRAPH,
        *((_LINE, _SENTENCE) if lines_first else (_SENTENCE, _LINE)),
        _WORD,
        _GRAPHEME,
        None,
    ):
        ends = [m.end() for m in joint.finditer(text, taken)] if joint else list(range(taken + 1, len(text)))
        ends = [end for end in ends if taken < end < len(text)]
        taken, used = _last_fitting(text, ends, tokenizer, budget, (taken, used), (len(text), total))
        if used >= _FULL * budget or (joint is _GRAPHEME and taken):
            break
    return (taken, used) if taken else (1, tokenizer.count(text[:1]))


def _last_fitting(
    text: str,
    ends: list[int],
    tokenizer: Tokenizer,
    budget: int,
    low: tuple[int, int],
    high: tuple[int, int],
) -> tuple[int, int]:
    """The last of `ends` up to which `text` has at most `budget` tokens, and how many those are.

    low and high are (length, tokens) known to fit and known not to; guesses are interpolated between
    them, since tokens are spread evenly enough that three or four counts do.
    """
    first, last = 0, len(ends)  # ends[:first] fit, ends[last:] do not
    guesses = 0
    while first < last:
        guess = low[0] + (high[0] - low[0]) * (budget - low[1]) // max(high[1] - low[1], 1)
        middle = min(max(bisect_right(ends, guess) - 1, first), last - 1)
        if (guesses := guesses + 1) > 4:  # tokens are spread unevenly: halving is sure
            middle = (first + last) // 2
        tokens = tokenizer.count(text[: ends[middle]])
        if tokens <= budget:
            low, first = (ends[middle], tokens), middle + 1
        else:
            high, last = (ends[middle], tokens), middle
    return low


def lines_are_joints(text: str) -> bool:
    """Whether a line end ends something (logs, code, tables), rather than wrapping a sentence."""
    return len(_WRAPPED.findall(text)) * 4 < text.count("\n")
