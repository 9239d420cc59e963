"""The numbers that Word counts before paragraphs, as its users see them."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from memread.types import Passage
from tests.ingest.samples import text_of
from tests.ingest.test_formats import W, docx, read


def level(
    place: int, text: str, style: str = "decimal", start: int = 1, more: str = "", linked: str = ""
) -> str:
    link = f'<w:pStyle w:val="{linked}"/>' if linked else ""
    return (
        f'<w:lvl w:ilvl="{place}"><w:start w:val="{start}"/><w:numFmt w:val="{style}"/>{link}{more}'
        f'<w:lvlText w:val="{text}"/></w:lvl>'
    )


def lists(*abstract: str, more: str = "") -> str:
    """Each list by its levels; list 1 is of the first, 2 of the second."""
    each = "".join(
        f'<w:abstractNum w:abstractNumId="{n}">{levels}</w:abstractNum>' for n, levels in enumerate(abstract)
    )
    of = "".join(
        f'<w:num w:numId="{n + 1}"><w:abstractNumId w:val="{n}"/></w:num>' for n in range(len(abstract))
    )
    return f"<w:numbering {W}>{each}{of}{more}</w:numbering>"


def item(text: str, place: int | None = 0, number: int | None = 1, style: str = "", more: str = "") -> str:
    own = ""
    if number is not None:
        at = f'<w:ilvl w:val="{place}"/>' if place is not None else ""
        own = f'<w:numPr>{at}<w:numId w:val="{number}"/></w:numPr>'
    named = f'<w:pStyle w:val="{style}"/>' if style else ""
    return f"<w:p><w:pPr>{named}{own}{more}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


def document(path: Path, numbering: str, body: str, styles: str = "") -> list[str]:
    """The paragraphs as they are read."""
    name = docx(path / "a.docx", body)
    with zipfile.ZipFile(name) as archive:
        parts = {entry: archive.read(entry) for entry in archive.namelist()}
    parts["word/numbering.xml"] = numbering.encode()
    parts["word/styles.xml"] = parts["word/styles.xml"].replace(
        b"</w:styles>", f"{styles}</w:styles>".encode()
    )
    with zipfile.ZipFile(name, "w") as archive:
        for entry, data in parts.items():
            archive.writestr(entry, data)
    return text_of(read(name)[1]).strip().split("\n\n")


CONTRACT = lists(
    level(0, "%1.")
    + level(1, "%1.%2")
    + level(2, "(%3)", "lowerLetter")
    + level(3, "(%4)", "lowerRoman")
    + level(4, "%1.%2.%5", more="<w:isLgl/>")
)


def test_the_clauses_of_a_contract(tmp_path: Path) -> None:
    plain = "<w:p><w:r><w:t>Between them.</w:t></w:r></w:p>"
    body = (
        item("Scope") + plain + item("Payment") + item("When", 1) + item("at once", 2) + item("or later", 2)
    )
    body += (
        item("How", 1)
        + item("by cheque", 2)
        + item("signed", 3)
        + item("or not", 3)
        + item("End")
        + item("x", 1)
    )
    assert document(tmp_path, CONTRACT, body) == [
        "1. Scope",
        "Between them.",
        "2. Payment",
        "2.1 When",
        "(a) at once",
        "(b) or later",
        "2.2 How",
        "(a) by cheque",
        "(i) signed",
        "(ii) or not",
        "3. End",
        "3.1 x",
    ]


def test_numbers_by_style_are_in_headings_and_chapters(tmp_path: Path) -> None:
    numbering = lists(
        level(0, "Article %1", "upperRoman", linked="Heading1") + level(1, "%1.%2", linked="Heading2")
    )
    numbering = numbering.replace(' w:val="Heading2"/>', ' w:val="Heading2"/><w:isLgl/>')
    of = '<w:pPr><w:numPr><w:numId w:val="1"/></w:numPr></w:pPr>'
    styles = "".join(
        f'<w:style w:type="paragraph" w:styleId="{name}"><w:name w:val="heading {n}"/>{of}</w:style>'
        for n, name in ((1, "Heading1"), (2, "Heading2"))
    )
    styles += '<w:style w:type="paragraph" w:styleId="Own"><w:name w:val="Own"/>'
    styles += '<w:basedOn w:val="Heading2"/></w:style>'
    body = item("Aims", number=None, style="Heading1") + item("Means", number=None, style="Heading2")
    body += item("Ways", number=None, style="Own") + item("Ends", number=None, style="Heading1")
    said = document(tmp_path, numbering, body, styles)
    assert said == ["Article I Aims", "1.1 Means", "1.2 Ways", "Article II Ends"]
    _, parts = read(str(tmp_path / "a.docx"))
    chapters = [part.locator.chapter for part in parts if isinstance(part, Passage)]
    assert chapters == ["Article I Aims", "1.1 Means", "Article II Ends"]


def test_a_list_that_begins_anew_and_one_that_goes_on(tmp_path: Path) -> None:
    anew = '<w:num w:numId="7"><w:abstractNumId w:val="0"/>'
    anew += '<w:lvlOverride w:ilvl="0"><w:startOverride w:val="5"/></w:lvlOverride></w:num>'
    anew += '<w:num w:numId="8"><w:abstractNumId w:val="0"/></w:num>'
    body = item("a") + item("b") + item("c", number=7) + item("d", number=7) + item("e", number=8) + item("f")
    numbering = lists(level(0, "%1)"), more=anew)
    said = document(tmp_path, numbering, body)
    assert said == ["1) a", "2) b", "5) c", "6) d", "7) e", "8) f"]


def test_levels_that_are_told_when_to_begin_anew(tmp_path: Path) -> None:
    never = '<w:lvlRestart w:val="0"/>'
    first = '<w:lvlRestart w:val="1"/>'
    numbering = lists(
        level(0, "%1") + level(1, "%1.%2", more=never) + level(2, "%3", "lowerLetter", more=first)
    )
    body = item("A") + item("b", 1) + item("c", 2) + item("D") + item("e", 1) + item("f", 2) + item("g", 1)
    body += item("h", 2)
    said = document(tmp_path, numbering, body)
    assert said == ["1 A", "1.1 b", "a c", "2 D", "2.2 e", "a f", "2.3 g", "b h"]


def test_bullets_stay_bullets(tmp_path: Path) -> None:
    numbering = lists(level(0, "\uf0b7", "bullet"), level(0, "%1."))
    said = document(tmp_path, numbering, item("one") + item("two") + item("three", number=2))
    assert said == ["- one\n- two", "1. three"]


def test_what_has_no_number(tmp_path: Path) -> None:
    deleted = "<w:rPr><w:del/></w:rPr>"
    body = (
        item("zero", number=0) + item("unknown", number=99) + item("ninth", 8) + item("gone, ", more=deleted)
    )
    assert document(tmp_path, CONTRACT, body + item("first")) == [
        "zero",
        "unknown",
        "ninth",
        "1. gone, first",
    ]


def test_a_list_that_a_style_describes(tmp_path: Path) -> None:
    link = '<w:numStyleLink w:val="Legal"/>'
    styles = '<w:style w:type="numbering" w:styleId="Legal"><w:name w:val="Legal"/>'
    styles += '<w:pPr><w:numPr><w:numId w:val="1"/></w:numPr></w:pPr></w:style>'
    numbering = lists(level(0, "§ %1"), link)
    assert document(tmp_path, numbering, item("a", number=2) + item("b", number=2), styles) == [
        "§ 1 a",
        "§ 2 b",
    ]


def test_what_leads_in_a_circle_ends(tmp_path: Path) -> None:
    styles = "".join(
        f'<w:style w:type="paragraph" w:styleId="{a}"><w:name w:val="{a}"/><w:basedOn w:val="{b}"/></w:style>'
        for a, b in (("A", "B"), ("B", "A"))
    )
    styles += '<w:style w:type="numbering" w:styleId="L"><w:name w:val="L"/>'
    styles += '<w:pPr><w:numPr><w:numId w:val="1"/></w:numPr></w:pPr></w:style>'
    numbering = lists('<w:numStyleLink w:val="L"/>')
    assert document(tmp_path, numbering, item("x", style="A", number=None) + item("y"), styles) == ["x", "y"]


@pytest.mark.parametrize(
    ("style", "said"),
    [
        ("decimalZero", "09"),
        ("lowerRoman", "ix"),
        ("upperRoman", "IX"),
        ("upperLetter", "I"),
        ("ordinal", "9th"),
        ("chineseCounting", "9"),
        ("none", ""),
    ],
)
def test_how_numbers_are_written(tmp_path: Path, style: str, said: str) -> None:
    numbering = lists(level(0, "No. %1", style, start=9))
    assert document(tmp_path, numbering, item("x")) == [f"No. {said} x".replace("  ", " ")]


@pytest.mark.parametrize(("start", "said"), [(27, "aa"), (0, "0"), (11, "k"), (999_999, "")])
def test_letters_that_run_out(tmp_path: Path, start: int, said: str) -> None:
    (text,) = document(tmp_path, lists(level(0, "%1", "lowerLetter", start=start)), item("x"))
    assert text == f"{said} x".strip() or (start > 100 and len(text) < 80)
