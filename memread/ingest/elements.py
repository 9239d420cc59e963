"""What the elements of XHTML mean for the text of a page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


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
PAGE_KINDS = _names("pagebreak doc-pagebreak")


class Mark(NamedTuple):
    """Something that begins at an offset of the text: an "id", a "page" label, a heading ("h1"…)."""

    offset: int
    kind: str
    value: str


class List:
    """An open list."""

    def __init__(self, ordered: bool, number: int) -> None:
        self.ordered, self.number = ordered, number


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
