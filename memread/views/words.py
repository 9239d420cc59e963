"""Numbers and places in words. Everything that comes from a document is made printable here."""

from __future__ import annotations

import math
from collections.abc import Sequence

import regex

from memread.text import one_line, printable
from memread.types import DocumentInfo, Locator, Skipped, Span

# Terminals disagree on how wide a joined, coloured or "presented" emoji is, and a line that is wider
# than we think breaks the live region. Without the joints every one of them agrees.
_EMOJI_GLUE = regex.compile(r"[\ufe0e\ufe0f\U0001f3fb-\U0001f3ff]|(?<=\p{Extended_Pictographic})\u200d")


def count(number: int) -> str:
    """Such as "60,123"."""
    return f"{number:,}"


def short(number: int) -> str:
    """Such as "812", "60K", "1.2M"."""
    if number < 10_000:
        return count(number)
    return f"{number / 1000:.0f}K" if number < 999_500 else f"{number / 1e6:.1f}M"


def plural(number: int, noun: str, nouns: str = "") -> str:
    """Such as "1 segment", "12 segments"."""
    return f"{count(number)} {noun if number == 1 else nouns or noun + 's'}"


def percent(fraction: float) -> str:
    """Such as "41%". Never "100%" before the end: rounded down."""
    return f"{math.floor(min(max(fraction, 0.0), 1.0) * 100 + 1e-9)}%"


def duration(seconds: float) -> str:
    """Such as "4s", "1m12s", "2h05m"."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"


def rough(seconds: float) -> str:
    """An estimate, no finer than it is: such as "20s", "1m40s", "12m", "2h05m"."""
    step = 5 if seconds < 60 else 10 if seconds < 300 else 60
    whole = max(step, math.ceil(seconds / step) * step)
    return f"{whole // 60}m" if 300 <= whole < 3600 else duration(whole)


def rate(tokens_per_second: float) -> str:
    """Such as "812 tok/s", "0.7 tok/s"."""
    if tokens_per_second < 10:
        return f"{tokens_per_second:.1f} tok/s"
    return f"{count(round(tokens_per_second))} tok/s"


def title(documents: Sequence[DocumentInfo], index: int = 0) -> str:
    """What is being read: the title of the document, or its name."""
    if not documents:
        return ""
    document = documents[min(index, len(documents) - 1)]
    if document.name == "-" and not document.title:
        return "standard input"
    return line(document.title) or line(document.name)


def place(span: Span | Locator | Skipped | None, documents: Sequence[DocumentInfo] = ()) -> str:
    """Where in the documents, as a person would look it up; "" when nothing is known."""
    if span is None:
        return ""
    where = line(span.label(), 120)
    locator = span.start if isinstance(span, Span) else span.locator if isinstance(span, Skipped) else span
    index = locator.document
    if len(documents) < 2 or index < 0:
        return where
    return " · ".join(part for part in (title(documents, index), where) if part)


def line(text: str, limit: int = 200) -> str:
    """`shown(text)` on one line of at most `limit` characters."""
    return shown(one_line(text, limit))


def times(number: int) -> str:
    """Such as "once", "3 times"."""
    return {1: "once", 2: "twice"}.get(number) or f"{count(number)} times"


def shown(text: str) -> str:
    """`printable(text)`, tabs as spaces, and as wide on every terminal as it is counted."""
    return _EMOJI_GLUE.sub("", printable(text)).expandtabs(4)
