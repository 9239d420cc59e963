"""A part of a document that is asked for: `--pages 10-80`, `--chapters 3-7`, `--lines 100-200`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import msgspec

from memread.errors import DamagedDocument, UsageError
from memread.protocols import Document
from memread.types import DocumentInfo, Locator, Passage, Skipped

Kind = Literal["pages", "chapters", "lines"]
_Wanted = Literal["yes", "no", "with the next", "unknown"]
"""Whether a part is asked for. with the next: if the passage after it is."""

_END = 1 << 60
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_ROMAN = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100, "d": 500, "m": 1000}
_EXAMPLES: dict[Kind, str] = {"pages": "10-80, or iv-xii,3", "chapters": "3-7, or 3,5", "lines": "100-200"}


class Range(msgspec.Struct, frozen=True):
    """From `first` to `last`, both included."""

    first: int
    last: int
    roman: bool = False


class Selection(msgspec.Struct, frozen=True):
    """Pages by the labels that the document prints, else by their numbers; chapters in the order in which
    they begin, from 1; lines from 1."""

    kind: Kind
    text: str
    """As it was asked for."""
    ranges: tuple[Range, ...]

    @property
    def label(self) -> str:
        """Such as "pages 10-80"."""
        single = len(self.ranges) == 1 and self.ranges[0].first == self.ranges[0].last
        return f"{self.kind[:-1] if single else self.kind} {self.text}"

    @property
    def last(self) -> int:
        return max(each.last for each in self.ranges)

    def holds(self, label: str | int) -> bool:
        """Whether it holds the page, chapter or line of this name."""
        number = _number(str(label))
        if number is None:
            return False
        value, roman = number
        return any(each.first <= value <= each.last and each.roman == roman for each in self.ranges)

    def holds_page(self, place: Locator) -> bool:
        """Whether it holds the page of a place: by its label, or its number where the label is no number."""
        label = page(place)
        if _number(label) is None and place.page_number is not None:
            label = str(place.page_number)
        return self.holds(label)

    def nothing(self, name: str, bounds: Sequence[str], unread: Sequence[Skipped] = ()) -> UsageError:
        """The error of a document that has nothing of it. bounds: its own first and last, if it has any.
        unread: parts that may have it and cannot be read."""
        among = f" in what can be read of it ({_why(unread)})" if unread else ""
        return UsageError(f"{name}: it has no {self.label}{among}", self._range_of(bounds))

    def unreadable(self, name: str, bounds: Sequence[str], lost: Sequence[Skipped]) -> DamagedDocument:
        """The error of a document of which it can read nothing of it. lost: where it is."""
        message = f"{name}: {self.label} cannot be read ({_why(lost)})"
        return DamagedDocument(message, self._range_of(bounds))

    def _range_of(self, bounds: Sequence[str]) -> str:
        """What the document has instead, for a hint."""
        return f"Its {self.kind} are {bounds[0]} to {bounds[-1]}." if bounds else ""


def parse(kind: Kind, text: str) -> Selection:
    """From "10-80", "3", "-5", "12-", "iv-xii" or several with commas. Raises UsageError."""
    ranges: list[Range] = []
    for part in text.split(","):
        first, dash, last = (side.strip() for side in part.replace("–", "-").partition("-"))
        low = _number(first) if first else None
        high = _number(last) if last else None
        if not dash:
            high = low
        known = [bound for bound in (low, high) if bound is not None]
        bad = (first and low is None) or (last and high is None) or not known
        if bad or len({roman for _, roman in known}) != 1 or (known[0][1] and kind != "pages"):
            raise _malformed(kind, text)
        range_ = Range(low[0] if low else 1, high[0] if high else _END, known[0][1])
        if not 1 <= range_.first <= range_.last:
            raise _malformed(kind, text)
        ranges.append(range_)
    return Selection(kind, text.replace(" ", ""), tuple(ranges))


def select_part(pages: str | None, chapters: str | None, lines: str | None) -> Selection | None:
    """The selection of a command, of which there is one at most. Raises UsageError."""
    given: list[tuple[Kind, str]] = []
    for kind, text in (("pages", pages), ("chapters", chapters), ("lines", lines)):
        if text is not None:
            given.append((kind, text))  # type: ignore[arg-type]
    if len(given) > 1:
        raise UsageError("only one of --pages, --chapters and --lines can be given")
    return parse(*given[0]) if given else None


def _malformed(kind: Kind, text: str) -> UsageError:
    return UsageError(f"--{kind}: {text!r} is no range of {kind}", f"Such as {_EXAMPLES[kind]}.")


def _number(text: str) -> tuple[int, bool] | None:
    """(value, whether it is Roman) of "14" or "xiv"; None for other labels."""
    if text.isascii() and text.isdecimal() and len(text) < 18:
        return int(text), False
    values = [_ROMAN.get(letter, 0) for letter in text.lower()]
    if not values or 0 in values or len(values) > 15:
        return None
    total = sum(-here if here < after else here for here, after in zip(values, [*values[1:], 0], strict=True))
    return total, True


def page(place: Locator) -> str:
    """The page of a place as memread shows it; "" when it has none."""
    if place.page is not None:
        return place.page
    return "" if place.page_number is None else str(place.page_number)


class SelectedDocument:
    """The part of a document that was asked for."""

    def __init__(self, document: Document, selection: Selection) -> None:
        self._document, self._selection = document, selection

    @property
    def info(self) -> DocumentInfo:
        """Raises UsageError when the document has no such parts at all."""
        info = self._document.info
        _check(info, self._selection)
        return msgspec.structs.replace(info, part=self._selection.label)

    def passages(self) -> Iterator[Passage | Skipped]:
        """Raises UsageError at the end of a document that has nothing of the selection."""
        _check(self._document.info, self._selection)
        parts = self._document.passages()
        match self._selection.kind:
            case "pages":
                return self._pages(parts)
            case "chapters":
                return self._chapters(parts)
            case "lines":
                return self._lines(parts)

    def close(self) -> None:
        self._document.close()

    def _pages(self, parts: Iterator[Passage | Skipped]) -> Iterator[Passage | Skipped]:
        seen: list[str] = []
        is_pdf = self._document.info.format == "pdf"

        def judged() -> Iterator[tuple[_Wanted, Passage | Skipped]]:
            for part in parts:
                label = page(part.locator)
                inside = part.pages if isinstance(part, Skipped) else ()
                for each in (label, *inside):
                    if each:
                        seen[:] = [*seen[:1], each]
                if any(map(self._selection.holds, inside)) or (
                    label and self._selection.holds_page(part.locator)
                ):
                    # Of a PDF, whose reader leaves the other pages out, how much is done is known.
                    yield "yes", part if is_pdf or isinstance(part, Skipped) else _unmeasured(part)
                elif isinstance(part, Passage) or inside:
                    yield "no", part
                else:
                    # Perhaps of the next page. Of none, such as the end of a file: nobody knows.
                    yield "with the next" if label else "unknown", part

        return self._told(judged(), seen)

    def _chapters(self, parts: Iterator[Passage | Skipped]) -> Iterator[Passage | Skipped]:
        bounds: list[str] = []

        def judged() -> Iterator[tuple[_Wanted, Passage | Skipped]]:
            for numbers, part in numbered(parts):
                if numbers[-1]:
                    bounds[:] = ["1", str(numbers[-1])]
                if numbers[0] > self._selection.last:
                    break
                wanted = any(map(self._selection.holds, numbers))
                yield "yes" if wanted else "no", _unmeasured(part) if isinstance(part, Passage) else part

        return self._told(judged(), bounds)

    def _told(
        self, judged: Iterator[tuple[_Wanted, Passage | Skipped]], bounds: list[str]
    ) -> Iterator[Passage | Skipped]:
        """What is wanted. Of skipped parts, what belongs to it: when there is text of it, since they are the
        error when there is none. bounds: the first and last of the document, filled in meanwhile."""
        name = self._document.info.name
        found = False
        held: list[tuple[_Wanted, Skipped]] = []
        unread: list[Skipped] = []
        for wanted, part in judged:
            if isinstance(part, Skipped):
                if wanted != "no":
                    held.append((wanted, part))
                if not (part.pages if self._selection.kind == "pages" else part.chapters):
                    unread.append(part)
            elif wanted == "yes":
                found = True
                yield from (each for _, each in held)
                held.clear()
                yield part
            else:
                held = [each for each in held if each[0] != "with the next"]
            if found and held and held[-1][0] != "with the next":
                yield from (each for _, each in held)
                held.clear()
        if not found:
            lost = [part for wanted, part in held if wanted == "yes"]
            raise (
                self._selection.unreadable(name, bounds, lost)
                if lost
                else self._selection.nothing(name, bounds, unread)
            )

    def _lines(self, parts: Iterator[Passage | Skipped]) -> Iterator[Passage | Skipped]:
        first = min(each.first for each in self._selection.ranges)
        last = self._selection.last
        line = 0
        found = False
        for part in parts:
            if isinstance(part, Skipped):
                yield part
                continue
            assert part.locator.line is not None
            line = part.locator.line
            if line > last:
                break
            wanted: dict[int, list[str]] = {}  # by the line that each run of lines begins with
            run = 0
            for line, text in enumerate(_LINE.findall(part.text), part.locator.line):
                if not self._selection.holds(line):
                    run = 0
                elif run:
                    wanted[run].append(text)
                else:
                    wanted[run := line] = [text]
            for begin, texts in wanted.items():
                found = True
                done = min(1.0, (begin + len(texts) - first) / (last - first + 1)) if last < _END else None
                yield Passage("".join(texts), msgspec.structs.replace(part.locator, line=begin), done)
        if not found:
            raise self._selection.nothing(self._document.info.name, ["1", str(line)] if line else [])


def numbered(parts: Iterable[Passage | Skipped]) -> Iterator[tuple[range, Passage | Skipped]]:
    """Each part with the numbers of its chapters, as `--chapters` counts; 0 before the first begins.

    A passage has one. A skipped part has that in which it begins, and those that begin in it.
    """
    number, title = 0, None
    for part in parts:
        first = None
        for chapter in (part.locator.chapter, *(part.chapters if isinstance(part, Skipped) else ())):
            if chapter is not None and chapter != title:
                number, title = number + 1, chapter
            first = number if first is None else first
        assert first is not None
        yield range(first, number + 1), part


def _why(parts: Sequence[Skipped]) -> str:
    """The first reason, and how many more there are."""
    reasons = list(dict.fromkeys(part.reason for part in parts))
    more = f"; and {len(reasons) - 1:,} more" if len(reasons) > 1 else ""
    return reasons[0] + more


def _unmeasured(passage: Passage) -> Passage:
    return Passage(passage.text, passage.locator)


_NONE: dict[Kind, str] = {
    "pages": "{0}: this {1} has no pages",
    "chapters": "{0}: this {1} has no chapters",
    "lines": "{0}: lines are counted in plain text, not in {1}",
}


def _check(info: DocumentInfo, selection: Selection) -> None:
    """Raises UsageError when what is known beforehand says that there is no such part."""
    paged = info.format in ("pdf", "epub")
    missing = {
        "pages": not (info.pages if paged else False),
        # Of other formats, headings show while they are read.
        "chapters": info.format in ("text", "subtitles") or (paged and not info.chapters),
        "lines": info.format != "text",
    }
    if missing[selection.kind]:
        has = [
            *(["--pages"] if paged and info.pages else []),
            *(["--chapters"] if info.chapters or info.format in ("html", "docx", "odt", "notebook") else []),
            *(["--lines"] if info.format == "text" else []),
        ]
        name = "standard input" if info.name == "-" else info.name
        word = {
            "pdf": "PDF",
            "epub": "EPUB",
            "html": "page",
            "docx": "Word document",
            "odt": "OpenDocument text",
        }.get(info.format, info.format)
        raise UsageError(
            _NONE[selection.kind].format(name, word), f"It has {' or '.join(has)}." if has else ""
        )
