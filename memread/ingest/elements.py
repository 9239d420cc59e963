"""What the elements of XHTML mean for the text of a page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from memread.ingest.numbering import written


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


BLOCKS = _names(
    """address article aside blockquote body caption center details dialog dd div dl dt fieldset figcaption
    figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr html legend li main menu nav ol p pre section
    summary table ul"""
)
LINES = _names("dd option optgroup tr")
"""A line to itself, but no paragraph."""
LISTS = _names("ul ol menu")
SKIPPED = _names(
    """script style template nav noframes iframe audio video canvas select datalist rp annotation
    annotation-xml desc metadata map"""
)
"""Not text, or text that nobody is shown. noscript is not here: no script is run."""
SKIPPED_KINDS = _names("toc landmarks page-list lot loi")
HEADINGS = _names("h1 h2 h3 h4 h5 h6")
NOTE_KINDS = _names("noteref doc-noteref annoref")
_LIST_TYPES = {"1": "decimal", "a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman"}
_LIST_STYLES = {
    "none": "none",
    "decimal": "decimal",
    "decimal-leading-zero": "decimalZero",
    "lower-alpha": "lowerLetter",
    "lower-latin": "lowerLetter",
    "upper-alpha": "upperLetter",
    "upper-latin": "upperLetter",
    "lower-roman": "lowerRoman",
    "upper-roman": "upperRoman",
}
"""CSS's names, and those of `numbering.written`."""
_LIST_STYLE = re.compile(r"\blist-style(?:-type)?\s*:\s*([a-z-]+)", re.I)
PAGE_KINDS = _names("pagebreak doc-pagebreak")


class Mark(NamedTuple):
    """Something that begins at an offset of the text: an "id", a "page" label, a heading ("h1"…)."""

    offset: int
    kind: str
    value: str


class List:
    """An open list."""

    def __init__(self, ordered: bool, attributes: Mapping[str, str]) -> None:
        self.ordered = ordered
        self.style = list_style(attributes) or "decimal"
        self.number = _number(attribute(attributes, "start"), 1)
        """Of the next item."""

    def marker(self, attributes: Mapping[str, str]) -> str:
        """What stands before an item that begins now: "- ", "3. ", "c. "."""
        if not self.ordered:
            return "- "
        number = _number(attribute(attributes, "value"), self.number)
        self.number = number + 1
        said = written(number, list_style(attributes) or self.style)
        return f"{said}. " if said else ""


class Table:
    """An open table."""

    def __init__(self) -> None:
        self.layout = False
        """It holds tables or headings: made for the look, its cells are blocks."""
        self.cells = 0
        """Of this row, up to now."""
        self.inside = False
        """In a cell: its blocks stay on the row's line."""
        self.filled = False
        """The row has text."""


class Capture:
    """A superscript or a reference to a note: what was written since it began."""

    def __init__(self, depth: int, before: str) -> None:
        self.depth, self.before = depth, before
        self.link = False
        self.pieces: list[int] = []


def list_style(attributes: Mapping[str, str]) -> str:
    """How the items of a list are numbered, as `written` has it; "" where that is not said here. What a style
    sheet says is not known."""
    found = _LIST_STYLE.search(attributes.get("style", ""))
    if found and (said := _LIST_STYLES.get(found[1].lower())):
        return said
    return _LIST_TYPES.get(attribute(attributes, "type"), "")


def _number(text: str, otherwise: int) -> int:
    return int(text) if re.fullmatch(r"-?\d{1,9}", text) else otherwise


def is_svg(name: str) -> bool:
    return name.startswith(("{http://www.w3.org/2000/svg}", "svg:"))


def local(name: str) -> str:
    """The name without namespace or prefix, in lower case."""
    return name.rpartition("}")[2].rpartition(":")[2].lower()


def attribute(attributes: Mapping[str, str], *names: str) -> str:
    """The first of these that says something."""
    for name in names:
        value = attributes.get(name, "").strip()
        if value:
            return value
    return ""


def kinds(attributes: Mapping[str, str]) -> frozenset[str]:
    """The words of epub:type and role."""
    keys = ("{http://www.idpf.org/2007/ops}type", "epub:type", "role")
    return _names(" ".join(attributes.get(key, "") for key in keys))
