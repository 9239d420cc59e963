"""Readings with lanes, with llama.cpp and a real journal: recorded, stopped, gone on with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from memread import events
from memread.asking import Task
from memread.engine.llamacpp.engine import LlamaEngine
from memread.engine.scripted import ScriptedEngine
from memread.followup import follow_up
from memread.journal import Journal
from memread.reading import Reading
from memread.report import page
from memread.sidebyside import SideBySide, reading_for
from memread.types import Budget, Locator, Request, Skipped
from tests.readings import TEXT, answer, memories, numbered, reader, segment_done
from tests.readings import task as one

LANES = 3


@pytest.fixture(scope="module")
def engine(tiny_gguf: Path) -> Iterator[LlamaEngine]:
    with reader(tiny_gguf, slots=LANES) as made:
        yield made


def task(text: str = TEXT, *, lanes: int = LANES, extra: tuple[Skipped, ...] = ()) -> Task:
    return msgspec.structs.replace(one(text, extra=extra), lanes=lanes)


def test_one_lane_is_the_reading_without_lanes(engine: LlamaEngine) -> None:
    readings = [reading_for(task(lanes=1), engine, None), reading_for(task(), engine, None)]
    assert [type(each) for each in readings] == [Reading, SideBySide]
    for each in readings:
        each.stop()  # they read ahead from the beginning


def test_every_part_is_read_and_the_whole_is_answered(engine: LlamaEngine, journal: Journal) -> None:
    gap = (Skipped(Locator(line=9), "damaged"),)
    seen = numbered(SideBySide(task(extra=gap), engine, journal))
    assert sorted(seen) == [0, 1, 2, 3]
    whole = answer(seen[0])
    read = [answer(seen[n]).coverage for n in (1, 2, 3)]
    assert whole.coverage.complete and len(whole.coverage.parts) == LANES
    assert whole.coverage.segments == sum(each.segments for each in read) > 6
    assert whole.coverage.tokens == sum(each.tokens for each in read)
    assert whole.coverage.skipped == 1 and gap[0] in seen[0]
    assert len(memories(seen[0])) == LANES
    lines = [(span.start.line, span.end.line) for span in whole.coverage.parts]
    assert lines[0][0] == 1 and lines[-1][1] == 60
    starts = [(e.lanes, e.lane) for n in seen for e in seen[n][:1] if isinstance(e, events.RunStarted)]
    assert starts == [(3, 0), (3, 1), (3, 2), (3, 3)]
    rows = journal.runs()
    assert [row.status for row in rows] == ["done"] * 4
    assert sorted((row.lanes, row.lane) for row in rows) == starts
    assert sum(row.steps for row in rows if row.lane) == whole.coverage.segments


@pytest.mark.parametrize("lane, at", [(1, 0), (3, 0), (2, 2), (3, 4)])
def test_a_resumed_reading_ends_as_an_undisturbed_one(
    engine: LlamaEngine, journal: Journal, lane: int, at: int
) -> None:
    whole = numbered(SideBySide(task(), engine, None))
    first = numbered(
        SideBySide(task(), engine, journal),
        lambda number, event: number == lane and segment_done(at)(event),
    )
    second = numbered(SideBySide(task(), engine, journal))
    for number in range(1, LANES + 1):
        done, more = memories(first.get(number, [])), memories(second[number])
        assert len(done.keys() & more.keys()) <= 1, "a lane that was ahead is as far as the others"
        assert done | more == more | done == memories(whole[number])
    assert memories(second[0]) == memories(whole[0])
    assert answer(second[0]).text == answer(whole[0]).text
    assert answer(second[0]).coverage == answer(whole[0]).coverage
    assert answer(second[0]).evidence == answer(whole[0]).evidence
    rows = journal.runs()
    left = {row.run_id for row in rows if row.status != "done"}
    assert len(rows) == 4 + len(left) and left <= {row.taken_from for row in rows}
    assert not any(isinstance(event, events.Notice) for number in second for event in second[number])


def test_killed_in_the_merging_no_part_is_read_again(engine: LlamaEngine, journal: Journal) -> None:
    whole = numbered(SideBySide(task(), engine, None))
    numbered(SideBySide(task(), engine, journal), lambda number, event: not number and segment_done(1)(event))
    second = numbered(SideBySide(task(), engine, journal))
    assert not any(memories(second[number]) for number in range(1, LANES + 1))
    assert memories(second[0]) == memories(whole[0]) and answer(second[0]).text == answer(whole[0]).text
    assert not any(isinstance(event, events.Notice) for event in second[0])
    again = numbered(SideBySide(task(), engine, journal))
    assert all(memories(again[number]) for number in range(1, LANES + 1)), "a finished one starts over"


def test_stop_merges_what_was_read_and_the_rest_is_read_later(engine: LlamaEngine, journal: Journal) -> None:
    whole = numbered(SideBySide(task(), engine, None))
    reading = SideBySide(task(), engine, journal)
    seen: dict[int, list[events.Event]] = {}
    for number, event in reading.numbered_events():
        seen.setdefault(number, []).append(event)
        if number == LANES and segment_done(1)(event):
            reading.stop()
    partial = answer(seen[0]).coverage
    assert not partial.complete and len(partial.parts) == LANES and memories(seen[0])
    assert partial.fraction is not None and 0 < partial.fraction < 1
    assert partial.segments < answer(whole[0]).coverage.segments
    assert {row.status for row in journal.runs()} == {"partial"}
    rest = numbered(SideBySide(task(), engine, journal))
    assert answer(rest[0]).text == answer(whole[0]).text
    assert answer(rest[0]).memory == answer(whole[0]).memory
    assert answer(rest[0]).coverage == answer(whole[0]).coverage


def test_stop_before_anything_is_read(engine: LlamaEngine) -> None:
    reading = SideBySide(task(), engine, None)
    running = reading.numbered_events()
    seen = [next(running)]
    reading.stop()
    seen += list(running)
    last = [event for number, event in seen if number == 0][-1]
    assert isinstance(last, events.Answered) and not last.answer.coverage.complete


def test_an_edited_part_alone_is_read_again(engine: LlamaEngine, journal: Journal) -> None:
    numbered(
        SideBySide(task(), engine, journal), lambda number, event: number == 3 and segment_done(3)(event)
    )
    edited = TEXT.replace("Line 58: the ship", "Line 58: a ship")
    second = numbered(SideBySide(task(edited), engine, journal))
    whole = numbered(SideBySide(task(edited), engine, None))
    assert answer(second[0]).text == answer(whole[0]).text
    notices = {n for n in second for event in second[n] if isinstance(event, events.Notice)}
    assert notices <= {3}, "only what changed is said to have"


@pytest.mark.parametrize("text", ["", " \n\n"])
def test_empty_input_is_an_error(engine: LlamaEngine, text: str) -> None:
    seen = numbered(SideBySide(task(text or " "), engine, None))
    assert isinstance(seen[0][-1], events.Failed) and seen[0][-1].error == "EmptyInput"


def test_a_text_of_one_segment_is_answered_at_once(engine: LlamaEngine, journal: Journal) -> None:
    seen = numbered(SideBySide(task("The ship sailed.\n"), engine, journal))
    alone = numbered(Reading(one("The ship sailed.\n"), engine, None))
    assert list(seen) == [0] and answer(seen[0]).memory == answer(alone[0]).memory
    assert [row.status for row in journal.runs()] == ["done"]


def test_fewer_segments_than_lanes(engine: LlamaEngine) -> None:
    seen = numbered(SideBySide(task(TEXT[:400]), engine, None))
    assert 2 < len(seen) <= LANES + 1 and answer(seen[0]).coverage.complete


def ships(request: Request, prompt: str) -> str:
    """Notes the lines about Line 7 and Line 50, and copies notes."""
    notes = dict.fromkeys(re.findall(r"Line (?:7|50): .*? day\.", prompt))
    return "\n".join(notes) or "none"


def test_evidence_is_that_of_the_text_and_not_of_the_notes(journal: Journal) -> None:
    scripted = ScriptedEngine(ships)
    roomy = msgspec.structs.replace(one().profile, budget=Budget(1024, 120, 60, 12))
    made = msgspec.structs.replace(task(), profile=roomy)
    seen = numbered(SideBySide(made, scripted, journal))
    evidence = answer(seen[0]).evidence
    assert evidence is not None
    found = {claim.statement.split(":")[0]: claim for claim in evidence.memory}
    for statement, line in (("Line 7", 8), ("Line 50", 51)):
        claim = found[statement]
        assert claim.verified and claim.span is not None and claim.span.start.line == line
        assert claim.quote in TEXT
    (run,) = (row.run_id for row in journal.runs() if not row.lane)
    record = journal.show(run)
    assert "Line 50" in page(record.events(), created=record.row.created)
    more = list(follow_up(record, "and then?", scripted, one().profile))
    assert isinstance(more[-1], events.Answered) and more[-1].answer.coverage.complete


def test_a_follow_up_says_how_much_its_memory_rests_on(journal: Journal) -> None:
    scripted = ScriptedEngine(ships)
    seen = numbered(SideBySide(task(), scripted, journal))
    for row in journal.runs():
        more = list(follow_up(journal.show(row.run_id), "and then?", scripted, one().profile))
        told = next(event.message for event in more if isinstance(event, events.Notice))
        if row.lane:
            assert f"part {row.lane} alone" in told and not answer(more).coverage.complete
        else:
            assert "alone" not in told and answer(more).coverage == answer(seen[0]).coverage
