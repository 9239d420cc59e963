"""A journal that is damaged, torn, foreign, older or newer: refused, or read right; never believed."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from memread.errors import JournalError
from memread.journal import Journal, database
from memread.journal.database import APPLICATION_ID, VERSION
from tests.journal.processes import ROOT, posix
from tests.journal.readings import IDENTITY, STARTED, update

# ── what may stand in the way ──


@pytest.mark.parametrize(
    "content",
    [b"SQLite is not here, but 4 KB of text are.\n" * 100, b"SQLite format 3\0" + b"\xff" * 8000, b"x"],
    ids=["text", "a false header", "one byte"],
)
def test_what_is_no_database_is_refused_and_left_alone(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(JournalError, match=r"is not a journal|is damaged") as refused:
        Journal.open(path)
    assert "\n" not in refused.value.message and refused.value.hint
    assert path.read_bytes() == content


def test_the_database_of_another_program_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE places (url)")
    before = path.read_bytes()
    with pytest.raises(JournalError, match="of another program"):
        Journal.open(path)
    assert path.read_bytes() == before


def test_a_newer_journal_is_refused_and_left_alone(path: Path) -> None:
    Journal.open(path).close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = path.read_bytes()
    with pytest.raises(JournalError, match="newer memread") as refused:
        Journal.open(path)
    assert "Upgrade" in refused.value.hint
    assert path.read_bytes() == before


def test_an_empty_file_becomes_a_journal(path: Path) -> None:
    """What a kill between creating the file and writing its schema leaves."""
    path.parent.mkdir()
    path.touch()
    with Journal.open(path) as journal:
        assert journal.runs() == []


def test_a_folder_or_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for wrong in (tmp_path, tmp_path / "file" / "journal.db"):
        with pytest.raises(JournalError) as refused:
            Journal.open(wrong)
        assert str(wrong) in refused.value.message and refused.value.hint


READ_ONLY = """
import os, sys
from pathlib import Path
from memread.errors import JournalError
from memread.journal import Journal
if os.geteuid() == 0:
    os.seteuid(65534)
for path in sys.argv[1:]:
    try:
        Journal.open(Path(path)).close()
        print("opened", path)
    except JournalError as error:
        print(error.message)
"""


@posix
def test_a_read_only_folder_is_one_clear_line() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        Journal.open(folder / "old" / "journal.db").close()
        for file in (folder / "old" / "journal.db", folder / "old", folder):
            file.chmod(0o555 if file.is_dir() else 0o444)
        paths = [str(folder / "journal.db"), str(folder / "new" / "j.db"), str(folder / "old" / "journal.db")]
        command = [sys.executable, "-c", READ_ONLY, *paths]
        out = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.splitlines()
        for each in (folder, folder / "old"):
            each.chmod(0o755)
    assert len(out) == 3
    assert "Permission denied" in out[0] and "Permission denied" in out[1]
    assert out[2].startswith(paths[2]) and "opened" not in out[2]


def test_a_locked_journal_is_waited_for_and_then_refused(path: Path) -> None:
    Journal.open(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(JournalError, match="locked by another process"):
            Journal.open(path, busy_seconds=0.1)
        other.execute("ROLLBACK")


# ── damage ──

EDITS = {
    "memory": "UPDATE records SET body = CAST(replace(body, 'after 1', 'after 7') AS BLOB) WHERE seq = 2",
    "memory of another type": "UPDATE records SET body = CAST(body AS TEXT) WHERE seq = 2",
    "rubbish": "UPDATE records SET body = x'ff00' WHERE seq = 2",
    "no text": "UPDATE records SET body = 5, hash = 5, created = x'00' WHERE seq = 2",
    "hash": "UPDATE records SET hash = zeroblob(32) WHERE seq = 2",
    "date": "UPDATE records SET created = '2001-01-01T00:00:00.000Z' WHERE seq = 2",
    "kind": "UPDATE records SET kind = 'skipped' WHERE seq = 2",
    "segment": "UPDATE records SET segment = 9 WHERE seq = 2",
    "origin": "UPDATE records SET taken_from = 'elsewhere' WHERE seq = 2",
    "missing in the middle": "DELETE FROM records WHERE seq = 2",
    "missing at the end": "DELETE FROM records WHERE seq = 3",
    "missing altogether": "DELETE FROM records",
    "swapped": "UPDATE records SET seq = CASE seq WHEN 1 THEN 12 WHEN 2 THEN 11 ELSE seq END",
    "count": "UPDATE runs SET records = 3",
    "steps": "UPDATE runs SET steps = 2",
    "head": "UPDATE runs SET head = zeroblob(32)",
    "identity": "UPDATE runs SET identity = CAST('{}' AS BLOB)",
    "identity of another type": "UPDATE runs SET identity = 'x'",
    "id": "UPDATE runs SET id = 'aaaaaaaa'",
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_a_changed_record_is_neither_shown_nor_resumed(path: Path, edit: str) -> None:
    with Journal.open(path) as journal:
        with journal.begin(IDENTITY, STARTED) as recording:
            for index in range(3):
                recording.record(update(index))
        assert journal.verify(recording.run_id) == 4
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute(edit).rowcount
    with Journal.open(path) as journal:
        (row,) = journal.runs()  # a list still is one
        for attempt in (
            lambda: journal.show(row.run_id),
            lambda: journal.verify(row.run_id),
            lambda: journal.unfinished(IDENTITY),
        ):
            with pytest.raises(JournalError, match="damaged") as refused:
                attempt()
            assert row.run_id in refused.value.message and "memread runs rm" in refused.value.hint
        journal.speed(IDENTITY.weights)
        journal.remove(row.run_id)  # as the hint says: nothing holds it
        assert journal.unfinished(IDENTITY) is None


def test_a_torn_page_is_noticed(path: Path) -> None:
    """A plain copy of a file that is being written can hold pages of two moments."""
    with Journal.open(path) as journal, journal.begin(IDENTITY, STARTED) as recording:
        for index in range(30):
            recording.record(update(index, "x" * 3000))
    data = bytearray(path.read_bytes())
    noticed = 0
    for page in range(1, len(data) // 4096):
        torn = bytearray(data)
        torn[page * 4096 + 1000 : page * 4096 + 3000] = bytes(2000)
        path.write_bytes(torn)
        try:
            with Journal.open(path) as journal:
                shown = journal.show(recording.run_id)
                assert [step.memory for step in shown.steps()] == ["x" * 3000] * 30
        except JournalError:
            noticed += 1
    assert noticed >= 20


# ── upgrades ──


def test_an_older_journal_is_brought_up_to_date_or_left_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Journal.open(path) as journal, journal.begin(IDENTITY, STARTED) as recording:
        recording.record(update(0))
    released = database.MIGRATIONS
    good, bad = "ALTER TABLE runs ADD COLUMN note TEXT", "ALTER TABLE nothing ADD COLUMN note TEXT"
    monkeypatch.setattr(database, "VERSION", VERSION + 1)
    monkeypatch.setattr(database, "MIGRATIONS", (*released, (good, bad)))
    with pytest.raises(JournalError):
        Journal.open(path)
    monkeypatch.setattr(database, "MIGRATIONS", (*released, (good,)))  # works only if nothing was done before
    with Journal.open(path) as journal:
        assert len(journal.show(recording.run_id).steps()) == 1
    with Journal.open(path) as journal, journal.unfinished(IDENTITY) or pytest.fail() as again:
        again.record(update(1))
    monkeypatch.undo()
    with pytest.raises(JournalError, match="newer memread"):
        Journal.open(path)


def test_a_torn_plain_copy_is_sound_or_refused_never_wrong(path: Path, tmp_path: Path) -> None:
    """Copied page by page while it is written, without its -wal, cut short, or with pages of another time."""
    pages = random.Random(8)
    with Journal.open(path) as journal, journal.begin(IDENTITY, STARTED) as recording:
        for index in range(20):
            recording.record(update(index, f"memory after {index} " + "x" * 3000))
        journal._database.forget()
        early = path.read_bytes()
        for index in range(20, 60):
            recording.record(update(index, f"memory after {index} " + "x" * 3000))
        journal._database.forget()
        late = path.read_bytes()
    refused = 0
    for turn in range(60):
        torn = bytearray(late)
        kind = turn % 3
        if kind == 0:  # some pages were copied earlier
            for at in pages.sample(range(0, len(early), 4096), 3):
                torn[at : at + 4096] = early[at : at + 4096]
        elif kind == 1:  # cut short
            del torn[pages.randrange(4096, len(late)) :]
        else:  # half a page was written
            at = pages.randrange(8192, len(late) - 4096)
            torn[at : at + 2048] = pages.randbytes(2048)
        copy = tmp_path / f"torn{turn}.db"
        copy.write_bytes(torn)
        try:
            with Journal.open(copy) as copied:
                (row,) = copied.runs()
                steps = copied.show(row.run_id).steps()
        except JournalError as error:
            refused += 1
            assert "\n" not in error.message
            continue
        for step in steps:
            assert step.memory == f"memory after {step.index} " + "x" * 3000
    assert refused > 20
