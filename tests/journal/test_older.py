"""Journals as older programs wrote them, kept as files (older.py): opened, shown, gone on with."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from memread.errors import JournalError
from memread.journal import Journal, database
from memread.journal.database import VERSION
from tests.journal.older import DONE, FOLDER, UNFINISHED
from tests.journal.readings import IDENTITY, identity, update

FILES = sorted(FOLDER.glob("version*.sqlite3"))
STEPS = ("ALTER TABLE runs ADD COLUMN note TEXT NOT NULL DEFAULT ''", "CREATE INDEX by_note ON runs (note)")
"""What a later schema might do."""


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def old(request: pytest.FixtureRequest, path: Path) -> Path:
    path.parent.mkdir()
    shutil.copyfile(request.param, path)
    return path


def test_the_present_schema_is_kept_too() -> None:
    """Else the program after the next one would not be tested with it."""
    assert f"version{VERSION}.sqlite3" in [file.name for file in FILES]


@pytest.mark.parametrize("later", [False, True])
def test_a_kept_journal_is_read_and_gone_on_with(
    old: Path, later: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if later:
        monkeypatch.setattr(database, "MIGRATIONS", (*database.MIGRATIONS, STEPS))
        monkeypatch.setattr(database, "VERSION", VERSION + 1)
    with Journal.open(old) as journal:
        rows = {row.question: row for row in reversed(journal.runs())}
        runs = [journal.show(row.run_id) for row in journal.runs()]
        assert [len(run.steps()) for run in reversed(runs)] == [3, 2, 2, 2]
        assert all(journal.verify(run.row.run_id) == len(run.records) for run in runs)
        assert {step.memory for step in runs[1].steps()} == {"memory after 0", "half of a pair: \ud83d"}
        assert runs[1].row.taken_from == runs[2].row.run_id
        assert runs[-1].answer is not None and runs[-1].answer.text == "Ahab" == runs[-1].row.answer
        assert rows[UNFINISHED].status == "interrupted"
        assert journal.unfinished(identity(DONE)) is None
        recording = journal.unfinished(IDENTITY)
        assert recording is not None and recording.run_id == runs[0].row.run_id
        with recording:
            recording.record(update(recording.recorded))
            recording.finish("partial")
        assert [step.index for step in journal.show(recording.run_id).steps()] == [0, 1, 2]
    if later:
        monkeypatch.undo()
        with pytest.raises(JournalError, match="newer memread"):
            Journal.open(old)


@pytest.mark.parametrize("at", range(len(STEPS)))
def test_an_upgrade_that_fails_half_way_leaves_the_journal_as_it_was(
    old: Path, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = [*STEPS[:at], "INSERT INTO nowhere VALUES (1)", *STEPS[at:]]
    with monkeypatch.context() as later:
        later.setattr(database, "MIGRATIONS", (*database.MIGRATIONS, broken))
        later.setattr(database, "VERSION", VERSION + 1)
        with pytest.raises(JournalError):
            Journal.open(old)
    with Journal.open(old) as journal:
        assert len(journal.runs()) == 4
