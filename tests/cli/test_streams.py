"""Pipes: text that is still being written, output that nobody reads any more, memory that stays."""

from __future__ import annotations

import contextlib
import itertools
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from memread import events
from tests.cli.conftest import ALICE, DEADLINE, Memread, Running, done, log, memories

QUESTION = "how far did the ship sail?"
unix = pytest.mark.skipif(sys.platform == "win32", reason="needs Unix signals and shells")


def first_started(event: events.Event) -> bool:
    return isinstance(event, events.SegmentStarted)


def test_reading_begins_while_the_producer_still_writes(memread: Memread) -> None:
    running = memread.start("ask", "-", QUESTION)
    running.write(log(12))
    running.wait_for(done(1))  # the pipe is still open
    running.write(log(12, 12))
    running.finish_input()
    assert running.end() == 0
    last = running.events[-1]
    assert isinstance(last, events.Answered) and last.answer.coverage.complete
    whole = memread("ask", "-", QUESTION, "--events", "--fresh", stdin=log(24)).events
    assert memories(running.events) == memories(whole)


def test_characters_that_arrive_in_halves(memread: Memread) -> None:
    """A pipe cuts where it likes."""
    text = "Ἄνδρα μοι ἔννεπε, Μοῦσα, πολύτροπον – 🏺🏺🏺 ὃς μάλα πολλὰ πλάγχθη.\n" * 12
    running = memread.start("ask", "-", QUESTION)
    data = text.encode()
    for start in range(0, len(data), 101):
        running.write(data[start : start + 101])
    running.finish_input()
    assert running.end() == 0
    whole = memread("ask", "-", QUESTION, "--events", "--fresh", stdin=text).events
    assert memories(running.events) == memories(whole)


def feed(running: Running) -> None:
    """Writes for as long as somebody reads."""

    def endless() -> None:
        with contextlib.suppress(OSError, ValueError):
            for start in itertools.count(step=200):
                running.write(log(200, start))

    threading.Thread(target=endless, daemon=True).start()


@unix
def test_an_endless_pipe_until_ctrl_c(memread: Memread) -> None:
    """Memory does not grow with what was read, nor with what the producer would like to push."""
    running = memread.start("ask", "-", QUESTION)
    feed(running)
    running.wait_for(done(20))
    early = running.resident()
    running.wait_for(done(100))
    late = running.resident()
    running.signal(signal.SIGINT)
    assert running.end(60) == 130
    last = running.events[-1]
    assert isinstance(last, events.Answered) and last.answer.text
    assert "The answer is partial" in running.stderr
    assert late - early < 16_000


@unix
def test_memory_does_not_grow_with_the_text(memread: Memread) -> None:
    """The peak at eight times the text, read in large segments."""

    def peak(lines: int) -> int:
        measured = (
            "import atexit, resource\n"
            "from pathlib import Path\n"
            "atexit.register(lambda: Path('peak').write_text("
            "str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)))\n"
            "from memread.cli.app import main; main()"
        )
        ended = memread("stat", "-", stdin=log(lines), python=("-c", measured))
        assert ended.code == 0, ended.err
        size = int((memread.folder / "peak").read_text())
        return size // 1024 if sys.platform == "darwin" else size

    assert peak(32_000) - peak(4_000) < 8_000  # kilobytes; the text is 1.7 MB longer


@unix
@pytest.mark.parametrize("rest", ["| head -c 1", ">&-", "2>&-", "2>&- >&-", "2>/dev/full", "0<&-"])
def test_streams_that_are_closed(memread: Memread, rest: str) -> None:
    """Nobody sees a trace of it, and the reading is recorded all the same."""
    if "full" in rest and not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    memread.write("a.txt", log(8))
    command = f'"{sys.executable}" -m memread ask a.txt "{QUESTION}" {rest}'
    ended = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        capture_output=True,
        encoding="utf-8",
        errors="replace",  # `head -c 1` may cut a character
        cwd=memread.folder,
        env=memread.environment(),
        timeout=DEADLINE,
        stdin=subprocess.DEVNULL,
    )
    assert "Traceback" not in ended.stderr and "Exception" not in ended.stderr, ended.stderr
    assert ended.returncode == 0, ended
    if rest == "2>&- >&-":  # descriptors that the journal could have been opened as
        assert '"status": "done"' in memread("runs", "--json").out


@unix
def test_a_full_disk_under_the_answer_is_an_error(memread: Memread) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    memread.write("a.txt", log(4))
    ended = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" -m memread ask a.txt "{QUESTION}" >/dev/full'],
        capture_output=True,
        text=True,
        cwd=memread.folder,
        env=memread.environment(),
        timeout=DEADLINE,
    )
    assert ended.returncode != 0 and "Traceback" not in ended.stderr
    assert "memread: " in ended.stderr and "space" in ended.stderr


@unix
def test_nobody_reads_the_events_any_more(memread: Memread) -> None:
    """It ends soon, rather than reading the whole book for nobody."""
    ended = subprocess.run(
        [
            "bash",
            "-c",
            f'"{sys.executable}" -m memread ask "{ALICE}" "{QUESTION}" --events | head -n 3',
        ],
        capture_output=True,
        text=True,
        cwd=memread.folder,
        env=memread.environment(),
        timeout=60,
    )
    assert ended.stdout.count("\n") == 3
    assert "Traceback" not in ended.stderr and "Exception" not in ended.stderr
    recorded = memread("runs", "--json").out
    assert '"status":"running"' not in recorded.replace(": ", ":")


@unix
def test_the_answer_into_a_file(memread: Memread) -> None:
    memread.write("a.txt", log(4))
    with (memread.folder / "answer.txt").open("wb") as file:
        ended = subprocess.run(
            [sys.executable, "-m", "memread", "ask", "a.txt", QUESTION],
            stdout=file,
            stderr=subprocess.PIPE,
            cwd=memread.folder,
            env=memread.environment(),
            timeout=DEADLINE,
        )
    assert ended.returncode == 0
    assert (memread.folder / "answer.txt").read_text(encoding="utf-8").strip()


def test_output_that_is_not_utf_8(memread: Memread) -> None:
    """An old locale cannot print all letters: it gets marks in their place, not an error."""
    memread.write("Ιλιάδα.txt", log(8))
    env = {"PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    ended = memread("ask", "Ιλιάδα.txt", QUESTION, "--show-memory", env=env)
    assert ended.code == 0, ended.err
    ended = memread("ask", "Ιλιάδα.txt", QUESTION, "--json", env=env)
    assert ended.code == 0 and ended.out.isascii()
