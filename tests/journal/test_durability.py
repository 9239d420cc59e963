"""Nothing that was recorded is lost, and nothing false is resumed. Real processes, real failures."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from memread.errors import JournalError
from memread.journal import Journal, database
from memread.journal.database import APPLICATION_ID, VERSION
from tests.journal.readings import IDENTITY, STARTED, identity, rejected, update

ROOT = Path(__file__).parents[2]
posix = pytest.mark.skipif(os.name != "posix", reason="POSIX only")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "journal.db"


@contextmanager
def child(path: Path, question: str, steps: int, *more: str) -> Iterator[subprocess.Popen[str]]:
    """tests/journal/child.py at work; killed at the end, if it still is."""
    command = [sys.executable, "-m", "tests.journal.child", str(path), question, str(steps), *more]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str], *beginnings: str) -> list[str]:
    """The words of the next line of a child that begins so."""
    assert process.stdout is not None
    for text in process.stdout:
        if text.startswith(beginnings):
            return text.split()
    raise AssertionError(f"the child ended without {beginnings}")


def check_integrity(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


# ── ends of processes ──


def test_a_run_survives_kill_9_at_any_moment(path: Path) -> None:
    """One run, killed again and again, goes on each time after the last step it had recorded."""
    moments = random.Random(6)
    recorded, runs = 0, set()
    for _ in range(24):
        with child(path, "Who?", 10**6) as process:
            _, run_id, first = line(process, "run")
            runs.add(run_id)
            assert int(first) >= recorded  # nothing that record() had returned for is lost
            time.sleep(moments.uniform(0, 0.05))
            process.kill()
            out, _ = process.communicate()
        assert process.returncode != 0
        # A line may be missing for the step that was being reported, never the step for a line.
        said = [int(words.split()[1]) for words in out.splitlines(keepends=True) if words.endswith("\n")]
        assert said == list(range(int(first), int(first) + len(said)))
        with Journal.open(path) as journal:
            shown = journal.show(run_id)
            steps = shown.steps()
            assert [step.index for step in steps] == list(range(len(steps)))
            assert int(first) + len(said) <= len(steps) <= int(first) + len(said) + 1
            assert steps == [] or steps[-1].memory.startswith(f"memory after {len(steps) - 1} ")
            assert shown.row.status == "interrupted"
        check_integrity(path)
        recorded = len(steps)
    assert len(runs) == 1 and recorded > 24


def test_a_journal_survives_kill_9_while_it_is_made(tmp_path: Path) -> None:
    moments = random.Random(7)
    for turn in range(10):
        path = tmp_path / str(turn) / "journal.db"
        with child(path, "Who?", 10**6) as process:
            line(process, "opening")
            time.sleep(moments.uniform(0, 0.02))
        with Journal.open(path) as journal:
            assert len(journal.runs()) <= 1
            with journal.unfinished(identity("Who?")) or journal.begin(
                identity("Who?"), STARTED
            ) as recording:
                recording.record(update(recording.recorded))
                journal.verify(recording.run_id)
        check_integrity(path)


def test_a_live_process_holds_its_run_and_kill_9_lets_go(path: Path) -> None:
    with child(path, "Who?", 3, "hold") as process:
        _, run_id, _ = line(process, "run")
        line(process, "holding")
        with Journal.open(path) as journal:
            assert journal.unfinished(identity("Who?")) is None
            assert journal.runs()[0].status == "running"
            with pytest.raises(JournalError, match="being recorded"):
                journal.remove(run_id)
            assert len(journal.show(run_id).steps()) == 3  # it can be looked at while it runs
            with child(path, "Who?", 1) as second:  # asked twice at once: the second starts its own
                _, other, first = line(second, "run")
                assert other != run_id and first == "0"
                assert second.wait(10) == 0
            process.kill()
            process.wait(10)
            again = journal.unfinished(identity("Who?"))
            assert again is not None and again.run_id == other  # the newest first
            with again:
                again.finish("done")
            again = journal.unfinished(identity("Who?"))
            assert again is not None and (again.run_id, again.recorded) == (run_id, 3)
            again.close()


def test_processes_that_begin_and_write_at_the_same_time(path: Path) -> None:
    """Eight make the same new file at once, and record side by side."""
    commands = [
        [sys.executable, "-m", "tests.journal.child", str(path), f"Question {i}", "40"] for i in range(8)
    ]
    started = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for command in commands]
    outputs = [process.communicate(timeout=60)[0] for process in started]
    assert [process.returncode for process in started] == [0] * 8
    assert all(output.count("step") == 40 and "error" not in output for output in outputs)
    with Journal.open(path) as journal:
        assert {(row.question, row.steps) for row in journal.runs()} == {("Who is the captain?", 40)}
        assert all(journal.verify(row.run_id) == 1 + 40 + 14 for row in journal.runs())
    check_integrity(path)


# ── the disk ──

LIMITED = """
import resource, sys
from tests.journal.child import main
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
main(sys.argv[1], "Who?", 10**6, False)
"""


@posix
def test_a_file_that_may_not_grow_stops_the_recording_and_keeps_it_sound(path: Path) -> None:
    command = [sys.executable, "-c", LIMITED, str(path)]
    out = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
    _resumable_after_failure(path, out)


@posix
def test_a_full_disk_stops_the_recording_and_keeps_it_sound(tmp_path: Path) -> None:
    """A file system of 600 kB, mounted where nobody else sees it; the journal is copied out of it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    script = (
        'mount -t tmpfs -o size=600k none "$1" && shift && "$@"; code=$?; cp -r "$DISK"/. "$KEPT"; exit $code'
    )
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    kept = tmp_path / "kept"
    kept.mkdir()
    try:
        subprocess.run(
            [*command, 'mount -t tmpfs none "$0"', disk], check=True, capture_output=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        pytest.skip("this system lets nobody mount a small disk")
    record = [sys.executable, "-m", "tests.journal.child", str(disk / "journal.db"), "Who?", str(10**6)]
    environment = os.environ | {"DISK": str(disk), "KEPT": str(kept)}
    result = subprocess.run(
        [*command, script, "sh", str(disk), *record],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert "no space left" in result.stdout
    _resumable_after_failure(kept / "journal.db", result.stdout)


def _resumable_after_failure(path: Path, out: str) -> None:
    assert "error" in out.splitlines()[-1]
    said = out.count("step")
    assert said > 5
    with Journal.open(path) as journal:
        again = journal.unfinished(identity("Who?"))
        assert again is not None
        with again:
            # The step that failed may be on disk after all (its commit record was written, its fsync failed).
            assert said <= again.recorded <= said + 1
            again.record(update(again.recorded))
            again.finish("done")
    check_integrity(path)


def test_a_failed_record_breaks_the_recording_and_leaves_no_gap(path: Path) -> None:
    with Journal.open(path, busy_seconds=0.05) as journal:
        with journal.begin(IDENTITY, STARTED) as recording:
            recording.record(update(0))
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                with pytest.raises(JournalError, match="locked by another process"):
                    recording.record(update(1))
            assert recording.broken and recording.recorded == 1
            with pytest.raises(JournalError, match="no longer recorded"):
                recording.record(update(1))  # although it could be stored now: the caller has gone on
            recording.finish("done")  # closes, and claims nothing
        assert journal.runs()[0].status == "interrupted"
        again = journal.unfinished(IDENTITY)
        assert again is not None
        with again:
            again.record(update(1))
            assert not again.broken and len(again.steps()) == 2


def test_two_writers_of_one_run_in_spite_of_the_lease(path: Path) -> None:
    """On a drive whose locks do not work, the second one stops instead of forking the chain."""
    with Journal.open(path) as journal, journal.begin(IDENTITY, STARTED) as one:
        lock = path.parent / "locks" / f"{one.run_id}.lock"
        if os.name == "nt":
            pytest.skip("a held file cannot be deleted")
        lock.unlink()
        other = journal.unfinished(IDENTITY)
        assert other is not None
        with other:
            other.record(update(0))
            with pytest.raises(JournalError):
                one.record(rejected(0))
            assert one.broken
        assert len(journal.show(one.run_id).steps()) == 1


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


@posix
def test_a_closed_terminal_or_a_break_ends_the_lease_too(path: Path) -> None:
    for ending in (signal.SIGTERM, signal.SIGHUP):
        with child(path, "Who?", 1, "hold") as process:
            line(process, "holding")
            process.send_signal(ending)
            process.wait(10)
        with Journal.open(path) as journal:
            found = journal.unfinished(identity("Who?"))
            assert found is not None
            found.close()


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


# ── copies ──


def test_a_backup_is_sound_while_another_process_records(path: Path, tmp_path: Path) -> None:
    with child(path, "Who?", 10**6) as process:
        line(process, "step")
        for turn in range(4):
            copy = tmp_path / f"copy{turn}"
            with Journal.open(path) as journal:
                assert journal.backup(copy) == 1
            check_integrity(copy)
            assert [*tmp_path.glob("copy*-*")] == [], "it needs no other file"
            if os.name == "posix":
                assert copy.stat().st_mode & 0o777 == 0o600
    with Journal.open(tmp_path / "copy3") as copied:
        again = copied.unfinished(identity("Who?"))
        assert again is not None and again.recorded > 0
        again.close()
    with Journal.open(path) as journal, pytest.raises(JournalError, match="exists already"):
        journal.backup(tmp_path / "copy0")
    assert not [*tmp_path.glob("*.part")]


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


def test_old_runs_are_pruned_and_those_being_recorded_stay(path: Path) -> None:
    with Journal.open(path) as journal:
        ids = []
        for number in range(4):
            with journal.begin(identity(f"Q{number}"), STARTED) as recording:
                recording.record(update(0))
                ids.append(recording.run_id)
                recording.finish("done")
        journal.begin(identity("left"), STARTED).close()
        with journal.begin(identity("live"), STARTED) as live:
            assert journal.prune(2) == [ids[1], ids[0]]
            assert len(journal.prune(0, unfinished=True)) == 3
            assert [row.run_id for row in journal.runs()] == [live.run_id]
