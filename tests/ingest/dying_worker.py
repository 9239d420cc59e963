"""The process that reads documents, killed by pages that say "die always", and once by "die once"."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from memread.ingest import worker
from memread.ingest.epub import EpubReading
from memread.ingest.package import Item
from memread.ingest.pdf import PdfReading
from memread.types import Locator, Passage, Skipped

_page = PdfReading._page


def _dying(self: PdfReading, number: int, place: Locator, done: int) -> Passage | Skipped:
    part = _page(self, number, place, done)
    text = part.text if isinstance(part, Passage) else ""
    marker = Path(f"{self._file.name}.{number}")
    if text.startswith("die once") and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if text.startswith("die always"):
        os.kill(os.getpid(), signal.SIGSEGV)
    return part


_file = EpubReading._file


def _dying_file(
    self: EpubReading, item: Item, path: str, place: Locator
) -> tuple[list[Passage | Skipped], Locator, int]:
    found = _file(self, item, path, place)
    if any(isinstance(part, Passage) and part.text.startswith("die always") for part in found[0]):
        os.kill(os.getpid(), signal.SIGSEGV)
    return found


if __name__ == "__main__":
    PdfReading._page = _dying  # type: ignore[method-assign]
    EpubReading._file = _dying_file  # type: ignore[method-assign]
    worker.main()
