"""Web pages, streamed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import chain

from lxml import etree

from memread.errors import EmptyInput, FileUnreadable
from memread.ingest.decoding import Decoder, undecodable
from memread.ingest.elements import Mark
from memread.ingest.flow import Flow
from memread.ingest.markup import claimed_encoding, html_parser
from memread.ingest.passages import PASSAGE, cut
from memread.ingest.sources import Source
from memread.types import DocumentInfo, Locator, Passage, Skipped


class HtmlDocument:
    """A page. Its h1 and h2 are the chapters."""

    def __init__(self, source: Source, info: DocumentInfo, index: int = 0) -> None:
        """Reads the first bytes, for the title. Raises FileUnreadable."""
        self._source, self._index = source, index
        self.info = info
        self._head = self._read()
        # A prefix of a page, only for its title.
        flow = Flow()
        parser = html_parser(flow)
        text = Decoder(claimed_encoding(self._head)).decode(self._head, final=True)
        _feed(parser, text)
        _close(parser)
        title = " ".join(flow.title.split())
        self.info = DocumentInfo(name=info.name, format="html", title=title, size=info.size)

    def passages(self) -> Iterator[Passage | Skipped]:
        """Raises EmptyInput after a page without text, FileUnreadable."""
        decoder = Decoder(claimed_encoding(self._head))
        flow = Flow()
        parser = html_parser(flow)
        place = Locator(document=self._index)
        letters = False
        for data in chain((self._head,), iter(self._read, b""), (b"",)):
            if self._source.cancelled:
                return
            text = decoder.decode(data, final=not data)
            _feed(parser, text)
            if not data:
                _close(parser)
                flow.close()
            if data and (flow.busy or flow.written < PASSAGE):
                continue
            for passage in self._cut(place, flow, last=not data):
                place = passage.locator
                letters = letters or bool(passage.text.strip())
                yield passage
        if self._source.problem:
            yield Skipped(place, self._source.problem)
        if decoder.lost:
            yield Skipped(place, undecodable(decoder.lost))
        if not letters:
            raise EmptyInput(f"{self.info.name}: there is no text in this page")

    def _cut(self, place: Locator, flow: Flow, *, last: bool) -> Iterator[Passage]:
        text, marks = flow.take()
        if last:
            text += "\n"
        headings: list[Mark] = [mark for mark in marks if mark.kind in ("h1", "h2")]
        fraction = 1.0 if last else self._source.fraction()
        for offset, piece in cut(text, [mark.offset for mark in headings]):
            while headings and headings[0].offset <= offset:
                place = Locator(document=self._index, chapter=headings.pop(0).value)
            if piece:
                yield Passage(piece, place, fraction)

    def _read(self) -> bytes:
        try:
            return self._source.read()
        except OSError as error:
            raise FileUnreadable(f"{self.info.name}: {error.strerror or error}") from error

    def close(self) -> None:
        self._source.close()


def page_passages(page: str, index: int) -> Iterator[Passage]:
    """The passages of a page that is at hand as a whole; its h1 and h2 are the chapters."""
    flow = Flow()
    parser = html_parser(flow)
    _feed(parser, page)
    _close(parser)
    return flow_passages(flow.close(), index)


def flow_passages(flow: Flow, index: int) -> Iterator[Passage]:
    """The passages of what was told to `flow`, which is closed."""
    place = Locator(document=index)
    text = flow.text + "\n"
    headings = [mark for mark in flow.marks if mark.kind in ("h1", "h2")]
    for offset, piece in cut(text, [mark.offset for mark in headings]):
        while headings and headings[0].offset <= offset:
            place = Locator(document=index, chapter=headings.pop(0).value)
        yield Passage(piece, place, (offset + len(piece)) / len(text))


def _feed(parser: etree.HTMLParser, text: str) -> None:
    if text:
        parser.feed(text)


def _close(parser: etree.HTMLParser) -> None:
    # Nothing was fed, or nothing of it was an element: there is no more text to come.
    with contextlib.suppress(etree.LxmlError, AssertionError):
        parser.close()
