"""PDF files: places, passwords, scans, damage."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from pypdf import get_configuration
from pypdf.constants import PageLabelStyle
from pypdf.generic import DictionaryObject, NameObject, NullObject, NumberObject, TextStringObject

from memread.errors import DamagedDocument, DrmProtected, MemreadError, NoTextLayer, PasswordNeeded
from memread.ingest.pdf import CAPS, PdfReading
from memread.types import Passage, Skipped
from tests.ingest.samples import pdf_bytes, pdf_writer, shared, skipped, text_of, write_pdf


def read(path: str, password: str | None = None) -> list[Passage | Skipped]:
    with Path(path).open("rb") as file:
        return list(PdfReading(file, "paper.pdf", password=password).passages())


def test_a_passage_a_page(tmp_path: Path) -> None:
    parts = read(write_pdf(tmp_path / "a.pdf", ["one\nA-\nbomb", "two"]))
    assert [part.text for part in parts if isinstance(part, Passage)] == ["one\nA-\nbomb\n\n", "two\n\n"]
    assert [(part.locator.page_number, part.locator.page) for part in parts] == [(1, None), (2, None)]
    assert [part.fraction for part in parts if isinstance(part, Passage)] == [0.5, 1.0]


def test_labels_outline_and_metadata(tmp_path: Path) -> None:
    writer = pdf_writer([f"page {number}" for number in range(1, 6)])
    writer.set_page_label(0, 1, style=PageLabelStyle.LOWERCASE_ROMAN)
    writer.set_page_label(2, 4, style=PageLabelStyle.DECIMAL, start=1)
    part = writer.add_outline_item(title="Part", page_number=1)
    writer.add_outline_item(title="Chapter \n1", page_number=1, parent=part)
    writer.add_outline_item(title="Chapter 2", page_number=3, parent=part)
    writer.add_metadata({"/Title": "A  Title", "/Author": "Me"})
    writer.write(str(tmp_path / "a.pdf"))
    with (tmp_path / "a.pdf").open("rb") as file:
        reading = PdfReading(file, "a.pdf", 2)
        parts = list(reading.passages())
    assert (reading.info.title, reading.info.author, reading.info.pages, reading.info.chapters) == (
        "A Title",
        "Me",
        5,
        3,
    )
    places = [(part.locator.document, part.locator.page, part.locator.chapter) for part in parts]
    assert places == [
        (2, "i", None),
        (2, "ii", "Part"),
        (2, "1", "Chapter 1"),
        (2, "2", "Chapter 2"),
        (2, "3", "Chapter 2"),
    ]


def test_a_broken_outline_does_not_stop_the_reading(tmp_path: Path) -> None:
    writer = pdf_writer(["one", "two"])
    writer.add_outline_item(title="Good", page_number=1)
    writer._root_object[NameObject("/PageLabels")] = NumberObject(7)
    outlines = writer.get_outline_root()
    bad = DictionaryObject(
        {NameObject("/Title"): TextStringObject("Bad"), NameObject("/Dest"): NumberObject(3)}
    )
    bad[NameObject("/Next")] = outlines["/First"]
    outlines[NameObject("/First")] = writer._add_object(bad)
    writer.write(str(tmp_path / "a.pdf"))
    assert text_of(read(str(tmp_path / "a.pdf"))) == "one\n\ntwo\n\n"


def test_passwords(tmp_path: Path) -> None:
    path = write_pdf(tmp_path / "a.pdf", ["secret"], password="sesame")
    assert text_of(read(path, "sesame")) == "secret\n\n"
    with pytest.raises(PasswordNeeded, match="is needed") as raised:
        read(path)
    assert "--password" in raised.value.hint
    with pytest.raises(PasswordNeeded, match="is wrong"):
        read(path, "open")


def test_a_file_that_only_forbids_printing_opens(tmp_path: Path) -> None:
    writer = pdf_writer(["open"])
    writer.encrypt(user_password="", owner_password="owner", algorithm="AES-128")
    writer.write(str(tmp_path / "a.pdf"))
    for password in (None, "given in vain"):
        assert text_of(read(str(tmp_path / "a.pdf"), password)) == "open\n\n"


def test_a_password_for_a_file_without_one_does_no_harm(tmp_path: Path) -> None:
    assert text_of(read(write_pdf(tmp_path / "a.pdf", ["open"]), "x")) == "open\n\n"


def test_other_protection_is_named(tmp_path: Path) -> None:
    data = pdf_bytes(["x"]).replace(
        b"trailer << ", b"trailer << /ID [(a) (a)] /Encrypt << /Filter /EBX_HANDLER /V 1 /R 2 >> "
    )
    (tmp_path / "a.pdf").write_bytes(data)
    with pytest.raises(DrmProtected):
        read(str(tmp_path / "a.pdf"))


def test_scanned_pages_among_others_are_said(tmp_path: Path) -> None:
    parts = read(write_pdf(tmp_path / "a.pdf", [None, "two", None, ""]))
    assert [(part.locator.page_number, part.reason) for part in skipped(parts)] == [
        (1, "no text layer"),
        (3, "no text layer"),
        (4, "no text on this page"),
    ]
    assert [part.locator.page_number for part in parts] == [1, 2, 3, 4]


def test_a_scan_from_cover_to_cover(tmp_path: Path) -> None:
    with pytest.raises(NoTextLayer) as raised:
        read(write_pdf(tmp_path / "a.pdf", [None] * 3))
    assert "ocr" in raised.value.hint


def test_a_page_that_fails_is_skipped(tmp_path: Path) -> None:
    writer = pdf_writer(["one", "two", "three"])
    writer.pages[1][NameObject("/Resources")] = NumberObject(1)
    writer.pages[1][NameObject("/Contents")] = NumberObject(1)
    writer.write(str(tmp_path / "a.pdf"))
    parts = read(str(tmp_path / "a.pdf"))
    assert text_of(parts) == "one\n\nthree\n\n"
    assert skipped(parts)[0].locator.page_number == 2


@pytest.mark.parametrize("cut", [60, 300])
def test_damage_is_said_not_raised_raw(tmp_path: Path, cut: int) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf_bytes(["text"])[:cut])
    with pytest.raises(DamagedDocument):
        read(str(tmp_path / "a.pdf"))


def test_every_error_is_ours(tmp_path: Path) -> None:
    good = pdf_bytes(["some text", "more"])
    for position in range(0, len(good), 23):
        bad = tmp_path / "bad.pdf"
        bad.write_bytes(good[:position] + b"\xff<<" + good[position + 3 :])
        try:
            read(str(bad))
        except MemreadError as error:
            assert "\n" not in error.message


def test_an_empty_tree_of_pages(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf_bytes([]))
    with pytest.raises(DamagedDocument, match="no pages"):
        read(str(tmp_path / "a.pdf"))


def test_the_reader_is_renewed_on_the_way(tmp_path: Path) -> None:
    pages = [f"page {number}" for number in range(120)]
    assert text_of(read(write_pdf(tmp_path / "a.pdf", pages))) == "".join(page + "\n\n" for page in pages)
    locked = write_pdf(tmp_path / "b.pdf", pages[:60], password="p")
    assert text_of(read(locked, "p")).count("page") == 60


def test_samples() -> None:
    parts = read(shared("pdf/pdflatex-outline.pdf"))
    assert [part.locator.chapter for part in parts] == [None, "Foo", "Bar", "Bar"]
    with pytest.raises(PasswordNeeded):
        read(shared("pdf/libreoffice-writer-password.pdf"))
    assert "Lorem ipsum" in text_of(read(shared("pdf/libreoffice-writer-password.pdf"), "openpassword"))


def test_nothing_null_in_locators(tmp_path: Path) -> None:
    writer = pdf_writer(["x"])
    writer._root_object[NameObject("/PageLabels")] = NullObject()
    writer.write(str(tmp_path / "a.pdf"))
    assert read(str(tmp_path / "a.pdf"))[0].locator.page in (None, "1")


def test_what_pypdf_may_do_is_capped(tmp_path: Path) -> None:
    path = write_pdf(tmp_path / "a.pdf", ["one", "two"])
    read(path)
    configuration = get_configuration()
    assert {name: getattr(configuration, name) for name in CAPS} == CAPS
    assert configuration.jbig2dec_binary is None  # no program is run for a picture
    assert (
        not [  # a cap that a newer pypdf has is looked at before it is relied on
            field.name
            for field in dataclasses.fields(configuration)
            if field.name not in CAPS
            and not field.name.startswith(("flate_", "form_", "xfa_", "page_merge", "disable_"))
        ]
    )
