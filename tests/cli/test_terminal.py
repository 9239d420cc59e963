"""`memread ask` in a real pseudo-terminal: what is seen, what is left, what state the terminal is in."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
import time
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.cli.conftest import Memread, done, log

if sys.platform == "win32":
    pytest.skip("needs a pseudo-terminal", allow_module_level=True)

import fcntl
import termios

import pexpect  # type: ignore[import-untyped]
import pyte

QUESTION = "how far did the ship sail?"


class Terminal:
    """A process in a terminal, and the screen as a person would see it."""

    def __init__(
        self, memread: Memread, arguments: list[str], size: tuple[int, int], shell: bool = False, **env: str
    ) -> None:
        """shell: as a job of an interactive shell."""
        columns, lines = size
        self.screen = pyte.HistoryScreen(columns, lines, history=2000, ratio=0.5)
        self._stream = pyte.ByteStream(self.screen)
        self.out = b""
        command = [sys.executable, "-m", "memread", *arguments]
        first, *rest = ["bash", "--norc", "--noprofile", "--noediting", "-i"] if shell else command
        self.child = pexpect.spawn(
            first,
            rest,
            dimensions=(lines, columns),
            env={**memread.environment(), "TERM": "xterm-256color", **env},
            cwd=str(memread.folder),
            timeout=30,
        )
        if shell:
            self.child.send(shlex.join(command) + "\r")

    def read(self, until: str = "", timeout: float = 30) -> None:
        """Feed the screen until it shows `until`; "" is the end of the process."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if until and until in self.text:
                return
            try:
                data = self.child.read_nonblocking(65536, timeout=0.2)
            except pexpect.TIMEOUT:
                continue
            except pexpect.EOF:
                break
            self.out += data
            self._stream.feed(data)
        if until:
            assert until in self.text, self.text
        else:
            self.child.close()
            assert time.monotonic() < deadline, "still running"

    def read_screen(self, until: str) -> None:
        """Feed the screen until `until` is on it now, not only above it."""
        deadline = time.monotonic() + 30
        while until not in "".join(self.screen.display):
            assert time.monotonic() < deadline, self.screen.display
            with contextlib.suppress(pexpect.TIMEOUT):
                data = self.child.read_nonblocking(65536, timeout=0.2)
                self.out += data
                self._stream.feed(data)

    @property
    def text(self) -> str:
        """Everything on the screen and above it, as one line."""
        above = [
            "".join(row[at].data for at in range(self.screen.columns)) for row in self.screen.history.top
        ]
        # What fills a row goes on in the next one.
        return " ".join("".join([*above, *self.screen.display]).split())

    def resize(self, columns: int, lines: int) -> None:
        self.screen.resize(lines, columns)
        self.child.setwinsize(lines, columns)

    def restored(self) -> None:
        """The terminal is as it was: cursor, wrapping, no other screen, no mouse."""
        assert not self.screen.cursor.hidden
        last = {code: self.out.rfind(code) for code in (b"\x1b[?7l", b"\x1b[?7h")}
        assert last[b"\x1b[?7h"] >= last[b"\x1b[?7l"], self.out[last[b"\x1b[?7h"] - 200 :]
        for code in (b"\x1b[?1049h", b"\x1b[?1000h", b"\x1b[?2004h"):
            assert code not in self.out


Open = Callable[..., Terminal]


@pytest.fixture
def terminal(memread: Memread) -> Iterator[Open]:
    opened: list[Terminal] = []

    def open_one(
        *arguments: str, size: tuple[int, int] = (80, 24), shell: bool = False, **env: str
    ) -> Terminal:
        opened.append(Terminal(memread, list(arguments), size, shell, **env))
        return opened[-1]

    yield open_one
    for each in opened:
        if not each.child.closed:
            each.child.close(force=True)


@pytest.mark.parametrize("size", [(80, 24), (40, 10), (20, 4)])
def test_a_whole_reading(memread: Memread, terminal: Open, size: tuple[int, int]) -> None:
    memread.write("a.txt", log(80))
    shown = terminal("ask", "a.txt", QUESTION, size=size)
    shown.read()
    assert shown.child.exitstatus == 0
    shown.restored()
    recorded = memread("runs", "--json").json
    assert "to the end" in shown.text and str(recorded["run_id"]) in shown.text
    assert "━" not in shown.text, "the live view has gone"
    # The summary, then the answer; nothing else.
    answer = "".join(str(recorded["answer"]).split())[:12]
    assert answer in "".join(shown.text.split()).split(str(recorded["run_id"]))[-1]
    assert shown.out.count(b"\x1b[?25l") == shown.out.count(b"\x1b[?25h") or b"\x1b[?25h" in shown.out


def test_the_view_while_it_reads(memread: Memread, terminal: Open, slow_gguf: Path) -> None:
    memread.write("a.txt", log(800))
    shown = terminal("ask", "a.txt", QUESTION, size=(90, 30))
    shown.read(until="tok/s")
    for said in ("a.txt", QUESTION, "line"):
        assert said in shown.text
    assert shown.screen.cursor.hidden
    shown.resize(50, 12)
    time.sleep(0.4)
    shown.read(until=" tok/s")
    shown.resize(100, 40)
    time.sleep(0.4)
    shown.child.send("\x03")  # as the terminal itself sends it
    shown.read()
    assert shown.child.exitstatus == 130
    shown.restored()
    assert "The answer is partial" in shown.text
    assert "━" not in shown.text.split("The answer is partial")[-1]


def test_ctrl_c_twice(memread: Memread, terminal: Open, slow_gguf: Path) -> None:
    memread.write("a.txt", log(800))
    slow = {"MEMREAD_MODEL": str(slow_gguf), "MEMREAD_BUDGET_ANSWER": "4000"}
    shown = terminal("ask", "a.txt", QUESTION, **slow)
    shown.read(until="tok/s")
    shown.child.send("\x03")
    time.sleep(0.4)
    shown.child.send("\x03")
    shown.read()
    assert "The answer is partial" not in shown.text
    assert shown.child.exitstatus == 130
    shown.restored()
    assert b"Traceback" not in shown.out


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_while_the_text_is_compared_with_what_was_read(
    memread: Memread, terminal: Open, slow_gguf: Path, presses: int
) -> None:
    """Some of a pipe has come: the answer rests on all that was read before, and none of that is lost."""
    pipe = memread.folder / "pipe"
    os.mkfifo(pipe)
    slow = {"MEMREAD_MODEL": str(slow_gguf), "MEMREAD_BUDGET_ANSWER": "16" if presses == 1 else "4000"}
    killed = memread.start("ask", "pipe", QUESTION, env=slow)
    with pipe.open("w", encoding="utf-8") as writing:
        writing.write(log(60))
        writing.flush()
        killed.wait_for(done(7))
        killed.signal(signal.SIGKILL)
        killed.end()
    before = memread("runs", "--json").json
    shown = terminal("ask", "pipe", QUESTION, size=(120, 30), **slow)
    with pipe.open("w", encoding="utf-8") as writing:
        writing.write(log(20))
        writing.flush()
        taken_from(writing)
        shown.child.send("\x03")
        if presses == 2:
            time.sleep(0.4)
            shown.child.send("\x03")
        shown.read()
    assert shown.child.exitstatus == 130
    shown.restored()
    assert b"Traceback" not in shown.out
    after = memread("runs", "--json").json
    steps = before["steps"]
    assert (after["run_id"], after["steps"]) == (before["run_id"], steps)
    if presses == 1:
        assert f"Read nothing anew: {steps} segments taken over from the earlier run, to line" in shown.text
        assert f"of the {steps} segments read earlier had been compared" in shown.text
        assert "The answer is partial" in shown.text and after["status"] == "partial" and after["answer"]
    else:
        assert "The answer is partial" not in shown.text and after["status"] == "interrupted"


def taken_from(pipe: IO[str]) -> None:
    """Wait until all that was written has been read, and a moment for it to be compared."""
    waiting = array("i", [1])
    deadline = time.monotonic() + 30
    while waiting[0]:
        assert time.monotonic() < deadline
        time.sleep(0.2)
        fcntl.ioctl(pipe, termios.FIONREAD, waiting)
    time.sleep(2)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_terminated(memread: Memread, terminal: Open, number: int) -> None:
    memread.write("a.txt", log(800))
    shown = terminal("ask", "a.txt", QUESTION)
    shown.read(until="tok/s")
    shown.child.kill(number)
    shown.read(timeout=10)
    assert shown.child.exitstatus == 128 + number
    shown.restored()
    assert b"Traceback" not in shown.out


def test_stopped_and_continued(memread: Memread, terminal: Open) -> None:
    memread.write("a.txt", log(100))
    shown = terminal("ask", "a.txt", QUESTION)
    shown.read(until="tok/s")
    shown.child.kill(signal.SIGSTOP)
    time.sleep(0.5)
    shown.child.kill(signal.SIGCONT)
    shown.read()
    assert shown.child.exitstatus == 0
    shown.restored()


def test_ctrl_z_gives_the_terminal_back_and_fg_draws_again(memread: Memread, terminal: Open) -> None:
    """In a real shell: Ctrl-Z, something typed at its prompt, `fg`."""
    memread.write("a.txt", log(2000))
    shown = terminal("ask", "a.txt", QUESTION, shell=True)
    shown.read_screen("tok/s")
    assert shown.screen.cursor.hidden
    shown.child.send("\x1a")
    shown.read(until="Stopped")
    shown.child.send("echo the-$((20+3))-shell\r")
    shown.read(until="the-23-shell")
    shown.restored()
    assert "tok/s" not in " ".join(shown.screen.display), "the picture is taken away"
    shown.child.send("fg\r")
    shown.read_screen("tok/s")
    assert shown.screen.cursor.hidden
    shown.child.send("\x03")
    shown.read(until="The answer is partial")
    shown.child.send("exit\r")
    shown.read()
    shown.restored()


def test_an_error_in_the_middle_leaves_a_clean_terminal(memread: Memread, terminal: Open) -> None:
    """A scanned PDF shows itself only when it has been read."""
    from tests.ingest.samples import pdf_bytes

    memread.write("scan.pdf", pdf_bytes([None, None]))
    shown = terminal("ask", "scan.pdf", QUESTION)
    shown.read()
    assert shown.child.exitstatus == 7
    shown.restored()
    assert "OCR" in shown.text and "━" not in shown.text


def test_no_color_and_dumb(memread: Memread, terminal: Open) -> None:
    memread.write("a.txt", log(60))
    plain = terminal("ask", "a.txt", QUESTION, NO_COLOR="1")
    plain.read()
    assert plain.child.exitstatus == 0
    for colour in range(30, 38):
        assert b"\x1b[%dm" % colour not in plain.out and b";%dm" % colour not in plain.out
    dumb = terminal("ask", "a.txt", QUESTION, TERM="dumb")
    dumb.read()
    assert dumb.child.exitstatus == 0
    assert b"\x1b" not in dumb.out and b"to the end" in dumb.out


def test_only_the_answer_goes_to_a_file(memread: Memread) -> None:
    """The live view is on standard error, and the shell has standard output."""
    memread.write("a.txt", log(60))
    child = pexpect.spawn(
        "bash",
        ["-c", f'"{sys.executable}" -m memread ask a.txt "{QUESTION}" --no-evidence > answer.txt'],
        env={**memread.environment(), "TERM": "xterm-256color"},
        cwd=str(memread.folder),
        timeout=30,
    )
    out = child.read()
    child.close()
    assert child.exitstatus == 0
    assert b"\x1b[?25l" in out and b"to the end" in out
    answer = (memread.folder / "answer.txt").read_bytes()
    assert answer.count(b"\x1b") == 0 and answer.strip()
    # The live view may have shown it as it came; what stays on the screen is the summary.
    assert answer.strip() not in out.rpartition(b"to the end")[2]


def test_the_terminal_goes_away(memread: Memread, terminal: Open) -> None:
    """An ssh connection that breaks: no process is left, and the reading can be gone on with."""
    memread.write("a.txt", log(2000))
    shown = terminal("ask", "a.txt", QUESTION)
    shown.read(until="tok/s")
    pid = shown.child.pid
    shown.child.ptyproc.fileobj.close()
    shown.child.ptyproc.closed = shown.child.closed = True
    deadline = time.monotonic() + 6
    while True:
        ended, _ = os.waitpid(pid, os.WNOHANG)
        if ended:
            break
        assert time.monotonic() < deadline, "it lives on"
        time.sleep(0.05)
    shown.child.terminated = True
    assert memread("runs", "--json").json["status"] == "interrupted"
