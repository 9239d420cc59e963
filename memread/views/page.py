"""What a picture is drawn on: the size of the terminal, its signs, and lines that fit."""

from __future__ import annotations

from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from memread.views.base import PLAINER

MARGIN = 2
MEASURE = 100
"""Wider lines are hard to read."""


@dataclass(frozen=True)
class Glyphs:
    full: str = "━"
    now: str = "╍"
    empty: str = "─"
    full_cell: str = "▰"
    empty_cell: str = "▱"
    state: str = "▸"
    stop: str = "■"
    plus: str = "+"
    minus: str = "−"
    caret: str = "▌"
    dot: str = "·"
    dash: str = "–"
    ellipsis: str = "…"


UNICODE = Glyphs()
ASCII = Glyphs("=", ">", "-", "#", ".", ">", "#", "+", "-", "_", "-", "-", "...")


def glyphs_for(encoding: str | None) -> Glyphs:
    """What a stream of this encoding can show."""
    try:
        "".join(vars(UNICODE).values()).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE


@dataclass(frozen=True)
class Page:
    """The size there is, and what can be drawn on it."""

    console: Console
    width: int
    height: int
    glyphs: Glyphs

    @property
    def inner(self) -> int:
        """Columns between the margins."""
        return max(1, self.width - MARGIN - (1 if self.width < 60 else MARGIN))

    def fit(self, line: Text) -> Text:
        """`line` no wider than the page, and with what the terminal's encoding lacks replaced."""
        line = cut(line, self.width, self.glyphs.ellipsis)
        try:
            line.plain.encode(self.console.encoding)
        except (UnicodeEncodeError, LookupError):
            plain = line.plain.translate(PLAINER)
            line.plain = "".join(c if _encodes(c, self.console.encoding) else "?" for c in plain)
        return line


def _encodes(character: str, encoding: str) -> bool:
    try:
        character.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def page_of(console: Console, glyphs: Glyphs) -> Page:
    """The page that this terminal has room for: one row stays free for the cursor."""
    size = console.size
    return Page(console, max(1, min(size.width, MEASURE)), max(1, size.height - 1), glyphs)


def row(page: Page, left: Text, right: list[Text], *, sign: Text | None = None, whole: bool = False) -> Text:
    """One line: `left`, and at the right as many of the last facts as there is room for.
    `whole`: a fact must not cost any of `left`."""
    facts = Text()
    least = left.cell_len if whole else min(left.cell_len, max(12, page.inner // 3))
    for fact in reversed(right):
        if not fact.plain:
            continue
        longer = Text().append_text(fact)
        if facts.plain:
            longer.append("   ").append_text(facts)
        if longer.cell_len + 2 + least > page.inner:
            break
        facts = longer
    line = Text(" " * MARGIN)
    if sign is not None:
        line = Text().append_text(sign)
        line.append(" " * (MARGIN - sign.cell_len))
    room = page.inner - (facts.cell_len + 2 if facts.plain else 0)
    line.append_text(cut(left, room, page.glyphs.ellipsis))
    if facts.plain:
        line.append(" " * max(0, MARGIN + page.inner - line.cell_len - facts.cell_len))
        line.append_text(facts)
    return cut(line, page.width, page.glyphs.ellipsis)


def cut(text: Text, width: int, ellipsis: str) -> Text:
    """`text` in at most `width` cells."""
    if text.cell_len <= width:
        return text
    keep = set_cell_size(text.plain, max(0, width - cell_len(ellipsis))).rstrip()
    short = text[: len(keep)]
    short.append(ellipsis)
    return short if short.cell_len <= width else Text("")
