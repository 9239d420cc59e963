"""OpenDocument text: what LibreOffice shows, and nothing else."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from memread.errors import DamagedDocument, EmptyInput, PasswordNeeded
from memread.types import Passage
from tests.ingest.samples import text_of
from tests.ingest.test_formats import read

_SPACES = " ".join(
    f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{of}:1.0"'
    for name, of in (
        ("office", "office"),
        ("text", "text"),
        ("table", "table"),
        ("style", "style"),
        ("draw", "drawing"),
        ("svg", "svg-compatible"),
        ("meta", "meta"),
    )
)
_SPACES += ' xmlns:xlink="http://www.w3.org/1999/xlink" xmlns:dc="http://purl.org/dc/elements/1.1/"'


def odt(path: Path, body: str, styles: str = "", own: str = "", **files: str) -> str:
    """body: of content.xml; own: its automatic styles; styles: of styles.xml."""
    content = f"<office:automatic-styles>{own}</office:automatic-styles><office:body><office:text>{body}"
    parts = {
        "mimetype": "application/vnd.oasis.opendocument.text",
        "content.xml": f"<office:document-content {_SPACES}>{content}</office:text></office:body>"
        "</office:document-content>",
        "styles.xml": f"<office:document-styles {_SPACES}><office:styles>{styles}</office:styles>"
        "</office:document-styles>",
        "meta.xml": f"<office:document-meta {_SPACES}><office:meta><dc:title>The Plan</dc:title>"
        "<meta:initial-creator>A. Author</meta:initial-creator></office:meta></office:document-meta>",
        **{name.replace("__", "/"): data for name, data in files.items()},
    }
    with zipfile.ZipFile(path / "a.odt", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    return str(path / "a.odt")


def said(path: Path, body: str, styles: str = "", own: str = "", **files: str) -> str:
    return text_of(read(odt(path, body, styles, own, **files))[1]).strip()


def p(text: str, style: str = "") -> str:
    return f'<text:p text:style-name="{style}">{text}</text:p>'


def h(text: str, place: int = 1) -> str:
    return f'<text:h text:outline-level="{place}">{text}</text:h>'


def numbered(place: int, style: str = "1", shown: int = 1, more: str = "") -> str:
    return (
        f'<text:list-level-style-number text:level="{place}" style:num-format="{style}" style:num-suffix="."'
        f' text:display-levels="{shown}" {more}/>'
    )


def items(*inner: str, more: str = "") -> str:
    return (
        f"<text:list {more}>"
        + "".join(f"<text:list-item>{e}</text:list-item>" for e in inner)
        + "</text:list>"
    )


def test_a_document(tmp_path: Path) -> None:
    cells = "".join(f"<table:table-cell>{p(text)}</table:table-cell>" for text in ("Alpha", "Beta"))
    gone = f"<text:changed-region>{p('never')}</text:changed-region>"
    gone = f"<text:tracked-changes>{gone}</text:tracked-changes>"
    body = gone + p("Before") + h("Aims") + p("We &lt;aim&gt;<text:s text:c='2'/>high<text:tab/>up.")
    body += h("Means", 2) + f"<table:table><table:table-row>{cells}</table:table-row></table:table>"
    body += p(
        "One<text:line-break/>two <text:span>three</text:span><office:annotation>no</office:annotation>"
    )
    body += items(p("first"), p("second"))
    info, parts = read(odt(tmp_path, body))
    assert (info.format, info.title, info.author) == ("odt", "The Plan", "A. Author")
    assert [part.locator.chapter for part in parts if isinstance(part, Passage)] == [None, "Aims", "Means"]
    assert text_of(parts).strip() == (
        "Before\n\nAims\n\nWe <aim> high up.\n\nMeans\n\nAlpha | Beta\n\nOne\ntwo three\n\n- first\n- second"
    )


def test_the_numbers_of_clauses(tmp_path: Path) -> None:
    own = f'<text:list-style style:name="L1">{numbered(1)}{numbered(2, shown=2)}{numbered(3, "a")}'
    own += '</text:list-style><text:list-style style:name="L2"><text:list-level-style-bullet text:level="1"/>'
    own += "</text:list-style>"
    name = 'text:style-name="L1"'
    goes_on = f'{name} text:continue-numbering="true"'
    body = items(
        p("Scope") + p("also this"), p("Payment") + items(p("When") + items(p("now"), p("then")), p("How"))
    )
    body = (
        body.replace("<text:list >", f"<text:list {name}>", 1) + p("Between.") + items(p("End"), more=goes_on)
    )
    body += items(p("Anew"), more=name) + items(p("dot"), more='text:style-name="L2"')
    assert said(tmp_path, body, own=own).split("\n\n") == [
        "1. Scope",
        "also this",
        "2. Payment",
        "2.1. When",
        "a. now",
        "b. then",
        "2.2. How",
        "Between.",
        "3. End",
        "1. Anew",
        "- dot",
    ]


def test_a_list_that_begins_elsewhere(tmp_path: Path) -> None:
    level = numbered(1, "I", more='text:start-value="4"')
    own = f'<text:list-style style:name="L1">{level}</text:list-style>'
    inner = f"<text:list-item>{p('a')}</text:list-item>"
    inner += f'<text:list-item text:start-value="9">{p("b")}</text:list-item>'
    body = f'<text:list text:style-name="L1">{inner}<text:list-header>{p("c")}</text:list-header></text:list>'
    assert said(tmp_path, body, own=own).split("\n\n") == ["IV. a", "IX. b", "c"]


def test_the_numbers_of_headings(tmp_path: Path) -> None:
    levels = "".join(
        f'<text:outline-level-style text:level="{n}" style:num-format="{form}" text:display-levels="{n}"/>'
        for n, form in ((1, "1"), (2, "1"), (3, ""))
    )
    styles = f'<text:outline-style style:name="Outline">{levels}</text:outline-style>'
    body = h("Aims") + h("Means", 2) + h("Ways", 2) + h("Plain", 3) + h("Ends") + h("Last", 2)
    _, parts = read(odt(tmp_path, body, styles))
    text = text_of(parts).strip().split("\n\n")
    assert text == ["1 Aims", "1.1 Means", "1.2 Ways", "Plain", "2 Ends", "2.1 Last"]
    chapters = [part.locator.chapter for part in parts if isinstance(part, Passage)]
    assert chapters[:3] == ["1 Aims", "1.1 Means", "1.2 Ways"]


def test_titles_by_their_style(tmp_path: Path) -> None:
    own = '<style:style style:name="P1" style:parent-style-name="Title"/>'
    own += '<style:style style:name="P2" style:parent-style-name="P3"/>'
    own += '<style:style style:name="P3" style:parent-style-name="P2"/>'
    _, parts = read(odt(tmp_path, p("The Plan", "P1") + p("text", "P2"), own=own))
    assert [part.locator.chapter for part in parts if isinstance(part, Passage)] == ["The Plan"]


def test_notes_stand_after_the_paragraph_that_refers_to_them(tmp_path: Path) -> None:
    def note(mark: str, text: str) -> str:
        cited = f"<text:note-citation>{mark}</text:note-citation>"
        return f"<text:note>{cited}<text:note-body>{p(text)}{p('And so on.')}</text:note-body></text:note>"

    body = p(f"A claim{note('1', 'Says who.')} and another{note('*', 'Says he.')}.") + p("After.")
    assert said(tmp_path, body).split("\n\n") == [
        "A claim[1] and another[*].",
        "[1]",
        "Says who.",
        "And so on.",
        "[*]",
        "Says he.",
        "And so on.",
        "After.",
    ]


def test_boxes_pictures_and_formulas(tmp_path: Path) -> None:
    box = f"<draw:frame><draw:text-box>{p('In a box')}</draw:text-box></draw:frame>"
    picture = "<draw:frame><draw:image xlink:href='a.png'/><svg:title>A  cat</svg:title></draw:frame>"
    formula = "<draw:frame><draw:object xlink:href='./Object 1'/><draw:image xlink:href='x'/>"
    formula += "<svg:desc>formula</svg:desc></draw:frame>"
    chart = "<draw:frame><draw:object xlink:href='../../etc/Object 2'/></draw:frame>"
    math = "<math xmlns='http://www.w3.org/1998/Math/MathML'><semantics><mfrac><mi>a</mi><mi>b</mi></mfrac>"
    math += "<annotation>a over b</annotation></semantics></math>"
    files = {"Object 1__content.xml": math, "Object 2__content.xml": "<chart>no</chart>"}
    body = p(f"See {picture} and {formula}{chart}.") + p(f"A {box} here.")
    assert said(tmp_path, body, **files) == "See [image: A cat] and a/b.\n\nA\n\nIn a box\n\nhere."


def test_documents_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(EmptyInput):
        read(odt(tmp_path, ""))
    with pytest.raises(DamagedDocument, match="OpenDocument"):
        read(odt(tmp_path, "<text:p>never ended"))
    manifest = "<manifest><file-entry><encryption-data/></file-entry></manifest>"
    with pytest.raises(PasswordNeeded):
        read(odt(tmp_path, p("x"), **{"META-INF__manifest.xml": manifest}))
    bomb = '<!DOCTYPE d [<!ENTITY a "ha">]><d>&a;</d>'
    assert text_of(read(odt(tmp_path, "", **{"content.xml": bomb}))[1]).strip() == "&a;"
    name = odt(tmp_path, p("x"))
    data = Path(name).read_bytes()
    Path(name).write_bytes(data[: len(data) // 2])
    with pytest.raises(DamagedDocument):
        read(name)
