"""Several documents as one reading."""

from __future__ import annotations

from pathlib import Path

import pytest

from memread.errors import BinaryFile, EmptyInput, FileMissing, NoTextLayer, PasswordNeeded
from memread.ingest import Input, open_document, open_documents, read_all
from memread.types import Passage, Skipped
from tests.ingest.samples import PICTURE, epub, skipped, text_of, write_pdf, xhtml


@pytest.fixture
def paths(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "a.txt").write_text("alpha\n")
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "white.txt").write_text("  \n")
    (tmp_path / "p.png").write_bytes(PICTURE)
    epub(tmp_path / "b.epub", {"a.xhtml": xhtml("<p>beta</p>")})
    write_pdf(tmp_path / "c.pdf", ["gamma", "delta"])
    write_pdf(tmp_path / "scan.pdf", [None])
    write_pdf(tmp_path / "locked.pdf", ["x"], password="sesame")
    return {path.name: str(path) for path in tmp_path.iterdir()}


def read(*names: str) -> tuple[list[Passage | Skipped], list[Skipped]]:
    documents, left_out = open_documents([Input(name) for name in names])
    return list(read_all(documents)), left_out


def test_one_document_is_read_as_it_is(paths: dict[str, str]) -> None:
    parts, _ = read(paths["a.txt"])
    assert text_of(parts) == "alpha\n"


def test_several_are_named_and_counted(paths: dict[str, str]) -> None:
    parts, left_out = read(paths["a.txt"], paths["b.epub"], paths["c.pdf"])
    assert not left_out
    a, b, c = (paths[name] for name in ("a.txt", "b.epub", "c.pdf"))
    assert (
        text_of(parts) == f"[File: {a}]\n\nalpha\n\n[File: {b}]\n\nbeta\n\n[File: {c}]\n\ngamma\n\ndelta\n\n"
    )
    assert [part.locator.document for part in parts] == [0, 0, 1, 1, 2, 2, 2]
    fractions = [part.fraction for part in parts if isinstance(part, Passage)]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0  # type: ignore[type-var]
    sizes = [Path(path).stat().st_size for path in (a, b, c)]
    assert fractions[1] == pytest.approx(sizes[0] / sum(sizes))


def test_names_cannot_forge_lines(tmp_path: Path) -> None:
    (tmp_path / "x\n[File: y].txt").write_text("text")
    (tmp_path / "b.txt").write_text("more")
    parts, _ = read(str(tmp_path / "b.txt"), str(tmp_path / "x\n[File: y].txt"))
    assert text_of(parts).count("\n[File") == 1


def test_an_empty_one_among_several_is_left_out(paths: dict[str, str]) -> None:
    parts, left_out = read(paths["empty.txt"], paths["a.txt"], paths["white.txt"])
    assert [part.reason for part in left_out] == [f"{paths['empty.txt']}: it is empty"]
    assert [part.reason for part in skipped(parts)] == [f"{paths['white.txt']}: there is no text in it"]


def test_all_empty_is_an_error(paths: dict[str, str]) -> None:
    for names in (["empty.txt"], ["empty.txt", "empty.txt"], []):
        with pytest.raises(EmptyInput):
            read(*(paths[name] for name in names))
    with pytest.raises(EmptyInput):
        read(paths["white.txt"])


def test_a_named_file_that_cannot_be_read_is_an_error_at_once(paths: dict[str, str]) -> None:
    for bad, error in (("p.png", BinaryFile), ("locked.pdf", PasswordNeeded), ("nowhere.txt", FileMissing)):
        with pytest.raises(error):
            open_documents([Input(paths["a.txt"]), Input(paths.get(bad, bad))])


def test_a_found_file_that_cannot_be_read_is_left_out(paths: dict[str, str]) -> None:
    documents, left_out = open_documents(
        [Input(paths["locked.pdf"], named=False), Input(paths["a.txt"], named=False)]
    )
    assert len(documents) == 1 and "password" in left_out[0].reason
    documents[0].close()


def test_a_scan_among_others_does_not_end_hours_of_reading(paths: dict[str, str]) -> None:
    parts, _ = read(paths["a.txt"], paths["scan.pdf"], paths["c.pdf"])
    assert "gamma" in text_of(parts)
    assert [part.locator.document for part in skipped(parts)] == [1]
    with pytest.raises(NoTextLayer):
        read(paths["scan.pdf"], paths["scan.pdf"])


def test_documents_opened_one_by_one_are_numbered(paths: dict[str, str]) -> None:
    parts = list(read_all([open_document(paths["a.txt"]), open_document(paths["c.pdf"])]))
    assert [part.locator.document for part in parts] == [0, 0, 1, 1, 1]


def test_a_password_for_all(paths: dict[str, str]) -> None:
    documents, _ = open_documents([Input(paths["locked.pdf"]), Input(paths["a.txt"])], password="sesame")
    assert "x\n" in text_of(list(read_all(documents)))


def test_closed_documents_end(paths: dict[str, str]) -> None:
    documents, _ = open_documents([Input(paths["a.txt"]), Input(paths["c.pdf"])])
    for document in documents:
        document.close()
    assert text_of(list(read_all(documents))) == ""
