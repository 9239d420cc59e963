"""An MCP server with one tool, `ask_document`, for programs that let a model use tools."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import anyio.to_thread
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel

from memread import __version__, api
from memread.api import OpenReading
from memread.errors import MemreadError, UsageError
from memread.events import Event, MemoryUpdated, Prefilled, RunStarted, SegmentStarted
from memread.settings import expanded
from memread.text import one_line, printable
from memread.types import Answer, Evidence, Skipped
from memread.views.evidence import verified

_EVERY = 1.0
"""Seconds between two notices of progress within a segment, at least."""
_QUOTES = 12
"""Passages that are handed out with an answer, at most."""


class Passage(BaseModel):  # type: ignore[misc]
    """A passage of the document that speaks for a statement of the answer; of a skim, of the memory too."""

    statement: str
    quote: str
    place: str
    verified: bool
    """Whether every word of the statement that carries meaning stands in the passage."""


class Result(BaseModel):  # type: ignore[misc]
    """What the tool returns."""

    answer: str
    complete: bool
    """Whether all that was asked for was read."""
    read: str
    """How much was read, and up to where."""
    not_read: list[str]
    """Parts that could not be read, and why."""
    passages: list[Passage]


class Desk:
    """Reads documents from some folders, one at a time."""

    def __init__(self, folders: Sequence[Path], settings: dict[str, object]) -> None:
        self._folders = [folder.resolve() for folder in folders]
        self._settings = settings
        self._one = threading.Lock()

    def allowed(self, path: str) -> Path:
        """The file or folder that `path` means, links followed. Relative ones begin at the first folder.

        Raises UsageError for any that is in none of the folders, whether it exists or not.
        """
        try:
            found = Path(os.path.realpath(self._folders[0] / expanded(path.replace("\0", ""))))
            inside = "\0" not in path and any(found.is_relative_to(folder) for folder in self._folders)
            special = inside and found.exists() and not (found.is_file() or found.is_dir())
        except (OSError, ValueError) as error:  # too long, or letters that no name has
            raise UsageError(f"{one_line(path, 80)}: cannot be the name of a file") from error
        if not inside:
            raise UsageError(
                f"{path}: outside the folders that this server may read",
                f"Those are: {', '.join(map(str, self._folders))}",
            )
        if special:
            raise UsageError(f"{path}: neither a file nor a folder")
        return found

    def open(
        self, path: str, question: str, part: dict[str, str | None], *, skim: bool = False
    ) -> OpenReading:
        """Raises MemreadError."""
        reading = api.read(
            self.allowed(path),
            question.strip() or None,
            skim=skim or None,  # else as it is set
            settings=self._settings,
            **part,  # type: ignore[arg-type]
        )
        for name in reading.inputs:  # a folder may hold links that lead out of it
            self.allowed(name)
        return reading

    def read(self, reading: OpenReading, watch: Watch) -> Result | None:
        """To the end, for a thread of its own; None when it was cancelled. Raises MemreadError."""
        skipped: list[Skipped] = []
        skim = False
        with self._one:
            if watch.cancelled.is_set():
                return None
            with reading:
                for number, event in reading.numbered():
                    if watch.cancelled.is_set():
                        return None
                    if isinstance(event, Skipped) and number == 0:
                        skipped.append(event)
                    if isinstance(event, RunStarted):
                        skim = event.skim
                    if number <= 1:  # of several lanes, the first tells how far they are
                        watch.take(event)
                return _result(reading.answer, skipped, skim=skim)


class Watch:
    """Turns events into notices of progress: (done, total, what), `done` growing with each."""

    def __init__(self, report: Any) -> None:
        self.cancelled = threading.Event()
        self._report = report
        self._base = self._share = self._told = 0.0
        self._total: float | None = 1.0
        self._place = ""
        self._before = 0.0

    def take(self, event: Event) -> None:
        match event:
            case SegmentStarted(segment):
                self._total = None if segment.fraction is None else 1.0
                end = segment.index + 1 if segment.fraction is None else segment.fraction
                self._share = max(0.0, end - self._base)
                self._place = segment.span.label()
            case Prefilled(done, total):
                self._tell(self._base + 0.5 * self._share * done / max(1, total), "reading", _EVERY)
            case MemoryUpdated(segment, _, outcome):
                self._base += self._share
                self._tell(self._base, f"segment {segment.index + 1} read, memory {outcome}", 0.0)
            case _:
                pass

    def _tell(self, done: float, what: str, every: float) -> None:
        now = time.monotonic()
        if done <= self._told or now - self._before < every:
            return
        self._told, self._before = done, now
        message = " · ".join(part for part in (what, printable(self._place)) if part)
        self._report(done, self._total, message)


def _result(answer: Answer, skipped: Sequence[Skipped], *, skim: bool) -> Result:
    coverage = answer.coverage
    place = coverage.last.label() if coverage.last else ""
    share = "" if coverage.fraction is None else f" ({coverage.fraction:.0%})"
    reached = "to the end" if coverage.complete else f"to {place or 'somewhere'}{share}"
    evidence = answer.evidence or Evidence()
    # Who asked for a skim can read the sentences it found, and may know better than a small model.
    claims = evidence.answer + evidence.memory if skim else evidence.answer
    seen = "; the model saw only the sentences nearest to the question" if skim else ""
    return Result(
        answer=answer.text,
        complete=coverage.complete,
        read=f"{coverage.segments} segments, {coverage.tokens} tokens, {reached}{seen}",
        not_read=[": ".join(p for p in (part.label(), part.reason) if p) for part in skipped],
        passages=[
            Passage(
                statement=claim.statement,
                quote=claim.quote,
                place=claim.span.label() if claim.span else "",
                verified=verified(claim),
            )
            for claim in claims[:_QUOTES]
            if claim.quote
        ],
    )


def server(folders: Sequence[Path], settings: dict[str, object]) -> MCPServer:
    """A server that may read documents in `folders` (one at least)."""
    desk = Desk(folders, settings)
    found = MCPServer("memread", version=__version__)

    @found.tool()  # type: ignore[untyped-decorator]
    async def ask_document(
        path: str,
        question: str,
        context: Context,
        pages: str | None = None,
        chapters: str | None = None,
        lines: str | None = None,
        skim: bool = False,
    ) -> Result:
        """Read a document of any length to its end, with a local model, and answer a question about it.

        Reads PDF, EPUB, Word, HTML, notebooks, subtitles, mail and text, or all such files in a folder. It
        takes minutes to hours for a book: progress is reported. An empty question gives a summary.

        path: a file or folder in a folder that this server may read. pages, chapters, lines: read only
        these, such as "10-80"; one of them at most. skim: a quick look, seconds for a book: the model sees
        only the sentences that share most words with the question, which come back as passages. What is said
        in other words is missed.
        """

        def report(done: float, total: float | None, message: str) -> None:
            if not watch.cancelled.is_set():
                anyio.from_thread.run(context.report_progress, done, total, message)

        watch = Watch(report)
        part = {"pages": pages, "chapters": chapters, "lines": lines}
        reading: OpenReading | None = None
        try:
            opened = partial(desk.open, path, question, part, skim=skim)
            reading = await anyio.to_thread.run_sync(opened)
            result: Result | None = await anyio.to_thread.run_sync(
                desk.read, reading, watch, abandon_on_cancel=True
            )
        except MemreadError as error:
            raise ToolError(printable(f"{error.message}\n{error.hint}".strip())) from error
        finally:
            watch.cancelled.set()
            if reading is not None:
                reading.stop()
        assert result is not None
        return result

    return found
