"""Word documents, notebooks, subtitles and mail: through the child process, from files and from pipes."""

from __future__ import annotations

import gzip
import json
import os
import random
import sys
import threading
import zipfile
from email.message import EmailMessage
from pathlib import Path

import pytest

from memread.errors import DamagedDocument, EmptyInput, FileUnreadable
from memread.ingest import open_document
from memread.ingest.opening import PipeDocument
from memread.ingest.sources import PipeSource
from memread.types import DocumentInfo, Passage, Skipped, Span
from tests.ingest.samples import skipped, text_of

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def paragraph(text: str, style: str = "") -> str:
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f'<w:p>{properties}<w:r><w:t xml:space="preserve">{text}</w:t></w:r></w:p>'


def docx(path: Path, body: str) -> str:
    names = {"Heading1": "heading 1", "Heading2": "heading 2", "Heading3": "heading 3"}
    styles = "".join(
        f'<w:style w:type="paragraph" w:styleId="{key}"><w:name w:val="{name}"/></w:style>'
        for key, name in names.items()
    )
    types = "http://schemas.openxmlformats.org/package/2006/content-types"
    relations = "http://schemas.openxmlformats.org/package/2006/relationships"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    core = "http://schemas.openxmlformats.org/package/2006/metadata/core-properties"
    files = {
        "[Content_Types].xml": f'<Types xmlns="{types}"/>',
        "_rels/.rels": f'<Relationships xmlns="{relations}"><Relationship Id="r1" Target="word/document.xml" '
        f'Type="{office}/officeDocument"/></Relationships>',
        "word/_rels/document.xml.rels": f'<Relationships xmlns="{relations}"/>',
        "word/document.xml": f"<w:document {W}><w:body>{body}</w:body></w:document>",
        "word/styles.xml": f"<w:styles {W}>{styles}</w:styles>",
        "docProps/core.xml": f'<c:coreProperties xmlns:c="{core}" xmlns:dc="http://purl.org/dc/elements/1.1/">'
        "<dc:title>The Plan</dc:title><dc:creator>A. Author</dc:creator></c:coreProperties>",
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return str(path)


def read(name: str) -> tuple[DocumentInfo, list[Passage | Skipped]]:
    document = open_document(name)
    try:
        return document.info, list(document.passages())
    finally:
        document.close()


def places(parts: list[Passage | Skipped]) -> list[str]:
    return [part.locator.label() for part in parts if isinstance(part, Passage)]


def test_word_documents(tmp_path: Path) -> None:
    cells = "".join(f"<w:tc>{paragraph(text)}</w:tc>" for text in ("Alpha", "Beta"))
    gone = "<w:del><w:r><w:delText>never</w:delText></w:r></w:del>"
    deleted = f"<w:p>{gone}<w:ins><w:r><w:t>kept</w:t></w:r></w:ins></w:p>"
    name = docx(
        tmp_path / "plan",
        paragraph("Before")
        + paragraph("Aims", "Heading1")
        + paragraph("We &lt;aim&gt; high.")
        + paragraph("Means", "Heading2")
        + f"<w:tbl><w:tr>{cells}</w:tr></w:tbl>"
        + deleted,
    )
    info, parts = read(name)
    assert (info.format, info.title, info.author) == ("docx", "The Plan", "A. Author")
    assert places(parts) == ["", "Aims", "Means"]
    text = text_of(parts)
    assert "We <aim> high." in text and "kept" in text and "never" not in text
    assert "Alpha" in text and "AlphaBeta" not in text.replace(" ", "")
    assert parts[-1].fraction == 1.0  # type: ignore[union-attr]


def test_word_documents_that_cannot_be_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.docx", "w") as archive:
        archive.writestr("word/document.xml", "<not closed")
    with pytest.raises(DamagedDocument, match="Word document"):
        read(str(tmp_path / "a.docx"))
    with pytest.raises(EmptyInput):
        read(docx(tmp_path / "b.docx", ""))
    entities = '<!DOCTYPE d [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">' + "".join(
        f'<!ENTITY {chr(99 + n)} "{f"&{chr(98 + n)};" * 10}">' for n in range(8)
    )
    bomb = f"{entities}]><w:document {W}>&j;</w:document>"
    with (
        zipfile.ZipFile(docx(tmp_path / "c.docx", ""), "a") as archive,
        pytest.warns(UserWarning, match="Duplicate"),
    ):
        archive.writestr("word/document.xml", bomb)
    with pytest.raises(DamagedDocument):
        read(str(tmp_path / "c.docx"))


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from memread.ingest.docx import DocxReading

    path = docx(tmp_path / "a.docx", paragraph("x"))
    monkeypatch.setitem(sys.modules, "mammoth", None)
    with Path(path).open("rb") as file, pytest.raises(FileUnreadable, match="mammoth") as raised:
        DocxReading(file, "a")
    assert "memread[formats]" in raised.value.hint


def notebook(**changes: object) -> bytes:
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": ["# Setting *up*\n", "\n", "Words."]},
        {
            "cell_type": "code",
            "metadata": {},
            "execution_count": 1,
            "source": "print(6 * 7)",
            "outputs": [
                {"output_type": "stream", "name": "stdout", "text": ["42\n"]},
                {"output_type": "display_data", "data": {"image/png": "iVBO" * 99, "text/plain": "<Figure>"}},
                {
                    "output_type": "error",
                    "ename": "ValueError",
                    "evalue": "bad \x1b[31mvalue",
                    "traceback": [],
                },
            ],
        },
        {"cell_type": "code", "metadata": {}, "source": "", "outputs": []},
        {"cell_type": "raw", "metadata": {}, "source": "The end"},
    ]
    whole = {"cells": cells, "metadata": {"kernelspec": {"language": "python"}}, "nbformat": 4}
    return json.dumps({**whole, **changes}).encode()


def test_notebooks(tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_bytes(notebook())
    info, parts = read(str(tmp_path / "a.ipynb"))
    assert info.format == "notebook"
    heading = "Setting *up*"
    assert places(parts) == [f"cell 1 · {heading}", f"cell 2 · {heading}", f"cell 4 · {heading}"]
    text = text_of(parts)
    assert "```python\nprint(6 * 7)\n```\n\n42" in text and "ValueError: bad" in text and "iVBO" not in text
    assert Span(parts[0].locator, parts[-1].locator).label() == f"cell 1 – cell 4 · {heading}"


def test_a_notebook_as_programs_write_it(tmp_path: Path) -> None:
    shown = {"output_type": "display_data", "data": {"application/x": {"y": float("nan")}}}
    cells = [
        {"cell_type": "markdown", "source": "# One\n\n```\n# no heading\n```\n\nhalf \ud83d\n\n# Two"},
        {"cell_type": "code", "source": "draw()", "outputs": [shown]},
        {"cell_type": "code", "outputs": [{"data": {"text/html": "<p>a table"}}]},
        {"cell_type": "code", "outputs": [{"data": {"text/markdown": "*words*", "text/plain": "<object>"}}]},
    ]
    (tmp_path / "a.ipynb").write_bytes(notebook(cells=cells).replace(b"draw", "é".encode() * 99 + b"\xff"))
    _, parts = read(str(tmp_path / "a.ipynb"))
    assert places(parts) == ["cell 1 · One", "cell 2 · Two", "cell 3 · Two", "cell 4 · Two"]
    text = text_of(parts)
    assert "half \ufffd" in text and "a table" in text and "*words*" in text and "<object>" not in text
    assert ["undecodable" in part.reason for part in skipped(parts)] == [True]


@pytest.mark.parametrize(
    "data", [b'{"cells": [{"cell_type": "code", ', b'{"cells": [{"id": 1, "x":' + b"[" * 99999]
)
def test_notebooks_that_are_damaged(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.ipynb").write_bytes(data)
    with pytest.raises(DamagedDocument, match="notebook"):
        read(str(tmp_path / "a.ipynb"))


@pytest.mark.parametrize("value", [None, 3, "x", [None, 3, "x", {}, {"cell_type": []}, {"source": [1, {}]}]])
def test_notebooks_of_odd_shapes(tmp_path: Path, value: object) -> None:
    (tmp_path / "a.ipynb").write_bytes(notebook(cells=value, metadata=value))
    with pytest.raises(EmptyInput):
        read(str(tmp_path / "a.ipynb"))


SRT = (
    "1\r\n00:00:01,000 --> 00:00:02,500\r\n<i>Call me</i>\r\nIshmael.\r\n\r\n"
    "2\r\n01:02:03,000 --> 01:02:04,000\r\n{\\an8}Some years ago\r\n"
)


def test_subtitles(tmp_path: Path) -> None:
    (tmp_path / "a.srt").write_bytes(SRT.encode("utf-8-sig"))
    info, parts = read(str(tmp_path / "a.srt"))
    assert info.format == "subtitles"
    assert text_of(parts) == "Call me\nIshmael.\nSome years ago\n"
    assert places(parts) == ["00:00:01", "01:02:03"]
    voices = "WEBVTT\n\nNOTE x\n\n1\n00:01.000 --> 00:02.000\n<v.loud Ahab>Have ye <c.x>seen</c> him?\n"
    (tmp_path / "b.vtt").write_text(voices)
    assert text_of(read(str(tmp_path / "b.vtt"))[1]) == "Ahab: Have ye seen him?\n"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            "1\n00:00:01,000 --> 00:00:02,0\nWhat?\n1984\n\n2\n100:00:03,0 --> 100:00:04,0\nIt was\n1984\n",
            [("00:00:01", "What?\n1984\n"), ("100:00:03", "It was\n1984\n")],
        ),
        (
            """WEBVTT

STYLE
::cue { color: red }

intro-1
00:01.000 --> 00:02.000
Hello at 00:01.000

NOTE by the translator
second line

qa-2
00:03.000 --> 00:04.000 align:start
What year?
1984

00:05.000 --> 00:06.000
Tom &amp; Jerry
""",
            [
                ("00:00:01", "Hello at 00:01.000\n"),
                ("00:00:03", "What year?\n1984\n"),
                ("00:00:05", "Tom & Jerry\n"),
            ],
        ),
        ("WEBVTT\r\r00:01.000 --> 00:02.000\rHello\r", [("00:00:01", "Hello\n")]),
    ],
)
def test_all_that_is_said_and_nothing_else(tmp_path: Path, data: str, said: list[tuple[str, str]]) -> None:
    (tmp_path / "a.srt").write_bytes(data.encode())
    _, parts = read(str(tmp_path / "a.srt"))
    assert [(part.locator.at, part.text) for part in parts if isinstance(part, Passage)] == said


def test_captions_that_scroll_are_read_once(tmp_path: Path) -> None:
    lines = [f"line number {n}" for n in range(9)]
    cues = "".join(
        f"00:00:{n:02d}.000 --> 00:00:{n + 1:02d}.000\n{before}\n{line}\n\n"
        for n, (before, line) in enumerate(zip(["", *lines], lines, strict=False))
    )
    (tmp_path / "a.vtt").write_text("WEBVTT\n\n" + cues)
    assert text_of(read(str(tmp_path / "a.vtt"))[1]).split("\n")[:-1] == lines
    same = "".join(f"00:00:{n:02d}.000 --> 00:00:{n:02d}.900\n{said}\n\n" for n, said in enumerate("AABCDEF"))
    (tmp_path / "b.vtt").write_text("WEBVTT\n\n" + same)
    assert text_of(read(str(tmp_path / "b.vtt"))[1]) == "A\nA\nB\nC\nD\nE\nF\n"


def message(subject: str = "The tarts", body: str = "Who stole them?\n\nAlice") -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "Alice <alice@example.org>", "hatter@example.org", subject
    mail["Date"] = "Mon, 04 May 2026 10:00:00 +0000"
    mail["Message-ID"] = "<1@example.org>"
    mail.set_content(body)
    return mail


def test_a_mail(tmp_path: Path) -> None:
    mail = message("Tärts", "Grüße")
    mail.add_alternative("<p>Nobody reads this</p>", subtype="html")
    mail.add_attachment(b"%PDF-1.4", maintype="application", subtype="pdf", filename="bill.pdf")
    mail.add_attachment(message("Older", "from before"))
    (tmp_path / "a").write_bytes(bytes(mail))
    info, parts = read(str(tmp_path / "a"))
    assert (info.format, info.title, info.author) == ("mail", "Tärts", "Alice <alice@example.org>")
    text = text_of(parts)
    assert text.startswith("From: Alice <alice@example.org>\nTo: hatter@example.org\nDate:")
    assert "Grüße" in text and "Nobody" not in text and "from before" in text
    assert places(parts) == ["Tärts"]
    (lost,) = skipped(parts)
    assert "bill.pdf" in lost.reason


HEAD = b"From: a@b.org\nDate: x\nMessage-ID: <x>\n"
PLAIN, HTML = b"Content-Type: text/plain\n\n", b"Content-Type: text/html\n\n"
PDF = b"Content-Type: application/pdf\nContent-Disposition: attachment; filename=x.pdf\n\nAAA"


def several(kind: bytes, *parts: bytes, boundary: bytes = b"one") -> bytes:
    held = b"".join(b"--%s\n%s\n" % (boundary, part) for part in parts)
    return b"Content-Type: multipart/%s; boundary=%s\n\n%s--%s--\n" % (kind, boundary, held, boundary)


@pytest.mark.parametrize(
    ("body", "texts", "unread"),
    [
        (several(b"mixed", HTML + b"<p>letter", PLAIN + b"footer"), ["letter", "footer"], []),
        (several(b"mixed", PLAIN + b"letter", HTML + b"<p>more"), ["letter", "more"], []),
        (several(b"alternative", HTML + b"<p>other", PLAIN + b"letter"), ["letter"], []),
        (several(b"alternative", PLAIN + b" \n", HTML + b"<p>letter"), ["letter"], []),
        (
            several(
                b"alternative",
                PLAIN + b"letter",
                several(b"mixed", HTML + b"<p>letter", PDF, boundary=b"two"),
            ),
            ["letter"],
            ["x.pdf"],
        ),
        (
            several(
                b"mixed",
                several(b"related", HTML + b"<p>letter", b"Content-Type: image/png\n\nA", boundary=b"two"),
                PLAIN + b"footer",
            ),
            ["letter", "footer"],
            ["image/png"],
        ),
        (
            several(
                b"signed",
                several(b"mixed", PLAIN + b"letter", PDF, boundary=b"two"),
                b"Content-Type: application/pgp-signature; name=s.asc\n\nZZ",
            ),
            ["letter"],
            ["x.pdf", "s.asc"],
        ),
        (b"Content-Type: multipart/mixed; boundary=gone\n\n--x\n\nletter\n--x--\n", ["letter"], []),
        (b"Content-Type: text/markdown\n\nletter\n", ["letter"], []),
        (b"Content-Type: text/plain\nContent-Disposition: attachment\n\nletter\n", ["letter"], []),
        (PDF, [], ["x.pdf"]),
    ],
)
def test_each_part_of_a_mail_is_read_or_named(
    tmp_path: Path, body: bytes, texts: list[str], unread: list[str]
) -> None:
    (tmp_path / "a.eml").write_bytes(HEAD + body)
    _, parts = read(str(tmp_path / "a.eml"))
    text = text_of(parts)
    places = [text.index(each) for each in texts]
    assert places == sorted(places) and "other" not in text and text.count("letter") <= 1
    assert len(skipped(parts)) == len(unread)
    assert all(name in part.reason for name, part in zip(unread, skipped(parts), strict=True))


def test_a_mail_of_html_in_an_unknown_charset(tmp_path: Path) -> None:
    head = b"From: a@b.org\nDate: x\nMessage-ID: <x>\nContent-Type: text/html; charset=klingon\n\n"
    (tmp_path / "a.eml").write_bytes(head + b"<p>Nu\xffq&eacute;</p>")
    assert "é" in text_of(read(str(tmp_path / "a.eml"))[1])


def test_a_mail_with_a_header_that_goes_on_and_on(tmp_path: Path) -> None:
    path = tmp_path / "a.eml"
    path.write_bytes(
        b"From: a@b.org\nDate: x\nMessage-ID: <x>\nTo: " + b"a " * 200_000 + b"\n\nWho stole them?\n"
    )
    _, parts = read(str(path))
    assert "Who stole them?" in text_of(parts) and len(text_of(parts)) < 10_000
    assert [part.reason for part in skipped(parts)] == [
        "the header To goes on after its first 8,000 characters"
    ]
    path.write_bytes(b"From: a@b.org\nDate: x\nMessage-ID: <x>\nTo: " + b"(" * 3000 + b"\n\nbody\n")
    assert "body" in text_of(read(str(path))[1])


@pytest.mark.parametrize("charset", ["zlib", "hex", "uu", "idna", "unicode_escape"])
def test_a_charset_that_is_none_of_text(tmp_path: Path, charset: str) -> None:
    """Python has codecs of these names."""
    path = tmp_path / "a.eml"
    path.write_bytes(
        b"From: a@b.org\nDate: x\nMessage-ID: <x>\nContent-Type: text/plain; charset=%s\n\n??uu$ \\x41\n"
        % charset.encode()
    )
    assert text_of(read(str(path))[1]).endswith("??uu$ \\x41\n\n")


def test_an_mbox(tmp_path: Path) -> None:
    quoted = message(
        "Two", "x\n\nFrom now 9 to 10:30 of 4 May 2026\n\nFrom nowhere it came\n>From here it went"
    ).as_bytes()
    box = b"From a@b.org Mon May  4 10:00:00 2026\n" + bytes(message("One"))
    box += b"\nFrom a@b.org Mon May  4 10:00:00 2026\n" + quoted
    (tmp_path / "all").write_bytes(box)
    info, parts = read(str(tmp_path / "all"))
    assert info.format == "mail"
    assert places(parts) == ["message 1 · One", "message 2 · Two"]
    assert "2026\n\nFrom nowhere it came\nFrom here it went" in text_of(parts)
    assert parts[-1].fraction == 1.0  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("data", "format"), [(notebook(), "notebook"), (SRT.encode(), "subtitles"), (bytes(message()), "mail")]
)
def test_from_pipes_and_packed(tmp_path: Path, data: bytes, format: str) -> None:
    (tmp_path / "x.gz").write_bytes(gzip.compress(data))
    info, parts = read(str(tmp_path / "x.gz"))
    assert info.format == format
    reader, writer = os.pipe()
    document = PipeDocument(PipeSource(reader, owned=True), "-")

    def send() -> None:
        os.write(writer, data[:40])
        os.write(writer, data[40:])
        os.close(writer)

    thread = threading.Thread(target=send)
    thread.start()
    assert (document.info.format, list(document.passages())) == (format, parts)
    thread.join()
    document.close()


@pytest.mark.parametrize("data", [bytes(message(body="word " * 9000)), SRT.encode() * 2000])
def test_what_a_damaged_gzip_lost_is_said(tmp_path: Path, data: bytes) -> None:
    """Though these formats are read from a copy, by another process."""
    noise = random.Random(5)
    cut = gzip.compress(data + noise.randbytes(200).hex().encode() * 3)
    (tmp_path / "x.gz").write_bytes(cut[:-150])
    _, parts = read(str(tmp_path / "x.gz"))
    assert len(text_of(parts)) > 1000 and "end too early" in skipped(parts)[-1].reason


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names of files are Unicode there")
def test_a_name_that_is_not_utf_8(tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path / "caf") + b"\xe9.eml")
    Path(name).write_bytes(bytes(message()))
    info, parts = read(name)
    assert info.name == name and "Who stole them?" in text_of(parts)


def test_hostile_lines_take_no_hours(tmp_path: Path) -> None:
    head = b"From a@b.org Mon May  4 10:00:00 2026\nSubject: x\n\n"
    (tmp_path / "a").write_bytes(head + b"\nFrom " + b"x" * 999_000 + b"\n\nFrom " + b"x " * 400_000 + b"\n")
    assert len(places(read(str(tmp_path / "a"))[1])) == 1
    cue = "WEBVTT\n\n00:01.000 --> 00:02.000\n"
    (tmp_path / "b").write_text(cue + "<v " * 100_000 + "{\\" * 100_000 + "<a" * 100_000)
    assert read(str(tmp_path / "b"))[1]
    cells = [{"cell_type": "markdown", "source": "# a" + " " * 99_000 + "\x0b b"}]
    (tmp_path / "c").write_bytes(notebook(cells=cells))
    assert places(read(str(tmp_path / "c"))[1]) == ["cell 1 · a b"]
