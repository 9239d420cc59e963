"""`--show-memory`: every memory as it was after its segment, and where in the documents that was."""

from __future__ import annotations

from typing import TextIO

from rich.console import Console
from rich.text import Text

from memread.events import Event, MemoryUpdated, RunStarted
from memread.types import DocumentInfo
from memread.views import words
from memread.views.base import Closing, numbered, write_line


class MemoriesView(Closing):
    """Prints memories to a stream; to a console, above whatever is live on it."""

    def __init__(self, target: TextIO | Console, number: int | None = None, *, lanes: bool = False) -> None:
        """number: of the question, where there are several. lanes: of the lane."""
        self._target, self._number, self._lanes = target, number, lanes
        self._documents: tuple[DocumentInfo, ...] = ()

    def __enter__(self) -> MemoriesView:
        return self

    def show(self, event: Event) -> None:
        if isinstance(event, RunStarted):
            self._documents = event.documents
        elif isinstance(event, MemoryUpdated):
            heading, memory = described(event, self._documents)
            self._print(numbered(heading, self._number, lanes=self._lanes), "bold")
            self._print(memory + "\n")

    def _print(self, text: str, style: str = "") -> None:
        if isinstance(self._target, Console):
            self._target.print(Text(text, style), markup=False, highlight=False, soft_wrap=True)
        else:
            write_line(self._target, text)


def described(event: MemoryUpdated, documents: tuple[DocumentInfo, ...] = ()) -> tuple[str, str]:
    """A heading such as "[3] pp. 12–14 · Loomings", and the memory; both safe to print."""
    where = words.place(event.segment.span, documents)
    fate = {"updated": "", "unchanged": "unchanged", "kept": "kept"}[event.outcome]
    if fate and event.reason:
        fate += f": {words.line(event.reason)}"
    heading = (
        f"[{event.segment.index + 1}]" + (f" {where}" if where else "") + (f"  ({fate})" if fate else "")
    )
    return heading, words.shown(event.memory) or "(empty)"
