"""The views that write lines: plain, quiet, memories, events, JSON; and which of them is chosen."""

from __future__ import annotations

import io
import json
import unicodedata
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memread.events import (
    Answered,
    Event,
    Failed,
    MemoryUpdated,
    Notice,
    Piece,
    ReplyRejected,
    RunStarted,
    Stopping,
    from_dict,
)
from memread.types import Answer, Coverage, Locator, Skipped
from memread.views import Tee, choose_view, words
from memread.views.base import Routed, write_line
from memread.views.canned import canned
from memread.views.json import EventsView, JsonView, dumps, result
from memread.views.live import LiveView
from memread.views.memories import MemoriesView
from memread.views.plain import PlainView, QuietView, RecordView
from tests.views.pictures import console, resumed, segment, started, stream, updated
from tests.views.test_frame import HOSTILE, events


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_plain_is_not_chatty() -> None:
    out, now = io.StringIO(), 0.0
    view = PlainView(out, every=5.0, clock=lambda: now)
    view.show(started())
    for number in range(100):
        now = number * 1.0
        view.show(updated(segment(number), f"memory {number}"))
        view.show(Skipped(Locator(page=str(number)), "damaged"))
    view.close()
    lines = out.getvalue().splitlines()
    assert sum(line.startswith("[") for line in lines) == 21
    assert sum(line.startswith("skipped") for line in lines) == 6
    assert "100 pages skipped: p. 0, p. 1, p. 2, p. 3, p. 4 and 95 more (damaged)." in lines


def test_plain_says_notices_and_stopping_once() -> None:
    out = io.StringIO()
    with PlainView(out) as view:
        for event in (started(), Notice("recording has stopped"), Stopping(), Stopping()):
            view.show(event)
    assert out.getvalue().count("recording has stopped") == 1
    assert out.getvalue().count("Stopping") == 1


def test_quiet_says_only_what_matters() -> None:
    out = io.StringIO()
    with QuietView(out) as view:
        for event in canned():
            view.show(event)
    assert out.getvalue() == "1 of 150 pages has no text layer: page 41.\n"


def test_quiet_says_that_an_answer_is_partial() -> None:
    out = io.StringIO()
    view = QuietView(out)
    for event in stream():
        view.show(event)
    view.close()
    view.close()
    assert out.getvalue().startswith("The answer is partial: read to line 801.\nMemory kept once")


def test_an_answer_from_no_memory_at_all_is_said_to_be_one() -> None:
    def said(kept: int) -> str:
        out = io.StringIO()
        with QuietView(out) as view:
            view.show(started())
            for number in range(2):
                outcome = "kept" if number < kept else "updated"
                view.show(updated(segment(number), "m", outcome=outcome, reason="it is empty"))
            view.show(Answered(Answer("a", True, "a", "m", Coverage(2, 9, True, kept=kept))))
        return out.getvalue()

    assert "rests on nothing that was read" in said(2)
    assert "rests on nothing" not in said(1)


def gone_on_with() -> list[Event]:
    """The record of a run that failed after a partial answer, and was then read to the end."""
    page = Skipped(Locator(page="4"), "damaged")
    return [
        *(started(), page, ReplyRejected(segment(0), 0, "it is empty", "")),
        updated(segment(0), "m", outcome="kept", reason="it is empty"),
        Answered(Answer("less", True, "less", "m", Coverage(1, 9, False, kept=1))),
        Failed("OutOfMemory", "no memory", "close something", 17),
        *(started(resumed=1), updated(segment(1), "more")),
    ]


def test_a_record_that_was_gone_on_with_tells_what_was_met_before() -> None:
    out = io.StringIO()
    with RecordView(out) as view:
        for event in gone_on_with():
            view.show(event)
    assert "1 page skipped: p. 4 (damaged)." in out.getvalue()
    assert "Memory kept once because the replies were rejected (it is empty)." in out.getvalue()


def test_a_reading_that_was_gone_on_with_tells_of_rejections_before() -> None:
    out = io.StringIO()
    with QuietView(out) as view:
        view.show(started(resumed=1))
        view.show(updated(segment(1), "more"))
        view.show(Answered(Answer("a", True, "a", "more", Coverage(2, 9, True, kept=1))))
    assert out.getvalue() == "Memory kept once because the replies were rejected.\n"


def test_result_of_a_record_that_was_gone_on_with() -> None:
    unanswered = result(gone_on_with())
    assert unanswered["error"] is None and unanswered["answer"] is None
    last = Answered(Answer("more", True, "more", "more", Coverage(2, 18, True, kept=1), likely=0.75))
    made = result([*gone_on_with(), last])
    assert made["answer"] == "more" and made["likely"] == 0.75 and unanswered["likely"] is None


@pytest.mark.parametrize("kind", [PlainView, QuietView, RecordView])
def test_an_answer_that_was_cut_is_said_to_be(
    kind: type[PlainView] | type[QuietView] | type[RecordView],
) -> None:
    out = io.StringIO()
    cut = Answered(Answer("Bl", False, "Bl", "m", Coverage(1, 9, True), cut=True))
    with kind(out) as view:
        view.show(started())
        view.show(cut)
    assert out.getvalue().count("The answer was interrupted: the same command answers again") == 1
    made = result([started(), cut])
    assert made["cut"] and made["partial"] and made["coverage"]["complete"]


@pytest.mark.parametrize("kind", [PlainView, QuietView])
def test_errors_are_left_to_the_command_line(kind: type[PlainView] | type[QuietView]) -> None:
    out = io.StringIO()
    with kind(out) as view:
        view.show(Failed("OutOfMemory", "no memory", "close something", 17))
    assert out.getvalue() == ""


def test_record() -> None:
    out = io.StringIO()
    with RecordView(out) as view:
        for event in canned():
            view.show(event)
    assert out.getvalue() == (
        "Run        7Q3KX\n"
        "Document   Moby-Dick; or, The Whale – Herman Melville (moby-dick.epub)\n"
        "Question   Why does Ishmael go to sea, and who becomes his friend before he sails?\n"
        "Model      Qwen2.5-7B-MemAgent Q4_K_M, profile memagent-7b\n"
        "Read       6 segments, 29,928 tokens, to the end.\n"
        "           1 of 150 pages has no text layer: page 41.\n"
        "Answer     substitute for pistol and ball; Queequeg, the harpooneer with whom he shares a bed at "
        "the Spouter-Inn, becomes his bosom friend\n"
        "Evidence   1 of 2 statements verified; see them: memread runs show 7Q3KX --evidence\n"
    )


def test_record_of_an_error() -> None:
    out = io.StringIO()
    with RecordView(out) as view:
        for event in resumed():
            view.show(event)
    assert (
        "Error      the model needs 9 GB, but only 4 GB are free\n             use a smaller model\n"
        in out.getvalue()
    )


@pytest.mark.parametrize("kind", [PlainView, QuietView, MemoriesView, RecordView])
def test_hostile_text_is_written_safely(kind: Any) -> None:
    out = io.StringIO()
    with kind(out) as view:
        for event in [*events(HOSTILE), Failed("X", HOSTILE, HOSTILE, 1)]:
            view.show(event)
    assert out.getvalue()
    assert not [c for c in out.getvalue() if unicodedata.category(c) in ("Cc", "Cs") and c != "\n"]
    assert "evil.example" not in out.getvalue() and "\u202e" not in out.getvalue()


def test_memories_say_where_they_come_from() -> None:
    out = io.StringIO()
    with MemoriesView(out) as view:
        for event in stream():
            view.show(event)
    text = out.getvalue()
    assert text.startswith("[1] line 1\n吾輩は猫である。")
    assert "[2] line 401  (kept: it ran into the memory limit)" in text


def test_memories_are_printed_above_the_live_region() -> None:
    screen = console(80, 24)
    with LiveView(screen, auto_refresh=False) as live, Tee([live, MemoriesView(screen)]) as view:
        for event in canned():
            view.show(event)
            if isinstance(event, MemoryUpdated):
                live.refresh()
    assert isinstance(screen.file, io.StringIO)
    assert "[6] pp. 96–150 · Merry Christmas" in screen.file.getvalue()


def test_events_round_trip() -> None:
    out = io.StringIO()
    shown = [*canned(), *events(HOSTILE)]
    view = EventsView(out)
    for event in shown:
        view.show(event)
    view.close()
    assert [from_dict(json.loads(line)) for line in out.getvalue().splitlines()] == shown
    assert not [c for c in out.getvalue() if unicodedata.category(c) in ("Cc", "Cf", "Cs") and c != "\n"]


@given(
    st.text(alphabet=st.characters(exclude_categories=()) | st.sampled_from("\ud800\x9b\u202e"), max_size=30)
)
def test_json_is_encodable_and_loses_nothing(text: str) -> None:
    line = dumps({"text": text})
    line.encode("utf-8")
    # A pair of lone surrogates is the one thing that JSON cannot tell from a character.
    assert json.loads(line)["text"] == text.encode("utf-16", "surrogatepass").decode(
        "utf-16", "surrogatepass"
    )


def test_json_in_an_encoding_that_lacks_letters() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="cp1252")
    EventsView(out).show(Piece("吾輩"))
    assert json.loads(raw.getvalue()) == {"type": "piece", "text": "吾輩"}


def test_result_of_an_answered_reading() -> None:
    made = result(canned(), seconds=30.0)
    assert made["answer"].startswith("substitute for pistol") and made["boxed"] and not made["partial"]
    assert made["raw"].endswith("}.")
    assert made["coverage"]["complete"] and made["coverage"]["rejected"] == 1
    assert made["coverage"]["skipped"][0] == {
        "place": "p. 41",
        "reason": "no text layer",
        "locator": {"page": "41", "page_number": 41},
    }
    assert [source["label"] for source in made["sources"]][:2] == [
        "pp. 1–9 · Loomings",
        "pp. 9–24 · The Spouter-Inn",
    ]
    assert made["coverage"]["no_text_layer"] == [
        {"document": "moby-dick.epub", "pages": 1, "of": 150, "which": "41"}
    ]
    assert made["timings"]["seconds"] == 30.0 and made["timings"]["decode_tokens_per_second"] > 0
    assert made["model"]["name"] == "Qwen2.5-7B-MemAgent Q4_K_M"
    assert made["error"] is None
    json.dumps(made)


def test_result_of_a_partial_reading() -> None:
    made = result(stream())
    assert made["partial"] and made["answer"] == "猫"
    assert made["coverage"]["kept"] == 1
    assert made["coverage"]["kept_segments"] == [{"segment": 1, "reason": "it ran into the memory limit"}]
    assert [source["segment"] for source in made["sources"]] == [0, 2]


def test_result_of_a_failed_reading() -> None:
    made = result(resumed())
    assert made["answer"] is None and made["partial"]
    assert made["error"]["exit_code"] == 17
    assert made["resumed"] == 12 and made["coverage"]["segments"] == 2
    assert made["memory"].endswith("- New 13.")


def test_result_of_nothing() -> None:
    assert result([])["answer"] is None


def test_json_view_writes_a_line_for_each_reading_when_closed() -> None:
    out, now = io.StringIO(), 0.0
    view = JsonView(out, clock=lambda: now)
    for event in [*canned(), *stream()]:
        now += 0.5
        view.show(event)
    assert out.getvalue() == ""
    view.close()
    view.close()
    first, second = map(json.loads, out.getvalue().splitlines())
    assert (first["run"], second["run"]) == ("7Q3KX", "AB12")
    assert first["timings"]["seconds"] > 0


def kinds(routed: Routed) -> list[str]:
    (view,) = routed.views
    views = view.views if isinstance(view, Tee) else (view,)
    return [type(one).__name__ for one in views]


@pytest.mark.parametrize(
    ("options", "terminal", "expected"),
    [
        ({}, True, ["LiveView"]),
        ({}, False, ["PlainView"]),
        ({"quiet": True}, True, ["QuietView"]),
        ({"json": True}, True, ["JsonView", "LiveView"]),
        ({"events": True}, True, ["EventsView", "LiveView"]),
        ({"show_memory": True}, True, ["LiveView", "MemoriesView"]),
        ({"show_memory": True, "quiet": True}, False, ["QuietView", "MemoriesView"]),
    ],
)
def test_choice(options: dict[str, Any], terminal: bool, expected: list[str]) -> None:
    err = Terminal() if terminal else io.StringIO()
    assert kinds(choose_view(**options, stdout=io.StringIO(), stderr=err)) == expected


def test_every_question_has_its_views_and_json_has_a_line_for_each() -> None:
    out, err = io.StringIO(), io.StringIO()
    view = choose_view(json=True, show_memory=True, questions=2, stdout=out, stderr=err)
    for event in canned(3):
        view.show(event, 0)
    for event in stream():
        view.show(event, 1)
    view.close()
    assert [json.loads(line)["run"] for line in out.getvalue().splitlines()] == ["7Q3KX", "AB12"]
    said = err.getvalue()
    assert "Question 1: [1]" in said and "Question 2: [1]" in said
    assert said.count("Reading ") == 1, "the progress of one is that of all"


def test_lanes_are_told_apart_in_lines_and_json_is_that_of_the_whole() -> None:
    out, err = io.StringIO(), io.StringIO()
    view = choose_view(json=True, lanes=2, stdout=out, stderr=err)
    first, *rest = stream()
    assert isinstance(first, RunStarted)
    for number in range(3):
        view.show(msgspec.structs.replace(first, lanes=2, lane=number), number)
    for number in (1, 2, 0):
        for event in rest:
            view.show(event, number)
    view.close()
    assert len(out.getvalue().splitlines()) == 1 and json.loads(out.getvalue())["lanes"] == 2
    said = err.getvalue()
    assert said.count("Reading ") == 1 and said.count("see it again") == 1
    assert said.index("[lane 1, 1]") < said.index("[lane 2, 1]") < said.index("[merging 1]")


def test_events_of_several_questions_say_which() -> None:
    out = io.StringIO()
    view = choose_view(events=True, quiet=True, questions=2, stdout=out, stderr=io.StringIO())
    view.show(Notice("a"), 0)
    view.show(Notice("b"), 1)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [(line["message"], line["question_number"]) for line in lines] == [("a", 0), ("b", 1)]
    assert from_dict(lines[1]) == Notice("b")


def test_events_on_the_terminal_itself_are_not_drawn_over() -> None:
    assert kinds(choose_view(events=True, stdout=Terminal(), stderr=Terminal())) == [
        "EventsView",
        "PlainView",
    ]


def test_dumb_terminals_get_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert kinds(choose_view(stdout=io.StringIO(), stderr=Terminal())) == ["PlainView"]


def test_colour_forced_on_a_file_is_no_live_view(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert kinds(choose_view(stdout=io.StringIO(), stderr=io.StringIO())) == ["PlainView"]


def test_every_view_closes_even_when_one_cannot() -> None:
    closed = []

    class Broken(QuietView):
        def close(self) -> None:
            closed.append("broken")
            raise OSError

    class Whole(QuietView):
        def close(self) -> None:
            closed.append("whole")

    tee = Tee([Whole(io.StringIO()), Broken(io.StringIO())])
    with pytest.raises(OSError):
        tee.close()
    assert closed == ["broken", "whole"]


def test_lines_survive_a_poor_encoding_and_a_reader_gone() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii", newline="\n")
    write_line(out, "p. 1–2 · 猫")
    assert raw.getvalue() == b"p. 1-2 - \\u732b\n"

    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    write_line(Gone(), "x")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (words.duration(0.4), "0s"),
        (words.duration(72), "1m12s"),
        (words.duration(7500), "2h05m"),
        (words.rough(1), "5s"),
        (words.rough(71), "1m20s"),
        (words.rough(615), "11m"),
        (words.rough(3599), "1h00m"),
        (words.percent(0.999), "99%"),
        (words.percent(0.29), "29%"),
        (words.short(60_123), "60K"),
        (words.short(1_234_567), "1.2M"),
        (words.plural(1, "segment"), "1 segment"),
        (words.plural(1200, "reply", "replies"), "1,200 replies"),
        (words.rate(0.72), "0.7 tok/s"),
        (words.times(2), "twice"),
    ],
)
def test_words(said: str, expected: str) -> None:
    assert said == expected


def test_every_event_is_taken_by_every_view() -> None:
    sample: list[Event] = [*canned(), *stream(), *resumed(), Notice("n")]
    assert {type(event) for event in sample} >= {RunStarted, MemoryUpdated, Failed, Stopping}
    for view in (PlainView(io.StringIO()), QuietView(io.StringIO()), LiveView(console(80, 24))):
        with view:
            for event in sample:
                view.show(event)


def test_a_file_that_was_left_out_has_no_place() -> None:
    out = io.StringIO()
    locked = Skipped(Locator(document=-1), "locked.pdf: a password is needed")
    page = Skipped(Locator(page="4", page_number=4), "damaged")
    with PlainView(out) as view:
        for event in (started(), locked, page, Skipped(Locator(), "damaged"), updated(segment(0), "m")):
            view.show(event)
    assert "3 parts skipped: locked.pdf: a password is needed; p. 4, somewhere (damaged)." in out.getvalue()
