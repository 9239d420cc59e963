"""Texts of a wanted length in a model's own tokens, made as they are read.

A text is a row of pieces (sentences, words, documents). Its tokens are known before it is made, since the
pieces' counts are cached or can be told from samples; what joining them changes is measured on the beginning
of the text, and on all of it where it is short.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator

import msgspec

from memread.errors import UsageError
from memread.protocols import Tokenizer
from memread.types import Locator, Passage

_PROBE = 200_000
"""Characters at the beginning of a text that are really counted: about 50,000 tokens of English."""
_PASSAGE = 8_000
"""Characters a passage has at least."""
_NEAR = 0.001
"""The share of the wanted length that a text may be off before it is made again (the promise is 1 %)."""
_WORD_END = re.compile(r"(?<=\S)(?=\s)")
_UNITS = {"": 1, "k": 1024, "m": 1024**2}


class Text(msgspec.Struct, frozen=True):
    """A text that is made anew whenever its pieces are asked for."""

    pieces: Callable[[], Iterator[str]]
    """Each brings the white space before it along; that of the first is dropped."""
    count: int
    """How many pieces there are."""
    tokens: float
    """The sum of the pieces' tokens, from counts or samples; from `fit`, the tokens of the whole."""
    marks: tuple[float, ...] = ()
    """Where the pieces that matter begin, as shares of the text."""
    repeats: int = 0
    """How often the material had to be begun again."""


def parse_length(text: str) -> int:
    """ "8k" is 8 × 1024 tokens, "3.5m" 3.5 × 1024², "5000" itself. Raises UsageError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([km]?)", text.strip().lower())
    length = round(float(found[1]) * _UNITS[found[2]]) if found else 0
    if length < 1:
        raise UsageError(f"{text!r} is not a length", "Give tokens, such as 8k, 128k, 3.5m or 5000.")
    return length


def fit(length: int, tokenizer: Tokenizer, build: Callable[[float], Text]) -> Text:
    """What `build` makes of a target so that the whole has `length` tokens.

    `build` is given the sum of tokens its pieces shall have, and raises UsageError for too few. A short
    text ends up within a few tokens; a long one is off by what the samples are off.
    """
    target = float(length)
    best: Text | None = None
    for _ in range(6):
        text = measured(build(target), tokenizer)
        if best is None or abs(text.tokens - length) < abs(best.tokens - length):
            best = text
        if abs(best.tokens - length) <= max(_NEAR * length, 1):
            break
        target += length - text.tokens
    assert best is not None
    return best


def measured(text: Text, tokenizer: Tokenizer) -> Text:
    """`text` with its tokens corrected for what joining its pieces changes."""
    parts: list[str] = []
    size = 0
    whole = True
    for piece in text.pieces():
        if size >= _PROBE:
            whole = False
            break
        parts.append(piece if parts else piece.lstrip())
        size += len(piece)
    counted = tokenizer.count("".join(parts))
    if whole:
        return msgspec.structs.replace(text, tokens=float(counted))
    alone = sum(map(tokenizer.count, parts))
    return msgspec.structs.replace(text, tokens=text.tokens * counted / alone)


def passages(text: Text) -> Callable[[], Iterator[Passage]]:
    """The maker of a stream of passages, for Item.text: places are lines, `fraction` is exact at the end.

    A partial function, not a closure: it can be sent to a process if the pieces' maker can.
    """
    return functools.partial(_passages, text)


def _passages(text: Text) -> Iterator[Passage]:
    parts: list[str] = []
    size, line = 0, 1
    for done, piece in enumerate(text.pieces(), start=1):
        parts.append(piece if done > 1 else piece.lstrip())
        size += len(piece)
        if size >= _PASSAGE or done == text.count:
            joined = "".join(parts)
            yield Passage(joined, Locator(line=line), done / text.count)
            parts, size, line = [], 0, line + joined.count("\n")


def cut(text: str, tokens: float, tokenizer: Tokenizer) -> str:
    """The beginning of `text` that has at most about `tokens` tokens: whole words, or as many letters.

    Letters only where the next word is so long that the text would be off by it (a UUID has 30 tokens).
    """
    ends = [found.start() for found in _WORD_END.finditer(text)] + [len(text)]
    words = _last(ends, text, tokens, tokenizer)
    if tokens - tokenizer.count(text[:words]) <= 4:
        return text[:words]
    return text[: _last(list(range(words + 1, len(text) + 1)), text, tokens, tokenizer) or words]


def _last(ends: list[int], text: str, tokens: float, tokenizer: Tokenizer) -> int:
    """The last of `ends` up to which `text` has at most `tokens`; 0 if there is none."""
    low, high = 0, len(ends)
    while low < high:
        middle = (low + high) // 2
        if tokenizer.count(text[: ends[middle]]) <= tokens:
            low = middle + 1
        else:
            high = middle
    return ends[low - 1] if low else 0
