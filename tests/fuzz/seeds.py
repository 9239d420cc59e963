"""What fuzzing begins from: small documents of every kind, made here or cut out of the book that ships."""

# ruff: noqa: E501

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from functools import cache
from pathlib import Path

from memread.events import RunStarted, to_dict
from memread.journal.identity import encode
from tests.fixtures.gguf_model import write_tiny_gguf
from tests.fuzz.documents import PART, packed_docx
from tests.ingest import samples
from tests.journal.readings import STARTED, rejected, update

REPEAT = b"\xfe\xfe"
"""head REPEAT unit REPEAT tail: for the "-long" targets the unit many times over."""
_BOOK = Path(__file__).parents[2] / "examples" / "alice.epub"


@cache
def _book() -> dict[str, bytes]:
    """The package, table of contents and first pages of the book that ships, cut small."""
    with zipfile.ZipFile(_BOOK) as archive:
        names = archive.namelist()
        chapters = sorted(name for name in names if name.endswith((".xhtml", ".html", ".htm")))
        package = archive.read(next(name for name in names if name.endswith(".opf")))
        return {
            "package": package[:3500],
            "chapter": archive.read(chapters[len(chapters) // 2])[:3000],
            "other": archive.read(chapters[0])[:1500],
        }


def pdfs() -> list[bytes]:
    out = io.BytesIO()
    writer = samples.pdf_writer(["i", "One\nTwo", None])
    writer.add_outline_item(title="Loomings", page_number=1)
    writer.set_page_label(0, 0, style="/r")
    writer.set_page_label(1, 2, style="/D")
    writer.add_metadata({"/Title": "A title", "/Author": "Somebody"})
    writer.write(out)
    locked = io.BytesIO()
    writer.encrypt(user_password="", algorithm="RC4-128")
    writer.write(locked)
    return [
        samples.pdf_bytes(["One", "Two (2)"]),
        samples.pdf_bytes(["One", None]),
        out.getvalue(),
        locked.getvalue(),
    ]


def pages() -> list[bytes]:
    simple = (
        b"<< /Type /Font /Subtype /Type1 /BaseFont /X /Encoding << /Differences [65 /alpha /B 70 /g1] >> >>"
    )
    wide = (
        b"<< /Type /Font /Subtype /Type0 /BaseFont /X /Encoding /Identity-H /DescendantFonts ["
        b"<< /Type /Font /Subtype /CIDFontType2 /W [1 [500 600] 3 5 700] /DW 9 >>] /ToUnicode 10 0 R >>\nendobj\n"
        b"10 0 obj\n<< /Length 160 >>\nstream\nbegincmap 1 begincodespacerange <00> <FFFF> endcodespacerange 2 beginbfchar"
        b" <01> <0041> <02> <D83DDE00> endbfchar 1 beginbfrange <03> <09> <0061> endbfrange endcmap\nendstream"
    )
    return [
        b"BT /F1 12 Tf 14 TL 72 720 Td (One) Tj T* (Two) Tj ET",
        b"q 1 0 0 1 50 50 cm BT /F1 9 Tf [(A) -200 (B) 30 <4344>] TJ ET Q /Im0 Do",
        b"BT /F1 1 Tf 12 0 0 12 9 9 Tm (x) ' (y) \" T* ET BI /W 1 /H 1 /BPC 8 /CS /G ID x EI",
        b"BT /F1 9 Tf (ABF) Tj ET" + PART + simple,
        b"BT /F1 9 Tf <00010002000300040005> Tj ET" + PART + wide,
        b"BT /F1 12 Tf " + REPEAT + b"(x) Tj 0 1 Td " + REPEAT + b"ET",
        REPEAT + b"q BT " + REPEAT,
    ]


def epub_parts() -> list[bytes]:
    book = _book()
    chapter = samples.xhtml('<h1 id="a">One</h1><p>Words<sup><a href="#n">1</a></sup> x<sup>2</sup></p>')
    items = (
        ("a", "a.xhtml", "application/xhtml+xml", ""),
        ("n", "nav.xhtml", "application/xhtml+xml", ' properties="nav"'),
        ("t", "toc.ncx", "application/x-dtbncx+xml", ""),
        ("b", "b.xhtml", "text/html", ""),
    )
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata '
        'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>T</dc:title><dc:creator>A</dc:creator></metadata>'
        "<manifest>"
        + "".join(f'<item id="{i}" href="{h}" media-type="{m}"{p}/>' for i, h, m, p in items)
        + '</manifest><spine toc="t"><itemref idref="a"/><itemref idref="b" linear="no"/></spine></package>'
    )
    contents = samples.nav(("a.xhtml#a", "One"), ("b.xhtml", "Two"), pages=[("a.xhtml#b", "7")])
    parts = (package, chapter, contents, samples.ncx(("a.xhtml#a", "One")))
    plain = PART.join(part.encode() for part in parts)
    return [
        PART.join((plain, book["other"])),
        PART.join((package.encode(), book["chapter"])),
        book["package"],
        PART.join((package.encode(), b"<html><body>" + REPEAT + b"<p>a" + REPEAT + b"</body></html>")),
        PART.join(
            (plain, b"x", b'<encryption><EncryptedData><EncryptionMethod Algorithm="x#y"/></EncryptedData>')
        ),
    ]


def epubs() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.epub"
        files: dict[str, str | bytes] = {
            "a.xhtml": samples.xhtml("<h1>One</h1><p>Words</p>"),
            "nav.xhtml": samples.nav(("a.xhtml", "One")),
        }
        samples.epub(path, files, missing=["gone.xhtml"], spine=["a.xhtml", "gone.xhtml"])
        return [path.read_bytes()]


_WORD = "xmlns:w='http://schemas.openxmlformats.org/wordprocessingml/2006/main'"


def docx_parts() -> list[bytes]:
    def paragraph(text: str, style: str = "") -> str:
        kind = f"<w:pPr><w:pStyle w:val='{style}'/></w:pPr>" if style else ""
        return f"<w:p>{kind}<w:r><w:t xml:space='preserve'>{text}</w:t></w:r></w:p>"

    table = (
        f"<w:tbl><w:tr><w:tc>{paragraph('a')}</w:tc><w:tc><w:tcPr><w:vMerge/></w:tcPr></w:tc></w:tr></w:tbl>"
    )
    body = (
        paragraph("Head", "Heading1")
        + paragraph("Words")
        + table
        + "<w:p><w:pPr><w:numPr><w:ilvl w:val='0'/><w:numId w:val='1'/></w:numPr></w:pPr></w:p>"
        + "<w:p><w:r><w:footnoteReference w:id='1'/><w:tab/><w:br/></w:r><w:hyperlink w:anchor='x'/></w:p>"
    )
    style = "<w:style w:type='paragraph' w:styleId='Heading1'><w:name w:val='heading 1'/></w:style>"
    numbers = (
        "<w:abstractNum w:abstractNumId='1'><w:lvl w:ilvl='0'><w:numFmt w:val='decimal'/></w:lvl>"
        "</w:abstractNum><w:num w:numId='1'><w:abstractNumId w:val='1'/></w:num>"
    )
    parts = (
        f"<w:document {_WORD}><w:body>{body}</w:body></w:document>",
        f"<w:styles {_WORD}>{style}</w:styles>",
        f"<w:numbering {_WORD}>{numbers}</w:numbering>",
        f"<w:footnotes {_WORD}><w:footnote w:id='1'>{paragraph('note')}</w:footnote></w:footnotes>",
    )
    return [PART.join(part.encode() for part in parts), parts[0].encode()]


def docxs() -> list[bytes]:
    return [packed_docx(data) for data in docx_parts()]


def pages_of_html() -> list[bytes]:
    return [
        (
            b"<title>T</title><meta charset=utf-8></head><body><h1>A</h1><p>b<br>c<table><tr><td>1<td>2"
            b"</table><pre>\n x\n</pre><ul><li>a<li>b</ul><ruby>x<rt>y</ruby></body>"
        ),
        b"<p>" + REPEAT + b"<div><table><tr><td>x" + REPEAT + b"</p>",
        b"<!DOCTYPE html [" + REPEAT + b"<!DOCTYPE [" + REPEAT,
        b"<?xml" + REPEAT + b" <?xml" + REPEAT,
        b"<p>x" + REPEAT + b"<ul><li>x" + REPEAT,
        b"<p>x" + REPEAT + b"<blockquote>x" + REPEAT,
        b"<table>" + REPEAT + b"<tr><td>x<td>" + REPEAT,
        b"\xff\xfe<\0p\0>\0a\0",
        _book()["chapter"],
    ]


def chapters() -> list[bytes]:
    return [_book()["chapter"], _book()["other"], *pages_of_html()[:-2], REPEAT + b"  \n" + REPEAT + b"<p>x"]


def texts() -> list[bytes]:
    return [
        b"One line.\nTwo lines.\r\n\r\nThree\n",
        b"old\rmac\rlines\r",
        "Ünïcödé \U0001f468\u200d\U0001f469 日本語。\n".encode(),
        "Frühstück für Müßiggänger\n".encode("cp1252") * 3,
        "日本語のテキスト\n".encode("shift_jis") * 4,
        "\ufeffwide\n".encode("utf-16"),
        b"a\0b\0\0\0c\n",
        b"x" + REPEAT + b" \t" + REPEAT + b"y",
        b"\xed\xa0\x80\xff\xfe\x80 broken",
    ]


def encodings() -> list[bytes]:
    return [
        name + b"\n" + text
        for name in (b"", b"utf-16", b"shift_jis", b"utf-7", b"hz")
        for text in texts()[2:6]
    ]


def mails() -> list[bytes]:
    simple = (
        b"From: a@b.c\nTo: =?utf-8?q?=C3=9C?= <x@y.z>\nSubject: =?utf-8?b?w5w=?= tarts\n"
        b"Date: Mon, 1 Jan 2024 00:00:00 +0000\n"
    )
    mixed = simple + (
        b"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=X\n\n--X\nContent-Type: "
        b"text/html; charset=x-unknown\n\n<p>a\xff</p>\n--X\nContent-Type: message/rfc822\n\nSubject: inner\n\n"
        b'body\n--X\nContent-Disposition: attachment; filename="a.bin"\n\nxx\n--X--\n'
    )
    encoded = simple + b"Content-Transfer-Encoding: base64\nContent-Type: text/plain; charset=utf-8\n\nw5w=\n"
    quoted = simple + b"Content-Transfer-Encoding: quoted-printable\n\n=C3=9C=\nx\n"
    box = (
        b"From a@b.c Mon Jan  1 00:00:00 2024\n"
        + simple
        + b"\nbody\n\nFrom x@y Tue Jan  2 11:11:11 2024\n\n>From z\n"
    )
    many = b"Subject: x\n" + REPEAT + b"To: (((<a,\n" + REPEAT + b"\nbody"
    return [simple + b"\nWho stole them?\n", mixed, encoded, quoted, box, many]


def notebooks() -> list[bytes]:
    cells = [
        {"cell_type": "markdown", "source": ["# One\n", "text"]},
        {
            "cell_type": "code",
            "source": "print(1)",
            "outputs": [
                {"output_type": "stream", "text": ["1\n"]},
                {"output_type": "execute_result", "data": {"text/plain": "1"}},
                {"output_type": "error", "ename": "E", "evalue": "v"},
            ],
        },
    ]
    new = {"nbformat": 4, "metadata": {"language_info": {"name": "python"}, "title": "T"}, "cells": cells}
    old = {"nbformat": 3, "worksheets": [{"cells": [{"cell_type": "code", "input": "x", "outputs": []}]}]}
    return [
        *(json.dumps(each).encode() for each in (new, old)),
        REPEAT + b'{"cells":[' + REPEAT,
        b'{"cells":[{}]}',
    ]


def subtitles() -> list[bytes]:
    return [
        b"1\n00:00:01,000 --> 00:00:02,000\nHello <i>you</i>\n\n2\n00:00:03,000 --> 00:00:04,0\n{\\an8}Bye\n",
        b"WEBVTT\n\nNOTE x\n\n00:01.000 --> 00:02.000 align:start\n<v.loud Mary>Hello <00:01.500>you\n\n",
        b"1\n" + REPEAT + b"00:00:01,000 --> 00:00:02,000\n<v \n" + REPEAT,
    ]


def segments() -> list[bytes]:
    texts = [
        "One two. Three four!\n\nFive\nsix " * 9,
        "word " * 60,
        "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 20,
        "e" + "\u0301" * 200,
        "\n \n\t\n" * 40,
        "日本語。「はい」" * 30,
    ]
    heads = (bytes((0, 0, 9, 0)), bytes((40, 1, 2, 3)), bytes((255, 3, 255, 1)))
    found = [head + text.encode() for head in heads for text in texts]
    return [*found, heads[0] + REPEAT + b"a" + REPEAT, heads[1] + REPEAT + b"\xcc\x81" + REPEAT]


def journals() -> list[bytes]:
    return [
        b"p\x00\x01\x02",
        b"p\x03\x04",
        b"c\x00\x40\x00",
        b"s\x03\x05\x00rubbish",
        b"s\x00\x03\x01done" + PART + b"\x05\x00\x02\x00\x00\x00\x00\x00\x00\x00\x07",
        b"b\x00\x10\x00\x01",
        b"b\x00\x00\x12\xff\x00\x20\x00\x80",
    ]


def models() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        whole = write_tiny_gguf(Path(folder) / "tiny.gguf").read_bytes()
    short = bytearray(whole[:2500])
    small = b"GGUF" + (3).to_bytes(4, "little") + (0).to_bytes(8, "little") + (2).to_bytes(8, "little")
    for key, kind, value in (
        (b"general.architecture", 8, (5).to_bytes(8, "little") + b"llama"),
        (b"llama.block_count", 9, (4).to_bytes(4, "little") + (3).to_bytes(8, "little") + bytes(12)),
    ):
        small += len(key).to_bytes(8, "little") + key + kind.to_bytes(4, "little") + value
    return [bytes(short), small]


def replies() -> list[bytes]:
    return [
        b"<think>hm</think> The tarts were \\boxed{stolen by {the} Knave}.",
        b"No relevant information yet.",
        b"and meth " * 70,
        REPEAT + b"\\boxed{" + REPEAT + b"}",
        REPEAT + b"<think>" + REPEAT,
    ]


def shown() -> list[bytes]:
    return [
        b"\x1b[31mred\x1b[0m \x1b]8;;http://x\x07link\x1b]8;;\x07 \x9b2J \x90q\x9c",
        "\u202eevil\u2066 \u200b\ufeff z\u0301\u0301\u0301\u0301\u0301\u0301\u0301 \U000e0041".encode(),
        b"x" + REPEAT + b"\x1b]" + REPEAT,
        REPEAT + b"\xcc\x81" + REPEAT,
    ]


def events() -> list[bytes]:
    found = [STARTED, update(0), rejected(1)]
    assert isinstance(found[0], RunStarted)
    return [
        *(encode(to_dict(each)) for each in found),
        b'{"type":"skipped","locator":{},"reason":"\xed\xa0\x80"}',
    ]


def claims() -> list[bytes]:
    text = b"The Knave of Hearts stole 12 tarts. He did not eat them.\n\nThe King, Dr. No, was 3.5 feet tall."
    memory = b"- The Knave stole 12 tarts.\n- He ate them.\n\\boxed{3.5}"
    return [
        PART.join((text, memory, b"12 tarts were stolen.")),
        PART.join((text, b"|a|b|\n|-|-|\n1. x", b"y")),
    ]
