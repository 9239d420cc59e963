"""One input, run within bounds: what is not allowed becomes a `Finding`."""

from __future__ import annotations

import contextlib
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from memread.errors import MemreadError

SECONDS = 5.0
"""Processor time for one input of some kilobytes; with coverage counted, code is about three times slower."""
MEMORY = 768 << 20
"""Bytes that one input may add to what the process ever held."""


class Broken(AssertionError):
    """Something that a target promises does not hold."""


class _TooLong(BaseException):
    """Not an Exception: readers catch those."""


class Finding(NamedTuple):
    key: str
    """Equal for two inputs that show the same fault."""
    trace: str


def run(target: Callable[[bytes], None], data: bytes) -> Finding | None:
    """None: it ended in time, within the memory, with nothing but an error of memread's."""
    before = _peak()
    try:
        with _limited():
            target(data)
    except MemreadError as error:
        if "\n" in error.message or not error.message:
            return Finding(f"message of {type(error).__name__}", repr(error.message))
    except _TooLong:
        return Finding(f"hang in {_place()}", traceback.format_exc())
    except (Exception, RecursionError):
        return Finding(f"{sys.exc_info()[0].__name__} in {_place()}", traceback.format_exc())  # type: ignore[union-attr]
    grown = _peak() - before
    if grown > MEMORY:
        return Finding("memory", f"it took {grown >> 20} MiB")
    return None


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    """libFuzzer has the timer of the wall clock; and on a busy machine only processor time says anything."""

    def over(number: int, frame: Any) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGVTALRM, over)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS, 1.0)  # again, should a library swallow it
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _peak() -> int:
    """Bytes that the process has held at most. Linux's getrusage begins with what its parent held."""
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _place() -> str:
    """The innermost line of memread's own, or of the target's check."""
    here = Path(__file__).resolve().parent
    frames = [
        frame
        for frame in traceback.extract_tb(sys.exc_info()[2])
        if "memread/" in frame.filename.replace("\\", "/") or Path(frame.filename).parent == here
    ]
    own = [frame for frame in frames if Path(frame.filename).name not in ("bounds.py",)]
    if not own:
        return "?"
    return f"{Path(own[-1].filename).name}:{own[-1].lineno} ({own[-1].name})"
