"""From elements to readable text: one state machine for EPUB chapters and web pages.

`Flow` is a parser target (lxml calls start, data and end): nothing of a document is kept but its text,
so that a page of any size streams through. Words of different blocks are never glued together, words
inside a block never torn apart.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping

from memread.ingest.elements import (
    BLOCKS,
    HEADINGS,
    LINES,
    LISTS,
    NOTE_KINDS,
    PAGE_KINDS,
    SKIPPED,
    SKIPPED_KINDS,
    Capture,
    List,
    Mark,
    Table,
    attribute,
    is_svg,
    local,
)
from memread.ingest.elements import kinds as kinds_of
from memread.ingest.formula import Formula, linear

NONE, SPACE, LINE, BLANK = range(4)
_SEPARATOR = ("", " ", "\n", "\n\n")

# A single space stays as it is: most are.
_WHITE = re.compile("[ \t\r\n\f\xa0]{2,}|[\t\r\n\f\xa0]")
# Soft hyphens, zero-width spaces, word joiners, byte order marks: hints to a typesetter, not letters.
# The joiners U+200C and U+200D stay: they change letters.
_INVISIBLE = re.compile("[\xad\u200b\u2060\ufeff\x00-\x08\x0b\x0e-\x1f\ud800-\udfff]")
_REFERENCE = re.compile(r"[\w*†‡§¶]{1,6}")
_DEEPEST = 12
"""Levels of lists that are shown by indenting: thousands of them would be a gigabyte of spaces."""
_EXPONENT = re.compile(r"[+\-−–]?\d{1,4}")


class Flow:
    """anchors: the ids whose places are wanted. Read `text` and `marks`, or `take()` in between."""

    def __init__(self, anchors: Container[str] = ()) -> None:
        self.marks: list[Mark] = []
        self.title = ""
        """Of <title>."""
        self.letters = 0
        """Characters that are not the description of a picture."""
        self.lost = 0
        """Bytes of the source that were no text in its encoding."""
        self.breaks_off = False
        """The source has no end."""
        self._out: list[str] = []
        self._length = 0
        self._anchors = anchors
        self._gap = NONE
        self._prefix = ""
        self._bars = 0
        self._last = ""
        self._pending: list[tuple[str, str]] = []
        self._depth = 0
        self._skip = 0
        self._in_title = False
        self._pre: list[str] = []
        self._held = ""
        self._lists: list[List] = []
        self._tables: list[Table] = []
        self._capture: Capture | None = None
        self._link = 0
        """The depth of the <a> that is open and points to a place in a document."""
        self._heading: tuple[str, int, list[str]] | None = None
        self._page: tuple[int, str, list[str]] | None = None
        self._formula: Formula | None = None

    # -- what a parser calls

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        self._depth += 1
        tag = local(name)
        if self._skip:
            return
        kinds = kinds_of(attributes)
        self._anchor(attributes)
        if self._formula and tag in BLOCKS:  # as in a browser: its end is missing
            self._end_formula()
        if kinds & PAGE_KINDS:
            label = attribute(attributes, "title", "aria-label")
            self._page = (self._depth, label, [])
        elif tag in SKIPPED or kinds & SKIPPED_KINDS or "hidden" in attributes:
            self._skip = self._depth
        elif self._formula:
            self._formula.start(self._depth, tag, attributes)
        elif tag == "title":
            self._skip = self._depth
            self._in_title = not self.title and not is_svg(name)
        elif tag == "math" and attribute(attributes, "alttext"):
            self._emit(attribute(attributes, "alttext"))
            self._skip = self._depth
        elif tag == "math" and not self._page:
            self._formula = Formula()
            self._formula.start(self._depth, tag, attributes)
        else:
            self._open(tag, kinds, attributes)

    def end(self, name: str) -> None:
        tag = local(name)
        if self._skip:
            if self._depth == self._skip:
                self._skip, self._in_title = 0, False
        elif self._formula:
            if self._formula.end(self._depth):
                self._end_formula()
        elif self._page and self._page[0] == self._depth:
            _, label, texts = self._page
            label = label or " ".join("".join(texts).split())
            if label:
                self._pending.append(("page", label))
            self._page = None
        elif self._page is None:
            self._shut(tag)
        self._depth -= 1

    def data(self, text: str) -> None:
        if self._in_title:
            self.title += text
        elif self._page:
            self._page[2].append(text)
        elif self._skip:
            return
        elif self._formula:
            self._formula.data(text)
        elif self._pre:
            self._verbatim(text)
        else:
            self._words(text)

    def close(self) -> Flow:
        """The end: what was marked after the last word is marked at the end."""
        self._end_formula()
        self._place(self._length)
        return self

    # -- what a reader calls

    @property
    def text(self) -> str:
        return "".join(self._out)

    @property
    def busy(self) -> bool:
        """In the middle of something that may still change what was written."""
        return self._capture is not None or self._heading is not None or self._formula is not None

    @property
    def written(self) -> int:
        """Characters since the last take()."""
        return sum(map(len, self._out))

    def take(self) -> tuple[str, list[Mark]]:
        """The text written since the last call, and its marks with offsets into it. Not while `busy`."""
        text, marks = self.text, self.marks
        base = self._length - len(text)
        self._out, self.marks = [], []
        return text, [mark._replace(offset=max(0, mark.offset - base)) for mark in marks]

    # -- elements

    def _open(self, tag: str, kinds: frozenset[str], attributes: Mapping[str, str]) -> None:
        if tag == "br":
            self._break(SPACE if self._heading else LINE)
        elif tag == "img" or (tag == "image" and attribute(attributes, "alt")):
            self._image(attribute(attributes, "alt"))
        elif tag in ("td", "th"):
            self._cell()
        elif tag == "tr":
            self._row()
        elif tag in BLOCKS or tag in LINES or tag == "text":
            self._block(tag, attributes)
        elif tag == "q":
            self._emit("“")
        elif tag == "rt":
            self._emit("(")
        elif tag in ("a", "sup"):
            self._note(tag, kinds, attributes)

    def _end_formula(self) -> None:
        formula, self._formula = self._formula, None
        if formula:
            self._emit(_INVISIBLE.sub("", linear(formula.root)))

    def _note(self, tag: str, kinds: frozenset[str], attributes: Mapping[str, str]) -> None:
        """A reference to a note is marked as one, or is a link in a superscript or around one."""
        if tag == "a" and "#" in attribute(attributes, "href"):
            self._link = self._depth
        marked = tag == "a" and bool(kinds & NOTE_KINDS)
        if self._capture is None and (marked or tag == "sup"):
            self._capture = Capture(self._depth, self._last if self._gap == NONE else "")
        if self._capture and (marked or self._link):
            self._capture.link = True

    def _shut(self, tag: str) -> None:
        if self._capture and self._capture.depth == self._depth:
            self._end_capture(self._capture)
            self._capture = None
        if self._link == self._depth:
            self._link = 0
        if tag == "table":
            if self._tables:
                self._tables.pop()
            self._bars = 0
            self._break(BLANK)
        elif tag == "tr":
            self._row()
        elif tag in ("td", "th"):
            if self._tables:
                self._tables[-1].inside = False
        elif tag in LISTS:
            if self._lists:
                self._lists.pop()
            self._prefix = ""
            self._break(BLANK)
        elif tag == "li":
            self._break(LINE)
        elif tag == "pre" and self._pre:
            self._pre.pop()
            self._held = ""
            self._break(BLANK)
        elif tag in BLOCKS or tag == "text":
            self._break(LINE if tag in ("dt", "dd") else BLANK)
        elif tag in LINES:
            self._break(LINE)
        elif tag == "q":
            self._emit("”", glue=True)
        elif tag == "rt":
            self._emit(")", glue=True)
        if tag in HEADINGS and self._heading:
            kind, offset, texts = self._heading
            self._heading = None
            title = " ".join("".join(texts).split())
            if title:
                self.marks.append(Mark(offset, kind, title))

    def _block(self, tag: str, attributes: Mapping[str, str]) -> None:
        self._break(LINE if tag in LINES else BLANK)
        if tag in HEADINGS:
            self._heading = (tag, -1, [])
            self._lay_out()
        elif tag == "table":
            self._lay_out()
            self._tables.append(Table())
            self._tables[-1].layout = attribute(attributes, "role") in ("presentation", "none")
        elif tag in LISTS:
            if self._prefix:  # a list as the first thing of an item: the outer bullet stands alone
                self._prefix = ""
            self._lists.append(List(tag == "ol", attributes))
        elif tag == "li":
            self._item(attributes)
        elif tag == "pre":
            self._pre.append(tag)
            self._held = ""

    def _item(self, attributes: Mapping[str, str]) -> None:
        marker = self._lists[-1].marker(attributes) if self._lists else "- "
        self._prefix = "  " * min(max(0, len(self._lists) - 1), _DEEPEST) + marker

    def _row(self) -> None:
        self._bars = 0
        if self._tables:
            self._tables[-1].cells, self._tables[-1].inside, self._tables[-1].filled = 0, False, False
        self._break(LINE)

    def _cell(self) -> None:
        table = self._tables[-1] if self._tables else None
        if table is None or table.layout:
            self._break(BLANK)
            return
        if table.cells:
            self._bars += 1
        table.cells += 1
        table.inside = True

    def _lay_out(self) -> None:
        """A block that no cell of data holds has begun: the table around it is not about data."""
        # A table in a table lays out those around it: only the innermost may not be known for it yet.
        if self._tables and not self._tables[-1].layout:
            self._tables[-1].layout = True
            self._bars = 0
            self._break(BLANK)

    # -- text

    @property
    def _in_cell(self) -> bool:
        return bool(self._tables) and self._tables[-1].inside and not self._tables[-1].layout

    def _break(self, gap: int) -> None:
        if self._in_cell:
            gap = SPACE
        elif self._lists and gap == BLANK and self._length:
            gap = LINE
        self._gap = max(self._gap, gap)

    def _words(self, text: str) -> None:
        text = _INVISIBLE.sub("", text)
        if not text:
            return
        words = _WHITE.sub(" ", text)
        if words[0] == " ":
            self._gap = max(self._gap, SPACE)
        if words == " ":
            return
        trailing = words[-1] == " "
        self._emit(words.strip(" "))
        if trailing:
            self._gap = max(self._gap, SPACE)

    def _verbatim(self, text: str) -> None:
        text = _INVISIBLE.sub("", text).replace("\r\n", "\n").replace("\r", "\n").expandtabs(4)
        body = text.rstrip("\n")
        if not body:
            self._held += text
            return
        if self._gap >= LINE or not self._length:  # the first line of the block
            body = body.lstrip("\n")
        else:
            body = self._held + body
        self._held = text[len(text.rstrip("\n")) :]
        self._emit(body)

    def _image(self, alternative: str) -> None:
        words = " ".join(_INVISIBLE.sub("", alternative).split())
        if len(words) == 1 and words.isalpha():
            self._emit(words)  # an initial, painted
        elif words:
            self._gap = max(self._gap, SPACE)
            self._emit(f"[image: {words}]", picture=True)
            self._gap = SPACE

    def _emit(self, text: str, *, glue: bool = False, picture: bool = False) -> None:
        """Write text after the separator that is due."""
        if not text or self._skip or self._page:
            return
        gap = NONE if glue and self._gap == SPACE else self._gap
        separator = _SEPARATOR[gap] if self._length else ""
        table = self._tables[-1] if self._tables else None
        if self._bars and table is not None:
            bars = " |" * self._bars + " "
            separator = bars if table.filled else separator + bars.lstrip()
            self._bars = 0
        self._append(separator)
        if self._heading and self._heading[1] < 0:
            self._heading = (self._heading[0], self._length, [])
        if self._pending:
            self._place(self._heading[1] if self._heading else self._length)
        if self._prefix:
            self._append(self._prefix.lstrip() if self._in_cell else self._prefix)
            self._prefix = ""
        elif gap >= LINE and self._lists and not self._in_cell and not self._pre:
            self._append("  " * min(len(self._lists), _DEEPEST))
        if self._heading:
            self._heading[2].append(text if gap == NONE else " " + text)
        if self._capture:
            self._capture.pieces.append(len(self._out))
        if table is not None:
            table.filled = True
        self._append(text)
        self._last = text[-1]
        self._gap = NONE
        self.letters += 0 if picture else len(text)

    def _append(self, text: str) -> None:
        if text:
            self._out.append(text)
            self._length += len(text)

    def _place(self, offset: int) -> None:
        self.marks.extend(Mark(offset, kind, value) for kind, value in self._pending)
        self._pending = []

    def _anchor(self, attributes: Mapping[str, str]) -> None:
        for key in ("id", "name"):
            value = attributes.get(key)
            if value and value in self._anchors:
                self._pending.append(("id", value))

    def _end_capture(self, capture: Capture) -> None:
        """[1] for a reference to a note, ^2 for an exponent: both would else join the word before."""
        if not capture.pieces:
            return
        first, last = capture.pieces[0], capture.pieces[-1]
        text = "".join(self._out[first : last + 1])
        if capture.link and _REFERENCE.fullmatch(text):
            self._out[first] = "[" + self._out[first]
            self._out[last] += "]"
            self._length += 2
        elif not capture.link and _EXPONENT.fullmatch(text) and capture.before.isalnum():
            self._out[first] = "^" + self._out[first]
            self._length += 1
