"""A download as it goes on: a bar with speed and time left on a terminal, else a line now and then."""

from __future__ import annotations

import contextlib
import sys
import time
from types import TracebackType
from typing import Any, TextIO, cast

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Column

from memread.text import one_line
from memread.views.base import write_line

_EVERY = 30.0
"""Seconds between two lines where there is no terminal."""


class _Unwatched:
    """A terminal that may be gone. rich would end the process then; a download need not be watched."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class TransferView:
    """Shows what a download says of itself (`registry.download.Watch`). Used as a context."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        console = Console(file=cast(TextIO, _Unwatched(self.stream)), highlight=False, soft_wrap=True)
        self.console = console
        self.bar = Progress(
            TextColumn(
                "{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis", min_width=8)
            ),
            BarColumn(bar_width=None, table_column=Column(ratio=1)),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self.task: TaskID | None = None
        self.name, self.done, self.total = "", 0, 0
        self.begun_at, self.begun, self.said = 0, 0.0, 0.0

    def __enter__(self) -> TransferView:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def at(self, name: str, done: int, total: int | None) -> None:
        """A file goes on at `done`; the bar's speed counts from here."""
        if self.task is not None:
            self.bar.remove_task(self.task)
        self.name, self.done, self.total = one_line(name, 60), done, total or 0
        self.begun_at, self.begun = done, time.monotonic()
        self.task = self.bar.add_task(escape(self.name), total=total, completed=done)
        if not self.console.is_terminal:
            self._line()

    def advance(self, count: int) -> None:
        self.done += count
        if self.task is not None and self.console.is_terminal:
            self.bar.advance(self.task, count)
        elif time.monotonic() - self.said >= _EVERY:
            self._line()

    def say(self, line: str) -> None:
        if self.console.is_terminal:
            self.console.print(one_line(line, 400), markup=False)
        else:
            write_line(self.stream, one_line(line, 400))

    def _line(self) -> None:
        self.said = time.monotonic()
        of = f" of {self.total / 1e6:,.0f}" if self.total else ""
        passed = self.said - self.begun
        speed = (self.done - self.begun_at) / passed / 1e6 if passed > 1 else 0.0
        left = (self.total - self.done) / 1e6 / speed / 60 if speed and self.total else 0.0
        rate = f", {speed:,.1f} MB/s" if speed else ""
        rest = f", {left:,.0f} min left" if left else ""
        self.say(f"{self.name}: {self.done / 1e6:,.0f}{of} MB{rate}{rest}")
