"""What the tests of the command line share: real processes with a real, tiny model."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, NamedTuple

import msgspec
import pytest

from memread import events

ALICE = Path(__file__).resolve().parents[2] / "examples" / "alice.epub"
DEADLINE = 180
"""Seconds after which a process that should have ended has hung."""
SMALL = {"SEGMENT": "64", "MEMORY": "24", "ANSWER": "16"}


def log(lines: int, start: int = 0) -> str:
    """A text whose every line is another; about 25 tokens a line."""
    return "".join(
        f"Line {n}: the ship sailed {n * 37 % 101} miles to the west that day.\n"
        for n in range(start, start + lines)
    )


class Ended(NamedTuple):
    """A process that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, object]:
        found: dict[str, object] = msgspec.json.decode(self.out)
        return found

    @property
    def events(self) -> list[events.Event]:
        return [events.from_dict(msgspec.json.decode(line)) for line in self.out.splitlines()]


class Running:
    """A process that is still at work; its output is collected as it comes."""

    def __init__(self, process: subprocess.Popen[bytes], plain: bool) -> None:
        """plain: its output is not that of --events."""
        self.process = process
        self.events: list[events.Event] = []
        self.stdout = ""
        self.stderr = ""
        self._plain = plain
        self._changed = threading.Condition()
        self._ended = False
        self._threads = [
            threading.Thread(target=self._take_output, args=(process.stdout,)),
            threading.Thread(target=self._take_errors, args=(process.stderr,)),
        ]
        for thread in self._threads:
            thread.start()

    def _take_output(self, stream: IO[bytes]) -> None:
        for line in stream:
            with self._changed:
                self.stdout += line.decode("utf-8")
                if not self._plain:
                    self.events.append(events.from_dict(msgspec.json.decode(line)))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _take_errors(self, stream: IO[bytes]) -> None:
        for line in stream:
            with self._changed:
                self.stderr += line.decode("utf-8", "replace")
                self._changed.notify_all()

    def write(self, text: str | bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode() if isinstance(text, str) else text)
        self.process.stdin.flush()

    def finish_input(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def wait_for(self, wanted: Callable[[events.Event], bool]) -> events.Event:
        """The first event for which `wanted` holds, as soon as it is there."""

        def found() -> events.Event | None:
            return next((event for event in self.events if wanted(event)), None)

        with self._changed:
            self._changed.wait_for(lambda: found() or self._ended, timeout=DEADLINE)
            event = found()
        assert event is not None, f"it did not happen: {self.stderr}"
        return event

    def wait_for_error(self, text: str) -> None:
        """Until `text` is on standard error."""
        with self._changed:
            self._changed.wait_for(lambda: text in self.stderr or self._ended, timeout=DEADLINE)
        assert text in self.stderr

    @property
    def children(self) -> list[int]:
        """Process ids, where there is a `ps`."""
        found = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True).stdout
        pairs = [line.split() for line in found.splitlines()]
        return [int(pid) for pid, parent in pairs if int(parent) == self.process.pid]

    def resident(self) -> int:
        """Kilobytes of memory it has now."""
        ps = ["ps", "-o", "rss=", "-p", str(self.process.pid)]
        return int(subprocess.run(ps, capture_output=True, text=True).stdout)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def end(self, timeout: float = DEADLINE) -> int:
        """The exit code. Fails if it takes longer than `timeout`."""
        begun = time.monotonic()
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {time.monotonic() - begun:.1f} s") from None
        for thread in self._threads:
            thread.join(DEADLINE)
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for thread in self._threads:
            thread.join(DEADLINE)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None and not stream.closed:
                with contextlib.suppress(OSError):  # what was left to write
                    stream.close()


def done(index: int) -> Callable[[events.Event], bool]:
    """Whether segment `index` is done."""
    return lambda event: isinstance(event, events.MemoryUpdated) and event.segment.index >= index


def memories(seen: list[events.Event]) -> dict[int, str]:
    return {e.segment.index: e.memory for e in seen if isinstance(e, events.MemoryUpdated)}


def answer(seen: list[events.Event]) -> str:
    (found,) = [event.answer.text for event in seen if isinstance(event, events.Answered)]
    return found


class Memread:
    """`python -m memread`, with the tiny model and small segments, in a folder of its own."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder = folder
        self.model = model
        self._running: list[Running] = []

    def environment(self, env: Mapping[str, str] | None = None) -> dict[str, str]:
        small = {f"MEMREAD_BUDGET_{name}": value for name, value in SMALL.items()}
        # The threads of one such process are enough for the machine that runs the tests.
        own = {"MEMREAD_MODEL": str(self.model), "MEMREAD_ENGINE_THREADS": "1", "PYTHONUTF8": "1"}
        return {**os.environ, **small, **own, **(env or {})}

    def __call__(
        self,
        *arguments: str | Path,
        stdin: str | bytes | None = None,
        env: Mapping[str, str] | None = None,
        python: tuple[str, ...] = ("-m", "memread"),
        timeout: float = DEADLINE,
    ) -> Ended:
        """Run it to its end. Without `stdin`, standard input is empty."""
        data = stdin.encode() if isinstance(stdin, str) else stdin or b""
        ended = subprocess.run(
            [sys.executable, *python, *map(str, arguments)],
            input=data,
            capture_output=True,
            cwd=self.folder,
            env=self.environment(env),
            timeout=timeout,
        )
        # newlines as Windows writes them are not what is tested
        out, err = (text.decode("utf-8").replace("\r\n", "\n") for text in (ended.stdout, ended.stderr))
        return Ended(ended.returncode, out, err)

    def start(
        self, *arguments: str | Path, env: Mapping[str, str] | None = None, plain: bool = False
    ) -> Running:
        """Start it with pipes: with --events, unless it is `plain`."""
        process = subprocess.Popen(
            [sys.executable, "-m", "memread", *map(str, arguments), *([] if plain else ["--events"])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.folder,
            env=self.environment(env),
        )
        running = Running(process, plain)
        self._running.append(running)
        return running

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def close(self) -> None:
        for running in self._running:
            running.close()


@pytest.fixture
def memread(home: Path, tmp_path: Path, tiny_gguf: Path) -> Iterator[Memread]:
    found = Memread(tmp_path, tiny_gguf)
    yield found
    found.close()
