"""Targets: the readers. Bytes in, and what they promise about passages and places."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from memread.ingest.decoding import Decoder
from memread.ingest.docx import DocxReading
from memread.ingest.epub import EpubReading
from memread.ingest.html import HtmlDocument
from memread.ingest.mail import MailReading
from memread.ingest.markup import parse_xhtml
from memread.ingest.notebook import NotebookReading
from memread.ingest.pdf import PdfReading
from memread.ingest.plain import TextDocument
from memread.ingest.selection import parse
from memread.ingest.sniff import HEAD, look_into_zip, sniff
from memread.ingest.sources import GzipSource
from memread.ingest.subtitles import SubtitlesReading
from memread.ingest.wire import Lost, Message, Read
from memread.types import DocumentInfo, Locator, Passage, Skipped
from tests.fuzz.bounds import Broken
from tests.ingest.samples import CONTAINER, pdf_bytes

FOLDER = next(each for each in ("/dev/shm", tempfile.gettempdir()) if Path(each).is_dir())
"""In memory where there is such a folder: hundreds of files a second are written."""
PART = b"\n=PART=\n"
_INFO = DocumentInfo("x", "text")
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Message)


class Pieces:
    """A source (ingest/sources.py) of bytes at hand, in pieces of one size."""

    problem = ""

    def __init__(self, data: bytes, size: int) -> None:
        self._data, self._size, self._at = data, max(1, size), 0
        self.cancelled = False

    def read(self) -> bytes:
        piece = self._data[self._at : self._at + self._size]
        self._at += len(piece)
        return piece

    def fraction(self) -> float | None:
        return self._at / len(self._data) if self._data else 1.0

    def close(self) -> None:
        self.cancelled = True


def checked(parts: Iterable[Passage | Skipped]) -> str:
    """The text of all passages; raises Broken where something is not as the types say."""
    texts: list[str] = []
    fraction, page = 0.0, 0
    line: int | None = None
    for part in parts:
        wire = Lost(part) if isinstance(part, Skipped) else Read(part)
        if _decoder.decode(_encoder.encode(wire)) != wire:
            raise Broken("it does not come through the pipe as it is")
        _in_order(part.locator, page)
        page = part.locator.page_number or page
        if isinstance(part, Skipped):
            if not part.reason or part.locator.document:
                raise Broken(f"a loss without a reason or of another document: {part}")
            continue
        if part.fraction is not None:
            if not fraction <= part.fraction <= 1.0:
                raise Broken(f"fraction {part.fraction} after {fraction}")
            fraction = part.fraction
        if line is not None and part.locator.line is not None and part.locator.line != line:
            raise Broken(f"line {part.locator.line} where {line} is due")
        line = part.locator.advanced(part.text).line
        texts.append(part.text)
    return "".join(texts)


def _in_order(place: Locator, page: int) -> None:
    if place.document:
        raise Broken(f"a place in another document: {place}")
    if place.page_number is not None and place.page_number < page:
        raise Broken(f"page {place.page_number} after {page}")
    if place.line is not None and place.line < 1:
        raise Broken(f"line {place.line}")


def in_file(open_reading: Callable[[BinaryIO], Any]) -> Callable[[bytes], None]:
    """A target for readers of whole files."""

    def target(data: bytes) -> None:
        with tempfile.TemporaryFile(dir=FOLDER) as file:
            file.write(data)
            file.seek(0)
            reading = open_reading(file)
            _encoder.encode(reading.info)
            checked(reading.passages())

    return target


pdf = in_file(lambda file: PdfReading(file, "x"))
pdf_part = in_file(lambda file: PdfReading(file, "x", selection=parse("pages", "2-")))
epub = in_file(lambda file: EpubReading(file, "x"))
docx = in_file(lambda file: DocxReading(file, "x"))
mail = in_file(lambda file: MailReading(file, "x"))
notebook = in_file(lambda file: NotebookReading(file, "x"))
subtitles = in_file(lambda file: SubtitlesReading(file, "x"))

_PAGE = pdf_bytes(["SHOWN"])
_BEGIN = _PAGE.index(b"<< /Length", _PAGE.index(b"/Contents"))
_TABLE = _PAGE.index(b"\nendobj\nxref", _BEGIN)
_START = _PAGE.index(b"startxref")


def pdf_page(data: bytes) -> None:
    """What a page draws; after PART, another font of it."""
    content, _, font = data.partition(PART)
    body = b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content)
    if font:
        body += b"\nendobj\n9 0 obj\n" + font
    whole = _PAGE[:_BEGIN] + body
    table = len(whole) + len(b"\nendobj\n")
    whole += _PAGE[_TABLE:_START] + b"startxref\n%d\n%%%%EOF\n" % table
    # The file says where its objects are; one that it does not list has it searched for them.
    pdf(whole.replace(b"/F1 3 0 R", b"/F1 9 0 R") if font else whole)


def packed(names: Sequence[str], always: dict[str, str]) -> Callable[[bytes], bytes]:
    """A zip archive of the parts of the data, under these names: mutations of what is compressed are few."""

    def pack(data: bytes) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            for name, text in always.items():
                archive.writestr(name, text)
            for name, part in zip(names, data.split(PART), strict=False):
                archive.writestr(name, part)
        return out.getvalue()

    return pack


packed_epub = packed(
    ["OPS/book.opf", "OPS/a.xhtml", "OPS/nav.xhtml", "OPS/toc.ncx", "OPS/b.xhtml", "META-INF/encryption.xml"],
    {"mimetype": "application/epub+zip", "META-INF/container.xml": CONTAINER},
)
packed_docx = packed(
    [
        "word/document.xml",
        "word/styles.xml",
        "word/numbering.xml",
        "word/footnotes.xml",
        "docProps/core.xml",
        "word/_rels/document.xml.rels",
    ],
    {
        "[Content_Types].xml": "<Types xmlns='http://schemas.openxmlformats.org/package/2006/content-types'/>",
        "_rels/.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        '<Relationship Id="r" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/'
        'officeDocument" Target="word/document.xml"/></Relationships>',
    },
)


def epub_parts(data: bytes) -> None:
    epub(packed_epub(data))


def docx_parts(data: bytes) -> None:
    docx(packed_docx(data))


def html(data: bytes) -> None:
    size = 65536 if len(data) > 65536 or not data else 1 + 16 * data[-1]
    checked(HtmlDocument(Pieces(data, size), msgspec.structs.replace(_INFO, format="html")).passages())


def chapter(data: bytes) -> None:
    """XHTML, in the anchors of a book."""
    flow = parse_xhtml(data.decode("utf-8", "surrogateescape"), frozenset(("a", "b")))
    _encoder.encode(flow.text)
    if any(not 0 <= mark.offset <= len(flow.text) for mark in flow.marks):
        raise Broken("a mark outside of the text")


def plain(data: bytes) -> None:
    size = 65536 if len(data) > 65536 or not data else 1 + data[-1]
    text = checked(TextDocument(Pieces(data, size), _INFO, live=bool(data) and data[0] % 2 == 1).passages())
    if data.isascii() and b"\x00" not in data and b"\r" not in data and text != data.decode():
        raise Broken("plain ASCII does not come out as it is")


def decoding(data: bytes) -> None:
    """A claimed encoding, then bytes in pieces: no more of them is lost than there are."""
    claim, _, rest = data.partition(b"\n")
    decoder = Decoder(claim.decode("latin-1") if claim else None)
    size = 1 + (rest[0] if rest else 0)
    text = "".join(decoder.decode(rest[at : at + size]) for at in range(0, len(rest), size))
    text += decoder.decode(b"", final=True)
    if not 0 <= decoder.lost <= len(rest):
        raise Broken(f"{decoder.lost} bytes of {len(rest)} lost")
    text.encode("utf-8", "surrogatepass")


def gzip(data: bytes) -> None:
    source = GzipSource(Pieces(data, 1 + (data[-1] if data else 0)))
    length = 0
    while piece := source.read():
        length += len(piece)
        if len(piece) > 65536:
            raise Broken("more than a piece at a time")
        if length > 64 << 20:
            break
    _ = source.problem


def sniffing(data: bytes) -> None:
    """What a file is, by its first bytes and its name."""
    name, _, head = data.partition(b"\n")
    shown = name.decode("utf-8", "replace")
    if sniff(head[:HEAD], shown).kind == "zip":
        look_into_zip(io.BytesIO(head), shown)
