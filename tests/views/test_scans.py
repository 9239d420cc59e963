"""Pages without a text layer, counted and named."""

from __future__ import annotations

from memread.types import NO_TEXT_LAYER, DocumentInfo, Locator, Skipped
from memread.views import scans


def pages(*numbers: int, document: int = 0, front: int = 0) -> list[Skipped]:
    """front: how many pages have Roman labels, as prefaces do."""
    roman = ("i", "ii", "iii", "iv")
    return [
        Skipped(
            Locator(document, page=roman[n - 1] if n <= front else str(n - front), page_number=n),
            NO_TEXT_LAYER,
        )
        for n in numbers
    ]


BOOK = DocumentInfo("book.pdf", "pdf", pages=311)


def test_pages_that_follow_one_another_are_a_run() -> None:
    lost = [*pages(*range(3, 201)), Skipped(Locator(page_number=205), "an empty page")]
    assert scans.lines(lost, [BOOK]) == ["198 of 311 pages have no text layer: pages 3–200"]
    assert scans.rows(lost, [BOOK]) == [{"document": "book.pdf", "pages": 198, "of": 311, "which": "3-200"}]
    assert scans.lines(pages(9), [BOOK]) == ["1 of 311 pages has no text layer: page 9"]
    assert scans.lines([], [BOOK]) == [] == scans.rows([], [BOOK])


def test_pages_are_called_as_the_document_calls_them() -> None:
    assert scans.rows(pages(2, 3, 4, 6, front=3), [BOOK])[0]["which"] == "ii-1,3"


def test_of_a_part_and_of_several() -> None:
    part = DocumentInfo("book.pdf", "pdf", pages=311, part="pages 10-20")
    assert scans.lines(pages(12, 13), [part]) == ["2 pages have no text layer: pages 12–13"]
    other = DocumentInfo("a\x1b[31m.pdf", "pdf", pages=5)
    lost = [*pages(1), *pages(1, 3, document=1)]
    assert scans.lines(lost, [BOOK, other]) == [
        "book.pdf: 1 of 311 pages has no text layer: page 1",
        "a.pdf: 2 of 5 pages have no text layer: pages 1, 3",
    ]


def test_a_hundred_runs_are_cut_short_for_people_only() -> None:
    lost = pages(*range(1, 200, 2))
    assert scans.lines(lost, [BOOK])[0].endswith(
        "pages 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23 and 88 more"
    )
    assert scans.rows(lost, [BOOK])[0]["which"].count(",") == 99
