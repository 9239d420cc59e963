"""Parts of documents: pages, chapters, lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypdf.generic import ArrayObject, DictionaryObject, NameObject, NumberObject

from memread.errors import DamagedDocument, InputError, UsageError
from memread.ingest import Input, open_document, open_documents, read_all, select_part
from memread.ingest.selection import Kind, SelectedDocument, numbered, parse
from memread.protocols import Document
from memread.types import DocumentInfo, Locator, Passage, Skipped
from tests.ingest.samples import CONTAINER, epub, nav, pdf_writer, text_of, write_pdf, xhtml


def read(path: Path | str, **part: str) -> tuple[DocumentInfo, list[Passage | Skipped]]:
    asked = select_part(part.get("pages"), part.get("chapters"), part.get("lines"))
    documents, _ = open_documents([Input(str(path))], selection=asked)
    try:
        return documents[0].info, list(read_all(documents))
    finally:
        documents[0].close()


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("10-80", ["10", "80", "44"], ["9", "81", "x", ""]),
        ("3", ["3"], ["2", "iii"]),
        ("-5,8", ["1", "5", "8"], ["6", "9"]),
        ("12-", ["12", "99999"], ["11"]),
        ("iv-xii", ["iv", "IX"], ["iii", "5", "xiii"]),
        ("2–3", ["2"], ["4"]),
    ],
)
def test_ranges(text: str, inside: list[str], outside: list[str]) -> None:
    selection = parse("pages", text)
    assert all(map(selection.holds, inside)) and not any(map(selection.holds, outside))


@pytest.mark.parametrize("text", ["", "-", "a", "9-3", "0", "3-iv", "1,,2", "1-2-3", "-0", "٣", "1e3"])
@pytest.mark.parametrize("kind", ["pages", "lines"])
def test_what_is_no_range(text: str, kind: Kind) -> None:
    with pytest.raises(UsageError, match=f"--{kind}") as raised:
        parse(kind, text)
    assert raised.value.hint


def test_only_one_at_a_time(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="only one"):
        select_part("1", "2", None)
    assert select_part(None, None, None) is None
    (tmp_path / "a").write_text("x\n")
    with pytest.raises(UsageError, match="one document"):
        open_documents([Input(str(tmp_path / "a"))] * 2, selection=parse("lines", "1"))


def test_pages_of_a_pdf(tmp_path: Path) -> None:
    path = write_pdf(tmp_path / "a.pdf", [f"page {n}" for n in range(1, 10)])
    info, parts = read(path, pages="3-4,8")
    assert text_of(parts) == "page 3\n\npage 4\n\npage 8\n\n"
    assert info.part == "pages 3-4,8" and info.pages == 9
    assert [part.fraction for part in parts if isinstance(part, Passage)] == [1 / 3, 2 / 3, 1]
    with pytest.raises(UsageError, match="no pages 12-14") as raised:
        read(path, pages="12-14")
    assert raised.value.hint == "Its pages are 1 to 9."


def test_pages_are_those_that_the_document_prints(tmp_path: Path) -> None:
    writer = pdf_writer([f"sheet {n}" for n in range(1, 7)])
    styles = ArrayObject()
    for start, style in ((0, "/r"), (3, "/D")):
        styles.extend([NumberObject(start), DictionaryObject({NameObject("/S"): NameObject(style)})])
    labels = DictionaryObject({NameObject("/Nums"): styles})
    writer._root_object[NameObject("/PageLabels")] = labels
    writer.write(tmp_path / "a.pdf")
    assert text_of(read(tmp_path / "a.pdf", pages="2")[1]) == "sheet 5\n\n"
    assert text_of(read(tmp_path / "a.pdf", pages="ii-iii")[1]) == "sheet 2\n\nsheet 3\n\n"


def book(path: Path) -> str:
    chapters = {f"{n}.xhtml": xhtml(f"<p>Chapter {n}</p><p>Text {n}</p>") for n in range(1, 6)}
    return epub(path, {"nav.xhtml": nav(*((f"{n}.xhtml", f"The {n}th") for n in range(1, 6))), **chapters})


def test_chapters_of_an_epub(tmp_path: Path) -> None:
    info, parts = read(book(tmp_path / "a.epub"), chapters="2-3")
    assert info.part == "chapters 2-3"
    assert [part.locator.chapter for part in parts] == ["The 2th", "The 3th"]
    with pytest.raises(UsageError, match="no chapter 9") as raised:
        read(tmp_path / "a.epub", chapters="9")
    assert raised.value.hint == "Its chapters are 1 to 5."


@pytest.mark.parametrize(
    ("part", "hint"), [({"pages": "3"}, "It has --chapters."), ({"lines": "3"}, "It has --chapters.")]
)
def test_what_a_format_does_not_have(tmp_path: Path, part: dict[str, str], hint: str) -> None:
    with pytest.raises(UsageError, match=r"a\.epub") as raised:
        read(book(tmp_path / "a.epub"), **part)
    assert raised.value.hint == hint


def test_headings_of_a_page_are_chapters(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("<html><p>Start</p><h1>One</h1><p>1</p><h2>Two</h2><p>2</p></html>")
    assert text_of(read(tmp_path / "a.html", chapters="2")[1]).split() == ["Two", "2"]


class Lines:
    """A text whose passages end anywhere."""

    info = DocumentInfo(name="x", format="text")

    def __init__(self, pieces: list[str]) -> None:
        self._pieces = pieces

    def passages(self) -> list[Passage]:
        before = ["".join(self._pieces[:n]).count("\n") for n in range(len(self._pieces))]
        return [Passage(p, Locator(line=n + 1)) for p, n in zip(self._pieces, before, strict=True)]

    def close(self) -> None: ...


@given(
    st.lists(st.text("ab\n\r\u2028", min_size=1, max_size=9), min_size=1, max_size=6),
    st.integers(1, 12),
    st.integers(0, 5),
)
def test_lines_are_those_of_the_text(pieces: list[str], first: int, more: int) -> None:
    from memread.ingest.selection import SelectedDocument

    document: Document = Lines(pieces)  # type: ignore[assignment]
    wanted = "".join(line + "\n" for line in "".join(pieces).split("\n"))[:-1]
    lines = [line + "\n" for line in wanted.split("\n")]
    lines[-1] = lines[-1][:-1]
    expected = "".join(lines[first - 1 : first + more])
    selected = SelectedDocument(document, parse("lines", f"{first}-{first + more}"))
    if expected:
        parts = list(selected.passages())
        assert text_of(parts) == expected
        assert parts[0].locator.line == first
    else:
        with pytest.raises(UsageError, match="no line"):
            list(selected.passages())


def test_lines_of_an_endless_pipe_end(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("".join(f"line {n}\n" for n in range(1, 200_000)))
    info, parts = read(tmp_path / "a.txt", lines="150000-150001")
    assert text_of(parts) == "line 150000\nline 150001\n"
    assert info.part == "lines 150000-150001"
    assert parts[-1].fraction == 1.0  # type: ignore[union-attr]


class Book:
    """Of which the file with pages 3 and 4 cannot be read."""

    info = DocumentInfo(name="book", format="epub", pages=6)

    def passages(self) -> Iterator[Passage | Skipped]:
        for page in ("1", "2", "?", "5", "6"):
            place = Locator(page="2" if page == "?" else page)
            yield Skipped(place, "damaged") if page == "?" else Passage(f"page {page}\n", place)

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("pages", "said"),
    [
        ("2-5", ["page 2\n", "damaged", "page 5\n"]),
        ("3-5", ["damaged", "page 5\n"]),
        ("5-6", ["damaged", "page 5\n", "page 6\n"]),
        ("1", ["page 1\n"]),
        ("6", ["page 6\n"]),
    ],
)
def test_what_was_lost_beside_the_pages_is_told(pages: str, said: list[str]) -> None:
    parts = SelectedDocument(Book(), parse("pages", pages)).passages()
    assert [part.text if isinstance(part, Passage) else part.reason for part in parts] == said


def test_the_missing_end_of_a_file_is_told_of_any_pages() -> None:
    path = Path(__file__).parent / "broken" / "cut-off.pdf"
    parts = [*open_document(str(path), selection=parse("pages", "6-9")).passages()]
    assert any(
        isinstance(part, Skipped) and "the end of the file is missing" in part.reason for part in parts
    )


GONE = "OPS/b.xhtml: it is listed but missing"
LISTED = [(f"{file}.xhtml#p{page}", str(page)) for file, page in zip("aabbcc", range(1, 7), strict=True)]


def paged(*pages: int) -> str:
    marks = (f'<p><span id="p{n}" epub:type="pagebreak" title="{n}"/>text {n}</p>' for n in pages)
    return xhtml("".join(marks))


def gapped(path: Path, listed: list[tuple[str, str]] = LISTED, b: str | None = None, **files: str) -> str:
    """Files a, b and c with two pages each. b: what is in that file; None: it is missing."""
    found = {"a.xhtml": paged(1, 2), **({} if b is None else {"b.xhtml": b}), "c.xhtml": paged(5, 6)}
    found |= {f"{name}.xhtml": text for name, text in files.items()}
    spine = ["a.xhtml", "b.xhtml", "c.xhtml"]
    missing = ["b.xhtml"] if b is None else []
    return epub(path, {**found, "nav.xhtml": nav(pages=listed)}, missing=missing, spine=spine)


def said(path: Path | str, **part: str) -> list[str]:
    """The texts, and of what was skipped where it is and why."""
    parts = read(path, **part)[1]
    return [p.text.strip() if isinstance(p, Passage) else f"{p.label()}: {p.reason}" for p in parts]


@pytest.mark.parametrize(
    ("pages", "expected"),
    [
        ("3-5", [f"pp. 2–4: {GONE}", "text 5"]),
        ("2-3", ["text 2", f"pp. 2–4: {GONE}"]),
        ("4-", [f"pp. 2–4: {GONE}", "text 5", "text 6"]),
        ("1,3", ["text 1", f"pp. 2–4: {GONE}"]),
        ("1", ["text 1"]),
        ("5-6", ["text 5", "text 6"]),
    ],
)
def test_pages_of_which_some_are_in_a_file_that_cannot_be_read(
    tmp_path: Path, pages: str, expected: list[str]
) -> None:
    assert said(gapped(tmp_path / "a.epub"), pages=pages) == expected


@pytest.mark.parametrize(
    ("pages", "error", "message"),
    [
        ("3-4", DamagedDocument, f"pages 3-4 cannot be read ({GONE})"),
        ("4", DamagedDocument, f"page 4 cannot be read ({GONE})"),
        ("4,99", DamagedDocument, f"pages 4,99 cannot be read ({GONE})"),
        ("99", UsageError, "it has no page 99"),
    ],
)
def test_pages_that_are_all_in_a_file_that_cannot_be_read(
    tmp_path: Path, pages: str, error: type[InputError | UsageError], message: str
) -> None:
    path = gapped(tmp_path / "a.epub")
    with pytest.raises(error) as raised:
        read(path, pages=pages)
    assert raised.value.message == f"{path}: {message}" and raised.value.hint == "Its pages are 1 to 6."


def test_the_only_pages_are_in_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    bare = {"a": xhtml("<p>before</p>"), "c": xhtml("<p>after</p>")}
    path = gapped(tmp_path / "a.epub", LISTED[2:4], **bare)
    assert read(path, pages="3-4")[0].pages == 2
    assert said(path, pages="3-4") == [f"pp. 3–4: {GONE}", "after"], "the last page goes on"
    with pytest.raises(DamagedDocument) as raised:
        read(path, pages="3")
    assert raised.value.message == f"{path}: page 3 cannot be read ({GONE})"
    assert raised.value.hint == "Its pages are 3 to 4."


def test_pages_that_may_be_marked_in_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """The list has none of that file: what it has, nobody knows."""
    path = gapped(tmp_path / "a.epub", [*LISTED[:2], *LISTED[4:]])
    assert said(path, pages="3-5") == [f"p. 2: {GONE}", "text 5"]
    with pytest.raises(UsageError) as raised:
        read(path, pages="3")
    assert raised.value.message == f"{path}: it has no page 3 in what can be read of it ({GONE})"


def test_a_list_of_pages_that_cannot_be_read(tmp_path: Path) -> None:
    opf = (
        '<package xmlns="http://www.idpf.org/2007/opf"><manifest>'
        '<item id="a" href="a.xhtml" media-type="application/xhtml+xml"/>'
        '<item id="n" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>'
        '</manifest><spine><itemref idref="a"/></spine></package>'
    )
    path = epub(tmp_path / "a.epub", {"a.xhtml": paged(1, 2)}, opf=opf, container=CONTAINER)
    for kind, part in (("pages", {"pages": "2"}), ("chapters", {"chapters": "1"})):
        with pytest.raises(DamagedDocument) as raised:
            read(path, **part)
        assert raised.value.message == (
            f"{path}: where its {kind} begin cannot be told (OPS/nav.xhtml: it is listed but missing)"
        )
    assert said(path) == ["text 1", "text 2"]


def test_pages_after_the_place_where_a_file_breaks_off(tmp_path: Path) -> None:
    """What the list says of them is true of what comes after the file."""
    goes_on = xhtml('<p>goes on</p><p><span id="p5"/>text 5</p>')
    broken = paged(3, 4).partition('<p><span id="p4"')[0]
    lost = "OPS/b.xhtml: it breaks off"
    path = gapped(tmp_path / "a.epub", LISTED[:5], broken, c=goes_on)
    assert said(path, pages="3") == [
        "text 3",
        f"pp. 3–4: {lost}",
    ]  # nobody knows how much of page 3 is missing
    assert said(path, pages="3-5") == ["text 3", f"pp. 3–4: {lost}", "goes on", "text 5"]
    assert said(path, pages="5") == ["text 5"]
    path = gapped(tmp_path / "a.epub", LISTED[:5], "", c=goes_on)
    assert said(path, pages="2-4") == ["text 2", "pp. 2–4: OPS/b.xhtml: there is nothing in it", "goes on"]
    path = gapped(tmp_path / "a.epub", b=broken)
    with pytest.raises(DamagedDocument) as raised:
        read(path, pages="4")
    assert raised.value.message == f"{path}: page 4 cannot be read ({lost})"


def test_pages_that_are_listed_but_not_marked_in_their_file(tmp_path: Path) -> None:
    goes_on = xhtml('<p>goes on</p><p><span id="p5"/>text 5</p>')
    unmarked = paged(3, 4).replace('<span id="p4" epub:type="pagebreak" title="4"/>', "")
    lost = "OPS/b.xhtml: the beginning of page 4 is not marked in it"
    path = gapped(tmp_path / "a.epub", LISTED[:5], unmarked, c=goes_on)
    assert said(path, pages="3") == ["text 3\n\ntext 4"]
    assert said(path, pages="3-5") == ["text 3\n\ntext 4", f"pp. 3–4: {lost}", "goes on", "text 5"]
    path = gapped(tmp_path / "a.epub", b=unmarked)
    with pytest.raises(DamagedDocument) as raised:
        read(path, pages="4")
    assert raised.value.message == f"{path}: page 4 cannot be read ({lost})"


@pytest.mark.parametrize("fragments", [True, False])
def test_chapters_in_a_file_that_cannot_be_read_keep_their_numbers(tmp_path: Path, fragments: bool) -> None:
    toc = [(f"{file}.xhtml#c{n}", f"The {n}th") for n, file in ((1, "a"), (2, "b"), (3, "b"), (4, "c"))]
    if not fragments:
        toc = [(link.partition("#")[0], title) for link, title in toc if title != "The 2th"]
    files = {f"{file}.xhtml": xhtml(f'<h1 id="c{n}">{n}</h1>') for n, file in ((1, "a"), (4, "c"))}
    spine = ["a.xhtml", "b.xhtml", "c.xhtml"]
    path = epub(tmp_path / "a.epub", {**files, "nav.xhtml": nav(*toc)}, missing=["b.xhtml"], spine=spine)
    last = len(toc)
    found = {str(n): said(path, chapters=str(n)) for n in (1, last)}
    assert found["1"][0] == "1" and found[str(last)] == ["4"]
    for lost in map(str, range(2, last)):
        with pytest.raises(DamagedDocument) as raised:
            read(path, chapters=lost)
        assert raised.value.message == f"{path}: chapter {lost} cannot be read ({GONE})"
    where = "The 1th – The 3th" if fragments else "The 3th"
    assert said(path, chapters=f"{last - 1}-{last}") == [f"{where}: {GONE}", "4"]
    with pytest.raises(UsageError, match="it has no chapter 9") as missing:
        read(path, chapters="9")
    assert missing.value.hint == f"Its chapters are 1 to {last}."
    every = [numbers for numbers, _ in numbered(read(path)[1])]
    assert every == [range(1, 2), range(1 if fragments else 2, last), range(last, last + 1)]
