"""Words that print breaks at the ends of lines, and letters that are one sign."""

from __future__ import annotations

import pytest

from memread.ingest import open_document
from memread.ingest.printed import unbroken
from tests.ingest.samples import shared, text_of


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("Lorem adip-\niscing elit, con-\nsectetuer id.", "Lorem adipiscing\nelit, consectetuer\nid."),
        ("the end (of biben-\ndum).\nNext", "the end (of bibendum).\nNext"),
        ("compli-\ncated\n\nA paragraph", "complicated\n\nA paragraph"),
        ("the last-\none", "the lastone"),
        ("a bro\xad\nken and a bro‐\nken word", "a broken\nand a broken\nword"),
        ("наука и тех-\nника", "наука и техника"),
        ("office ﬁlled with ﬂuﬀ", "office filled with fluff"),
    ],
)
def test_words_are_whole(page: str, said: str) -> None:
    assert unbroken(page) == said


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("open-\nsource, and Open-source again", "open-source,\nand Open-source again"),
        ("open-\nsource, open-source, opensource", "opensource,\nopen-source, opensource"),
        ("it is self-\nevident", "it is self-evident"),
    ],
)
def test_a_hyphen_that_belongs_to_the_word_stays(page: str, said: str) -> None:
    assert unbroken(page) == said


@pytest.mark.parametrize(
    "page",
    [
        "the state-\nof-the-art",
        "a state-of-the-\nart",
        "https://example.org/long-\npath",
        "me@long-\nhost",
        "Smith-\nJones",
        "A-\nbomb",
        "pages 3-\nand so on",
        "either -\nor",
        "section x-\ny3",
        "one\n-\ntwo",
    ],
)
def test_what_may_be_no_broken_word_stays_as_it_is(page: str) -> None:
    assert unbroken(page) == page


def test_nothing_is_lost() -> None:
    page = "inter-\nnational-\nization of a well-\nknown, (so-\ncalled) thing- \nand-\n\nmore-\n"
    assert [c for c in unbroken(page) if c not in "-\n "] == [c for c in page if c not in "-\n "]


def test_a_paper_of_two_columns() -> None:
    document = open_document(shared("pdf/multicolumn.pdf"))
    try:
        text = text_of(list(document.passages()))
    finally:
        document.close()
    assert "adipiscing\nelit. Ut purus" in text and "columns filled\nwith" in text
    assert "-\n" not in text
