"""EPUB books, in reading order."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import BinaryIO, Final, cast

from msgspec.structs import replace

from memread.errors import DamagedDocument, EmptyInput, NoTextLayer
from memread.ingest.contents import Contents, Target, read_contents
from memread.ingest.flow import Flow
from memread.ingest.markup import decode, parse_xhtml
from memread.ingest.package import Archive, Item, Package, Unreadable, damaged, read_package, refuse_drm
from memread.ingest.passages import cut
from memread.ingest.selection import Selection
from memread.ingest.units import Begun, held_back, why
from memread.types import DocumentInfo, Locator, Passage, Skipped

_PICTURES: Final = "only pictures"


def _read_package(archive: Archive) -> Package:
    """By EbookLib where it is installed; by memread's own reader without it, or when EbookLib dies of a book.

    Raises DamagedDocument."""
    try:
        from memread.ingest import ebooklib_package
    except ImportError:
        return read_package(archive)
    try:
        return ebooklib_package.read_package(archive)
    except Exception:  # it lets through whatever lxml, zipfile and its own code raise
        return read_package(archive)


class EpubReading:
    """An open book. Its text comes in the order of the spine, whatever the manifest says; parts that are
    not linear (notes, answers) at their place too."""

    def __init__(
        self,
        file: BinaryIO,
        name: str,
        index: int = 0,
        selection: Selection | None = None,
    ) -> None:
        """file: read from until the passages end; not closed. selection: what is asked for; all is given all
        the same.

        Raises DrmProtected, DamagedDocument, OSError."""
        self._name, self._index, self._selection = name, index, selection
        self._archive = Archive(file, name)
        refuse_drm(self._archive)
        self._package = _read_package(self._archive)
        if not self._package.spine:
            raise damaged(name, "it has no chapters")
        contents = read_contents(self._archive, self._package)
        if selection is not None and contents.unread:
            self._refuse_unknown(selection, contents)
        self._chapters = _by_path(contents.chapters)
        self._pages = _by_path(contents.pages)
        self.info = DocumentInfo(
            name=name,
            format="epub",
            title=self._package.title,
            author=self._package.author,
            pages=len(contents.pages) or None,
            chapters=len(contents.chapters) or None,
            size=os.fstat(file.fileno()).st_size,
        )

    def _refuse_unknown(self, selection: Selection, contents: Contents) -> None:
        """Raises DamagedDocument when the book may have what is asked for, but what would tell is lost."""
        if (selection.kind == "pages" and not contents.pages) or (
            selection.kind == "chapters" and not contents.chapters
        ):
            raise DamagedDocument(
                f"{self._name}: where its {selection.kind} begin cannot be told ({contents.unread})",
                f"Without --{selection.kind} all of it can be read.",
            )

    def passages(self) -> Iterator[Passage | Skipped]:
        """After a book without any text raises NoTextLayer (pictures), DamagedDocument, EmptyInput."""
        return held_back(self.units())

    def units(self, start: Begun | None = None) -> Iterator[Passage | Skipped | Begun]:
        """As passages(), and a Begun before each file. start: go on with that one, or after it."""
        spine = self._package.spine
        sizes = [max(1, self._archive.size(item.path)) for item in spine]
        total, done = sum(sizes), 0
        begun = start or Begun(0, Locator(document=self._index))
        place, written, failed = begun.place, begun.written, begun.failed
        for number, (item, size) in enumerate(zip(spine, sizes, strict=True)):
            path = self._archive.find(item.path) or item.path
            if number >= begun.number + begun.lost:
                place = self._begin(place, path)
                pages, chapters = self._titles(path)
                yield Begun(number, place, written, failed, pages, chapters)
                parts, after, letters = self._file(item, path, place)
                if letters and not written:
                    written = True
                    yield Begun(number, place, written, failed, pages, chapters)
                place = after
                for part in parts:
                    if isinstance(part, Passage):
                        assert part.fraction is not None
                        part = _with_fraction(part, (done + part.fraction * size) / total)
                    yield part
                if parts and not letters:
                    picture = isinstance(parts[0], Passage)
                    failed = _PICTURES if picture else failed or cast(Skipped, parts[0]).reason
            elif number == begun.number:
                place = self._through(place, item, path)
            done += size
        if not written:
            if not failed:
                raise EmptyInput(f"{self._name}: there is no text in its chapters")
            if failed != _PICTURES:
                raise damaged(self._name, f"none of its chapters can be read ({failed})")
            raise NoTextLayer(
                f"{self._name}: a book of pictures, without text",
                "Recognise its text first (OCR), and read the result.",
            )

    def _file(self, item: Item, path: str, place: Locator) -> tuple[list[Passage | Skipped], Locator, int]:
        """The parts of a file of the spine, the place after it, and how many letters it has."""
        parts: list[Passage | Skipped] = []
        try:
            flow = self._flow(item, path)
            if isinstance(flow, str):
                return [self._unread(place, path, flow)], self._through(place, item, path), 0
            after = place
            for passage in self._cut(place, path, flow):
                parts.append(passage)
                after = passage.locator
        except Exception as error:  # MemoryError, RecursionError, whatever a parser lets through
            failed = f"{path}: reading it failed ({why(error)})"
            return [self._unread(place, path, failed)], self._through(place, item, path), 0
        parts += self._missing(after, path, flow)
        after = self._after(after, path, flow)
        if flow.lost:
            parts.append(Skipped(after, f"{path}: {flow.lost:,} undecodable bytes in it, shown as �"))
        return parts, after, flow.letters

    def _flow(self, item: Item, path: str) -> Flow | str:
        """The text of a part, or why there is none."""
        if item.media_type == "missing":
            return f"{item.path}: it is in the reading order but not in the book"
        if not item.is_text:
            return f"{path}: {item.media_type or 'of an unknown type'}, not text"
        try:
            text, lost = decode(self._archive.read(path))
        except Unreadable as error:
            return f"{path}: {error}"
        wanted = (*self._chapters.get(path, ()), *self._pages.get(path, ()))
        flow = parse_xhtml(text, frozenset(target.fragment for target in wanted if target.fragment))
        if not flow.text.strip() and not flow.marks and any(target.fragment for target in wanted):
            return f"{path}: there is nothing in it"
        flow.lost = lost
        return flow

    def _titles(self, path: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The pages and the chapters that begin in a file, as Skipped has them."""
        return _distinct(self._pages.get(path, ())), _distinct(self._chapters.get(path, ()))

    def _unread(self, place: Locator, path: str, reason: str) -> Skipped:
        return Skipped(place, reason, *self._titles(path))

    def _missing(self, place: Locator, path: str, flow: Flow) -> Iterator[Skipped]:
        """What of a file is known to be not there: its end, where it breaks off, or pages that are asked for
        and listed but marked nowhere in it.

        Who asks for nothing gets all the text of it anyway.
        """
        pages = [target.title for target in self._lost(self._pages, path, flow)]
        if flow.breaks_off:
            chapters = [target.title for target in self._lost(self._chapters, path, flow)]
            yield Skipped(place, f"{path}: it breaks off", tuple(pages), tuple(chapters))
            return
        asked = self._selection
        if asked is None or asked.kind != "pages":
            return
        if lost := [title for title in pages if asked.holds(title)]:
            more = f" and {len(lost) - 1:,} more" if len(lost) > 1 else ""
            reason = f"{path}: the beginning of page {lost[0]}{more} is not marked in it"
            yield Skipped(place, reason, tuple(lost))

    def _lost(self, listed: Mapping[str, list[Target]], path: str, flow: Flow) -> list[Target]:
        """The listed chapters or pages of a file that are not marked in it."""
        there = {(mark.kind, mark.value) for mark in flow.marks}
        return [
            target
            for target in listed.get(path, ())
            if target.fragment and not there & {("id", target.fragment), ("page", target.title)}
        ]

    def _begin(self, place: Locator, path: str) -> Locator:
        """The place at the start of a file."""
        for target in self._chapters.get(path, ()):
            if not target.fragment:
                place = _move(place, chapter=target.title)
        for target in self._pages.get(path, ()):
            if not target.fragment:
                place = _move(place, page=target.title)
        return place

    def _through(self, place: Locator, item: Item, path: str) -> Locator:
        """The place after a file that could not be read: what begins in it goes on in the next."""
        if not self._pages and (item.is_text or item.media_type == "missing"):
            # Pages are marked in the text, if at all: nobody knows how many begin in this one.
            place = replace(place, page=None)
        for target in self._chapters.get(path, ()):
            place = _move(place, chapter=target.title)
        for target in self._pages.get(path, ()):
            place = _move(place, page=target.title)
        return place

    def _moves(self, path: str, flow: Flow) -> Iterator[tuple[int, str | None, str | None]]:
        """(offset, chapter, page) of what begins in a file, in order."""
        chapters = _first(self._chapters.get(path, ()))
        pages = _first(self._pages.get(path, ()))
        there = {mark.value for mark in flow.marks if mark.kind == "id"}
        lost = [title for fragment, title in chapters.items() if fragment not in there]
        if lost and not flow.breaks_off and all(t.fragment for t in self._chapters.get(path, ())):
            # The contents name a place that is not there: the file's start is it, if no other chapter's.
            yield 0, lost[0], None
        for offset, kind, value in sorted(flow.marks, key=lambda mark: mark.offset):
            if kind == "page":
                yield offset, None, value
            elif kind == "id":
                yield offset, chapters.get(value), pages.get(value)

    def _cut(self, place: Locator, path: str, flow: Flow) -> Iterator[Passage]:
        text = flow.text
        if not text.strip():
            return
        text += "\n\n"
        moves = list(self._moves(path, flow))
        for offset, piece in cut(text, [move[0] for move in moves if move[0] < len(text) - 2]):
            while moves and moves[0][0] <= offset:
                _, chapter, page = moves.pop(0)
                place = _move(place, chapter=chapter, page=page)
            yield Passage(piece, place, (offset + len(piece)) / len(text))

    def _after(self, place: Locator, path: str, flow: Flow) -> Locator:
        """The place after a file: what begins in one without text, or at its end, goes on in the next."""
        for _, chapter, page in self._moves(path, flow):
            place = _move(place, chapter=chapter, page=page)
        listed = self._pages.get(path, ())
        if listed and listed[-1] in self._lost(self._pages, path, flow):  # it began somewhere in here
            place = _move(place, page=listed[-1].title)
        if flow.breaks_off:  # so did these
            for target in self._lost(self._chapters, path, flow):
                place = _move(place, chapter=target.title)
        return place


def _by_path(targets: list[Target]) -> dict[str, list[Target]]:
    grouped: dict[str, list[Target]] = defaultdict(list)
    for target in targets:
        grouped[target.path].append(target)
    return dict(grouped)


def _first(targets: list[Target] | tuple[()]) -> dict[str, str]:
    """The last of several titles at one place is the innermost: a part and its first chapter."""
    return {target.fragment: target.title for target in targets if target.fragment}


def _distinct(targets: list[Target] | tuple[()]) -> tuple[str, ...]:
    """What begins in a file, of several titles at one place the innermost."""
    return tuple({target.fragment: target.title for target in targets}.values())


def _move(place: Locator, *, chapter: str | None = None, page: str | None = None) -> Locator:
    return Locator(document=place.document, page=page or place.page, chapter=chapter or place.chapter)


def _with_fraction(passage: Passage, fraction: float) -> Passage:
    return Passage(passage.text, passage.locator, min(1.0, fraction))
