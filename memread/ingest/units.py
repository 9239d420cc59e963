"""What of a document can be lost alone: a page of a PDF, a chapter of an EPUB, a message of a mailbox."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from memread.types import Locator, Passage, Skipped


class Begun(msgspec.Struct, frozen=True, tag="begun"):
    """A unit is being read; what came before it has been said. Enough to go on from here in a new process."""

    number: int
    """Of the unit, as its reader counts."""
    place: Locator
    """Where it begins."""
    written: bool = False
    """There has been text, in this unit or before it."""
    failed: str = ""
    """Why the first unit that could not be read could not."""
    pages: tuple[str, ...] = ()
    """The labels of the pages that begin in it, and the titles of the chapters: as Skipped has them."""
    chapters: tuple[str, ...] = ()
    lost: bool = False
    """To the reader: this unit is given up, go on after it."""


def held_back(parts: Iterator[Passage | Skipped | Begun]) -> Iterator[Passage | Skipped]:
    """The parts without the units, from when there is text: until then it may be a book of pictures, which
    its reader refuses at the end, and which is no reading at all."""
    waiting = False
    held: list[Passage | Skipped] = []
    for part in parts:
        if isinstance(part, Begun):
            waiting = not part.written
            if not waiting:
                yield from held
                held = []
        elif waiting:
            held.append(part)
        else:
            yield part
    yield from held


def why(error: Exception) -> str:
    """What a parser raised, in one line."""
    if isinstance(error, MemoryError):
        return "it takes more memory than it may: ingest.memory_mib"
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
