"""What is recorded comes back: every event, any text, the right run, in the right order."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import threading
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memread.errors import JournalError
from memread.events import (
    Answered,
    AnswerStarted,
    Event,
    Failed,
    MemoryUpdated,
    Piece,
    Prefilled,
    ReplyRejected,
    SegmentStarted,
    Stopping,
)
from memread.journal import Identity, Journal, Recording
from memread.journal.identity import decode, encode
from memread.types import Answer, Coverage, Locator, Skipped
from tests.journal.readings import IDENTITY, STARTED, WEIGHTS, identity, rejected, segment, update

ANSWER = Answer("Ahab\nsays the book", True, "\\boxed{Ahab}", "Ahab.", Coverage(2, 1400, True))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "journal.db"


def record_all(recording: Recording, *events: Event) -> None:
    for event in events:
        recording.record(event)


def test_every_kind_of_event_comes_back_in_order(path: Path) -> None:
    events: list[Event] = [
        Skipped(Locator(page_number=3), "no text"),
        SegmentStarted(segment(0)),
        Prefilled(1, 2),
        Piece("a"),
        rejected(0),
        rejected(0, 1),
        update(0),
        Stopping(),
        AnswerStarted("memory"),
        Answered(ANSWER),
        Failed("EngineFailed", "it broke", "try again", 18),
    ]
    with Journal.open(path) as journal:
        with journal.begin(IDENTITY, STARTED) as recording:
            record_all(recording, recording.started, *events)
            assert recording.started.run == recording.run_id and recording.started.recorded
        views_only = SegmentStarted | Prefilled | Piece | AnswerStarted
        stored = [recording.started, *(event for event in events if not isinstance(event, views_only))]
        shown = journal.show(recording.run_id)
        assert list(shown.events()) == stored
        assert [step.event for step in shown.steps()] == [update(0)]
        assert shown.identity == IDENTITY
        assert shown.answer == ANSWER
        assert journal.verify(recording.run_id) == len(stored)


def test_an_unfinished_run_goes_on_after_its_last_step(path: Path) -> None:
    with Journal.open(path) as journal, journal.begin(IDENTITY, STARTED) as recording:
        record_all(recording, update(0), rejected(1))
    with Journal.open(path) as journal, journal.unfinished(IDENTITY) or pytest.fail() as again:
        assert (again.run_id, again.recorded) == (recording.run_id, 1)
        (step,) = again.steps()
        assert (step.index, step.digest, step.memory) == (0, segment(0).digest, "memory after 0")
        assert step.chain.startswith("sha256:") and step.created.endswith("Z") and not step.taken_from
        sitting = msgspec.structs.replace(again.started, resumed=1)
        # The text is read again from its start: what was skipped or rejected is met again.
        record_all(again, sitting, rejected(1), update(1), Answered(ANSWER))
        again.finish("done")
        assert list(journal.show(again.run_id).events()) == [
            recording.started,
            update(0),
            rejected(1),
            sitting,
            update(1),
            Answered(ANSWER),
        ]


@pytest.mark.parametrize(("status", "resumable"), [("done", False), ("partial", True), ("failed", True)])
def test_only_a_finished_run_is_not_resumed(path: Path, status: str, resumable: bool) -> None:
    with Journal.open(path) as journal:
        with journal.begin(IDENTITY, STARTED) as recording:
            recording.finish(status)  # type: ignore[arg-type]
        assert journal.runs()[0].status == status
        again = journal.unfinished(IDENTITY)
        assert (again is not None) == resumable
        if again is not None:
            assert journal.runs()[0].status == status  # finding it changes nothing
            with again:
                again.record(update(0))
                assert journal.runs()[0].status == "running"
            assert journal.runs()[0].status == "interrupted"


def test_another_identity_is_another_run(path: Path) -> None:
    with Journal.open(path) as journal:
        journal.begin(IDENTITY, STARTED).close()
        assert journal.unfinished(identity("Another question?")) is None


def test_the_newest_run_that_nobody_holds_is_resumed(path: Path) -> None:
    with Journal.open(path) as journal:
        runs = [journal.begin(IDENTITY, STARTED) for _ in range(3)]
        runs[0].close()
        runs[1].close()
        found = journal.unfinished(IDENTITY)
        assert found is not None and found.run_id == runs[1].run_id
        older = journal.unfinished(IDENTITY)
        assert older is not None and older.run_id == runs[0].run_id
        assert journal.unfinished(IDENTITY) is None
        for recording in (*runs, found, older):
            recording.close()


def test_the_run_that_got_farthest_is_resumed(path: Path) -> None:
    with Journal.open(path) as journal:
        runs = [journal.begin(IDENTITY, STARTED) for _ in range(3)]
        for recording, steps in zip(runs, (1, 3, 2), strict=True):
            record_all(recording, *(update(index) for index in range(steps)))
            recording.close()
        found = journal.unfinished(IDENTITY)
        assert found is not None and (found.run_id, found.recorded) == (runs[1].run_id, 3)
        other = journal.unfinished(IDENTITY, first=segment(0).digest)
        assert other is not None and (other.run_id, other.recorded) == (runs[2].run_id, 2)
        assert journal.unfinished(IDENTITY, first=segment(1).digest) is None
        found.close()
        other.close()


def test_a_fork_takes_over_the_first_steps(path: Path) -> None:
    with Journal.open(path) as journal:
        with journal.begin(IDENTITY, STARTED) as old:
            record_all(old, Skipped(Locator(page_number=9), "scanned"), rejected(0), update(0), update(1))
            record_all(old, update(2), rejected(3))
        before = journal.show(old.run_id)
        again = journal.unfinished(IDENTITY)
        assert again is not None
        with again.fork(2, STARTED) as new:
            assert new.run_id != old.run_id and new.recorded == 2 and new.started.resumed == 2
            with pytest.raises(ValueError, match="closed"):
                again.record(update(3))
            new.record(update(2, "something else"))
            steps = new.steps()
        assert [step.memory for step in steps] == ["memory after 0", "memory after 1", "something else"]
        assert [step.taken_from for step in steps] == [old.run_id, old.run_id, ""]
        assert steps[0].created == before.steps()[0].created
        assert list(journal.show(new.run_id).events()) == [
            *(new.started, rejected(0), update(0), update(1), update(2, "something else"))
        ]
        assert journal.show(old.run_id) == before
        assert [row.taken_from for row in journal.runs()] == [old.run_id, ""]
        assert [row.tokens for row in journal.runs()] == [2100, 2100]
        # The edited document's run is the one to go on with, not the one it was forked from.
        found = journal.unfinished(IDENTITY)
        assert found is not None and found.run_id == new.run_id
        with found.fork(0, STARTED) as fresh:
            assert fresh.steps() == [] and fresh.started.resumed == 0
            fresh.finish("done")
        assert journal.unfinished(IDENTITY) is None


def test_a_step_out_of_order_is_a_mistake_in_memread(path: Path) -> None:
    with Journal.open(path) as journal, journal.begin(IDENTITY, STARTED) as recording:
        recording.record(update(0))
        for event in (update(0), update(2), rejected(2), rejected(0)):
            with pytest.raises(ValueError, match="is due"):
                recording.record(event)
        assert not recording.broken
        with pytest.raises(ValueError, match="cannot be taken over"):
            recording.fork(2, STARTED)
        recording.record(update(1))
        assert len(recording.steps()) == recording.recorded == 2
        recording.finish("done")
        with pytest.raises(ValueError, match="closed"):
            recording.finish("done")
        with pytest.raises(ValueError, match="closed"):
            recording.record(update(2))
        recording.close()


def test_the_list_of_runs(path: Path) -> None:
    with Journal.open(path) as journal:
        assert journal.runs() == []
        with journal.begin(IDENTITY, STARTED) as first:
            record_all(first, update(0), update(1), Answered(ANSWER))
            first.finish("done")
        second = journal.begin(identity("And who else?"), STARTED)
        record_all(second, update(0), Answered(ANSWER), update(1))
        newest, oldest = journal.runs()
        assert (newest.run_id, newest.status, newest.answer) == (second.run_id, "running", "")
        assert (oldest.run_id, oldest.status, oldest.answer) == (first.run_id, "done", "Ahab")
        assert (oldest.question, oldest.documents) == ("Who is the captain?", ("moby.txt",))
        assert (oldest.steps, oldest.tokens, oldest.model) == (2, 1400, "tiny")
        assert journal.show(second.run_id).answer is None
        second.close()
        assert [row.status for row in journal.runs()] == ["interrupted", "done"]
        assert len(journal.runs(limit=10**20)) == 2, "more than SQLite can count"
        assert journal.runs(limit=1) == [msgspec.structs.replace(newest, status="interrupted")]


def test_a_run_is_shown_by_the_beginning_of_its_id(path: Path) -> None:
    with Journal.open(path) as journal:
        ids = set()
        for _ in range(33):  # one more than the letters: two begin alike
            with journal.begin(IDENTITY, STARTED) as recording:
                ids.add(recording.run_id)
        assert len(ids) == 33
        for run_id in ids:
            assert journal.show(run_id.upper()).row.run_id == run_id
            unique = next(run_id[:n] for n in range(1, 9) if sum(i.startswith(run_id[:n]) for i in ids) == 1)
            assert journal.show(unique).row.run_id == run_id
        shared = next(c for c in {i[0] for i in ids} if sum(i.startswith(c) for i in ids) > 1)
        with pytest.raises(JournalError, match="more than one run") as ambiguous:
            journal.show(shared)
        assert next(i for i in ids if i.startswith(shared)) in ambiguous.value.hint or len(ids) > 9
        for wrong in ("", "%", "_", "uuuu", "\ud800", "ids\0"):
            with pytest.raises(JournalError, match="no run"):
                journal.show(wrong)


def test_a_removed_run_is_gone_from_the_file(path: Path) -> None:
    secret = "the code word is 5e7c"
    with Journal.open(path) as journal:
        keep = journal.begin(IDENTITY, STARTED)
        gone = journal.begin(IDENTITY, STARTED)
        gone.record(update(0, secret))
        with pytest.raises(JournalError, match="being recorded"):
            journal.remove(gone.run_id)
        gone.finish("done")
        assert any(secret.encode() in file.read_bytes() for file in path.parent.glob("journal.db*"))
    with Journal.open(path) as journal:
        assert journal.remove(gone.run_id[:7]) == gone.run_id
        assert [row.run_id for row in journal.runs()] == [keep.run_id]
        assert not any(secret.encode() in file.read_bytes() for file in path.parent.glob("journal.db*"))
        with pytest.raises(JournalError, match="no run"):
            journal.remove(gone.run_id)
        keep.close()


def lane_of(number: int) -> Identity:
    return msgspec.structs.replace(IDENTITY, settings={**IDENTITY.settings, "lanes": 2, "lane": number})


def lanes_read(journal: Journal) -> list[str]:
    """The runs of a reading with two lanes, the one that answers first."""
    ids = []
    for number in range(3):
        begun = msgspec.structs.replace(STARTED, lanes=2, lane=number)
        with journal.begin(lane_of(number), begun) as recording:
            recording.record(update(0))
            recording.finish("done")
        ids.append(recording.run_id)
    return ids


def test_the_lanes_of_a_reading_are_kept_and_removed_with_it(path: Path) -> None:
    with Journal.open(path) as journal:
        older, newer = lanes_read(journal), lanes_read(journal)
        assert journal.prune(2) == []
        assert journal.prune(1) == [older[0]]
        assert [row.run_id for row in journal.runs()] == newer[::-1]
        journal.remove(newer[1])
        assert [row.run_id for row in journal.runs()] == [newer[2], newer[0]], "a lane alone"
        with journal.begin(identity("Who else?"), STARTED) as other:
            other.finish("done")
        journal.remove(newer[0])
        assert [row.run_id for row in journal.runs()] == [other.run_id]


def test_lanes_that_were_merged_again_stay_while_one_of_the_two_does(path: Path) -> None:
    with Journal.open(path) as journal:
        begun = msgspec.structs.replace(STARTED, lanes=2)
        with journal.begin(lane_of(0), begun) as merging:
            with journal.begin(lane_of(1), msgspec.structs.replace(begun, lane=1)) as lane:
                pass
            with merging.fork(0, begun) as again:
                again.finish("done")
        journal.remove(merging.run_id)
        assert {row.run_id for row in journal.runs()} == {again.run_id, lane.run_id}
        journal.remove(again.run_id)
        assert journal.runs() == []


def test_reading_speed_is_that_of_this_model_on_this_machine(path: Path) -> None:
    with Journal.open(path) as journal:
        assert journal.speed(WEIGHTS) is None
        with journal.begin(IDENTITY, STARTED) as recording:
            record_all(recording, *(update(index) for index in range(10)))
            with recording.fork(10, STARTED):
                pass
        speed = journal.speed(WEIGHTS)
        assert speed is not None
        assert (speed.tokens, round(speed.seconds, 6)) == (7000, 7.0)
        assert round(speed.tokens_per_second, 6) == 1000.0
        recent = journal.speed(WEIGHTS, device="CPU", steps=3)
        assert recent is not None and recent.tokens == 2100
        assert journal.speed(WEIGHTS, device="CUDA0") is None
        assert journal.speed("sha256:other") is None and journal.speed("") is None


def test_the_journal_belongs_to_one_thread(path: Path) -> None:
    failures: list[BaseException] = []

    def elsewhere(recording: Recording) -> None:
        try:
            recording.record(update(0))
        except sqlite3.ProgrammingError as error:
            failures.append(error)

    with Journal.open(path) as journal, journal.begin(IDENTITY, STARTED) as recording:
        thread = threading.Thread(target=elsewhere, args=(recording,))
        thread.start()
        thread.join()
        assert len(failures) == 1


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_only_the_owner_can_read_it(path: Path) -> None:
    with Journal.open(path) as journal, journal.begin(IDENTITY, STARTED) as recording:
        recording.record(update(0))
        files = [file for file in path.parent.rglob("*") if file.is_file()]
        names = {file.name for file in files}
        assert names == {"journal.db", "journal.db-wal", "journal.db-shm", f"{recording.run_id}.lock"}
        assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
        assert {folder.stat().st_mode & 0o777 for folder in (path.parent, path.parent / "locks")} == {0o700}
    path.chmod(0o644)  # a copy put back, say
    with Journal.open(path):
        assert path.stat().st_mode & 0o777 == 0o600


# ── any text ──

anything = st.text(st.characters(codec=None), max_size=40) | st.sampled_from(
    ["\ud83d\ude00", "\udcff.txt", "a\0b", "\ud800", '\\ud800"', "\u2028", "😀"]
)


@given(
    st.recursive(anything | st.floats(allow_nan=False), lambda x: st.lists(x) | st.dictionaries(anything, x))
)
def test_the_encoding_loses_nothing(data: object) -> None:
    assert decode(encode(data)) == data
    assert encode(decode(encode(data))) == encode(data)


@settings(deadline=None, max_examples=60)
@given(
    anything,
    anything,
    anything,
    st.lists(st.tuples(anything, anything, anything), max_size=4),
    st.floats(allow_nan=False),
)
def test_any_text_comes_back(
    name: str, question: str, device: str, replies: list[tuple[str, str, str]], share: float
) -> None:
    who = msgspec.structs.replace(IDENTITY, inputs=(name,), question=question, weights=device, engine=device)
    started = msgspec.structs.replace(
        STARTED,
        question=question,
        documents=(msgspec.structs.replace(STARTED.documents[0], name=name, title=device, size=2**63 - 1),),
        engine=msgspec.structs.replace(
            STARTED.engine, device=device, settings={device: share, "n": 1, "f": 1.0}
        ),
    )
    with tempfile.TemporaryDirectory() as folder, Journal.open(Path(folder) / "j") as journal:
        with journal.begin(who, started) as recording:
            events: list[Event] = [recording.started]
            for index, (memory, reason, text) in enumerate(replies):
                info = msgspec.structs.replace(segment(index), fraction=share)
                events.append(ReplyRejected(info, 0, reason, text))
                events.append(MemoryUpdated(info, memory, "kept", reason=reason))
            answer = msgspec.structs.replace(ANSWER, text=question, raw=device)
            events += [Answered(answer), Failed("MemreadError", name, question, 1)]
            record_all(recording, *events)
        again = journal.unfinished(who)
        assert again is not None
        with again:
            assert [(step.memory, step.event.reason) for step in again.steps()] == [r[:2] for r in replies]
        shown = journal.show(recording.run_id)
        assert list(shown.events()) == events
        assert shown.identity == who
        assert journal.runs()[0].question == question
        journal.speed(device, device)


values = anything | st.booleans() | st.floats(allow_nan=False)
fields = st.fixed_dictionaries(
    {
        "inputs": st.lists(anything, max_size=3).map(tuple),
        "question": anything,
        "engine": anything,
        "settings": st.dictionaries(
            anything, anything | st.booleans() | st.floats(allow_nan=False), max_size=3
        ),
        "versions": st.dictionaries(anything, st.integers(0, 99), max_size=3),
    }
)


@given(fields, fields)
def test_identities_are_equal_when_their_keys_are(one: dict[str, object], other: dict[str, object]) -> None:
    left = msgspec.structs.replace(IDENTITY, **one)
    right = msgspec.structs.replace(IDENTITY, **other)
    assert left.key == msgspec.structs.replace(IDENTITY, **one).key
    if left != right:
        assert left.key != right.key


def test_the_key_of_an_identity_is_fixed() -> None:
    """Change it, and every unfinished run of every user begins again: then say so in the changelog."""
    assert IDENTITY.key == "sha256:5e3e7ce1796de69bf3befa18354ccc3f91e555b4b64ce5b882af882451721e50"
    reordered = dict(reversed(IDENTITY.settings.items()))
    assert msgspec.structs.replace(IDENTITY, settings=reordered).key == IDENTITY.key
    whole = msgspec.structs.replace(IDENTITY.sampling, temperature=0)
    assert msgspec.structs.replace(IDENTITY, sampling=whole).key == IDENTITY.key
    for field in Identity.__struct_fields__:
        changed = {
            "budget": msgspec.structs.replace(IDENTITY.budget, memory=9),
            "sampling": msgspec.structs.replace(IDENTITY.sampling, seed=9),
            "inputs": ("-",),
            "settings": {},
            "versions": {},
        }.get(field, "changed")
        assert msgspec.structs.replace(IDENTITY, **{field: changed}).key != IDENTITY.key
