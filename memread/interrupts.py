"""Ctrl-C before a command has a handler of its own, and while a model works in the program's own process.

Python raises KeyboardInterrupt wherever it happens to be. In a callback, such as those that clean up after an
import, it is printed and lost; between two calls of a C library it leaves half done what the library is then
asked to free. So presses are counted, and long work asks before it begins.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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


@contextmanager
def held(stop: Callable[[], None]) -> Iterator[None]:
    """In the block the first Ctrl-C calls `stop` and raises nothing: what works there has to `check` when it
    can be left. A second one raises KeyboardInterrupt. Left alone where it is ignored, and in other threads
    than the main one, which has the signals.
    """
    before = signal.getsignal(signal.SIGINT)
    main = threading.current_thread() is threading.main_thread()

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        global _pressed
        _pressed += 1
        if _pressed > 1:
            raise KeyboardInterrupt
        stop()

    if main and before in (signal.default_int_handler, _on_interrupt):
        signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        if main and signal.getsignal(signal.SIGINT) is on_interrupt:
            signal.signal(signal.SIGINT, before)


def _on_interrupt(number: int, frame: FrameType | None) -> None:
    global _pressed
    _pressed += 1
    while frame is not None and frame.f_code.co_name != "__del__":
        frame = frame.f_back
    if frame is None:  # what is raised in a __del__ is printed, and lost: `check` raises it
        raise KeyboardInterrupt
