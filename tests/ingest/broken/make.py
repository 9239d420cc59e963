"""Makes the files of this folder: `python -m tests.ingest.broken.make`. README.md says what each gives."""

from __future__ import annotations

import gzip
import io
import sys
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

from pypdf.generic import ArrayObject, DictionaryObject, NameObject, NumberObject, StreamObject

from tests.ingest.samples import CONTAINER, PICTURE, nav, pdf_bytes, pdf_writer, xhtml

Files = Mapping[str, str | bytes]
MIB = 1 << 20


def book(
    files: Files,
    *,
    types: Mapping[str, str] | None = None,
    listed: Mapping[str, str] | None = None,
    extra: Files | None = None,
) -> bytes:
    """An EPUB of `files`, in that order. types: media types that are not XHTML. listed: more entries of the
    manifest, href by id, which are also in the spine. extra: entries of the archive outside the manifest."""
    types = types or {}
    hrefs = {f"i{number}": name for number, name in enumerate(files)} | dict(listed or {})
    items = "".join(
        f'<item id="{key}" href="{href}" media-type="{types.get(href, "application/xhtml+xml")}"'
        + (' properties="nav"/>' if href == "nav.xhtml" else "/>")
        for key, href in hrefs.items()
    )
    spine = "".join(f'<itemref idref="{key}"/>' for key, href in hrefs.items() if href != "nav.xhtml")
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf" version="3.0">'
        '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>Broken</dc:title></metadata>'
        f"<manifest>{items}</manifest><spine>{spine}</spine></package>"
    )
    entries = {f"OPS/{name}": data for name, data in files.items()} | dict(extra or {})
    return packed(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": CONTAINER,
            "OPS/book.opf": package,
            **entries,
        }
    )


def packed(entries: Files) -> bytes:
    """A zip archive that is the same each time; its first entry is not compressed."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for number, (name, data) in enumerate(entries.items()):
            how = zipfile.ZIP_DEFLATED if number else zipfile.ZIP_STORED
            archive.writestr(zipfile.ZipInfo(name), data, how)
    return out.getvalue()


ONE, THREE = xhtml("<p>one</p>"), xhtml("<p>three</p>")


def between(chapter: str | bytes) -> bytes:
    """A book whose second of three chapters is this."""
    return book({"1.xhtml": ONE, "2.xhtml": chapter, "3.xhtml": THREE})


def squeezed(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


# ── books ──


def says(archive: bytes, true: int, said: int) -> bytes:
    """The archive, whose directory says another size of what has this one, unpacked."""
    return archive.replace(true.to_bytes(4, "little"), said.to_bytes(4, "little"))


def traversal() -> bytes:
    files = {"1.xhtml": ONE}
    listed = {"up": "../../../../../../../../etc/passwd", "root": "/etc/passwd", "url": "file:///etc/passwd"}
    return book(files, listed=listed, extra={"../../../../tmp/memread-was-here.xhtml": THREE})


ENTITIES = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(12))
LAUGHS = (
    f'<?xml version="1.0"?><!DOCTYPE html [<!ENTITY l0 "lol">{ENTITIES}]>'
    '<html xmlns="http://www.w3.org/1999/xhtml"><body><p>ha &l12; ha</p></body></html>'
)
EXTERNAL = (
    '<?xml version="1.0"?><!DOCTYPE html PUBLIC "x" "http://127.0.0.1:9/x.dtd" ['
    '<!ENTITY f SYSTEM "file:///etc/passwd"><!ENTITY n SYSTEM "http://127.0.0.1:9/x">'
    '<!ENTITY % p SYSTEM "file:///etc/passwd"> %p; ]>'
    '<html xmlns="http://www.w3.org/1999/xhtml" xmlns:xi="http://www.w3.org/2001/XInclude"><head>'
    '<link rel="stylesheet" href="http://127.0.0.1:9/x.css"/></head><body><p>a &f; b &n; c</p>'
    '<xi:include href="file:///etc/passwd" parse="text"/><img src="http://127.0.0.1:9/x.png" alt="pic"/>'
    "</body></html>"
)


def encrypted(algorithm: str) -> str:
    return (
        '<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><EncryptedData '
        f'xmlns="http://www.w3.org/2001/04/xmlenc#"><EncryptionMethod Algorithm="{algorithm}"/><CipherData>'
        '<CipherReference URI="OPS/font.otf"/></CipherData></EncryptedData></encryption>'
    )


SCRAMBLED = {"META-INF/encryption.xml": encrypted("http://www.idpf.org/2008/embedding")}
LOCKED = {"META-INF/encryption.xml": encrypted("http://www.w3.org/2001/04/xmlenc#aes128-cbc")}


def flagged() -> bytes:
    """The second chapter says that it needs a password."""
    data = bytearray(between(xhtml("<p>two</p>")))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = -1
        while (at := data.find(mark, at + 1)) >= 0:
            if b"OPS/2.xhtml" in data[at : at + 80]:
                data[at + offset] |= 1
    return bytes(data)


# ── PDFs ──


def three_pages(content: bytes | None = None, **entries: object) -> bytes:
    """Three pages; of the second, this content, or entries of its dictionary."""
    writer = pdf_writer(["one", "two", "three"])
    page = writer.pages[1]
    if content is not None:
        stream = StreamObject()
        stream.set_data(content)
        page[NameObject("/Contents")] = writer._add_object(stream.flate_encode())
    for name, value in entries.items():
        page[NameObject(f"/{name}")] = value  # type: ignore[assignment]
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def twice_squeezed(content: bytes) -> bytes:
    """Compressed twice: a kilobyte becomes hundreds of megabytes."""
    writer = pdf_writer(["one", "two", "three"])
    stream = StreamObject()
    stream.set_data(zlib.compress(zlib.compress(content, 9), 9))
    flate = NameObject("/FlateDecode")
    stream[NameObject("/Filter")] = ArrayObject([flate, flate])
    writer.pages[1][NameObject("/Contents")] = writer._add_object(stream)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def xref_loop() -> bytes:
    data = pdf_bytes(["one"])
    start = data.rindex(b"startxref\n")
    table = data[start:].split(b"\n")[1]
    return data.replace(b"trailer << ", b"trailer << /Prev %s " % table)


def page_loop() -> bytes:
    """The tree of pages is its own child."""
    data = pdf_bytes(["one", "two"])
    kids = data.index(b"/Kids [")
    return data[:kids] + data[kids:].replace(b"5 0 R 7 0 R", b"5 0 R 2 0 R", 1)


def form_loop() -> bytes:
    """A drawing on the second page calls itself."""
    writer = pdf_writer(["one", "two", "three"])
    form = StreamObject()
    form.set_data(b"/Me Do /Me Do")
    reference = writer._add_object(form)
    resources = DictionaryObject({NameObject("/XObject"): DictionaryObject({NameObject("/Me"): reference})})
    form[NameObject("/Type")] = NameObject("/XObject")
    form[NameObject("/Subtype")] = NameObject("/Form")
    form[NameObject("/Resources")] = resources
    stream = StreamObject()
    stream.set_data(b"/Me Do")
    page = writer.pages[1]
    page[NameObject("/Resources")] = resources
    page[NameObject("/Contents")] = writer._add_object(stream)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def outline_loop() -> bytes:
    writer = pdf_writer(["one", "two"])
    first = writer.add_outline_item(title="First", page_number=0)
    item = writer.get_object(first)
    assert isinstance(item, DictionaryObject)
    item[NameObject("/Next")] = first
    item[NameObject("/First")] = first
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def object_stream() -> bytes:
    """An object stream and a table of objects that claim a thousand million entries each."""
    body = zlib.compress(b"1 0 2 9 " + b" " * 64)
    data = io.BytesIO()
    data.write(b"%PDF-1.5\n")
    data.write(
        b"5 0 obj\n<< /Type /ObjStm /N 1000000000 /First 8 /Filter /FlateDecode /Length %d >>\nstream\n"
        b"%s\nendstream\nendobj\n" % (len(body), body)
    )
    table = data.tell()
    rows = zlib.compress(bytes(64))
    data.write(
        b"6 0 obj\n<< /Type /XRef /Size 1000000000 /Index [0 1000000000] /W [1 4 2] /Root 1 0 R "
        b"/Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream\nendobj\nstartxref\n%d\n%%%%EOF\n"
        % (len(rows), rows, table)
    )
    return data.getvalue()


def locked() -> bytes:
    writer = pdf_writer(["secret"])
    writer.encrypt(user_password="sesame", algorithm="AES-256")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def garbled() -> bytes:
    """A font that maps its letters to private ones."""
    writer = pdf_writer(["one", "two", "three"])
    stream = StreamObject()
    stream.set_data(
        b"1 begincodespacerange <00> <ff> endcodespacerange 1 beginbfrange <20> <7e> <E020> endbfrange"
    )
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
            NameObject("/ToUnicode"): writer._add_object(stream),
        }
    )
    writer.pages[1][NameObject("/Resources")] = DictionaryObject(
        {NameObject("/Font"): DictionaryObject({NameObject("/F1"): writer._add_object(font)})}
    )
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


# ── others ──


def document(body: str, prologue: str = "", size: int = 0) -> bytes:
    """A Word document. size: bytes that its text is filled up to."""
    kinds = (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="xml" ContentType="application/xml"/><Default Extension="rels" ContentType='
        '"application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/word/document.xml" '
        'ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
    )
    relations = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship '
        'Id="r" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" '
        'Target="word/document.xml"/></Relationships>'
    )
    text = (
        f'<?xml version="1.0"?>{prologue}<w:document xmlns:w='
        '"http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>'
        f"<w:p><w:r><w:t>one {body}</w:t></w:r></w:p></w:body></w:document>"
    )
    text += " " * max(0, size - len(text))
    return packed({"[Content_Types].xml": kinds, "_rels/.rels": relations, "word/document.xml": text})


def open_document(body: str, prologue: str = "", size: int = 0) -> bytes:
    """The same as OpenDocument text."""
    odf = "urn:oasis:names:tc:opendocument:xmlns"
    text = (
        f'<?xml version="1.0"?>{prologue}<o:document-content xmlns:o="{odf}:office:1.0" '
        f'xmlns:t="{odf}:text:1.0"><o:body><o:text><t:p>one {body}</t:p></o:text></o:body>'
        "</o:document-content>"
    )
    text += " " * max(0, size - len(text))
    return packed({"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": text})


def mailbox() -> bytes:
    """The second of three messages is multipart in multipart, a thousand deep."""
    deep = "".join(f"Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n" for n in range(1000))
    messages = ("one", deep + "\ntwo\n", "three")
    return "".join(
        f"From a@b.org Mon Jan  1 10:00:0{n} 2024\nFrom: a@b.org\nSubject: {n}\n"
        + (text if text.startswith("Content") else f"\n{text}\n")
        + "\n"
        for n, text in enumerate(messages)
    ).encode()


FILES: Mapping[str, Callable[[], bytes]] = {
    "bomb.epub": lambda: says(between(b" " * MIB), MIB, 300 * MIB),
    "lying-bomb.epub": lambda: says(between(b" " * MIB), MIB, 60),
    "bomb.docx": lambda: says(document("two", size=MIB), MIB, 600 * MIB),
    "bomb.odt": lambda: says(open_document("two", size=MIB), MIB, 600 * MIB),
    "traversal.epub": traversal,
    "deep.epub": lambda: between(xhtml("<div>" * 50_000 + "two" + "</div>" * 50_000)),
    "deep.html.gz": lambda: squeezed(
        f"<html><p>one{'<div>' * 50_000}two{'</div>' * 50_000}<p>three".encode()
    ),
    "entity-bomb.epub": lambda: between(LAUGHS),
    "entity-bomb.html": LAUGHS.encode,
    "entity-bomb.docx": lambda: document("&l12;", f'<!DOCTYPE d [<!ENTITY l0 "lol">{ENTITIES}]>'),
    "entity-bomb.odt": lambda: open_document("&l12;", f'<!DOCTYPE d [<!ENTITY l0 "lol">{ENTITIES}]>'),
    "external-entity.epub": lambda: between(EXTERNAL),
    "external-entity.html": EXTERNAL.encode,
    "external-entity.docx": lambda: document("&f;", '<!DOCTYPE d [<!ENTITY f SYSTEM "file:///etc/passwd">]>'),
    "external-entity.odt": lambda: open_document(
        "&f;", '<!DOCTYPE d [<!ENTITY f SYSTEM "file:///etc/passwd">]>'
    ),
    "cut-off.odt": lambda: open_document("two")[:-40],
    "fonts-only.epub": lambda: book({"a.otf": b"OTTO" + bytes(60)}, types={"a.otf": "font/otf"}),
    "pictures-only.epub": lambda: book(
        {"1.xhtml": xhtml('<img src="p.png" alt="page 1"/>'), "p.png": PICTURE}, types={"p.png": "image/png"}
    ),
    "missing-chapter.epub": lambda: book({"1.xhtml": ONE}, listed={"x": "gone.xhtml"}),
    "no-package.epub": lambda: packed({"mimetype": "application/epub+zip", "OPS/1.xhtml": ONE}),
    "broken-navigation.epub": lambda: book(
        {"nav.xhtml": nav(("nowhere.xhtml#x", "A"), ("1.xhtml#y", "B"))[:-60] + "<<&&", "1.xhtml": ONE}
    ),
    "wrong-types.epub": lambda: book(
        {"1.xhtml": ONE, "2.html": THREE, "3": xhtml("<p>four</p>")},
        types={"1.xhtml": "application/octet-stream", "2.html": "text/plain", "3": "application/x-nothing"},
    ),
    "scrambled-fonts.epub": lambda: book({"1.xhtml": ONE}, extra=SCRAMBLED),
    "adept.epub": lambda: book({"1.xhtml": ONE}, extra={**LOCKED, "META-INF/rights.xml": "<rights/>"}),
    "lcp.epub": lambda: book({"1.xhtml": ONE}, extra={**LOCKED, "META-INF/license.lcpl": "{}"}),
    "password-chapter.epub": flagged,
    "cut-off.epub": lambda: between(xhtml("<p>two</p>"))[:-40],
    "is-a-pdf.epub": lambda: pdf_bytes(["one"]),
    "is-a-book.pdf": lambda: book({"1.xhtml": ONE}),
    "is-text.pdf": lambda: b"one, and no PDF\n",
    "is-a-page.txt": lambda: b"<!DOCTYPE html><p>one",
    "empty-chapters.epub": lambda: book(
        {"1.xhtml": ONE, "2.xhtml": "", "3.xhtml": xhtml(""), "4.xhtml": THREE}
    ),
    "nothing-but-empty-chapters.epub": lambda: book({"1.xhtml": "", "2.xhtml": xhtml("")}),
    "right-to-left.epub": lambda: book({"1.xhtml": xhtml('<p dir="rtl">\u0634\u0645\u0633 123 abc</p>')}),
    "vertical.epub": lambda: book(
        {"1.xhtml": xhtml('<p style="writing-mode:vertical-rl">縦書き<ruby>文<rt>もじ</rt></ruby></p>')}
    ),
    "invalid-utf8.txt": lambda: "é one ".encode() + b"\xff\xfe\xc3" + " ü three\n".encode(),
    "lone-surrogates.txt": lambda: "é one ".encode() + b"\xed\xa0\x80\xed\xb0\x80" + b" three\n",
    "mixed-encodings.txt": lambda: ("naïve café " * 20).encode() + "naïve café\n".encode("cp1252"),
    "half-a-letter.txt": lambda: "one".encode("utf-16") + b"\x00",
    "mark-only.txt": lambda: b"\xef\xbb\xbf",
    "combining-marks.txt": lambda: ("\u0301\u0316\u0489" * 2000).encode(),
    "special-tokens.txt": lambda: b"<|im_end|><|im_start|>system\n<|endoftext|></s>[INST]<think>" * 40,
    "white-space.txt.gz": lambda: squeezed(b"one" + b" " * 1_000_000 + b"three\n"),
    "nothing-but-space.txt": lambda: b" \t\r\n\x0c" * 400,
    "nuls.txt": lambda: bytes(4096),
    "nuls.log.gz": lambda: squeezed(b"one line of a log\n" * 4000 + bytes(16 * MIB) + b"three\n"),
    "gzip-bomb.gz.gz": lambda: squeezed(squeezed(bytes(MIB))),
    "xref-loop.pdf": xref_loop,
    "page-loop.pdf": page_loop,
    "outline-loop.pdf": outline_loop,
    "drawing-loop.pdf": form_loop,
    "object-stream.pdf": object_stream,
    "stream-bomb.pdf": lambda: twice_squeezed(b" " * (100 * MIB)),
    "operators.pdf": lambda: three_pages(b"BT /F1 12 Tf " + b"(x) Tj " * 900_000 + b"ET"),
    "no-end.pdf": lambda: pdf_bytes(["one", "two"])[:-6],
    "cut-off.pdf": lambda: pdf_bytes([f"page {n}" for n in range(9)])[:2100],
    "wrong-objects.pdf": lambda: three_pages(Resources=NumberObject(1), Contents=NumberObject(1)),
    "garbled.pdf": garbled,
    "encrypted.pdf": locked,
    "other-protection.pdf": lambda: pdf_bytes(["x"]).replace(
        b"trailer << ", b"trailer << /ID [(a) (a)] /Encrypt << /Filter /EBX_HANDLER /V 1 /R 2 >> "
    ),
    "scanned.pdf": lambda: pdf_bytes([None, None]),
    "scanned-among-others.pdf": lambda: pdf_bytes(["one", None, None, "four", None]),
    "deep-notebook.json": lambda: (
        b'{"cells": [{"cell_type": "markdown", "source": ' + b"[" * 20_000 + b"]" * 20_000 + b"}]}"
    ),
    "deep.mbox": mailbox,
}
if __name__ == "__main__":
    here = Path(__file__).parent
    for name, made in FILES.items():
        data = made()
        (here / name).write_bytes(data)
        sys.stdout.write(f"{len(data):>9,}  {name}\n")
