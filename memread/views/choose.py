"""Which views a command line asks for, and the terminal can show."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, TextIO

from memread.views.base import Clock, Routed, Tee, View

if TYPE_CHECKING:
    from rich.console import Console

    from memread.views.live import LiveView


def choose_view(
    *,
    quiet: bool = False,
    json: bool = False,
    events: bool = False,
    show_memory: bool = False,
    questions: int = 1,
    lanes: int = 1,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
    clock: Clock = time.monotonic,
) -> Routed:
    """The views of one command, one for each of its questions. What is for programs goes to `stdout`, all the
    rest to `stderr`.

    A terminal gets the live view, unless the events themselves are printed on one. Of several questions the
    live view shows one after the other; in lines, the first tells how far the reading is. Of lanes the
    live view shows one after the other too, and in lines each tells how far it is; the answer is number 0's.
    """
    # Imported when they are needed: rich takes longer to import than most commands run.
    from memread.views.json import EventsView, JsonView
    from memread.views.memories import MemoriesView
    from memread.views.plain import PlainView, QuietView

    out = stdout or sys.stdout
    err = stderr or sys.stderr
    console = None if quiet or (events and _is_terminal(out)) else live_console(err)
    live: LiveView | None = None
    if console is not None:
        from memread.views.live import LiveView

        live = LiveView(console, clock=clock, questions=questions, lanes=lanes)
    chosen: list[View] = []
    total = lanes + 1 if lanes > 1 else questions
    for number in range(total):
        which = number if total > 1 else None
        views: list[View] = []
        if json and not (lanes > 1 and number):
            views.append(JsonView(out, clock=clock))
        if events:
            views.append(EventsView(out, which, lanes=lanes > 1))
        if live is not None:
            views.append(live.of(number) if total > 1 else live)
        elif quiet or (number and lanes == 1):
            views.append(QuietView(err, number=which, lanes=lanes > 1))
        else:
            views.append(PlainView(err, clock=clock, lane=number))
        if show_memory:
            shown = console if console is not None else err
            views.append(MemoriesView(shown, number=which, lanes=lanes > 1))
        chosen.append(views[0] if len(views) == 1 else Tee(views))
    return Routed(chosen)


def live_console(stream: TextIO) -> Console | None:
    """A console for a live view on `stream`; None where that cannot work."""
    if not _is_terminal(stream):
        return None
    from rich.console import Console

    console = Console(file=stream)
    # A person can say no to redrawing with TTY_INTERACTIVE=0; TERM=dumb cannot move its cursor.
    return console if console.is_interactive and not console.is_dumb_terminal else None


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False
