"""EPUB books: order, chapters, pages, gaps, protection."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from memread.errors import DamagedDocument, DrmProtected, MemreadError, NoTextLayer
from memread.ingest.epub import EpubReading
from memread.types import Passage, Skipped
from tests.ingest.samples import PICTURE, epub, nav, ncx, shared, skipped, text_of, xhtml


def read(path: str) -> list[Passage | Skipped]:
    with Path(path).open("rb") as file:
        return list(EpubReading(file, "book.epub").passages())


def chapter(words: str) -> str:
    return xhtml(f"<p>{words}</p>")


def test_the_spine_is_the_order_and_nav_is_not_text(tmp_path: Path) -> None:
    path = epub(
        tmp_path / "b.epub",
        {
            "c.xhtml": chapter("third"),
            "a.xhtml": chapter("first"),
            "nav.xhtml": nav(("a.xhtml", "A"), ("b.xhtml", "B"), ("c.xhtml", "C")),
            "b.xhtml": chapter("second"),
        },
        spine=["nav.xhtml", "a.xhtml", "~b.xhtml", "c.xhtml"],
    )
    parts = read(path)
    assert text_of(parts) == "first\n\nsecond\n\nthird\n\n"
    assert [part.locator.chapter for part in parts] == ["A", "B", "C"]
    assert parts[-1].fraction == 1.0  # type: ignore[union-attr]


def test_info(tmp_path: Path) -> None:
    path = epub(tmp_path / "b.epub", {"a.xhtml": chapter("x"), "nav.xhtml": nav(("a.xhtml", "A"))})
    with Path(path).open("rb") as file:
        info = EpubReading(file, "shown.epub", 3).info
    assert (info.name, info.format, info.title, info.author) == (
        "shown.epub",
        "epub",
        "The & Book",
        "A. Author, B. Other",
    )
    assert (info.chapters, info.pages, info.size) == (1, None, Path(path).stat().st_size)


def test_chapters_and_pages_inside_a_file(tmp_path: Path) -> None:
    body = (
        '<h1 id="one">One</h1><p>aaa</p><p>bb<span id="p2" epub:type="pagebreak"/>b</p>'
        '<h2 id="two">Two</h2><p>ccc <span epub:type="pagebreak" title="iii"/>ddd</p>'
    )
    path = epub(
        tmp_path / "b.epub",
        {
            "a.xhtml": xhtml(body),
            "b.xhtml": chapter("goes on"),
            "nav.xhtml": nav(
                ("a.xhtml#one", "One"), ("a.xhtml#two", "Two"), pages=[("a.xhtml", "1"), ("a.xhtml#p2", "2")]
            ),
        },
    )
    places = [
        (part.text, part.locator.page, part.locator.chapter)
        for part in read(path)
        if isinstance(part, Passage)
    ]
    assert places == [
        ("One\n\naaa\n\nbb", "1", "One"),
        ("b\n\n", "2", "One"),
        ("Two\n\nccc ", "2", "Two"),
        ("ddd\n\n", "iii", "Two"),
        ("goes on\n\n", "iii", "Two"),
    ]


def test_a_place_of_the_contents_that_is_escaped_or_not_there(tmp_path: Path) -> None:
    path = epub(
        tmp_path / "b.epub",
        {
            "a.xhtml": chapter("one"),
            "b.xhtml": chapter("two"),
            "c.xhtml": xhtml('<p>two still</p><h2 id="é x">Three</h2><p>three</p>'),
            "nav.xhtml": nav(("a.xhtml", "One"), ("b.xhtml#gone", "Two"), ("c.xhtml#%C3%A9%20x", "Three")),
        },
    )
    places = [(part.text, part.locator.chapter) for part in read(path) if isinstance(part, Passage)]
    assert places == [
        ("one\n\n", "One"),
        ("two\n\n", "Two"),
        ("two still\n\n", "Two"),
        ("Three\n\nthree\n\n", "Three"),
    ]


def test_the_older_contents_are_used_where_there_is_no_nav(tmp_path: Path) -> None:
    path = epub(tmp_path / "b.epub", {"toc.ncx": ncx(("a.xhtml", "From NCX")), "a.xhtml": chapter("x")})
    assert read(path)[0].locator.chapter == "From NCX"


@pytest.mark.parametrize(
    "contents",
    [
        {"nav.xhtml": xhtml("<p>no nav at all</p>")},
        {"nav.xhtml": xhtml('<nav epub:type="landmarks"><ol><li><a href="a.xhtml">x</a></li></ol></nav>')},
        {"nav.xhtml": xhtml('<nav epub:type="toc"></nav>')},
        {"nav.xhtml": ""},
        {"toc.ncx": "<ncx"},
        {"toc.ncx": '<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"/>'},
    ],
)
def test_broken_contents_do_not_stop_the_reading(tmp_path: Path, contents: dict[str, str | bytes]) -> None:
    parts = read(epub(tmp_path / "b.epub", {**contents, "a.xhtml": chapter("text")}))
    assert text_of(parts) == "text\n\n"


def test_a_missing_chapter_is_a_gap(tmp_path: Path) -> None:
    path = epub(
        tmp_path / "b.epub",
        {"a.xhtml": chapter("first"), "c.xhtml": chapter("third"), "nav.xhtml": nav(("b.xhtml", "B"))},
        missing=["b.xhtml", "cover.png"],
        spine=["a.xhtml", "b.xhtml", "nowhere", "c.xhtml"],
    )
    parts = read(path)
    assert text_of(parts) == "first\n\nthird\n\n"
    assert [part.reason for part in skipped(parts)] == [
        "OPS/b.xhtml: it is listed but missing",
        "nowhere: it is in the reading order but not in the book",
    ]


def test_after_a_gap_the_page_is_known_only_where_the_book_lists_its_pages(tmp_path: Path) -> None:
    """Marks in the text are lost with it."""
    mark = '<p><span id="p2" epub:type="pagebreak" title="2"/>two</p>'
    files = {"a.xhtml": xhtml(mark), "c.xhtml": xhtml("<p>after</p>" + mark)}
    for listed, after in ([], None), ([("a.xhtml#p2", "2"), ("b.xhtml#p3", "3"), ("b.xhtml#p4", "4")], "4"):
        contents = {"nav.xhtml": nav(pages=listed)}
        spine = ["a.xhtml", "b.xhtml", "c.xhtml"]
        parts = read(epub(tmp_path / "b.epub", {**files, **contents}, missing=["b.xhtml"], spine=spine))
        assert [part.locator.page for part in parts] == ["2", "2", after, "2"]
        assert skipped(parts)[0].pages == (("3", "4") if listed else ())


def test_a_chapter_of_another_type_does_not_vanish(tmp_path: Path) -> None:
    path = epub(
        tmp_path / "b.epub",
        {"a.html": "<p>html<p>more", "b.xhtml": chapter("odd"), "c.png": PICTURE},
        types={"a.html": "text/html", "b.xhtml": "application/octet-stream"},
        spine=["a.html", "b.xhtml", "c.png"],
    )
    parts = read(path)
    assert text_of(parts) == "html\n\nmore\n\nodd\n\n"
    assert [part.reason for part in skipped(parts)] == ["OPS/c.png: image/png, not text"]


def test_names_with_escapes_spaces_and_other_case(tmp_path: Path) -> None:
    opf = (
        '<package xmlns="http://www.idpf.org/2007/opf"><manifest>'
        '<item id="a" href="My%20Chapter.XHTML" media-type="application/xhtml+xml"/>'
        "</manifest><spine><itemref idref='a'/></spine></package>"
    )
    path = epub(tmp_path / "b.epub", {"My Chapter.xhtml": chapter("found")}, opf=opf)
    assert text_of(read(path)) == "found\n\n"


_OPF = "http://www.idpf.org/2007/opf"
_ITEM = "item id='a' href='a.xhtml' media-type='application/xhtml+xml'/>"
_PACKAGES = {
    "no namespace, an empty item": "<package><manifest><item id='a' href='a.xhtml'/><item/></manifest>"
    "<spine toc='gone'><itemref idref='a'/></spine></package>",
    "no metadata, no spine": f"<package xmlns='{_OPF}'><manifest><{_ITEM}</manifest></package>",
    "prefixes and comments": f"<opf:package xmlns:opf='{_OPF}'><!-- x --><opf:manifest><!-- y -->"
    f"<opf:{_ITEM}</opf:manifest><opf:spine><!-- z --><opf:itemref idref='a'/></opf:spine></opf:package>",
}


@pytest.mark.parametrize("opf", _PACKAGES.values(), ids=_PACKAGES)
def test_packages_that_ebooklib_alone_cannot_read(tmp_path: Path, opf: str) -> None:
    assert text_of(read(epub(tmp_path / "b.epub", {"a.xhtml": chapter("text")}, opf=opf))) == "text\n\n"


def test_a_book_without_container_is_found(tmp_path: Path) -> None:
    assert (
        text_of(read(epub(tmp_path / "b.epub", {"a.xhtml": chapter("text")}, container=None))) == "text\n\n"
    )


@pytest.mark.parametrize(
    "opf", ["", "<package/>", "not xml", "<package><spine><itemref idref='x'/></spine></package>"]
)
def test_a_book_without_anything_in_it_is_damaged(tmp_path: Path, opf: str) -> None:
    path = epub(tmp_path / "b.epub", {"a.xhtml": chapter("text")}, opf=opf or " ")
    with pytest.raises(DamagedDocument) as raised:
        read(path)
    assert raised.value.message.startswith("book.epub: ") and raised.value.hint


def test_a_cut_off_archive_is_damaged(tmp_path: Path) -> None:
    path = Path(epub(tmp_path / "b.epub", {"a.xhtml": chapter("text")}))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DamagedDocument, match="zip archive"):
        read(str(path))


def test_a_damaged_chapter_is_a_gap(tmp_path: Path) -> None:
    path = Path(epub(tmp_path / "b.epub", {"a.xhtml": chapter("x" * 3000), "b.xhtml": chapter("good")}))
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo("OPS/a.xhtml")
    data = bytearray(path.read_bytes())
    start = entry.header_offset + 30 + len(entry.filename)
    data[start : start + 12] = b"\xff" * 12
    path.write_bytes(data)
    parts = read(str(path))
    assert text_of(parts) == "good\n\n"
    assert "damaged" in skipped(parts)[0].reason


def _encryption(algorithm: str) -> str:
    return (
        '<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
        '<enc:EncryptedData xmlns:enc="http://www.w3.org/2001/04/xmlenc#">'
        f'<enc:EncryptionMethod Algorithm="{algorithm}"/></enc:EncryptedData></encryption>'
    )


_AES = _encryption("http://www.w3.org/2001/04/xmlenc#aes128-cbc")


@pytest.mark.parametrize(
    ("extra", "who"),
    [
        ({"META-INF/encryption.xml": _AES}, "aes128-cbc"),
        ({"META-INF/encryption.xml": _AES, "META-INF/rights.xml": "<rights/>"}, "ADEPT"),
        ({"META-INF/license.lcpl": "{}", "META-INF/encryption.xml": _AES}, "LCP"),
        ({"META-INF/sinf.xml": "<x/>"}, "FairPlay"),
    ],
)
def test_copy_protection_is_named(tmp_path: Path, extra: dict[str, str | bytes], who: str) -> None:
    path = epub(tmp_path / "b.epub", {"a.xhtml": chapter("text")}, extra=extra)
    with pytest.raises(DrmProtected, match=who):
        read(path)


def test_scrambled_fonts_are_no_protection(tmp_path: Path) -> None:
    for algorithm in ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC"):
        extra: dict[str, str | bytes] = {"META-INF/encryption.xml": _encryption(algorithm)}
        assert (
            text_of(read(epub(tmp_path / "b.epub", {"a.xhtml": chapter("text")}, extra=extra))) == "text\n\n"
        )


def test_a_book_of_pictures_is_refused_before_its_captions_are_read(tmp_path: Path) -> None:
    page = xhtml('<div><img src="p.png" alt="page 1"/></div>')
    path = epub(tmp_path / "b.epub", {"a.xhtml": page, "b.xhtml": page, "p.png": PICTURE})
    with pytest.raises(NoTextLayer, match="pictures"):
        read(path)


def test_a_long_chapter_comes_in_pieces(tmp_path: Path) -> None:
    body = "".join(f"<p>paragraph {number} of the long chapter</p>" for number in range(6000))
    parts = read(epub(tmp_path / "b.epub", {"a.xhtml": xhtml(body)}))
    assert len(parts) > 2
    assert all(
        isinstance(part, Passage) and len(part.text) <= 65536 and part.text.endswith("\n\n") for part in parts
    )
    assert text_of(parts).count("paragraph") == 6000


def test_undecodable_bytes_are_said(tmp_path: Path) -> None:
    data = xhtml("<p>é and ").encode() + b"\xff\xfe" + "ü</p>".encode()
    parts = read(epub(tmp_path / "b.epub", {"a.xhtml": data}))
    assert "2 undecodable bytes" in skipped(parts)[0].reason


def test_every_error_is_ours(tmp_path: Path) -> None:
    good = Path(
        epub(tmp_path / "b.epub", {"a.xhtml": chapter("text"), "nav.xhtml": nav(("a.xhtml", "A"))})
    ).read_bytes()
    for position in range(0, len(good), 7):
        bad = tmp_path / "bad.epub"
        bad.write_bytes(good[:position] + b"\x00\xff" + good[position + 2 :])
        try:
            read(str(bad))
        except MemreadError as error:
            assert "\n" not in error.message


def test_moby_dick() -> None:
    parts = read(shared("books/moby-dick.epub"))
    titles = list(dict.fromkeys(part.locator.chapter for part in parts))
    assert (
        titles.index("Chapter 1. Loomings.")
        < titles.index("Chapter 135. The Chase.—Third Day.")
        < titles.index("Epilogue")
    )
    assert "Call me Ishmael. Some years ago" in text_of(parts)
    assert not skipped(parts)


_BOOKS = (
    "childrens-literature",
    "epub30-spec",
    "moby-dick",
    "page-blanche",
    "regime-anticancer-arabic",
    "trees",
)


@pytest.mark.parametrize("book", ["alice", *_BOOKS])
def test_books_are_read_as_with_ebooklib(book: str) -> None:
    from memread.ingest import ebooklib_package
    from memread.ingest.package import Archive, read_package

    alice = Path(__file__).resolve().parents[2] / "examples" / "alice.epub"
    path = str(alice) if book == "alice" else shared(f"books/{book}.epub")
    with Path(path).open("rb") as file:
        archive = Archive(file, book)
        own, theirs = read_package(archive), ebooklib_package.read_package(archive)
        # With the same package, the rest of the reader gives the same text.
        assert own == theirs
        assert own.spine and own.title


def test_without_ebooklib_a_book_is_read_all_the_same(tmp_path: Path) -> None:
    """Who cannot have its licence uninstalls it: as if it were not there, in a process of its own."""
    code = (
        "import sys; from pathlib import Path\n"
        "if sys.argv[2] == 'without': sys.modules['ebooklib'] = None\n"
        "from memread.ingest.epub import EpubReading\n"
        "with Path(sys.argv[1]).open('rb') as file: print(list(EpubReading(file, 'alice').passages()))\n"
        "assert ('ebooklib.epub' in sys.modules) == (sys.argv[2] == 'with')"
    )
    alice = Path(__file__).resolve().parents[2] / "examples" / "alice.epub"
    read = [
        subprocess.run([sys.executable, "-c", code, alice, how], capture_output=True, check=True).stdout
        for how in ("with", "without")
    ]
    assert read[0] == read[1] and len(read[0]) > 100_000


def test_a_chapter_that_breaks_off(tmp_path: Path) -> None:
    """What is there is read; what began in the rest of it is named, and goes on in the next file."""
    whole = xhtml('<p id="one">first</p><p id="p1">more</p><h2 id="two">Two</h2><p id="p2">second</p>')
    files = {
        "a.xhtml": whole[: whole.index("<h2")],
        "b.xhtml": xhtml("<p>next</p>"),
        "c.xhtml": xhtml("<p>last</p>"),
        "nav.xhtml": nav(
            ("a.xhtml#one", "One"),
            ("a.xhtml#two", "Two"),
            ("c.xhtml", "Three"),
            pages=[("a.xhtml#p1", "1"), ("a.xhtml#p2", "2"), ("c.xhtml", "3")],
        ),
    }
    path = epub(tmp_path / "b.epub", files, spine=["a.xhtml", "b.xhtml", "c.xhtml"])
    parts = read(path)
    assert text_of(parts) == "first\n\nmore\n\nnext\n\nlast\n\n"
    (said,) = skipped(parts)
    assert (said.reason, said.chapters, said.pages) == ("OPS/a.xhtml: it breaks off", ("Two",), ("2",))
    assert [(part.locator.chapter, part.locator.page) for part in parts if isinstance(part, Passage)] == [
        ("One", None),
        ("One", "1"),
        ("Two", "2"),
        ("Three", "3"),
    ]


@pytest.mark.parametrize(
    "page",
    [
        "<html><body><p>a & b<br>c</p></BODY></html>",
        "<html:html xmlns:html='http://www.w3.org/1999/xhtml'><html:p>a</html:p></html:html>",
        "<p>a<br>b",
    ],
)
def test_a_chapter_that_is_only_untidy_does_not_break_off(tmp_path: Path, page: str) -> None:
    assert not skipped(read(epub(tmp_path / "b.epub", {"a.xhtml": page})))
