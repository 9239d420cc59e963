"""What every view is, and how several are one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import NoReturn, Protocol, TextIO

from memread.events import Event

Clock = Callable[[], float]
"""Seconds from any fixed moment, such as `time.monotonic`."""

PLAINER = str.maketrans(
    {"·": "-", "–": "-", "—": "-", "−": "-", "…": ".", "‘": "'", "’": "'", "“": '"', "”": '"'}
)
"""Signs that have a likeness of the same width in ASCII."""


class View(Protocol):
    """Shows a reading. Also a context manager that closes itself."""

    def show(self, event: Event) -> None:
        """Take the next event. Cheap for Piece and Prefilled, of which there may be thousands a second."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was found and say how the reading went. May be called again."""
        ...

    def __enter__(self) -> View: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Closing:
    """The context manager of a view: whatever happens, it is closed."""

    def close(self) -> None:
        """Nothing to put back."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Tee(Closing):
    """Several views of one reading. Each event goes to all, in order; they close in reverse."""

    def __init__(self, views: Sequence[View]) -> None:
        self.views = tuple(views)

    def __enter__(self) -> Tee:
        return self

    def show(self, event: Event) -> None:
        for view in self.views:
            view.show(event)

    def close(self) -> None:
        # One that fails to close must not keep another from giving the terminal back.
        with contextlib.ExitStack() as stack:
            for view in self.views:
                stack.callback(view.close)


class Routed(Closing):
    """The views of a reading's questions or lanes: each gets the events of its own. They close in order."""

    def __init__(self, views: Sequence[View]) -> None:
        self.views = tuple(views)

    def __enter__(self) -> Routed:
        return self

    def show(self, event: Event, question: int = 0) -> None:
        """Take the next event of the question with this number."""
        self.views[question].show(event)

    def close(self) -> None:
        with contextlib.ExitStack() as stack:
            for view in reversed(self.views):
                stack.callback(view.close)


def numbered(text: str, question: int | None, *, lanes: bool = False) -> str:
    """`text`, and which of several questions, or lanes, it is about. The whole of lanes is number 0."""
    if question is None or (lanes and not question):
        return text
    return f"Lane {question}: {text}" if lanes else f"Question {question + 1}: {text}"


def write_line(stream: TextIO, line: str) -> None:
    """Write one line and flush. What the stream's encoding lacks is escaped; a failure to write is no error.

    A reading may take hours: it must not die because nobody watches it any more.
    """
    try:
        try:
            stream.write(line + "\n")
        except UnicodeEncodeError:
            encoding = stream.encoding or "ascii"
            plainer = line.translate(PLAINER)
            stream.write(plainer.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        stream.flush()
    except OSError:
        pass  # of standard output it is told in the end


def assert_never(value: NoReturn) -> NoReturn:
    """What `typing.assert_never` is from Python 3.11 on: an event that no case takes is a type error."""
    raise AssertionError(f"unhandled: {value!r}")
