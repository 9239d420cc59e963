"""Ctrl-Z: a view puts the terminal back before the shell gets it, and draws again after `fg`."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import IO, Any, Final

_LOOK: Final = 1.0
"""Seconds between looks whether the terminal is ours again: not every shell says so."""
_FLUSH: Final = 0.05
"""Seconds in which the system throws away what is on its way to a terminal where Ctrl-Z was typed (termios,
NOFLSH). What puts the terminal back must not be among it."""


class Suspension:
    """Calls `leave` before the process stops, and `back` when it goes on in the foreground.

    Does nothing where there is no job control, and outside of the main thread, which gets the signals.
    """

    def __init__(self, terminal: IO[str], leave: Callable[[], None], back: Callable[[], None]) -> None:
        self._terminal, self._leave, self._back = terminal, leave, back
        self._before: dict[int, Any] = {}
        self._looked = 0.0
        self.away = False
        """The terminal belongs to somebody else: nothing may be drawn."""

    def begin(self) -> None:
        """May be called again."""
        if (
            self._before
            or sys.platform == "win32"
            or threading.current_thread() is not threading.main_thread()
        ):
            return
        if signal.getsignal(signal.SIGTSTP) is not signal.SIG_DFL:  # such as ignored: no shell to go back to
            return
        self._before[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, self._on_stop)
        self._before[signal.SIGCONT] = signal.signal(signal.SIGCONT, self._on_continue)

    def end(self) -> None:
        """Safe to call twice."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def look(self) -> None:
        """Come back if the terminal is ours again. Cheap: looks once in a while."""
        if self.away and time.monotonic() - self._looked >= _LOOK:
            self._on_continue(0, None)

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        if not self.away:
            self.away = True
            time.sleep(_FLUSH)
            self._leave()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)  # stops here, and goes on here
        signal.signal(number, self._on_stop)

    def _on_continue(self, number: int, frame: FrameType | None) -> None:
        self._looked = time.monotonic()
        if self.away and self._in_foreground():
            self.away = False
            self._back()

    def _in_foreground(self) -> bool:
        if sys.platform == "win32":
            return True
        try:
            return os.tcgetpgrp(self._terminal.fileno()) == os.getpgrp()
        except (OSError, ValueError):
            return True
