"""Which views a command line asks for, and the terminal can show."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, TextIO

from memread.views.base import Clock, Tee, View

if TYPE_CHECKING:
    from rich.console import Console


def choose_view(
    *,
    quiet: bool = False,
    json: bool = False,
    events: bool = False,
    show_memory: bool = False,
    stdout: TextIO | None = None,
    stderr: TextIO | None = None,
    clock: Clock = time.monotonic,
) -> View:
    """The view of one command. What is for programs goes to `stdout`, all the rest to `stderr`.

    A terminal gets the live view, unless the events themselves are printed on one.
    """
    # Imported when they are needed: rich takes longer to import than most commands run.
    from memread.views.json import EventsView, JsonView
    from memread.views.memories import MemoriesView
    from memread.views.plain import PlainView, QuietView

    out = stdout or sys.stdout
    err = stderr or sys.stderr
    views: list[View] = []
    if json:
        views.append(JsonView(out, clock=clock))
    if events:
        views.append(EventsView(out))
    console = None if quiet or (events and _is_terminal(out)) else live_console(err)
    if console is not None:
        from memread.views.live import LiveView

        views.append(LiveView(console, clock=clock))
    else:
        views.append(QuietView(err) if quiet else PlainView(err, clock=clock))
    if show_memory:
        views.append(MemoriesView(console if console is not None else err))
    return views[0] if len(views) == 1 else Tee(views)


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
