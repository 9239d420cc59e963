"""OpenDocument text (.odt, as LibreOffice writes it): its elements told to `Flow` as those of a page."""

from __future__ import annotations

import os
import posixpath
import zipfile
from collections.abc import Iterator, Mapping
from typing import BinaryIO, NamedTuple

from lxml import etree

from memread.errors import DamagedDocument, EmptyInput, PasswordNeeded
from memread.ingest.flow import Flow
from memread.ingest.formula import linear
from memread.ingest.html import flow_passages
from memread.ingest.markup import decode, parse_xml, without_entities
from memread.ingest.numbering import written
from memread.text import one_line
from memread.types import DocumentInfo, Passage, Skipped

_LIMIT = 512 << 20
"""Bytes of all that is read, unpacked: more is not a document but an attack."""
_ODF = "urn:oasis:names:tc:opendocument:xmlns:"
_PREFIXES = {"drawing": "draw", "svg-compatible": "svg"}
_TAGS = {
    "text:p": "p",
    "text:line-break": "br",
    "text:ruby": "ruby",
    "text:ruby-text": "rt",
    "table:table": "table",
    "table:table-row": "tr",
    "table:table-cell": "td",
    "draw:text-box": "div",
}
_LEFT_OUT = frozenset(
    (
        "office:annotation",
        "office:scripts",
        "office:forms",
        "office:font-face-decls",
        "office:automatic-styles",
        "text:tracked-changes",
        "draw:image-map",
        *(f"text:{name}-source" for name in ("table-of-content", "bibliography", "user-index")),
        *(f"text:{name}-index-source" for name in ("alphabetical", "illustration", "object", "table")),
    )
)
"""Comments, what was deleted, and what nobody is shown."""
_TITLES = {"Title": "h1", "Subtitle": "h2"}
_FORMATS = {"1": "decimal", "a": "lowerLetter", "A": "upperLetter", "i": "lowerRoman", "I": "upperRoman"}
_OUTLINE = ""
"""The style of the list that headings are numbered by."""


class OdtReading:
    """An open document. Its headings of the first two levels are the chapters; it has no fixed pages.

    Deleted text of tracked changes and comments are not read. Notes stand after the paragraph that refers
    to them.
    """

    def __init__(self, file: BinaryIO, name: str, index: int = 0) -> None:
        """file: read from until the passages end; not closed. Raises DamagedDocument, PasswordNeeded."""
        self._name, self._index = name, index
        try:
            self._archive = zipfile.ZipFile(file)
            size = sum(
                entry.file_size for entry in self._archive.infolist() if entry.filename.endswith("xml")
            )
            if size > _LIMIT:
                raise DamagedDocument(f"{name}: unpacked it is larger than {_LIMIT >> 20} MiB")
            meta, manifest = (_member(self._archive, part) for part in ("meta.xml", "META-INF/manifest.xml"))
        except DamagedDocument:
            raise
        except Exception as error:  # BadZipFile, zlib.error, NotImplementedError, RuntimeError…
            raise self._damaged(error) from error
        if b"encryption-data" in manifest:
            raise PasswordNeeded(
                f"{name}: it is encrypted",
                "Open it in a word processor and save it without a password, or as PDF.",
            )
        found = parse_xml(meta) if meta else None

        def said(*tags: str) -> str:
            texts = () if found is None else (found.findtext(f".//{{*}}{tag}") or "" for tag in tags)
            return next((" ".join(text.split()) for text in texts if text.strip()), "")

        self.info = DocumentInfo(
            name=name,
            format="odt",
            title=said("title"),
            author=said("creator", "initial-creator"),
            size=os.fstat(file.fileno()).st_size,
        )

    def passages(self) -> Iterator[Passage | Skipped]:
        """Raises DamagedDocument; EmptyInput after a document without text."""
        try:
            parts = (_member(self._archive, name) for name in ("styles.xml", "content.xml"))
            target = _Target(self._archive, _Styles([parse_xml(part) for part in parts if part]))
            parser = etree.XMLParser(target=target, resolve_entities=False, no_network=True, huge_tree=False)
            parser.feed(without_entities(decode(self._archive.read("content.xml"))[0]))
            flow = parser.close()
        except Exception as error:
            raise self._damaged(error) from error
        letters = False
        for passage in flow_passages(flow, self._index):
            letters = letters or bool(passage.text.strip())
            yield passage
        if not letters:
            raise EmptyInput(f"{self._name}: there is no text in this document")

    def _damaged(self, error: Exception) -> DamagedDocument:
        why = one_line(f"{type(error).__name__}: {error}")[:200]
        return DamagedDocument(
            f"{self._name}: it cannot be read as an OpenDocument text ({why})",
            "Open it in a word processor and save it anew, or as PDF.",
        )


class _Level(NamedTuple):
    """How a level of a list is numbered."""

    format: str
    before: str
    after: str
    shown: int
    """Levels, this one included."""
    start: int


class _Styles:
    """Which paragraphs are titles, and how lists and headings are numbered."""

    def __init__(self, roots: list[etree._Element | None]) -> None:
        self._parents: dict[str, str] = {}
        self._levels: dict[tuple[str, int], _Level] = {}
        for root in roots:
            if root is None:
                continue
            for style in root.iter("{*}style"):
                values = _values(style.attrib)
                self._parents[values.get("style:name", "")] = values.get("style:parent-style-name", "")
            for each in root.iter("{*}list-style", "{*}outline-style"):
                is_list = str(each.tag).endswith("}list-style")
                name = _values(each.attrib).get("style:name", "") if is_list else _OUTLINE
                for level in each:
                    if isinstance(level.tag, str):
                        self._add(name, _values(level.attrib))

    def _add(self, name: str, values: Mapping[str, str]) -> None:
        place = _whole(values.get("text:level"), 0)
        if place and values.get("style:num-format"):
            self._levels[name, place] = _Level(
                _FORMATS.get(values["style:num-format"], "decimal"),
                values.get("style:num-prefix", ""),
                values.get("style:num-suffix", ""),
                min(_whole(values.get("text:display-levels"), 1), place),
                _whole(values.get("text:start-value"), 1),
            )

    def title(self, style: str) -> str | None:
        """The heading that a paragraph is, if it is one by its style."""
        seen = set[str]()
        while style and style not in seen and style not in _TITLES:
            seen.add(style)
            style = self._parents.get(style, "")
        return _TITLES.get(style)

    def level(self, style: str, place: int) -> _Level | None:
        """None for one with bullets."""
        return self._levels.get((style, place))


class _List(NamedTuple):
    """A list that is open."""

    style: str
    place: int
    """Its level, from 1."""


class _Target:
    """What lxml calls: OpenDocument's elements, told to a Flow by the names that HTML has for them."""

    def __init__(self, archive: zipfile.ZipFile, styles: _Styles) -> None:
        self._flow = Flow()
        self._archive, self._styles = archive, styles
        self._open: list[tuple[str, str]] = []
        """(name, what the flow was told has begun; "" for nothing), from the outermost on."""
        self._skip = 0
        self._lists: list[_List] = []
        self._counts: dict[str, dict[int, int]] = {}
        """How far the lists of a style have come, by level."""
        self._label = ""
        """The number of an item, until its first paragraph begins."""
        self._blocks = 0
        """Paragraphs and headings that are open."""
        self._notes: list[list[tuple[str, str]]] = []
        """What was told in notes, until the paragraph around them ends."""
        self._note: list[tuple[str, str]] | None = None
        self._caught: list[str] | None = None
        """A note's mark or a picture's description, while it is read."""
        self._formulas: list[bool] = []
        """Of each frame that is open: whether it has a formula, whose picture says nothing more."""

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        tag, values = _short(name), _values(attributes)
        if self._skip or tag in _LEFT_OUT:
            self._skip += 1
            return
        self._open.append((tag, self._begun(tag, values)))

    def _begun(self, tag: str, values: Mapping[str, str]) -> str:
        """What the flow is told now."""
        match tag:
            case "text:list":
                return self._list(values)
            case "text:list-item":
                return self._item(values)
            case "text:p" | "text:h":
                self._blocks += 1
                return self._paragraph(tag, values)
            case "text:note":
                self._note = []
            case "text:note-citation" | "svg:title" | "svg:desc":
                self._caught = []
            case "text:s" | "text:tab":
                self._tell("data", " ")
            case "draw:frame":
                self._formulas.append(False)
            case "draw:object":
                if formula := self._formula(values.get("xlink:href", "")):
                    self._tell("data", formula)
                    if self._formulas:
                        self._formulas[-1] = True
            case _:
                there = _TAGS.get(tag, "")
                if there:
                    self._tell("start", there)
                return there
        return ""

    def end(self, name: str) -> None:
        if self._skip:
            self._skip -= 1
            return
        tag, there = self._open.pop()
        if there:
            self._tell("end", there)
        caught, said = self._caught, ""
        if caught is not None and tag in ("text:note-citation", "svg:title", "svg:desc"):
            self._caught, said = None, " ".join("".join(caught).split())
        match tag:
            case "text:note-citation":
                # Where it is referred to, and before what it says.
                note, self._note = self._note, None
                self._tell("data", f"[{said}]")
                self._note = note
                self._tell("start", "p")
                self._tell("data", f"[{said}] ")
            case "text:note":
                if self._note:
                    self._notes.append([*self._note, ("end", "p")])
                self._note = None
            case "svg:title" | "svg:desc":
                if said and not (self._formulas and self._formulas[-1]):
                    self._tell("image", said)
            case "draw:frame":
                self._formulas.pop()
            case "text:list":
                self._lists.pop()
            case "text:p" | "text:h":
                self._blocks -= 1
                if not self._blocks and self._note is None:
                    self._write_notes()

    def data(self, text: str) -> None:
        if self._caught is not None:
            self._caught.append(text)
        elif not self._skip:
            self._tell("data", text)

    def close(self) -> Flow:
        self._write_notes()
        return self._flow.close()

    def _tell(self, what: str, said: str) -> None:
        if self._note is not None:
            self._note.append((what, said))
            return
        match what:
            case "start":
                self._flow.start(said, {})
            case "end":
                self._flow.end(said)
            case "image":
                self._flow.start("img", {"alt": said})
                self._flow.end("img")
            case _:
                self._flow.data(said)

    def _write_notes(self) -> None:
        notes, self._notes = self._notes, []
        for note in notes:
            for what, said in note:
                self._tell(what, said)

    def _paragraph(self, tag: str, values: Mapping[str, str]) -> str:
        place = _whole(values.get("text:outline-level"), 1)
        heading = f"h{max(1, min(place, 6))}" if tag == "text:h" else None
        there = heading or self._styles.title(values.get("text:style-name", "")) or "p"
        self._tell("start", there)
        label, self._label = self._label, ""
        if heading and not label and values.get("text:is-list-header") != "true" and not self._lists:
            label = self._counted(_OUTLINE, place, values)
        if label:
            self._tell("data", f"{label} ")
        return there

    def _list(self, values: Mapping[str, str]) -> str:
        outer = self._lists[-1] if self._lists else None
        style = values.get("text:style-name") or (outer.style if outer else "")
        self._lists.append(_List(style, outer.place + 1 if outer else 1))
        goes_on = values.get("text:continue-numbering") == "true" or "text:continue-list" in values
        if not goes_on:
            counts = self._counts.get(style, {})
            for place in [each for each in counts if each >= self._lists[-1].place]:
                del counts[place]
        if self._styles.level(*self._lists[-1]):
            return ""
        self._tell("start", "ul")
        return "ul"

    def _item(self, values: Mapping[str, str]) -> str:
        if self._lists and self._styles.level(*self._lists[-1]):
            self._label = self._counted(*self._lists[-1], values)
            return ""
        self._tell("start", "li")
        return "li"

    def _counted(self, style: str, place: int, values: Mapping[str, str]) -> str:
        """The number of what begins now; "" for none."""
        level = self._styles.level(style, place)
        counts = self._counts.setdefault(style, {})
        start = level.start if level else 1
        now = counts[place] + 1 if place in counts else start
        counts[place] = _whole(values.get("text:start-value"), now)
        for deeper in [each for each in counts if each > place]:
            del counts[deeper]
        if level is None:
            return ""
        numbers = []
        for each in range(place - level.shown + 1, place + 1):
            of = self._styles.level(style, each)
            if of is not None:
                numbers.append(written(counts.setdefault(each, of.start), of.format))
        return f"{level.before}{'.'.join(numbers)}{level.after}".strip()

    def _formula(self, reference: str) -> str:
        """The formula in an object of the document; "" if it is something else."""
        path = posixpath.normpath(posixpath.join(reference, "content.xml"))
        data = _member(self._archive, path)
        root = parse_xml(data) if data else None
        return linear(root) if root is not None and str(root.tag).endswith("math") else ""


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    return archive.read(name) if name in archive.namelist() else b""


def _short(name: str) -> str:
    """ "text:p" for {urn:oasis:names:tc:opendocument:xmlns:text:1.0}p."""
    space, _, local = name.rpartition("}")
    space = space.removeprefix("{")
    if space.startswith(_ODF):
        name = space.removeprefix(_ODF).partition(":")[0]
        return f"{_PREFIXES.get(name, name)}:{local}"
    return f"{space.rpartition('/')[2]}:{local}"


def _values(attributes: Mapping[str, str]) -> dict[str, str]:
    return {_short(str(key)): str(value) for key, value in attributes.items()}


def _whole(text: str | None, otherwise: int) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 7 else otherwise
