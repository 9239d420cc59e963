"""The live view in a process: cheap, closed whatever happens, and drawn only when there is news."""

from __future__ import annotations

import io
import json
import re
import time
from pathlib import Path

import pytest
from rich.console import Console

from memread.events import Piece, Prefilled, SegmentStarted, Stopping, to_dict
from memread.views import replay
from memread.views.canned import canned
from memread.views.live import LiveView
from tests.views.pictures import console, segment, started
from tests.views.test_frame import HOSTILE, events

SHOW, HIDE = "\x1b[?25h", "\x1b[?25l"


def written(screen: Console) -> str:
    assert isinstance(screen.file, io.StringIO)
    return screen.file.getvalue()


def test_closing_gives_the_terminal_back_and_leaves_the_summary() -> None:
    screen = console(80, 24)
    with LiveView(screen) as view:
        for event in canned():
            view.show(event)
    view.close()
    out = written(screen)
    assert out.count(HIDE) == 1 <= out.count(SHOW)
    assert "\x1b[?1049h" not in out
    after = out[out.rindex(SHOW) :]
    assert "Read 6 segments" in after and "memread runs show 7Q3KX" in after
    assert "Writing" not in after


class Flushed(io.StringIO):
    """A terminal that throws away what comes after a picture's first half, as Ctrl-Z makes one do."""

    def write(self, text: str) -> int:
        super().write(text.partition("\x1b[?7l")[0] + "\x1b[?7l" if "\x1b[?7l" in text else text)
        return len(text)


def test_lines_wrap_again_though_half_of_a_picture_was_lost() -> None:
    screen = console(80, 24)
    screen.file = Flushed()
    with LiveView(screen, auto_refresh=False) as view:
        for event in canned():
            view.show(event)
        view.refresh()
    out = written(screen)
    assert out.rindex("\x1b[?7h") > out.rindex("\x1b[?7l")
    assert SHOW in out


def test_several_questions_take_turns_a_segment_each() -> None:
    screen = console(80, 24)
    with LiveView(screen, auto_refresh=False, questions=2) as view:
        shown = []
        for event in canned(4):
            for number in range(2):
                view.of(number).show(event)
            if isinstance(event, SegmentStarted):
                picture = "\n".join(line.plain for line in view.picture())
                shown.append(picture.partition("question ")[2][:6])
    assert shown == ["1 of 2", "2 of 2", "1 of 2", "2 of 2"]


def test_lanes_take_turns_and_then_their_merging_is_shown() -> None:
    with LiveView(console(80, 24), auto_refresh=False, lanes=2) as view:
        shown = []

        def look() -> None:
            shown.append("\n".join(line.plain for line in view.picture()))

        whole = list(canned(2))
        view.of(0).show(whole[0])
        look()
        for event in canned():
            for number in (1, 2):
                view.of(number).show(event)
            if isinstance(event, SegmentStarted):
                look()
        for event in whole[1:]:
            view.of(0).show(event)
        look()
    assert "lane" not in shown[0]
    turns = [picture.partition("lane ")[2][:6] for picture in shown[1:-1]]
    assert turns == ["1 of 2", "2 of 2"] * 3
    assert "2 parts, merged" in " ".join(shown[-1].split())


def test_an_error_on_the_way_gives_the_terminal_back() -> None:
    screen = console(80, 24)
    with pytest.raises(KeyboardInterrupt), LiveView(screen) as view:
        view.show(started())
        raise KeyboardInterrupt
    assert written(screen).rindex(SHOW) > written(screen).rindex(HIDE)


def test_nothing_is_written_when_nothing_happened() -> None:
    screen = console(80, 24)
    LiveView(screen).close()
    assert written(screen) == ""


def test_a_piece_is_not_drawn_when_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand tokens a second are drawn at the rate of the screen, not at theirs."""
    with LiveView(console(80, 24), auto_refresh=False) as view:
        view.show(started())
        view.show(SegmentStarted(segment(0)))
        drawn: list[int] = []
        monkeypatch.setattr(view, "picture", lambda: drawn.append(1) or [])  # type: ignore[func-returns-value]
        for _ in range(20_000):
            view.show(Piece("word "))
        assert not drawn


def test_idle_it_is_drawn_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    with LiveView(console(80, 24)) as view:
        view.show(started())
        time.sleep(0.3)
        drawn: list[float] = []
        monkeypatch.setattr(view, "picture", lambda: drawn.append(time.monotonic()) or [])  # type: ignore[func-returns-value]
        time.sleep(0.8)
        assert len(drawn) <= 1


def test_a_picture_is_drawn_at_most_so_often(monkeypatch: pytest.MonkeyPatch) -> None:
    with LiveView(console(80, 24)) as view:
        view.show(started())
        drawn: list[float] = []
        monkeypatch.setattr(view, "picture", lambda: drawn.append(time.monotonic()) or [])  # type: ignore[func-returns-value]
        begun = time.monotonic()
        while time.monotonic() - begun < 0.5:
            view.show(Prefilled(1, 2))
            time.sleep(0.001)
        assert len(drawn) <= 7


def test_hostile_text_never_reaches_the_terminal() -> None:
    screen = console(80, 24)
    view = LiveView(screen, auto_refresh=False)
    for event in events(HOSTILE):
        view.show(event)
        view.refresh()
    view.show(Stopping())
    view.close()
    out = written(screen)
    for bad in ("\x1b]", "\x1b[2J", "\x9b", "\u202e", "\u2066", "\ud800", "over\rwritten", "evil.example"):
        assert bad not in out
    assert "[bold red]markup" in out


def test_without_colour_signs_still_tell() -> None:
    screen = Console(
        file=io.StringIO(),
        width=80,
        height=24,
        force_terminal=True,
        no_color=True,
        _environ={"TERM": "xterm"},
    )
    view = LiveView(screen, auto_refresh=False)
    for event in list(canned(4)):
        view.show(event)
    view.refresh()
    view.close()
    out = written(screen)
    styles = {code for style in re.findall(r"\x1b\[([\d;]*)m", out) for code in style.split(";")}
    assert styles <= {"0", "1", "2"}
    lines = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", out).splitlines()
    assert any(line.startswith("+ ") for line in lines) and any(line.startswith("− ") for line in lines)


def test_recorded_events_make_a_picture(tmp_path: Path) -> None:
    recorded = tmp_path / "events.jsonl"
    recorded.write_text("".join(json.dumps(to_dict(e)) + "\n" for e in canned()), encoding="utf-8")
    svg = tmp_path / "out.svg"
    replay.main(["--events", str(recorded), "--svg", str(svg), "--at", "3", "--width", "80"])
    text = svg.read_text(encoding="utf-8").replace("&#160;", " ")
    assert text.startswith("<svg") and "Writing the memory of segment 3" in text


def test_recorded_events_have_the_times_of_their_replies() -> None:
    timed = replay.timed(list(canned()))
    assert timed[0][0] == 0.0
    assert timed[-1][0] == pytest.approx(6 * 4.0 + 3.0)
    assert [when for when, _ in timed] == sorted(when for when, _ in timed)
