"""What the goldens show. `python -m tests.views.pictures --rewrite` draws them again: look at the diff."""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console

from memread.events import (
    Answered,
    AnswerStarted,
    Event,
    Failed,
    MemoryUpdated,
    Piece,
    Prefilled,
    ReplyRejected,
    RunStarted,
    SegmentStarted,
    Stopping,
)
from memread.types import (
    Answer,
    Budget,
    Counts,
    Coverage,
    DocumentInfo,
    EngineInfo,
    Locator,
    SegmentInfo,
    Skipped,
    Span,
    digest,
)
from memread.views import summary
from memread.views.canned import canned
from memread.views.frame import draw
from memread.views.page import ASCII, UNICODE, Glyphs, page_of
from memread.views.plain import PlainView
from memread.views.reading import Reading
from memread.views.replay import Timed, timed

GOLDENS = Path(__file__).parent / "goldens"

ENGINE = EngineInfo("SmolLM2-135M-Instruct Q4_1", "m.gguf", "", "b1", "CPU", 8192)


def started(
    question: str = "Who is the cat?",
    *documents: DocumentInfo,
    resumed: int = 0,
    memory: str = "",
    recorded: bool = True,
) -> RunStarted:
    documents = documents or (DocumentInfo("-", "text"),)
    return RunStarted("AB12", question, documents, ENGINE, "p", Budget(), recorded, resumed, memory)


def segment(index: int, *, fraction: float | None = None, locator: Locator | None = None) -> SegmentInfo:
    place = locator or Locator(line=1 + 400 * index)
    return SegmentInfo(index, 5000, Span(place, place), digest(str(index)), fraction)


def updated(info: SegmentInfo, memory: str, **more: str) -> MemoryUpdated:
    return MemoryUpdated(info, memory, counts=Counts(6000, 0, 40, 3.0, 2.0), **{"outcome": "updated", **more})  # type: ignore[arg-type]


def stream() -> Iterator[Event]:
    """Standard input of unknown length, in Japanese, one segment kept, then stopped by the user."""
    yield started("猫は誰ですか?この長い質問は端末の幅よりも長いので、折り返さなければなりません。")
    memory = "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。"
    for index in range(3):
        info = segment(index)
        yield SegmentStarted(info)
        yield Prefilled(3000, 6000)
        if index == 1:
            for attempt in (0, 1):
                yield Piece(memory)
                yield ReplyRejected(info, attempt, "it ran into the memory limit", memory)
            yield updated(info, memory, outcome="kept", reason="it ran into the memory limit")
        else:
            memory = (
                memory
                if index == 0
                else memory.replace("名前はまだ無い", "主人は教師である👩‍🏫") + "書生は怖い。"
            )
            for letter in memory:
                yield Piece(letter)
            yield updated(info, memory)
    yield Stopping()
    yield AnswerStarted(memory)
    yield Prefilled(500, 500)
    yield Piece("吾輩は、苦沙弥先生の家に住む、")
    coverage = Coverage(3, 15_000, False, None, info.span, kept=1)
    yield Answered(Answer("猫", True, "\\boxed{猫}", memory, coverage))


def resumed() -> Iterator[Event]:
    """Taken over at segment 12, a long memory, an error at the end."""
    notes = "\n".join(f"- Item {n}: a fact that was noted on page {n * 7}." for n in range(1, 30))
    document = DocumentInfo("report.pdf", "pdf", pages=400, size=1)
    yield started("What does the report say?", document, resumed=12, memory=notes)
    for index in (12, 13):
        page = str(100 + 8 * index)
        info = segment(index, fraction=(index + 1) / 40, locator=Locator(page=page, page_number=int(page)))
        yield SegmentStarted(info)
        yield Prefilled(6000, 6000)
        notes = (
            notes.replace(f"- Item {index - 9}:", f"- Item {index - 9} (corrected):") + f"\n- New {index}."
        )
        yield Piece(notes[:300])
        yield Skipped(Locator(page=page, page_number=int(page)), "no text layer")
        yield updated(info, notes)
    yield Failed("OutOfMemory", "the model needs 9 GB, but only 4 GB are free", "use a smaller model", 17)


def book() -> Iterator[Event]:
    yield from canned()


def at(events: Sequence[Timed], kind: type[Event], nth: int = 1, skip: int = 0) -> int:
    """How many events to show so that the last one is the `nth` of a kind, and `skip` more."""
    found = [number for number, (_, event) in enumerate(events) if isinstance(event, kind)]
    return found[nth - 1] + 1 + skip


Moment = tuple[Callable[[], Iterator[Event]], type[Event], int, int]
MOMENTS: dict[str, Moment] = {
    "begun": (book, RunStarted, 1, 0),
    "prompt": (book, Prefilled, 5, 0),
    "writing": (book, SegmentStarted, 3, 60),
    "rejected": (book, ReplyRejected, 1, 30),
    "revised": (book, MemoryUpdated, 4, 4),
    "answering": (book, AnswerStarted, 1, 20),
    "answered": (book, Answered, 1, 0),
    "stream": (stream, ReplyRejected, 2, 1),
    "stream-writing": (stream, SegmentStarted, 3, 16),
    "stopping": (stream, Stopping, 1, 0),
    "stopped": (stream, AnswerStarted, 1, 2),
    "resumed": (resumed, SegmentStarted, 2, 2),
    "failed": (resumed, Failed, 1, 0),
}
SIZES = ((100, 30), (60, 20), (40, 12), (20, 6))


def reading_at(name: str) -> tuple[Reading, float]:
    events, kind, nth, skip = MOMENTS[name]
    all_events = timed(events())
    reading, now = Reading(), 0.0
    for now, event in all_events[: at(all_events, kind, nth, skip)]:
        reading.apply(event, now)
    return reading, now


def console(width: int, height: int) -> Console:
    return Console(
        file=io.StringIO(),
        width=width,
        height=height,
        force_terminal=True,
        _environ={"TERM": "xterm-256color"},
    )


def picture(name: str, width: int, height: int, glyphs: Glyphs = UNICODE) -> str:
    reading, now = reading_at(name)
    lines = draw(reading, now, page_of(console(width, height), glyphs))
    return "".join(line.plain.rstrip() + "\n" for line in lines)


def log(events: Callable[[], Iterator[Event]], every: float = 5.0) -> str:
    """What the plain view writes."""
    out, now = io.StringIO(), 0.0
    with PlainView(out, every=every, clock=lambda: now) as view:
        for when, event in timed(events()):
            now = when
            view.show(event)
    return out.getvalue()


def goldens() -> dict[str, str]:
    """The text of every golden, by the name of its file."""
    drawn = {
        f"{name}.{width}x{height}.txt": picture(name, width, height)
        for name in MOMENTS
        for width, height in SIZES
    }
    drawn["writing.ascii.txt"] = picture("writing", 80, 24, ASCII)
    for events in (book, stream, resumed):
        drawn[f"{events.__name__}.log.txt"] = log(events)
        reading = Reading()
        for now, event in timed(events()):
            reading.apply(event, now)
        said = summary.lines(reading)
        drawn[f"{events.__name__}.summary.txt"] = "\n".join([*said, "--", *summary.warnings(reading)]) + "\n"
    return drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rewrite", action="store_true", required=True)
    parser.parse_args()
    for old in GOLDENS.glob("*.txt"):
        old.unlink()
    GOLDENS.mkdir(exist_ok=True)
    for name, text in goldens().items():
        (GOLDENS / name).write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
