"""A whole reading, with llama.cpp and a real journal: recorded, gone on with, of several questions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from memread import events, profile
from memread.asking import Task
from memread.engine.llamacpp.engine import LlamaEngine
from memread.errors import FileUnreadable
from memread.evidence.statements import statements
from memread.journal import Journal
from memread.reading import Reading
from memread.types import Budget, Claim, Locator, Passage, Skipped
from tests.readings import (
    PROFILE,
    QUESTIONS,
    TEXT,
    answer,
    memories,
    numbered,
    read,
    scripted,
    segment_done,
    task,
)


def test_a_reading_is_recorded_before_it_is_seen(engine: LlamaEngine, journal: Journal) -> None:
    running = Reading(task(), engine, journal).events()
    for event in running:
        if isinstance(event, events.MemoryUpdated):
            (row,) = journal.runs()
            assert row.steps == event.segment.index + 1
    (row,) = journal.runs()
    assert row.status == "done"
    record = journal.show(row.run_id)
    assert record.answer is not None and len(record.steps()) == record.answer.coverage.segments > 5


@pytest.mark.parametrize("at", [0, 3, 7])
def test_a_resumed_reading_ends_as_an_undisturbed_one(engine: LlamaEngine, journal: Journal, at: int) -> None:
    whole = read(Reading(task(), engine, None))
    first = read(Reading(task(), engine, journal), segment_done(at))
    second = read(Reading(task(), engine, journal))
    started = second[0]
    assert isinstance(started, events.RunStarted) and started.resumed == at + 1
    assert min(memories(second)) == at + 1
    assert memories(first) | memories(second) == memories(whole)
    assert answer(second).text == answer(whole).text and answer(second).memory == answer(whole).memory
    assert answer(second).coverage == answer(whole).coverage
    assert len(journal.runs()) == 1 and journal.runs()[0].status == "done"


def test_a_resumed_reading_has_met_what_was_read_before(engine: LlamaEngine, journal: Journal) -> None:
    """How rare a word is in all of the text decides what the memory keeps."""
    text = "The ship sailed on. " * 60 + "".join(
        f"{'Fog hid the ship' if n % 2 else 'Hull lay in the fog'} on day {n}. " for n in range(40)
    )
    wording = msgspec.structs.replace(PROFILE.wording, unchanged="Same")
    taught = msgspec.structs.replace(PROFILE, wording=wording, nearest=3)

    def asked() -> Task:
        return msgspec.structs.replace(task(text, question="Did the ship reach Hull in fog?"), profile=taught)

    whole = memories(read(Reading(asked(), engine, None)))
    assert "Hull" in whole[max(whole)]
    first = read(Reading(asked(), engine, journal), segment_done(max(whole) // 2))
    assert memories(first) | memories(read(Reading(asked(), engine, journal))) == whole


def test_a_skim_is_a_reading_of_its_own_and_goes_on_as_one(engine: LlamaEngine, journal: Journal) -> None:
    def asked() -> Task:
        plain = task(question="How far did the ship of line 37 sail?")
        return msgspec.structs.replace(plain, profile=profile.skimming(PROFILE))

    whole = read(Reading(asked(), engine, None))
    assert isinstance(whole[0], events.RunStarted) and whole[0].skim
    assert "Line 37" in answer(whole).memory
    assert not any(isinstance(event, events.ReplyRejected) for event in whole)
    first = read(Reading(asked(), engine, journal), segment_done(20))
    other = read(Reading(task(question=asked().questions[0]), engine, journal), segment_done(0))
    assert isinstance(other[0], events.RunStarted) and (other[0].resumed, other[0].skim) == (0, False)
    second = read(Reading(asked(), engine, journal))
    assert isinstance(second[0], events.RunStarted) and second[0].resumed == 21
    assert memories(first) | memories(second) == memories(whole)
    assert answer(second).memory == answer(whole).memory and answer(second).text == answer(whole).text
    claims = [claim for event in whole if isinstance(event, events.EvidenceFound) for claim in event.claims]
    assert claims and all(claim.verified for claim in claims)


def test_fresh_starts_over_and_a_finished_run_is_not_gone_on_with(
    engine: LlamaEngine, journal: Journal
) -> None:
    read(Reading(task(), engine, journal), segment_done(2))
    started = read(Reading(task(), engine, journal, fresh=True))[0]
    assert isinstance(started, events.RunStarted) and started.resumed == 0
    read(Reading(task(), engine, journal))
    again = read(Reading(task(), engine, journal))[0]
    assert isinstance(again, events.RunStarted) and again.resumed == 0


def test_another_question_is_another_reading(engine: LlamaEngine, journal: Journal) -> None:
    read(Reading(task(), engine, journal), segment_done(2))
    started = read(Reading(task(question="who?"), engine, journal))[0]
    assert isinstance(started, events.RunStarted) and started.resumed == 0


def test_an_edited_document_is_gone_on_with_up_to_the_edit(engine: LlamaEngine, journal: Journal) -> None:
    first = read(Reading(task(), engine, journal), segment_done(6))
    spot = TEXT.index("Line 8")
    edited = TEXT[:spot] + "A stowaway was found. " + TEXT[spot:]
    second = read(Reading(task(edited), engine, journal))
    assert any(isinstance(event, events.Notice) and "changed" in event.message for event in second)
    started = second[0]
    assert isinstance(started, events.RunStarted) and 0 < started.resumed < 7
    whole = read(Reading(task(edited), engine, None))
    assert answer(second).memory == answer(whole).memory and answer(second).text == answer(whole).text
    assert len(journal.runs()) == 2
    kept = {step.index: step.memory for step in journal.show(journal.runs()[1].run_id).steps()}
    assert kept == memories(first), "the old run stays readable"


def test_a_document_that_became_shorter(engine: LlamaEngine, journal: Journal) -> None:
    read(Reading(task(), engine, journal), segment_done(6))
    short = TEXT[: TEXT.index("Line 9")]
    second = read(Reading(task(short), engine, journal))
    whole = read(Reading(task(short), engine, None))
    assert answer(second).memory == answer(whole).memory
    assert answer(second).coverage.segments == answer(whole).coverage.segments


def test_a_text_with_another_beginning_hides_no_run(engine: LlamaEngine, journal: Journal) -> None:
    """As every pipe: their inputs have one name."""
    first = read(Reading(task(), engine, journal), segment_done(6))
    other = TEXT.replace("ship", "boat")
    read(Reading(task(other), engine, journal), segment_done(2))
    goes_on = read(Reading(task(other), engine, journal))
    assert min(memories(goes_on)) == 3 and answer(goes_on).whole, "it is found though another got farther"
    again = read(Reading(task(), engine, journal))
    assert min(memories(again)) == 7
    assert memories(first) | memories(again) == memories(read(Reading(task(), engine, None)))
    assert not any(isinstance(event, events.Notice) for event in (*goes_on, *again))


def test_skipped_parts_are_told_again_after_a_resume(engine: LlamaEngine, journal: Journal) -> None:
    skipped = Skipped(Locator(page="4"), "no text layer")
    read(Reading(task(extra=(skipped,)), engine, journal), segment_done(8))
    second = read(Reading(task(extra=(skipped,)), engine, journal))
    assert second.count(skipped) == 1 and answer(second).coverage.skipped == 1
    recorded = list(journal.show(journal.runs()[0].run_id).events())
    assert recorded.count(skipped) == 1


def test_an_error_in_the_document_keeps_what_was_read(engine: LlamaEngine, journal: Journal) -> None:
    from memread.errors import DamagedDocument

    def breaking() -> Iterator[Passage | Skipped]:
        yield Passage(TEXT, Locator(line=1), 0.5)
        raise DamagedDocument("log.txt is damaged", "Copy it again.")

    made = task()
    made = Task(made.documents, made.inputs, breaking(), made.questions, made.profile)
    seen = read(Reading(made, engine, journal))
    failed = seen[-1]
    assert isinstance(failed, events.Failed)
    assert (failed.error, failed.hint, failed.exit_code) == ("DamagedDocument", "Copy it again.", 9)
    assert journal.runs()[0].steps == len(memories(seen)) > 3 and journal.runs()[0].status == "failed"


def test_empty_input_is_an_error(engine: LlamaEngine) -> None:
    for text in ("", " \n\n \n"):
        seen = read(Reading(task(text or " "), engine, None))
        assert isinstance(seen[-1], events.Failed) and seen[-1].error == "EmptyInput"


def test_a_journal_that_fails_does_not_end_the_reading(engine: LlamaEngine, tmp_path: Path) -> None:
    with Journal.open(tmp_path / "j" / "journal.sqlite3") as journal:
        seen = []
        for event in Reading(task(), engine, journal).events():
            seen.append(event)
            if segment_done(2)(event):
                journal._database._connection.execute("DELETE FROM runs")
    assert any(isinstance(event, events.Notice) and "no longer recorded" in event.message for event in seen)
    assert answer(seen).coverage.complete


def test_budget_of_the_profile_is_used(engine: LlamaEngine) -> None:
    seen = read(Reading(task(), engine, None))
    started = seen[0]
    assert isinstance(started, events.RunStarted) and started.budget == Budget(1024, 60, 24, 12)
    assert all(e.segment.tokens <= 60 for e in seen if isinstance(e, events.SegmentStarted))


def test_several_questions_get_the_answers_they_get_alone(engine: LlamaEngine) -> None:
    together = numbered(Reading(task(questions=QUESTIONS), engine, None))
    for number, question in enumerate(QUESTIONS):
        alone = read(Reading(task(question=question), engine, None))
        assert memories(together[number]) == memories(alone)
        assert answer(together[number]).text == answer(alone).text
        assert answer(together[number]).coverage == answer(alone).coverage


def test_questions_are_at_one_segment_at_a_time(several: LlamaEngine) -> None:
    open_segments: dict[int, int] = {}
    for number, event in Reading(task(questions=QUESTIONS), several, None).numbered_events():
        if isinstance(event, events.SegmentStarted):
            open_segments[number] = event.segment.index
        elif isinstance(event, events.Prefilled) and len(open_segments) == len(QUESTIONS):
            assert max(open_segments.values()) - min(open_segments.values()) <= 1


@pytest.mark.parametrize("at", [0, 4])
def test_several_questions_are_gone_on_with(engine: LlamaEngine, journal: Journal, at: int) -> None:
    whole = numbered(Reading(task(questions=QUESTIONS), engine, None))
    first = numbered(
        Reading(task(questions=QUESTIONS), engine, journal),
        lambda number, event: number == 1 and segment_done(at)(event),
    )
    second = numbered(Reading(task(questions=QUESTIONS), engine, journal))
    for number in range(len(QUESTIONS)):
        done, more = memories(first[number]), memories(second[number])
        assert not done.keys() & more.keys(), "no segment is read twice"
        assert done | more == memories(whole[number])
        assert answer(second[number]).text == answer(whole[number]).text
        assert answer(second[number]).coverage == answer(whole[number]).coverage
    assert [row.status for row in journal.runs()] == ["done"] * 3


def test_a_question_that_is_ahead_waits_for_a_new_one(engine: LlamaEngine, journal: Journal) -> None:
    whole = read(Reading(task(question="how far?"), engine, None))
    first = read(Reading(task(question="how far?"), engine, journal), segment_done(5))
    gap = (Skipped(Locator(line=9), "damaged"),)
    both = numbered(Reading(task(questions=("how far?", "new?"), extra=gap), engine, journal))
    assert min(memories(both[0])) == 6 and min(memories(both[1])) == 0
    assert memories(first) | memories(both[0]) == memories(whole)
    for number in (0, 1):
        assert sum(isinstance(event, Skipped) for event in both[number]) == 1
        assert answer(both[number]).coverage.skipped == 1
    fresh = read(Reading(task(question="new?", extra=gap), engine, None))
    assert memories(both[1]) == memories(fresh)


def test_an_edit_forks_every_run(engine: LlamaEngine, journal: Journal) -> None:
    numbered(
        Reading(task(questions=QUESTIONS[:2]), engine, journal),
        lambda number, event: number == 1 and segment_done(6)(event),
    )
    edited = TEXT.replace("Line 8:", "Line 8, corrected:")
    second = numbered(Reading(task(edited, questions=QUESTIONS[:2]), engine, journal))
    for number, question in enumerate(QUESTIONS[:2]):
        started = second[number][0]
        assert isinstance(started, events.RunStarted) and 0 < started.resumed < 7
        whole = read(Reading(task(edited, question=question), engine, None))
        assert answer(second[number]).memory == answer(whole).memory
    assert len(journal.runs()) == 4


def test_killed_among_the_answers_nothing_is_read_again(journal: Journal) -> None:
    engine = scripted(lambda request: False, lambda: None)
    first = numbered(
        Reading(task(questions=QUESTIONS), engine, journal),
        lambda number, event: isinstance(event, events.Answered),
    )
    assert sum(isinstance(seen[-1], events.Answered) for seen in first.values()) == 1
    second = numbered(Reading(task(questions=QUESTIONS), engine, journal))
    for number in range(len(QUESTIONS)):
        assert memories(first[number]) and not memories(second[number])
        assert answer(second[number]).whole
    assert [row.status for row in journal.runs()] == ["done"] * 3


def test_an_error_ends_every_question_and_loses_nothing(engine: LlamaEngine, journal: Journal) -> None:
    made = task(questions=QUESTIONS)

    def failing() -> Iterator[Passage | Skipped]:
        yield Passage(TEXT[:2000], Locator(line=1))
        raise FileUnreadable("the disk is gone")

    broken = Task(made.documents, made.inputs, failing(), made.questions, made.profile)
    seen = numbered(Reading(broken, engine, journal))
    assert all(isinstance(seen[number][-1], events.Failed) for number in range(3))
    assert [row.status for row in journal.runs()] == ["failed"] * 3
    assert all(row.steps == len(memories(seen[2 - at])) > 0 for at, row in enumerate(journal.runs()))


def evidence(seen: list[events.Event]) -> dict[int, tuple[Claim, ...]]:
    return {e.segment: e.claims for e in seen if isinstance(e, events.EvidenceFound)}


def test_evidence_is_found_while_reading_and_recorded(engine: LlamaEngine, journal: Journal) -> None:
    seen = read(Reading(task(), engine, journal))
    (row,) = journal.runs()
    assert evidence(seen) and journal.show(row.run_id).claims() == evidence(seen)
    known = {claim for claims in evidence(seen).values() for claim in claims}
    found = answer(seen).evidence
    assert found is not None and known and set(found.memory) <= known
    assert [claim.statement for claim in found.memory] == statements(answer(seen).memory)
    assert all(claim.quote in TEXT for claim in known)


def test_a_resumed_or_forked_reading_has_the_same_evidence(engine: LlamaEngine, journal: Journal) -> None:
    whole = read(Reading(task(), engine, None))
    read(Reading(task(), engine, journal), segment_done(7))  # its evidence is not recorded any more
    assert answer(read(Reading(task(), engine, journal))).evidence == answer(whole).evidence
    read(Reading(task(), engine, journal, fresh=True), segment_done(7))
    end = len(TEXT) - 300
    edited = TEXT[:end] + TEXT[end:].replace("west", "east")
    found = answer(read(Reading(task(edited), engine, journal))).evidence
    assert found == answer(read(Reading(task(edited), engine, None))).evidence
