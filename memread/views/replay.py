"""Replays a reading: canned or recorded, in a terminal or as a picture of one moment of it."""

from __future__ import annotations

import argparse
import io
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import SVG_EXPORT_THEME

from memread.events import (
    Answered,
    AnswerStarted,
    Event,
    MemoryUpdated,
    Piece,
    Prefilled,
    ReplyRejected,
    SegmentStarted,
    from_dict,
)
from memread.types import Counts
from memread.views.base import View
from memread.views.canned import canned
from memread.views.choose import choose_view
from memread.views.live import LiveView

Timed = tuple[float, Event]
"""Seconds since the first event, and the event."""


def load(path: Path) -> list[Event]:
    """The events of a file of JSON lines, as `--events` writes them."""
    with path.open(encoding="utf-8") as lines:
        return [from_dict(json.loads(line)) for line in lines if line.strip()]


def timed(events: Iterable[Event]) -> list[Timed]:
    """When each event came. Recorded events hold no times, but what replies cost: that is spread."""
    now = 0.0
    placed: list[Timed] = []
    for group in _replies(events):
        counts = _counts(group[-1])
        prefills = sum(isinstance(event, Prefilled) for event in group) or 1
        pieces = sum(isinstance(event, Piece) for event in group) or 1
        for event in group:
            if isinstance(event, Prefilled):
                now += counts.prefill_seconds / prefills
            elif isinstance(event, Piece):
                now += counts.decode_seconds / pieces
            placed.append((now, event))
    return placed


def _replies(events: Iterable[Event]) -> Iterator[list[Event]]:
    """The events, cut after every one that tells what the replies before it cost."""
    group: list[Event] = []
    for event in events:
        group.append(event)
        if isinstance(event, MemoryUpdated | Answered):
            yield group
            group = []
    if group:
        yield group


def _counts(event: Event) -> Counts:
    if isinstance(event, MemoryUpdated):
        return event.counts
    # The counts of an answer are those of the whole reading: take what a short reply may have cost.
    return Counts(prefill_seconds=1.0, decode_seconds=2.0)


def moment(events: Sequence[Event], segment: int | None = None) -> int:
    """How many events make a good picture: `segment` (from 1) being written, a middle one if None."""
    starts = [at for at, event in enumerate(events) if isinstance(event, SegmentStarted)]
    if not starts:
        return len(events)
    numbers = [event.segment.index + 1 for event in events if isinstance(event, SegmentStarted)]
    if segment is None:
        at = starts[len(starts) // 2]
    else:
        at = next(
            (start for start, number in zip(starts, numbers, strict=True) if number == segment), starts[-1]
        )
    ends = (
        i
        for i in range(at, len(events))
        if isinstance(events[i], MemoryUpdated | ReplyRejected | AnswerStarted)
    )
    pieces = [i for i in range(at, next(ends, len(events))) if isinstance(events[i], Piece)]
    return pieces[len(pieces) * 11 // 20] + 1 if pieces else at + 1


def picture(events: Sequence[Event], *, width: int, height: int, at: int | None = None) -> str:
    """The moment at which segment `at` is being written, as SVG."""
    now = 0.0
    screen = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, _environ={})
    view = LiveView(screen, clock=lambda: now, auto_refresh=False)
    for when, event in timed(events)[: moment(events, at)]:
        now = when
        view.readings[0].apply(event, now)
    lines = view.picture()
    paper = Console(
        file=io.StringIO(), width=width, height=height, record=True, force_terminal=True, _environ={}
    )
    for line in lines:
        paper.print(line, markup=False, highlight=False, no_wrap=True, crop=True)
    view.close()
    title = "memread"
    return paper.export_svg(title=title, theme=SVG_EXPORT_THEME)


def play(events: Sequence[Event], view: View, speed: float) -> None:
    """Show the events as fast as they came, times `speed`."""
    started = time.monotonic()
    for when, event in timed(events):
        wait = when / speed - (time.monotonic() - started)
        if wait > 0:
            time.sleep(wait)
        view.show(event)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m memread.views.live", description=__doc__)
    parser.add_argument(
        "--events", type=Path, help="recorded events (JSON lines); a canned reading without it"
    )
    parser.add_argument("--svg", type=Path, help="write a picture there, instead of playing in the terminal")
    parser.add_argument(
        "--at", type=int, metavar="SEGMENT", help="the segment, from 1, that the picture shows"
    )
    parser.add_argument("--width", type=int, default=100)
    parser.add_argument("--height", type=int, default=30)
    parser.add_argument("--speed", type=float, default=1.0, help="2 plays twice as fast")
    parser.add_argument("--segments", type=int, help="stop after so many segments of the canned reading")
    options = parser.parse_args(arguments)
    events = load(options.events) if options.events else list(canned(options.segments))
    if options.svg:
        svg = picture(events, width=options.width, height=options.height, at=options.at)
        options.svg.write_text(svg, encoding="utf-8")
        return
    with choose_view() as view:
        play(events, view, options.speed)
