"""Cutting text into segments."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memread.engine.llamacpp.model import Model
from memread.engine.llamacpp.vocabulary import Vocabulary
from memread.engine.scripted import Words
from memread.segment import segments
from memread.types import Locator, Passage, Segment, Skipped, digest


@pytest.fixture(scope="module")
def vocabulary(tiny_gguf: Path) -> Iterator[Vocabulary]:
    with Model(tiny_gguf, vocabulary_only=True) as model:
        yield model.vocabulary


def cut(passages: list[Passage], budget: int, tokenizer: Words | Vocabulary | None = None) -> list[Segment]:
    found = segments(passages, tokenizer or Words(), budget)
    return [item for item in found if isinstance(item, Segment)]


def lines(text: str) -> list[Passage]:
    return [Passage(text, Locator(line=1), 1.0)]


def pieces(text: str, sizes: list[int]) -> list[Passage]:
    """`text` as passages of these sizes, each with the line it starts at."""
    found, line, at = [], 1, 0
    for size in [*sizes, len(text)]:
        part = text[at : at + size]
        if part:
            found.append(Passage(part, Locator(line=line), min(1.0, (at + len(part)) / len(text))))
            line += part.count("\n")
            at += len(part)
    return found


ANY_TEXT = st.one_of(
    st.text(max_size=600),
    st.text(alphabet="ab .\n", max_size=900),
    st.text(alphabet="日本語。、 \n👩‍👩‍👧🏽é\u0301\u0302", max_size=400),
    st.lists(
        st.sampled_from(["word ", "Ends here. ", "\n\n", "\n", "<|im_end|>", "שלום ", "مرحبا ", "🇫🇷", "\t"]),
        max_size=200,
    ).map("".join),
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=ANY_TEXT, sizes=st.lists(st.integers(1, 200), max_size=8), budget=st.integers(16, 120))
def test_joined_segments_are_the_text_and_none_is_over_budget(
    vocabulary: Vocabulary, text: str, sizes: list[int], budget: int
) -> None:
    found = cut(pieces(text, sizes), budget, vocabulary)
    assert "".join(segment.text for segment in found) == text
    for segment in found:
        assert segment.info.tokens == vocabulary.count(segment.text) <= budget
        assert segment.info.digest == digest(segment.text)
    assert [segment.info.index for segment in found] == list(range(len(found)))


@settings(max_examples=150, deadline=None)
@given(text=ANY_TEXT, sizes=st.lists(st.integers(1, 300), max_size=12), budget=st.integers(16, 60))
def test_cuts_do_not_depend_on_how_the_text_arrives(text: str, sizes: list[int], budget: int) -> None:
    whole = cut(pieces(text, []), budget)
    parts = cut(pieces(text, sizes), budget)
    assert [segment.text for segment in whole] == [segment.text for segment in parts]
    assert [segment.info.span for segment in whole] == [segment.info.span for segment in parts]


def test_a_segment_ends_at_a_paragraph() -> None:
    paragraph = "One two three four. Five six seven eight.\n\n"
    found = cut(lines(paragraph * 20), 60)
    assert len(found) > 5
    assert all(segment.text.endswith("eight.\n\n") for segment in found)


def test_a_segment_ends_at_a_sentence_where_paragraphs_are_too_long() -> None:
    found = cut(lines("One two three four. Five six seven eight! " * 40), 50)
    assert all(segment.text.rstrip()[-1] in ".!" for segment in found)


def test_wrapped_prose_ends_at_a_sentence_and_a_log_at_a_line() -> None:
    prose = "the whale went down\nand came up again,\nslowly. Then it\nblew once more.\n" * 12
    log = "2026-01-01 10:00:00 INFO started. pid=1\n2026-01-01 10:00:01 WARN retry. n=2\n" * 12
    assert all(segment.text.rstrip().endswith(".") for segment in cut(lines(prose), 90))
    assert all(segment.text.endswith("\n") for segment in cut(lines(log), 100))


def test_words_and_graphemes_stay_whole() -> None:
    text = "abcdefgh " * 100
    assert all(not segment.text.strip(" ").startswith("bcd") for segment in cut(lines(text), 20))
    family = "👩‍👩‍👧🏽"
    found = cut(lines(family * 60), 30)
    assert len(found) > 1
    assert all(set(segment.text.split(family)) == {""} for segment in found)


def test_segments_are_well_filled() -> None:
    words = Words()
    found = cut(lines("One two three four. Five six.\n\nSeven eight nine ten eleven twelve.\n" * 300), 200)
    assert sum(segment.info.tokens for segment in found[:-1]) / (200 * len(found[:-1])) > 0.8
    assert all(words.count(segment.text) <= 200 for segment in found)


def test_spans_name_the_lines_of_the_first_and_last_character() -> None:
    text = "\n\nthird line here\nfourth\n\n\nseventh line is here\n\n"
    (only,) = cut(lines(text), 100)
    assert (only.info.span.start.line, only.info.span.end.line) == (3, 7)
    found = cut(lines("a b c d\n" * 100), 40)
    for before, after in pairwise(found):
        assert after.info.span.start.line == (before.info.span.end.line or 0) + 1


def test_fractions_grow_to_the_end() -> None:
    passages = [Passage("word " * 50, Locator(page=str(n)), n / 10) for n in range(1, 11)]
    fractions = [segment.info.fraction for segment in cut(passages, 40)]
    assert fractions == sorted(fractions, key=lambda f: f or 0) and fractions[-1] == 1.0
    assert all(f is not None and 0 < f <= 1 for f in fractions)


def test_a_segment_is_given_out_before_the_text_has_ended() -> None:
    taken = []

    def endless() -> Iterator[Passage]:
        for n in range(1_000_000):
            taken.append(n)
            yield Passage("some words of a log\n" * 10, Locator(line=10 * n + 1))

    found = segments(endless(), Words(), 50)
    first = next(found)
    assert isinstance(first, Segment) and len(taken) < 10


def test_skipped_parts_pass_through() -> None:
    skipped = Skipped(Locator(page="2"), "no text layer")
    items = [Passage("one\n\n", Locator(page="1")), skipped, Passage("three", Locator(page="3"))]
    found = list(segments(items, Words(), 100))
    assert skipped in found and len(found) == 2


def test_a_long_run_without_joints_is_cut_quickly(vocabulary: Vocabulary) -> None:
    text = "x" * 60_000 + " " * 60_000 + "\u0301" * 20_000 + "." * 60_000
    found = cut(lines(text), 500, vocabulary)
    assert "".join(segment.text for segment in found) == text
    assert max(segment.info.tokens for segment in found) <= 500


@settings(max_examples=100, deadline=None)
@given(text=ANY_TEXT, sizes=st.lists(st.integers(1, 200), max_size=8), budget=st.integers(16, 120))
def test_every_character_of_a_segment_has_its_line_and_its_page(
    text: str, sizes: list[int], budget: int
) -> None:
    passages = [
        Passage(p.text, Locator(page_number=1 + n // 2, line=p.locator.line), p.fraction)
        for n, p in enumerate(pieces(text, sizes))
    ]
    pages = [p.locator.page_number for p in passages for _ in p.text]
    at = 0
    for segment in cut(passages, budget):
        for offset in range(0, len(segment.text), 7):
            place = segment.place(offset)
            assert place.line == 1 + text[: at + offset].count("\n")
            assert place.page_number == pages[at + offset]
        at += len(segment.text)


def test_places_are_kept_where_lines_do_not_tell_them_and_only_there() -> None:
    text = "one two three\n" * 40
    (segment,) = cut(pieces(text, [28] * 30), 10_000)
    assert segment.places == ((0, Locator(line=1)),)
    (segment,) = cut([Passage("one. ", Locator(chapter="A")), Passage("two.", Locator(chapter="B"))], 100)
    assert segment.span(0, 4).label() == "A" and segment.span(2, 8).label() == "A – B"
