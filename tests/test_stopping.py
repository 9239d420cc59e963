"""A reading that is stopped: it answers from what was read, and none of that is lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import msgspec
import pytest

from memread import events
from memread.asking import Task
from memread.engine.llamacpp.engine import LlamaEngine
from memread.journal import Journal
from memread.reading import Reading
from memread.types import Locator, Passage, Skipped
from tests.readings import (
    QUESTIONS,
    TEXT,
    answer,
    memories,
    numbered,
    read,
    scripted,
    segment_done,
    stopped,
    task,
)


def test_stop_answers_from_what_was_read(engine: LlamaEngine, journal: Journal) -> None:
    seen = stopped(Reading(task(), engine, journal), 3)
    whole = read(Reading(task(), engine, None))
    partial = answer(seen)
    assert not partial.coverage.complete and 4 <= partial.coverage.segments < len(memories(whole))
    assert journal.runs()[0].status == "partial"
    assert any(isinstance(event, events.Stopping) for event in seen)
    rest = read(Reading(task(), engine, journal))
    assert answer(rest).memory == answer(whole).memory and answer(rest).text == answer(whole).text


def test_stop_while_it_answers_keeps_what_was_read(journal: Journal) -> None:
    readings: list[Reading] = []
    engine = scripted(lambda request: request.kind == "answer", lambda: readings[0].stop())
    readings.append(Reading(task(), engine, journal))
    seen = read(readings[0])
    assert answer(seen).cut and not answer(seen).whole and answer(seen).coverage.complete
    assert journal.runs()[0].status == "partial"
    again = read(Reading(task(), engine, journal))
    assert memories(seen) and not memories(again), "it only answers again"
    assert answer(again).whole and answer(again).coverage == answer(seen).coverage
    assert [row.status for row in journal.runs()] == ["done"]


def test_stop_before_anything_is_read(engine: LlamaEngine, journal: Journal) -> None:
    reading = Reading(task(), engine, journal)
    running = reading.events()
    seen = [next(running)]
    reading.stop()
    seen += list(running)
    assert answer(seen).text == "" or answer(seen).coverage.segments <= 1
    assert not answer(seen).coverage.complete


def stopped_while_compared(
    engine: LlamaEngine, journal: Journal, came: int, made: Task | None = None
) -> dict[int, list[events.Event]]:
    """The events of a reading that is gone on with, stopped when `came` characters of its text have come."""
    made = made or task()
    release = threading.Event()

    def silent() -> Iterator[Passage | Skipped]:
        before = 0
        for part in made.passages:
            if isinstance(part, Passage) and (before := before + len(part.text)) > came:
                break
            yield part
        release.wait(30)

    reading = Reading(msgspec.structs.replace(made, passages=silent()), engine, journal)
    threading.Timer(1.0, reading.stop).start()  # until then, what has come is compared
    seen = numbered(reading)
    release.set()
    return seen


@pytest.mark.parametrize("came", [0, 1000])
def test_stop_while_the_text_is_compared_answers_from_all_that_was_read(
    engine: LlamaEngine, journal: Journal, came: int
) -> None:
    """And says no more, and no less, than the sitting that read it would have."""
    skipped = Skipped(Locator(page="4"), "no text layer")
    first = read(Reading(task(extra=(skipped,)), engine, journal), segment_done(7))
    seen = stopped_while_compared(engine, journal, came, task(extra=(skipped,)))[0]
    started, last = seen[0], [e.segment for e in first if isinstance(e, events.MemoryUpdated)]
    assert isinstance(started, events.RunStarted) and started.resumed == 8
    assert started.memory == memories(first)[7] and not memories(seen)
    partial = answer(seen)
    assert partial.text and not partial.coverage.complete and partial.memory == memories(first)[7]
    assert (partial.coverage.segments, partial.coverage.tokens) == (8, sum(each.tokens for each in last))
    assert (partial.coverage.last, partial.coverage.fraction) == (last[-1].span, last[-1].fraction)
    assert partial.coverage.skipped == seen.count(skipped) == 1
    (said,) = [event.message for event in seen if isinstance(event, events.Notice)]
    assert "of the 8 segments read earlier had been compared" in said
    assert said.startswith("It was stopped when 0 ") == (came == 0)
    (row,) = journal.runs()
    assert (row.status, row.steps) == ("partial", 8) and journal.show(row.run_id).answer == partial
    whole = read(Reading(task(extra=(skipped,)), engine, None))
    rest = read(Reading(task(extra=(skipped,)), engine, journal))
    assert min(memories(rest)) == 8 and answer(rest).coverage == answer(whole).coverage
    assert answer(rest).memory == answer(whole).memory and answer(rest).text == answer(whole).text


def test_stop_while_the_text_is_compared_keeps_the_evidence(engine: LlamaEngine, journal: Journal) -> None:
    first = stopped(Reading(task(), engine, journal), 5)
    seen = stopped_while_compared(engine, journal, 0)[0]
    assert answer(seen).evidence == answer(first).evidence and answer(seen).text == answer(first).text


def test_stop_before_it_is_known_whose_text_it_is(engine: LlamaEngine, journal: Journal) -> None:
    """Of a pipe nothing has come, and of a file that has changed: the earlier run says nothing of them."""
    stream = msgspec.structs.replace(task().documents[0], size=None)

    def piped() -> Task:
        return msgspec.structs.replace(task(), documents=(stream,))

    read(Reading(piped(), engine, journal), segment_done(7))
    (before,) = journal.runs()
    for made in (piped(), task(TEXT + "More.\n")):
        seen = stopped_while_compared(engine, journal, 0, made)[0]
        started = seen[0]
        assert isinstance(started, events.RunStarted) and not started.resumed and not started.recorded
        assert answer(seen).text == "" and answer(seen).coverage.segments == 0
        assert any(isinstance(event, events.Notice) and before.run_id in event.message for event in seen)
        (after,) = journal.runs()
        assert (after.steps, after.answer) == (before.steps, before.answer)
    assert answer(stopped_while_compared(engine, journal, 1000, piped())[0]).coverage.segments == 8
    assert min(memories(read(Reading(piped(), engine, journal)))) == 8


def test_stop_while_the_text_is_compared_for_several_questions(
    several: LlamaEngine, journal: Journal
) -> None:
    """One has been read farther than another, and one never."""
    read(Reading(task(question=QUESTIONS[0]), several, journal), segment_done(1))
    read(Reading(task(question=QUESTIONS[1]), several, journal), segment_done(7))
    seen = stopped_while_compared(several, journal, 1000, task(questions=QUESTIONS))
    assert [answer(seen[number]).coverage.segments for number in range(3)] == [2, 8, 0]
    assert not any(memories(each) for each in seen.values())
    assert {row.question: row.steps for row in journal.runs()} == dict(zip(QUESTIONS, (2, 8, 0), strict=True))


def test_stop_ends_a_wait_for_a_silent_pipe(engine: LlamaEngine) -> None:
    release = threading.Event()

    def silent() -> Iterator[Passage | Skipped]:
        yield Passage(TEXT[:1500], Locator(line=1))
        release.wait(30)

    made = task()
    made = Task(made.documents, ("-",), silent(), made.questions, made.profile)
    reading = Reading(made, engine, None)
    seen = []
    for event in reading.events():
        seen.append(event)
        if segment_done(1)(event):
            threading.Timer(0.7, reading.stop).start()
    release.set()
    assert not answer(seen).coverage.complete and answer(seen).coverage.segments >= 1


def test_stop_answers_every_question_from_what_was_read(several: LlamaEngine, journal: Journal) -> None:
    reading = Reading(task(questions=QUESTIONS), several, journal)
    seen: dict[int, list[events.Event]] = {}
    for number, event in reading.numbered_events():
        seen.setdefault(number, []).append(event)
        if number == 2 and segment_done(3)(event):
            reading.stop()
    for number in range(len(QUESTIONS)):
        coverage = answer(seen[number]).coverage
        assert not coverage.complete and coverage.segments == len(memories(seen[number])) >= 3
    assert [row.status for row in journal.runs()] == ["partial"] * 3


def test_stop_ends_those_that_read_while_another_is_answered(journal: Journal) -> None:
    readings: list[Reading] = []
    plain = scripted(lambda request: False, lambda: None)
    read(Reading(task(), plain, journal), lambda event: isinstance(event, events.AnswerStarted))
    engine = scripted(lambda request: request.kind == "answer", lambda: readings[0].stop())
    readings.append(Reading(task(questions=("how far?", "new?")), engine, journal))
    seen = numbered(readings[0])
    assert not memories(seen[0]) and answer(seen[0]).coverage.complete
    assert not answer(seen[1]).coverage.complete
