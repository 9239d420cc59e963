"""Ctrl-C before a command has a handler of its own.

Python raises KeyboardInterrupt wherever it happens to be; in a callback, such as those that clean up after an
import, it is printed and lost. So presses are counted, and long work asks before it begins.
"""

from __future__ import annotations

import signal
from types import FrameType

_pressed = 0


def install() -> None:
    """Count Ctrl-C from now on; it raises KeyboardInterrupt as before. Left alone where it is ignored."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _on_interrupt)


def check() -> None:
    """Raises KeyboardInterrupt if Ctrl-C was pressed and the command still goes on."""
    if _pressed:
        raise KeyboardInterrupt


def _on_interrupt(number: int, frame: FrameType | None) -> None:
    global _pressed
    _pressed += 1
    raise KeyboardInterrupt
