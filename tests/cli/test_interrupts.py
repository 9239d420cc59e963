"""Ctrl-C, SIGTERM, kill -9, and going on afterwards."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest

from memread import events
from tests.cli.conftest import DEADLINE, Memread, Running, answer, done, log, memories

if sys.platform == "win32":
    pytest.skip("needs Unix signals", allow_module_level=True)

QUESTION = "how far did the ship sail?"
LONG = 20_000
"""Lines: a reading that is never over before it is interrupted."""


def started(seen: list[events.Event]) -> events.RunStarted:
    assert isinstance(seen[0], events.RunStarted)
    return seen[0]


def interrupted(memread: Memread, *arguments: str, at: int = 12, by: int = signal.SIGINT) -> Running:
    """A reading that got a signal after segment `at`."""
    running = memread.start("ask", *arguments)
    running.wait_for(done(at))
    running.signal(by)
    return running


def test_ctrl_c_answers_from_what_was_read(memread: Memread) -> None:
    memread.write("a.txt", log(LONG))
    running = interrupted(memread, "a.txt", QUESTION)
    assert running.end(60) == 130
    last = running.events[-1]
    assert isinstance(last, events.Answered) and last.answer.text
    coverage = last.answer.coverage
    assert not coverage.complete and coverage.segments == len(memories(running.events)) < 100
    assert any(isinstance(event, events.Stopping) for event in running.events)
    assert "The answer is partial" in running.stderr and "to line" in running.stderr
    assert "Traceback" not in running.stderr


def test_ctrl_c_prints_the_answer_alone(memread: Memread) -> None:
    """Without --events, as a person has it."""
    memread.write("a.txt", log(LONG))
    running = memread.start("ask", "a.txt", QUESTION, "--no-evidence", plain=True)
    running.wait_for_error("[1] ")
    running.signal(signal.SIGINT)
    assert running.end(60) == 130
    assert running.stdout.strip() and running.stdout.count("\n") >= 1
    assert "The answer is partial" in running.stderr
    assert running.stdout.strip() not in running.stderr


def test_after_ctrl_c_the_same_command_goes_on(memread: Memread) -> None:
    memread.write("a.txt", log(120))
    stopped = interrupted(memread, "a.txt", QUESTION, at=3)
    assert stopped.end(60) == 130
    undisturbed = memread("ask", "a.txt", QUESTION, "--events", "--no-journal").events
    first = memories(stopped.events)
    again = memread("ask", "a.txt", QUESTION, "--events")
    assert again.code == 0
    assert started(again.events).resumed == len(first)
    assert started(again.events).run == started(stopped.events).run
    assert first | memories(again.events) == memories(undisturbed)
    assert answer(again.events) == answer(undisturbed)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_termination_ends_soon_and_loses_nothing(memread: Memread, number: int) -> None:
    memread.write("a.txt", log(LONG))
    running = interrupted(memread, "a.txt", QUESTION, by=number)
    assert running.end(60) == 128 + number
    assert "Traceback" not in running.stderr
    seen = memories(running.events)
    again = interrupted(memread, "a.txt", QUESTION, at=len(seen) + 2)
    assert again.end(60) == 130
    assert started(again.events).resumed >= len(seen)


def test_with_nohup_a_reading_outlives_its_terminal(memread: Memread) -> None:
    memread.write("a.txt", log(120))
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does: a program inherits it
    try:
        running = memread.start("ask", "a.txt", QUESTION)
    finally:
        signal.signal(signal.SIGHUP, before)
    running.wait_for(done(1))
    running.signal(signal.SIGHUP)
    assert running.end(60) == 0
    assert answer(running.events) and len(memories(running.events)) > 1


def test_ctrl_c_twice_ends_at_once(memread: Memread, slow_gguf: Path) -> None:
    """In the middle of an answer that would take minutes."""
    memread.write("a.txt", log(LONG))
    slow = {"MEMREAD_MODEL": str(slow_gguf), "MEMREAD_BUDGET_ANSWER": "4000", "MEMREAD_BUDGET_MEMORY": "64"}
    running = memread.start("ask", "a.txt", QUESTION, env=slow)
    running.wait_for(done(1))
    running.signal(signal.SIGINT)
    time.sleep(0.3)
    running.signal(signal.SIGINT)
    assert running.end(60) == 130
    assert not any(isinstance(event, events.Answered) for event in running.events)
    assert "Traceback" not in running.stderr
    again = memread.start("ask", "a.txt", QUESTION, env=slow)
    first = again.wait_for(lambda event: isinstance(event, events.RunStarted))
    assert isinstance(first, events.RunStarted) and first.resumed >= 2


def test_ctrl_c_while_it_answers(memread: Memread, slow_gguf: Path) -> None:
    """The answer would take minutes; what was read is not read again for it."""
    memread.write("a.txt", log(3))
    slow = {"MEMREAD_MODEL": str(slow_gguf), "MEMREAD_BUDGET_ANSWER": "4000", "MEMREAD_BUDGET_MEMORY": "64"}
    running = memread.start("ask", "a.txt", QUESTION, env=slow)
    running.wait_for(lambda event: isinstance(event, events.AnswerStarted))
    running.wait_for(lambda event: isinstance(running.events[-1], events.Piece))
    running.signal(signal.SIGINT)
    assert running.end(60) == 130
    last = running.events[-1]
    assert isinstance(last, events.Answered) and last.answer.cut and last.answer.coverage.complete
    assert "to the end" in running.stderr
    assert "The answer was interrupted: the same command answers again" in running.stderr
    again = memread.start("ask", "a.txt", QUESTION, env=slow)
    again.wait_for(lambda event: isinstance(event, events.AnswerStarted))
    again.signal(signal.SIGKILL)
    again.end(60)
    assert not memories(again.events) and started(again.events).run == started(running.events).run


def test_ctrl_c_while_it_waits_for_the_first_bytes(memread: Memread) -> None:
    """Nothing was read: there is no answer, and nothing to wait for."""
    running = memread.start("ask", "-", QUESTION)
    until = time.monotonic() + DEADLINE
    while not running.children and time.monotonic() < until:  # the process with the model
        time.sleep(0.2)
    time.sleep(1.5)
    running.signal(signal.SIGINT)
    assert running.end(60) == 130
    assert "Traceback" not in running.stderr


def test_ctrl_c_before_anything_has_begun(memread: Memread) -> None:
    """Whatever is being imported or loaded at that moment."""
    memread.write("a.txt", log(LONG))
    for seconds in (0.1, 0.3, 0.5):
        running = memread.start("ask", "a.txt", QUESTION)
        time.sleep(seconds)
        running.signal(signal.SIGINT)
        code = running.end(60)
        # Python's own start cannot be guarded (it ends with 1), nor the package's first file.
        assert code in (130, -signal.SIGINT, 1), (seconds, code)
        frames = set(re.findall(r'File ".*[/\\]memread[/\\](\S+)", line', running.stderr))
        assert frames <= {"__init__.py"}, (seconds, running.stderr)


def test_ctrl_c_that_python_lost(memread: Memread) -> None:
    """What is raised in a callback, such as those of an import, is printed and forgotten."""
    memread.write("a.txt", log(LONG))
    lost = """
import os, signal, sys, weakref
from memread import interrupts
class Gone: pass
def callback(reference):
    os.kill(os.getpid(), signal.SIGINT)
    sum(range(1000))  # Python looks for signals between two instructions
interrupts.install()
gone = Gone()
reference = weakref.ref(gone, callback)
del gone
print("still here", file=sys.stderr)
from memread.__main__ import main
main()
"""
    ended = memread("ask", "a.txt", QUESTION, "--events", python=("-c", lost), timeout=60)
    assert "still here" in ended.err
    assert ended.code == 130 and not ended.events


def test_kill_9_in_the_middle(memread: Memread) -> None:
    memread.write("a.txt", log(120))
    killed = interrupted(memread, "a.txt", QUESTION, at=8, by=signal.SIGKILL)
    assert killed.end(60) == -signal.SIGKILL
    seen = memories(killed.events)
    again = memread("ask", "a.txt", QUESTION, "--events")
    assert again.code == 0
    first = started(again.events)
    # Recorded before it was shown; one more may have been on its way to us.
    assert len(seen) <= first.resumed <= len(seen) + 1
    assert min(memories(again.events)) == first.resumed
    assert f"Resuming after {first.resumed} segments" in again.err
    fresh = memread("ask", "a.txt", QUESTION, "--events", "--fresh").events
    assert started(fresh).resumed == 0 and started(fresh).run != first.run
    assert (seen | memories(again.events)).items() <= memories(fresh).items()
    assert max(memories(fresh)) == max(memories(again.events)) > 30
    assert answer(again.events) == answer(fresh)


def test_kill_9_and_then_the_text_has_changed(memread: Memread) -> None:
    path = memread.write("a.txt", log(60))
    killed = interrupted(memread, "a.txt", QUESTION, at=12, by=signal.SIGKILL)
    killed.end(60)
    lines = log(60).splitlines(keepends=True)
    lines[8] = "Line 8: the ship sank.\n"
    path.write_text("".join(lines), encoding="utf-8")
    again = memread("ask", "a.txt", QUESTION, "--events")
    assert 0 < started(again.events).resumed < 12
    assert "The text has changed since run" in again.err
    fresh = memread("ask", "a.txt", QUESTION, "--events", "--fresh").events
    assert memories(again.events).items() <= memories(fresh).items()
    assert answer(again.events) == answer(fresh)


def test_kill_9_of_a_pipe(memread: Memread) -> None:
    """What comes through a pipe is read again, and skipped while it is the same."""
    killed = memread.start("ask", "-", QUESTION)
    killed.write(log(60))
    killed.wait_for(done(8))
    killed.signal(signal.SIGKILL)
    killed.end(60)
    again = memread("ask", "-", QUESTION, "--events", stdin=log(60))
    assert started(again.events).resumed >= 9
    fresh = memread("ask", "-", QUESTION, "--events", "--fresh", stdin=log(60)).events
    assert answer(again.events) == answer(fresh)


def test_other_settings_or_another_question_are_another_reading(memread: Memread) -> None:
    memread.write("a.txt", log(60))
    interrupted(memread, "a.txt", QUESTION, at=8, by=signal.SIGKILL).end(60)
    for arguments in (("why?",), (QUESTION, "--segment", "70"), (QUESTION, "--temperature", "0.5")):
        running = memread.start("ask", "a.txt", *arguments)
        first = running.wait_for(lambda event: isinstance(event, events.RunStarted))
        running.signal(signal.SIGKILL)
        assert isinstance(first, events.RunStarted) and first.resumed == 0


def test_the_same_reading_twice_at_once(memread: Memread) -> None:
    """The second does not write into the first one's run."""
    memread.write("a.txt", log(LONG))
    first = memread.start("ask", "a.txt", QUESTION)
    first.wait_for(done(2))
    second = memread.start("ask", "a.txt", QUESTION)
    second.wait_for(done(2))
    assert started(first.events).run != started(second.events).run
    for running in (first, second):
        running.signal(signal.SIGTERM)
        assert running.end(60) == 143


def test_the_process_with_the_model_is_killed(memread: Memread) -> None:
    """Nothing is lost and nothing differs: it is started again, and that is said."""
    memread.write("a.txt", log(60))
    undisturbed = memread("ask", "a.txt", QUESTION, "--events", "--no-journal").events
    running = memread.start("ask", "a.txt", QUESTION)
    running.wait_for(done(3))
    (child,) = running.children
    os.kill(child, signal.SIGKILL)
    assert running.end() == 0
    assert memories(running.events) == memories(undisturbed)
    assert answer(running.events) == answer(undisturbed)
    said = [event.message for event in running.events if isinstance(event, events.Notice)]
    assert any("crashed (signal SIGKILL" in message and "started again" in message for message in said)
    assert "started again" in running.stderr


def test_a_model_that_makes_llama_cpp_abort_ends_in_one_line(memread: Memread) -> None:
    from tests.fixtures.gguf_model import restate, write_tiny_gguf

    path = write_tiny_gguf(memread.folder / "aborts.gguf")
    restate(path, "llama.attention.layer_norm_rms_epsilon", -1.0)
    memread.write("a.txt", log(10))
    ended = memread("ask", "a.txt", QUESTION, "--model", path, "--quiet")
    assert ended.code == 18 and not ended.out
    told = [line for line in ended.err.splitlines() if line.startswith("memread: ")]
    assert len(told) == 1 and "GGML_ASSERT(eps >= 0" in told[0] and "Traceback" not in ended.err


def test_no_process_is_left_behind(memread: Memread) -> None:
    """The child that reads a PDF ends with its parent, also when that is killed. (The PDF is larger than the
    pipe: the child is still at it.)"""
    from tests.ingest.samples import write_pdf

    write_pdf(memread.folder / "a.pdf", [log(40, 40 * page) for page in range(400)])
    running = memread.start("ask", "a.pdf", QUESTION)
    running.wait_for(done(3))
    group = running.children  # before the kill: after it they have another parent
    running.signal(signal.SIGKILL)
    assert group, "no child is reading the PDF"
    running.end(60)
    deadline = time.monotonic() + 5
    while any(alive(pid) for pid in group):
        assert time.monotonic() < deadline, "a child lives on"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:  # a zombie that nobody has waited for yet is dead enough
        return "Z" not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1][:3]
    except OSError:
        return Path("/proc/self").exists() is False
