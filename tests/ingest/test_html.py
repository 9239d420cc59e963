"""Web pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from memread.errors import EmptyInput
from memread.ingest import open_document
from memread.types import Passage, Skipped
from tests.ingest.samples import skipped, text_of

PAGE = """<!DOCTYPE html><html><head><title> A
page </title><script>var x = "<p>no</p>";</script></head><body><nav>menu</nav>
<h1>One</h1><p>first<p>still first</p><h3>inner</h3><p>x</p><h2>Two &amp; more</h2>
<table><tr><td>a<td>b</table></body></html>"""


def read(path: Path, data: bytes) -> list[Passage | Skipped]:
    path.write_bytes(data)
    document = open_document(str(path))
    assert document.info.format == "html"
    return list(document.passages())


def test_headings_are_chapters(tmp_path: Path) -> None:
    parts = read(tmp_path / "a.html", PAGE.encode())
    assert [(part.locator.chapter, part.text) for part in parts if isinstance(part, Passage)] == [
        ("One", "One\n\nfirst\n\nstill first\n\ninner\n\nx\n\n"),
        ("Two & more", "Two & more\n\na | b\n"),
    ]
    assert open_document(str(tmp_path / "a.html")).info.title == "A page"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1251"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    page = f'<html><head><meta charset="{encoding}"></head><body><p>Привет, мир</p></body></html>'
    assert text_of(read(tmp_path / "a", page.encode(encoding))) == "Привет, мир\n"


def test_a_long_page_streams_and_keeps_its_chapters(tmp_path: Path) -> None:
    page = (
        "<html><body>"
        + "".join(f"<h2>Part {n}</h2><p>{'word ' * 2000}</p>" for n in range(60))
        + "</body></html>"
    )
    parts = read(tmp_path / "a.htm", page.encode())
    assert list(dict.fromkeys(part.locator.chapter for part in parts)) == [f"Part {n}" for n in range(60)]
    assert text_of(parts).count("word") == 120_000
    for part in parts:
        if isinstance(part, Passage) and part.text.startswith("Part "):
            assert part.text.split("\n")[0] == part.locator.chapter


def test_an_empty_page(tmp_path: Path) -> None:
    with pytest.raises(EmptyInput):
        read(tmp_path / "a.html", b"<html><body><script>x</script></body></html>")


def test_undecodable_bytes_are_said(tmp_path: Path) -> None:
    parts = read(tmp_path / "a.html", "<html><p>é".encode() + b"\xff</p></html>")
    assert text_of(parts) == "é�\n"
    assert "1 undecodable byte " in skipped(parts)[0].reason
