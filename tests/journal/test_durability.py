"""Nothing that was recorded is lost, and nothing false is resumed. Real processes, real failures."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from memread.errors import JournalError
from memread.journal import Journal
from memread.journal.database import Database
from tests.journal.processes import ROOT, check_integrity, child, line, posix
from tests.journal.readings import IDENTITY, STARTED, identity, rejected, update

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
            assert again is not None and (again.run_id, again.recorded) == (run_id, 3)  # the farthest first
            with again:
                again.finish("done")
            again = journal.unfinished(identity("Who?"))
            assert again is not None and again.run_id == other
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


def test_a_file_that_another_process_makes_while_it_is_looked_at(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is asked of the new file comes from one moment, not half before and half after it was made."""
    rows = Database.rows
    others: list[threading.Thread] = []

    def interrupted(self: Database, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        found = rows(self, sql, parameters)
        if sql == "PRAGMA application_id" and not others:
            others.append(threading.Thread(target=lambda: Journal.open(path).close()))
            others[0].start()
            others[0].join(1.0)  # time enough to make the file, if it may
        return found

    monkeypatch.setattr(Database, "rows", interrupted)
    Journal.open(path).close()
    others[0].join(60)
    assert not others[0].is_alive()
    with Journal.open(path) as journal:
        assert journal.runs() == []


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


def test_a_backup_to_a_disk_without_links(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(source: object, target: object) -> None:
        raise PermissionError(1, "Operation not permitted")  # as vfat does

    with Journal.open(path) as journal:
        journal.begin(IDENTITY, STARTED).close()
        monkeypatch.setattr("os.link", refused)
        assert journal.backup(tmp_path / "copy") == 1
        check_integrity(tmp_path / "copy")
        before = (tmp_path / "copy").read_bytes()
        with pytest.raises(JournalError, match="exists already"):
            journal.backup(tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == before and not [*tmp_path.glob("*.part")]


@pytest.mark.parametrize("name", [".", "/", ".."])
def test_a_backup_to_a_folder_is_refused(path: Path, name: str) -> None:
    with Journal.open(path) as journal, pytest.raises(JournalError, match="exists already"):
        journal.backup(Path(name))


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
