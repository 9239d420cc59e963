"""The live view: one calm picture of a reading, redrawn in place.

`python -m memread.views.live` replays a canned reading, or recorded events, in a terminal or as a picture.
"""

from __future__ import annotations

import time
from collections import deque

from rich.console import Console, ConsoleOptions, ConsoleRenderable, Group, RenderableType, RenderResult
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType, Segment
from rich.text import Text

from memread.events import Event
from memread.views import summary
from memread.views.base import Clock, Closing, View, numbered
from memread.views.frame import draw
from memread.views.page import Glyphs, glyphs_for, page_of
from memread.views.reading import Reading
from memread.views.suspend import Suspension

FRAMES = 12
"""Pictures a second, at most, while something happens."""
_IDLE = 1.0
"""Seconds between pictures when only the clock moves."""
_WRAP = "\x1b[?7h"
"""Lines wrap."""


class LiveView(Closing):
    """Shows a reading on a terminal. `console` is that of standard error.

    Events are only queued here; rich's refresh thread folds and draws them, so that a terminal that is
    slow, or stopped with Ctrl-S, never holds up the reading.
    """

    def __init__(
        self,
        console: Console,
        *,
        clock: Clock = time.monotonic,
        glyphs: Glyphs | None = None,
        auto_refresh: bool = True,
        questions: int = 1,
        lanes: int = 1,
    ) -> None:
        self.console = console
        self.readings = [Reading() for _ in range(lanes + 1 if lanes > 1 else questions)]
        """One for each question, or each lane after what they are merged in; their pictures take turns, a
        segment each."""
        self._lanes = lanes
        self._clock = clock
        self._glyphs = glyphs or glyphs_for(console.encoding)
        self._queue: deque[tuple[float, int, Event]] = deque()
        self._closed = False
        self._live = _Region(self, console, auto_refresh)
        self._suspension = Suspension(console.file, self._leave, self._back)

    def __enter__(self) -> LiveView:
        return self

    def show(self, event: Event, question: int = 0) -> None:
        self._queue.append((self._clock(), question, event))
        self._suspension.look()
        if not (self._closed or self._suspension.away or self._live.is_started):
            if self.console.is_terminal:
                self._suspension.begin()
            self._live.start()

    def close(self) -> None:
        """Take the live region away and leave the summary in its place."""
        if self._closed:
            return
        self._closed = True
        self._suspension.end()
        self._leave()
        self.fold()
        first, *others = self.readings
        said = [*summary.notices(first), *summary.lines(first)]
        lanes = self._lanes > 1
        for number, reading in enumerate(others, start=1):
            lines = [*summary.cut(reading), *summary.guarded(reading)]
            lines = [*summary.notices(reading), *lines] if lanes else lines
            said += [numbered(line, number, lanes=lanes) for line in lines]
        for line in said:
            self.console.print(Text(line, "dim"), markup=False, highlight=False, soft_wrap=True)

    def _leave(self) -> None:
        """Take the live region away, and give cursor and wrapping back whatever breaks in.

        Both again, in a write of their own: Ctrl-Z makes a terminal throw away what is on its way to it,
        which may be the second half of a picture.
        """
        begun = self._live.is_started
        try:
            self._live.stop()
        finally:
            if begun:
                self.console.show_cursor(True)
                self._live.wrap()

    def _back(self) -> None:
        self._live.start()

    def of(self, question: int) -> View:
        """The view for the events of one of the questions."""
        return _Question(self, question)

    def refresh(self) -> None:
        """Draw now. For tests and pictures; the thread does it otherwise."""
        self._live.refresh(force=True)

    @property
    def waiting(self) -> bool:
        """Whether there are events that no picture shows yet."""
        return bool(self._queue)

    @property
    def closed(self) -> bool:
        return self._closed

    def fold(self) -> None:
        """Take what has been queued into the reading."""
        while self._queue:
            now, question, event = self._queue.popleft()
            self.readings[question].apply(event, now)

    def picture(self) -> list[Text]:
        """The lines as they are at this moment."""
        self.fold()
        reading, which = self.shown()
        return draw(reading, self._clock(), page_of(self.console, self._glyphs), which)

    def shown(self) -> tuple[Reading, str]:
        """The reading whose turn it is, and which of them that is, such as "question 2 of 16"."""
        total = len(self.readings)
        first = self.readings[0]
        if total == 1:
            return first, ""
        if self._lanes > 1:
            return self._shown_of_lanes()
        answering = [number for number, reading in enumerate(self.readings) if not reading.over]
        number = (first.resumed + first.segments) % total
        if first.answering:
            number = answering[0] if answering else total - 1
        return self.readings[number], f"question {number + 1} of {total}"

    def _shown_of_lanes(self) -> tuple[Reading, str]:
        """The lane whose turn it is, then what they are merged in."""
        whole, lanes = self.readings[0], [each for each in self.readings[1:] if each.started]
        unread = [each for each in lanes if not each.over]
        if not unread or whole.over:
            return whole, f"{len(lanes)} parts, merged" if lanes else ""
        turn = lanes[(lanes[0].resumed + lanes[0].segments) % len(lanes)]
        shown = turn if turn in unread else unread[0]
        return shown, f"lane {lanes.index(shown) + 1} of {len(lanes)}"


class _Question(Closing):
    """The live view, for the events of one question."""

    def __init__(self, live: LiveView, question: int) -> None:
        self._live, self._question = live, question

    def __enter__(self) -> _Question:
        return self

    def show(self, event: Event) -> None:
        self._live.show(event, self._question)

    def close(self) -> None:
        self._live.close()


class _Code:
    """A control sequence that rich has no name for."""

    def __init__(self, code: str) -> None:
        self.code = code

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Segment(self.code, None, [])


class _Region(Live):
    """rich's live region, which is drawn only when there is something new, and survives a resize."""

    def __init__(self, view: LiveView, console: Console, auto_refresh: bool) -> None:
        self.view = view
        self._drawn = float("-inf")
        self._size = console.size
        self._widths: list[int] = []
        super().__init__(
            console=console,
            auto_refresh=auto_refresh,
            refresh_per_second=FRAMES,
            transient=True,
            # Standard output is for the answer, and must not land on this console.
            redirect_stdout=False,
            redirect_stderr=True,
            vertical_overflow="crop",
        )

    def get_renderable(self) -> RenderableType:
        if self.view.closed:
            self._widths = []
            return ""
        lines = self.view.picture()
        self._widths = [line.cell_len for line in lines]
        for line in lines:
            line.no_wrap, line.overflow = True, "crop"
        return Group(*lines)

    def refresh(self, force: bool = False) -> None:
        size, now = self.console.size, time.monotonic()
        due = self.view.waiting or size != self._size or now - self._drawn >= _IDLE
        if not (due or force or not self.is_started):
            return
        with self._lock:
            if size != self._size:
                self._unwrap(size.width)
            self._size, self._drawn = size, now
            super().refresh()

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        drawn = super().process_renderables(renderables)
        if not self._cuts():
            return drawn
        # A terminal that was made narrower and has not told us yet cuts lines, rather than wrapping them.
        # In force for one picture at a time: a killed process must not leave a terminal that does not wrap.
        return [*drawn[:-1], _Code("\x1b[?7l"), drawn[-1], _Code(_WRAP)]

    def wrap(self) -> None:
        """Make sure that the terminal wraps lines again."""
        if self._cuts():
            self.console.print(_Code(_WRAP), end="")

    def _cuts(self) -> bool:
        """Whether lines are cut while a picture is drawn."""
        return self.console.is_interactive and not self.console.legacy_windows

    def _unwrap(self, width: int) -> None:
        """Take away the rows by which a terminal made narrower has wrapped the last picture."""
        extra = sum(max(0, -(-cells // max(1, width)) - 1) for cells in self._widths)
        if extra and self.console.is_terminal and not self.console.is_dumb_terminal:
            self.console.file.write(
                str(
                    Control(
                        ControlType.CARRIAGE_RETURN,
                        (ControlType.ERASE_IN_LINE, 2),
                        *(((ControlType.CURSOR_UP, 1), (ControlType.ERASE_IN_LINE, 2)) * extra),
                    )
                )
            )


if __name__ == "__main__":
    from memread.views.replay import main

    main()
