"""Real EPUBs and PDFs, made on the spot, and the samples beside the checkout where there are any."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from pypdf import PageObject, PdfReader, PdfWriter

from memread.types import Passage, Skipped

_SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"

CONTAINER = (
    '<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="OPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
)
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(64)


def shared(name: str) -> str:
    """A sample file, or the test is skipped."""
    path = _SHARED / name
    if not path.exists():
        pytest.skip(f"no sample file {name}")
    return str(path)


def text_of(parts: Sequence[Passage | Skipped]) -> str:
    return "".join(part.text for part in parts if isinstance(part, Passage))


def skipped(parts: Sequence[Passage | Skipped]) -> list[Skipped]:
    return [part for part in parts if isinstance(part, Skipped)]


def xhtml(body: str, head: str = "<title>T</title>") -> str:
    return (
        '<?xml version="1.0" encoding="utf-8"?><!DOCTYPE html>'
        '<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops">'
        f"<head>{head}</head><body>{body}</body></html>"
    )


def nav(*entries: tuple[str, str], pages: Sequence[tuple[str, str]] = ()) -> str:
    def listed(kind: str, links: Sequence[tuple[str, str]]) -> str:
        items = "".join(f'<li><a href="{href}">{title}</a></li>' for href, title in links)
        return f'<nav epub:type="{kind}"><ol>{items}</ol></nav>'

    return xhtml(listed("toc", entries) + (listed("page-list", pages) if pages else ""))


def ncx(*entries: tuple[str, str]) -> str:
    points = "".join(
        f'<navPoint><navLabel><text>{title}</text></navLabel><content src="{href}"/></navPoint>'
        for href, title in entries
    )
    return f'<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap>{points}</navMap></ncx>'


def epub(
    path: Path,
    files: dict[str, str | bytes],
    *,
    spine: Sequence[str] | None = None,
    types: dict[str, str] | None = None,
    missing: Sequence[str] = (),
    extra: dict[str, str | bytes] | None = None,
    opf: str | None = None,
    container: str | None = CONTAINER,
) -> str:
    """A book with `files` in its manifest, in that order. "nav.xhtml" and "toc.ncx" are what they say.

    spine: names, with a "~" before those that are not linear. missing: listed but not there.
    extra: archive entries outside the manifest.
    """
    types = types or {}
    items = []
    for name in (*files, *missing):
        media = types.get(name) or {
            "ncx": "application/x-dtbncx+xml",
            "png": "image/png",
            "css": "text/css",
        }.get(name.rpartition(".")[2], "application/xhtml+xml")
        properties = ' properties="nav"' if name == "nav.xhtml" else ""
        items.append(f'<item id="{_id(name)}" href="{name}" media-type="{media}"{properties}/>')
    chosen = (
        spine
        if spine is not None
        else [name for name in files if name.endswith("html") and name != "nav.xhtml"]
    )
    linear = {True: ' linear="no"', False: ""}
    refs = "".join(f'<itemref idref="{_id(name.lstrip("~"))}"{linear[name[0] == "~"]}/>' for name in chosen)
    toc = ' toc="toc_ncx"' if "toc.ncx" in files else ""
    package = opf or (
        '<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id">'
        '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:identifier id="id">x</dc:identifier>'
        "<dc:title>The &amp; Book</dc:title>"
        "<dc:creator>A. Author</dc:creator><dc:creator>B. Other</dc:creator>"
        f"</metadata><manifest>{''.join(items)}</manifest><spine{toc}>{refs}</spine></package>"
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/epub+zip", zipfile.ZIP_STORED)
        if container is not None:
            archive.writestr("META-INF/container.xml", container)
        archive.writestr("OPS/book.opf", package)
        for name, data in files.items():
            archive.writestr(f"OPS/{name}", data)
        for name, data in (extra or {}).items():
            archive.writestr(name, data)
    return str(path)


def _id(name: str) -> str:
    return name.replace(".", "_").replace("/", "_")


def pdf_bytes(pages: Sequence[str | None]) -> bytes:
    """A PDF written by hand: a page a text, lines kept; None is a page with nothing but a picture."""
    objects: list[bytes] = [b"<< /Type /Catalog /Pages 2 0 R >>", b""]
    kids = []
    font, image = 3, 4
    objects.append(b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>")
    objects.append(
        b"<< /Type /XObject /Subtype /Image /Width 1 /Height 1 /ColorSpace /DeviceGray /BitsPerComponent 8 "
        b"/Length 1 >>\nstream\n\x80\nendstream"
    )
    for text in pages:
        if text is None:
            content = b"q 500 0 0 700 50 50 cm /Im0 Do Q"
        else:
            lines = text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)").split("\n")
            shown = b" ".join(b"(" + line.encode("cp1252") + b") Tj T*" for line in lines)
            content = b"BT /F1 12 Tf 14 TL 72 720 Td " + shown + b" ET"
        number = len(objects) + 1
        kids.append(number)
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents %d 0 R"
            b" /Resources << /Font << /F1 %d 0 R >> /XObject << %s >> >> >>"
            % (number + 1, font, b"/Im0 %d 0 R" % image if text is None else b"")
        )
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content))
    objects[1] = b"<< /Type /Pages /Count %d /Kids [%s] >>" % (
        len(kids),
        b" ".join(b"%d 0 R" % kid for kid in kids),
    )
    out = io.BytesIO()
    out.write(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    start = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.writelines(b"%010d 00000 n \n" % offset for offset in offsets)
    out.write(b"trailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start))
    return out.getvalue()


def pdf_writer(pages: Sequence[str | None]) -> PdfWriter:
    """For outlines, labels and passwords."""
    writer = PdfWriter()
    page: PageObject
    for page in PdfReader(io.BytesIO(pdf_bytes(pages))).pages:
        writer.add_page(page)
    return writer


def write_pdf(path: Path, pages: Sequence[str | None], *, password: str | None = None) -> str:
    if password is None:
        path.write_bytes(pdf_bytes(pages))
        return str(path)
    writer = pdf_writer(pages)
    writer.encrypt(user_password=password, algorithm="AES-256")
    writer.write(str(path))
    return str(path)
