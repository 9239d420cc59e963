"""What the tests of readings share: a small text and profile, an engine, and what was seen of a reading."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from memread import events, profile
from memread.asking import Task
from memread.engine.llamacpp.engine import LlamaEngine, Settings
from memread.engine.llamacpp.model import Model
from memread.engine.scripted import ScriptedEngine
from memread.reading import Reading
from memread.types import Answer, DocumentInfo, Locator, Passage, Request, Skipped

PROFILE = profile.loads(
    """
    name = "test"
    [wording]
    update = "Q {prompt} M {memory} S {chunk}"
    answer = "Q {prompt} M {memory}"
    [budget]
    segment = 60
    memory = 24
    answer = 12
    """,
    "test",
)
TEXT = "".join(f"Line {n}: the ship sailed {n * 37 % 101} miles to the west that day.\n" for n in range(60))
QUESTIONS = ("how far?", "where to?", "who sailed?")


@contextmanager
def reader(gguf: Path, slots: int = 1) -> Iterator[LlamaEngine]:
    """An engine for so many requests at a time."""
    with Model(gguf) as model:
        made = LlamaEngine(
            model, Settings(context=512, slots=slots, batch=64), name="tiny", digest="sha256:tiny"
        )
        yield made
        made.close()


def task(
    text: str = TEXT,
    *,
    question: str = "how far?",
    questions: tuple[str, ...] = (),
    extra: tuple[Skipped, ...] = (),
) -> Task:
    def passages() -> Iterator[Passage | Skipped]:
        line = 1
        for start in range(0, len(text), 500):
            part = text[start : start + 500]
            yield Passage(part, Locator(line=line), min(1.0, (start + len(part)) / len(text)))
            line += part.count("\n")
            yield from extra if start == 500 else ()

    document = DocumentInfo(name="log.txt", format="text", size=len(text))
    return Task(
        documents=(document,),
        inputs=("/log.txt",),
        passages=passages(),
        questions=questions or (question,),
        profile=PROFILE,
    )


def read(reading: Reading, until: Callable[[events.Event], bool] = lambda event: False) -> list[events.Event]:
    """The events; the reading is abandoned, as a crash would, after one for which `until` holds."""
    seen = []
    running = reading.events()
    for event in running:
        seen.append(event)
        if until(event):
            break
    running.close()
    return seen


def numbered(
    reading: Reading, until: Callable[[int, events.Event], bool] = lambda number, event: False
) -> dict[int, list[events.Event]]:
    """The events of every question; the reading is abandoned after one for which `until` holds."""
    seen: dict[int, list[events.Event]] = {}
    running = reading.numbered_events()
    for number, event in running:
        seen.setdefault(number, []).append(event)
        if until(number, event):
            break
    running.close()
    return seen


def stopped(reading: Reading, number: int) -> list[events.Event]:
    """The events of a reading that is stopped once segment `number` is read, to their end."""
    seen = []
    for event in reading.events():
        seen.append(event)
        if segment_done(number)(event):
            reading.stop()
    return seen


def memories(seen: list[events.Event]) -> dict[int, str]:
    return {e.segment.index: e.memory for e in seen if isinstance(e, events.MemoryUpdated)}


def answer(seen: list[events.Event]) -> Answer:
    assert isinstance(seen[-1], events.Answered)
    return seen[-1].answer


def segment_done(number: int) -> Callable[[events.Event], bool]:
    return lambda event: isinstance(event, events.MemoryUpdated) and event.segment.index == number


def scripted(press: Callable[[Request], bool], pressed: Callable[[], None]) -> ScriptedEngine:
    """An engine; `pressed` is called once, in the middle of the first request for which `press` holds."""
    due = [pressed]

    def script(request: Request, prompt: str) -> str:
        if due and press(request):
            due.pop()()
        return "The ship sailed 37 miles."

    return ScriptedEngine(script)
