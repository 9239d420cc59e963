"""EPUB books, in reading order."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from typing import BinaryIO

from memread.errors import NoTextLayer
from memread.ingest.contents import Target, read_contents
from memread.ingest.flow import Flow
from memread.ingest.markup import decode, parse_xhtml
from memread.ingest.package import Archive, Item, Package, Unreadable, damaged, read_package, refuse_drm
from memread.ingest.passages import cut
from memread.types import DocumentInfo, Locator, Passage, Skipped


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
    ) -> None:
        """file: read from until the passages end; not closed.

        Raises DrmProtected, DamagedDocument, OSError."""
        self._name, self._index = name, index
        self._archive = Archive(file, name)
        refuse_drm(self._archive)
        self._package = _read_package(self._archive)
        if not self._package.spine:
            raise damaged(name, "it has no chapters")
        contents = read_contents(self._archive, self._package)
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

    def passages(self) -> Iterator[Passage | Skipped]:
        """Raises NoTextLayer after a book that has no text at all."""
        spine = self._package.spine
        sizes = [max(1, self._archive.size(item.path)) for item in spine]
        total, done, letters = sum(sizes), 0, 0
        place = Locator(document=self._index)
        held: list[Passage | Skipped] = []
        for item, size in zip(spine, sizes, strict=True):
            path = self._archive.find(item.path) or item.path
            flow = self._flow(item, path)
            if isinstance(flow, str):
                place = self._begin(place, path)
                held.append(Skipped(place, flow))
            else:
                letters += flow.letters
                for passage in self._cut(place, path, flow):
                    place = passage.locator
                    assert passage.fraction is not None
                    held.append(_with_fraction(passage, (done + passage.fraction * size) / total))
                place = self._after(place, path, flow)
                if flow.lost:
                    held.append(Skipped(place, f"{path}: {flow.lost:,} undecodable bytes in it, shown as �"))
            done += size
            # Until there are words it may be a book of pictures, which is no reading at all.
            if letters:
                yield from held
                held = []
        if not letters:
            lost = [part for part in held if isinstance(part, Skipped)]
            if lost and len(lost) == len(held):
                raise damaged(self._name, f"none of its chapters can be read ({lost[0].reason})")
            raise NoTextLayer(
                f"{self._name}: a book of pictures, without text",
                "Recognise its text first (OCR), and read the result.",
            )

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
        flow.lost = lost
        return flow

    def _begin(self, place: Locator, path: str) -> Locator:
        """The place at the start of a file."""
        for target in self._chapters.get(path, ()):
            if not target.fragment:
                place = _move(place, chapter=target.title)
        for target in self._pages.get(path, ()):
            if not target.fragment:
                place = _move(place, page=target.title)
        return place

    def _moves(self, path: str, flow: Flow) -> Iterator[tuple[int, str | None, str | None]]:
        """(offset, chapter, page) of what begins in a file, in order."""
        chapters = _first(self._chapters.get(path, ()))
        pages = _first(self._pages.get(path, ()))
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
        place = self._begin(place, path)
        moves = list(self._moves(path, flow))
        for offset, piece in cut(text, [move[0] for move in moves if move[0] < len(text) - 2]):
            while moves and moves[0][0] <= offset:
                _, chapter, page = moves.pop(0)
                place = _move(place, chapter=chapter, page=page)
            yield Passage(piece, place, (offset + len(piece)) / len(text))

    def _after(self, place: Locator, path: str, flow: Flow) -> Locator:
        """The place after a file: what begins in one without text, or at its end, goes on in the next."""
        if not flow.text.strip():
            place = self._begin(place, path)
        for _, chapter, page in self._moves(path, flow):
            place = _move(place, chapter=chapter, page=page)
        return place


def _by_path(targets: list[Target]) -> dict[str, list[Target]]:
    grouped: dict[str, list[Target]] = defaultdict(list)
    for target in targets:
        grouped[target.path].append(target)
    return dict(grouped)


def _first(targets: list[Target] | tuple[()]) -> dict[str, str]:
    """The last of several titles at one place is the innermost: a part and its first chapter."""
    return {target.fragment: target.title for target in targets if target.fragment}


def _move(place: Locator, *, chapter: str | None = None, page: str | None = None) -> Locator:
    return Locator(document=place.document, page=page or place.page, chapter=chapter or place.chapter)


def _with_fraction(passage: Passage, fraction: float) -> Passage:
    return Passage(passage.text, passage.locator, min(1.0, fraction))
