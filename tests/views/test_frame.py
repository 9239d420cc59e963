"""The pictures: as they were looked at, and fitting whatever they are given."""

from __future__ import annotations

import re
import unicodedata

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcswidth

from memread.events import (
    AnswerStarted,
    Event,
    MemoryUpdated,
    Notice,
    Piece,
    Prefilled,
    ReplyRejected,
    RunStarted,
    SegmentStarted,
)
from memread.types import Counts, DocumentInfo, Locator, Skipped
from memread.views.frame import draw
from memread.views.page import UNICODE, page_of
from memread.views.reading import Reading
from tests.views.pictures import GOLDENS, console, goldens, segment, started, updated

_DRAWN = goldens()


@pytest.mark.parametrize("name", sorted(_DRAWN))
def test_golden(name: str) -> None:
    assert _DRAWN[name] == (GOLDENS / name).read_text(encoding="utf-8"), (
        "if this is meant: python -m tests.views.pictures --rewrite"
    )


def test_no_golden_is_left_over() -> None:
    assert {path.name for path in GOLDENS.iterdir()} == set(_DRAWN)


HOSTILE = (
    "\x1b[2J\x1b]52;c;ZXZpbA==\x07\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\ \x9b31m "
    "\u202eevil\u2066 [bold red]markup[/] over\rwritten \ud800 "
    "\t中文字 🏴\u200d☠\ufe0f 👍🏽 ❤\ufe0f é\u0301 עברית"
)
_TEXT = (
    st.text()
    | st.just(HOSTILE)
    | st.sampled_from(["中" * 200, "a" * 300, "👩\u200d👧 " * 40, "x\n" * 60, ""])
)


def events(text: str) -> list[Event]:
    """A reading in which everything that can be untrusted is `text`."""
    info = segment(0, fraction=0.4, locator=Locator(page=text, page_number=1, chapter=text))
    return [
        started(text, DocumentInfo(text, "pdf", text, text), memory=text, resumed=1),
        SegmentStarted(info),
        Prefilled(10, 20),
        Piece(text),
        ReplyRejected(info, 0, text, text),
        Piece(text),
        Piece(text),
        Skipped(info.span.start, text),
        Notice(text),
        updated(info, text + " " + text),
        AnswerStarted(text),
        Piece(text),
    ]


@given(_TEXT, st.integers(1, 130), st.integers(1, 40))
def test_every_picture_fits_and_is_harmless(text: str, width: int, height: int) -> None:
    page = page_of(console(width, height), UNICODE)
    reading = Reading()
    for event in events(text):
        reading.apply(event, 1.0)
        lines = draw(reading, 2.0, page)
        assert len(lines) <= max(1, height - 1)
        for line in lines:
            assert line.cell_len <= width
            assert not [c for c in line.plain if unicodedata.category(c) in ("Cc", "Cs")]
            assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b\ufe0f]", line.plain)


@pytest.mark.parametrize(
    "text", ["👩\u200d👧 " * 40, "❤\ufe0f" * 90, "👍🏽" * 60, "中" * 200, "é\u0301" * 200, HOSTILE]
)
def test_terminals_agree_on_the_width(text: str) -> None:
    """What rich counts is what wcwidth counts, which terminals follow."""
    page = page_of(console(60, 24), UNICODE)
    reading = Reading()
    for event in events(text):
        reading.apply(event, 1.0)
        for line in draw(reading, 2.0, page):
            assert wcswidth(line.plain) == line.cell_len


def test_a_memory_kept_is_not_shown_as_changed() -> None:
    reading = Reading()
    info = segment(0)
    for event in (started(memory="Old.", resumed=1), updated(info, "Old.", outcome="kept", reason="why")):
        reading.apply(event, 0.0)
    lines = [line.plain for line in draw(reading, 0.0, page_of(console(80, 24), UNICODE))]
    assert "  Old." in lines
    assert any("memory kept once – why" in line for line in lines)


def test_the_wording_for_an_empty_memory_is_not_shown() -> None:
    reading = Reading()
    reading.apply(started(memory="No previous memory"), 0.0)
    reading.apply(updated(segment(0), "New."), 1.0)
    lines = [line.plain for line in draw(reading, 1.0, page_of(console(80, 24), UNICODE))]
    assert "+ New." in lines
    assert not any("No previous" in line for line in lines)


def test_remaining_time_counts_only_what_is_read_now() -> None:
    """Half was read before: the rest, read at 10% in 10 seconds, takes 40 more."""
    reading = Reading()
    reading.apply(started(resumed=5), 100.0)
    for number in (5, 6):
        info = segment(number, fraction=(number + 1) / 10)
        reading.apply(SegmentStarted(info), 100.0)
        assert reading.position == pytest.approx(number / 10)
        reading.apply(updated(info, "m"), 100.0 + 10 * (number - 4))
    assert reading.remaining(120.0) == pytest.approx(30.0)
    assert reading.remaining(125.0) == pytest.approx(25.0)
    assert reading.speed() == pytest.approx(500.0)


def test_no_remaining_time_when_nobody_knows() -> None:
    reading = Reading()
    reading.apply(started(), 0.0)
    reading.apply(updated(segment(0), "m"), 10.0)
    assert reading.remaining(10.0) is None


def test_a_second_reading_starts_from_nothing() -> None:
    reading = Reading()
    for event in (started(), Skipped(Locator(), "x"), updated(segment(0), "m"), started("Other?")):
        reading.apply(event, 5.0)
    assert (reading.segments, reading.skipped, reading.memory) == (0, [], "")
    assert reading.started == started("Other?")


def test_tokens_of_a_retried_segment_are_not_those_of_its_memory() -> None:
    reading = Reading()
    info = segment(0)
    events: tuple[Event, ...] = (started(), SegmentStarted(info), ReplyRejected(info, 0, "r", ""))
    for event in events:
        reading.apply(event, 0.0)
    reading.apply(updated(info, "m"), 0.0)
    assert reading.memory_tokens is None
    reading.apply(SegmentStarted(segment(1)), 0.0)
    update = updated(segment(1), "n")
    assert isinstance(update, MemoryUpdated)
    reading.apply(update, 0.0)
    assert reading.memory_tokens == update.counts.reply_tokens


def test_a_memory_that_is_said_to_stay_is_shown_while_lines_come_to_it() -> None:
    reading = Reading()
    begun = started()
    assert isinstance(begun, RunStarted)
    reading.apply(msgspec.structs.replace(begun, unchanged="Same"), 0.0)
    reading.apply(SegmentStarted(segment(0)), 0.0)
    reading.apply(Piece("Ahab"), 0.0)
    assert (reading.draft, reading.draft_tokens) == ("Ahab", 1)
    reading.apply(updated(segment(0), "Ahab lost a leg."), 0.0)
    known = reading.memory_tokens
    assert known
    reading.apply(SegmentStarted(segment(1)), 0.0)
    drafts = []
    for piece in ("Sa", "me", "\n", "The", " ship", " sank."):
        reading.apply(Piece(piece), 0.0)
        drafts.append(reading.draft)
    old = "Ahab lost a leg."
    assert drafts == [old, old, old, f"{old}\nThe", f"{old}\nThe ship", f"{old}\nThe ship sank."]
    assert reading.draft_tokens == known + 6
    update = updated(segment(1), f"{old}\nThe ship sank.")
    assert isinstance(update, MemoryUpdated)
    reading.apply(update, 0.0)
    assert reading.memory_tokens == known + update.counts.reply_tokens
    # It stays: as long as it was, however short the reply.
    reading.apply(SegmentStarted(segment(2)), 0.0)
    same = msgspec.structs.replace(
        update, segment=segment(2), outcome="unchanged", counts=Counts(reply_tokens=2)
    )
    reading.apply(same, 0.0)
    assert reading.memory_tokens == known + update.counts.reply_tokens
