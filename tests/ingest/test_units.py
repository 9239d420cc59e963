"""Going on in the middle, as after the death of a reader, gives what an undisturbed reading does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from memread.ingest.epub import EpubReading
from memread.ingest.mail import MailReading
from memread.ingest.pdf import PdfReading
from memread.ingest.units import Begun, held_back
from memread.ingest.worker import Divided
from memread.types import Locator, Passage, Skipped
from tests.ingest.samples import epub, nav, write_pdf, xhtml

ALICE = Path(__file__).resolve().parents[2] / "examples" / "alice.epub"
Part = Passage | Skipped | Begun


def pdf(folder: Path) -> str:
    return write_pdf(folder / "a.pdf", [None, "one", None, *(f"page {n}" for n in range(70)), ""])


def book(folder: Path) -> str:
    """Chapters that begin inside files, files that go on with one, a file that is missing, a picture."""
    files = {
        "nav.xhtml": nav(
            ("1.xhtml", "One"), ("2.xhtml#b", "Two"), ("4.xhtml", "Three"), ("4.xhtml#d", "Four")
        ),
        "0.xhtml": xhtml('<img src="x" alt="Cover"/>'),
        "1.xhtml": xhtml("<p>first</p>"),
        "2.xhtml": xhtml("<p>still one</p><p id='b'>two</p>"),
        "3.xhtml": xhtml("<p>still two</p>"),
        "4.xhtml": xhtml("<p>three</p><p id='d'>four</p>"),
        "5.xhtml": xhtml("<p>still four</p>"),
    }
    return epub(folder / "a.epub", dict(files), missing=["gone.xhtml"])


def box(folder: Path) -> str:
    messages = (f"From a@b.org Mon Jan  1 10:00:0{n} 2024\nSubject: {n}\n\ntext {n}\n\n" for n in range(6))
    (folder / "a.mbox").write_text("".join(messages))
    return str(folder / "a.mbox")


@contextmanager
def opened(path: str) -> Iterator[Divided]:
    kinds: dict[str, Callable[..., Divided]] = {
        ".pdf": PdfReading,
        ".epub": EpubReading,
        ".mbox": MailReading,
    }
    with Path(path).open("rb") as file:
        yield kinds[Path(path).suffix](file, "name", 3)


def read(path: str, start: Begun | None = None) -> list[Part]:
    with opened(path) as reading:
        return list(reading.units(start))


@pytest.mark.parametrize("made", [pdf, book, box, lambda _: str(ALICE)], ids=["pdf", "epub", "mbox", "alice"])
def test_the_rest_is_the_same(made: Callable[[Path], str], tmp_path: Path) -> None:
    path = made(tmp_path)
    whole = read(path)
    begun = [(at, part) for at, part in enumerate(whole) if isinstance(part, Begun)]
    begun = begun if len(begun) < 12 else [*begun[:4], *begun[7::9], begun[-1]]
    for at, unit in begun:
        rest = [part for part in whole[at:] if not isinstance(part, Begun)]
        assert [part for part in read(path, unit) if not isinstance(part, Begun)] == rest
        # Given up: all after it, at the same places.
        after = next(
            (k for k, part in enumerate(whole) if isinstance(part, Begun) and part.number > unit.number),
            len(whole),
        )
        rest = [part for part in whole[after:] if not isinstance(part, Begun)]
        lost = replace(unit, lost=True, written=True)
        assert [part for part in read(path, lost) if not isinstance(part, Begun)] == rest


def test_what_is_skipped_waits_for_text() -> None:
    place = Locator()
    lost, text = Skipped(place, "no"), Passage("yes", place)
    given: list[str] = []

    def parts() -> Iterator[Part]:
        for part in (Begun(0, place), lost, Begun(1, place), Begun(1, place, True), text, lost):
            given.append(type(part).__name__)
            yield part

    out = held_back(parts())
    assert next(out) == lost and given == ["Begun", "Skipped", "Begun", "Begun"]
    assert list(out) == [text, lost]
