"""What mammoth alone would leave out of a Word document."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from memread.ingest.word import simplified
from memread.types import Skipped
from tests.ingest.samples import skipped, text_of
from tests.ingest.test_formats import docx, paragraph, read

_MATH = 'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'
_FRACTION = (
    f"<m:oMath {_MATH}><m:r><m:t>x=</m:t></m:r><m:f><m:num><m:r><m:t>a+b</m:t></m:r></m:num>"
    "<m:den><m:r><m:t>2</m:t></m:r></m:den></m:f></m:oMath>"
)


def run(text: str) -> str:
    return f'<w:r><w:t xml:space="preserve">{text}</w:t></w:r>'


def text(tmp_path: Path, body: str) -> str:
    _, parts = read(docx(tmp_path / "a.docx", body))
    assert not skipped(parts)
    return text_of(parts).strip()


def test_fields_are_read(tmp_path: Path) -> None:
    field = f'<w:fldSimple w:instr=" REF a ">{run("4.2")}</w:fldSimple>'
    body = f"<w:p>{run('As in Section ')}{field}{run(' below.')}</w:p>"
    assert text(tmp_path, body) == "As in Section 4.2 below."


def test_text_of_another_direction_and_how_characters_are_read(tmp_path: Path) -> None:
    ruby = f"<w:ruby><w:rubyPr/><w:rt>{run('かんじ')}</w:rt><w:rubyBase>{run('漢字')}</w:rubyBase></w:ruby>"
    body = (
        f'<w:p><w:r>{ruby}</w:r><w:bdo w:val="rtl"><w:dir w:val="rtl">{run(" right")}</w:dir></w:bdo></w:p>'
    )
    assert text(tmp_path, body) == "漢字(かんじ) right"


def test_formulas_are_read(tmp_path: Path) -> None:
    body = (
        f"<w:p>{run('So ')}{_FRACTION}{run(' holds.')}</w:p>"
        f"<w:p><m:oMathPara {_MATH}><m:oMathParaPr/>{_FRACTION}{_FRACTION}</m:oMathPara></w:p>"
        f"<m:oMathPara {_MATH}>{_FRACTION}</m:oMathPara>"
    )
    assert text(tmp_path, body) == "So x=(a+b)/2 holds.\n\nx=(a+b)/2\nx=(a+b)/2\n\nx=(a+b)/2"


@pytest.mark.parametrize("fallback", ["", "<mc:Fallback/>", "<mc:Fallback><w:pict/></mc:Fallback>"])
def test_boxes_that_only_newer_versions_show(tmp_path: Path, fallback: str) -> None:
    box = (
        "<mc:Choice Requires='wps'><w:drawing><x:wsp xmlns:x='urn:x'><x:txbx><w:txbxContent>"
        f"{paragraph('In a box')}</w:txbxContent></x:txbx></x:wsp></w:drawing></mc:Choice>"
    )
    office = "xmlns:mc='http://schemas.openxmlformats.org/markup-compatibility/2006'"
    inside = f"<mc:AlternateContent {office}>{box}{fallback}</mc:AlternateContent>"
    assert text(tmp_path, f"<w:p><w:r>{inside}</w:r></w:p>{paragraph('After')}") == "In a box\n\nAfter"


def test_a_box_is_not_read_twice(tmp_path: Path) -> None:
    old = "<w:pict><v:rect xmlns:v='urn:schemas-microsoft-com:vml'><v:textbox><w:txbxContent>"
    old += f"{paragraph('Box')}</w:txbxContent></v:textbox></v:rect></w:pict>"
    new = f"<w:drawing><w:txbxContent>{paragraph('Box')}</w:txbxContent></w:drawing>"
    office = "xmlns:mc='http://schemas.openxmlformats.org/markup-compatibility/2006'"
    inside = (
        f"<mc:AlternateContent {office}><mc:Choice>{new}</mc:Choice><mc:Fallback>{old}</mc:Fallback>"
        "</mc:AlternateContent>"
    )
    assert text(tmp_path, f"<w:p><w:r>{inside}</w:r></w:p>") == "Box"


def test_an_oval_is_as_good_as_a_rectangle(tmp_path: Path) -> None:
    shape = "<v:oval xmlns:v='urn:schemas-microsoft-com:vml'><v:textbox><w:txbxContent>"
    shape += f"{paragraph('Round')}</w:txbxContent></v:textbox></v:oval>"
    assert text(tmp_path, f"<w:p><w:r><w:pict>{shape}</w:pict></w:r></w:p>") == "Round"


def test_what_lies_elsewhere_is_named(tmp_path: Path) -> None:
    _, parts = read(docx(tmp_path / "a.docx", f"{paragraph('Here')}<w:altChunk/><w:permStart/>"))
    assert text_of(parts).strip() == "Here"
    (said,) = skipped(parts)
    assert isinstance(said, Skipped) and "altChunk" in said.reason


def test_a_document_without_any_stays_as_it_is(tmp_path: Path) -> None:
    with Path(docx(tmp_path / "a.docx", paragraph("Here"))).open("rb") as file:
        assert simplified(file) is None


def test_everything_else_is_copied() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("word/document.xml", f"<d><p>{_FRACTION}</p></d>")
        archive.writestr("word/broken.xml", f"<d><p>{_FRACTION}")
        archive.writestr("word/media/a.png", b"\0picture")
    made = simplified(file)
    assert made is not None
    with made, zipfile.ZipFile(made) as archive:
        assert archive.namelist() == ["word/document.xml", "word/broken.xml", "word/media/a.png"]
        assert b"x=(a+b)/2" in archive.read("word/document.xml")
        assert b"oMath" in archive.read("word/broken.xml")
        assert archive.read("word/media/a.png") == b"\0picture"
