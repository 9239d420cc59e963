"""Whole readings with a tiny model, killed with SIGKILL and gone on with: each ends as an undisturbed one.

A reading is the real command line in a process forked from this one (which saves the imports, not the work).
Random kills come from outside, after a random time. Chosen ones come from inside: a wrapper around a function
that matters kills its own process at its n-th call, before or after it.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from memread import events
from memread.cli.app import main
from memread.engine.llamacpp.engine import LlamaEngine
from memread.journal import Journal
from memread.journal.database import Database
from memread.journal.recording import Recording

QUESTION = "how far did the ship sail?"
_LIMIT = 120.0
"""Seconds after which a reading that was left alone has hung."""


class Point(NamedTuple):
    """A place to die at: the n-th call of a function, before it begins or when it has returned."""

    name: str
    owner: type
    function: str
    n: int
    after: bool

    def __str__(self) -> str:
        return f"{'after' if self.after else 'before'} {self.name} {self.n}"


def preload() -> None:
    """Import what a reading imports, once for all that are forked from here."""
    import importlib

    for name in (
        *(
            "llama_cpp",
            "llama_cpp.llama_chat_format",
            "tiktoken",
            "rich.live",
            "filelock",
            "charset_normalizer",
        ),
        *(
            "memread.api",
            "memread.bpe",
            "memread.compose",
            "memread.config",
            "memread.ingest",
            "memread.reading",
        ),
        *(
            "memread.views",
            "memread.views.json",
            "memread.views.live",
            "memread.views.plain",
            "memread.registry",
        ),
        "memread.engine.worker.engine",
    ):
        importlib.import_module(name)


def points(segments: int) -> list[Point]:
    """Chosen places: in a segment, between two, in the answer, in the middle of writing the journal."""
    found = []
    for name, owner, function, calls in (
        ("batch", LlamaEngine, "step", range(1, 8 * segments, 3)),
        ("request", LlamaEngine, "submit", range(1, segments + 2)),
        ("record", Recording, "record", range(1, 3 * segments, 2)),
        # Between the statements of a transaction: what is half written must not be seen.
        ("statement", Database, "change", range(1, 5 * segments, 2)),
        ("finish", Recording, "finish", range(1, 2)),
        ("close of a run", Recording, "close", range(1, 2)),
        ("beginning of a run", Database, "_prepare", range(1, 2)),
    ):
        found += [Point(name, owner, function, n, after) for n in calls for after in (False, True)]
    return found


class Outcome(NamedTuple):
    """What a process left: None as code if it was killed."""

    code: int | None
    events: list[events.Event]
    errors: str


class Case:
    """One reading in a folder of its own, and what an undisturbed one comes to."""

    def __init__(self, folder: Path, model: Path, text: str, environment: Mapping[str, str]) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self._out, self._err = folder / "out.jsonl", folder / "err.txt"
        self.environment = {
            **{name: str(folder / name) for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")},
            "HOME": str(folder),
            "MEMREAD_MODEL": str(model),
            "MEMREAD_ENGINE_THREADS": "1",
            "MEMREAD_BUDGET_SEGMENT": "64",
            "MEMREAD_BUDGET_MEMORY": "24",
            "MEMREAD_BUDGET_ANSWER": "16",
            **environment,
        }
        self.document = folder / "a.txt"
        self.document.write_text(text, encoding="utf-8")

    @property
    def journal(self) -> Path:
        return self.folder / "XDG_DATA_HOME" / "memread" / "journal.sqlite3"

    def run(self, *, kill_after: float | None = None, at: Point | None = None) -> Outcome:
        """The reading; with `kill_after` (seconds) or `at` it may not reach its end."""
        for path in (self._out, self._err):
            path.touch()  # a child that is killed at once has not made them
        pid = os.fork()
        if pid == 0:
            self._child(at)
        deadline = time.monotonic() + (kill_after if kill_after is not None else _LIMIT)
        while not (ended := os.waitpid(pid, os.WNOHANG))[0]:
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                ended = os.waitpid(pid, 0)
                assert kill_after is not None, f"it hung: {self.folder}"
                break
            time.sleep(0.002)
        status = ended[1]
        killed = os.WIFSIGNALED(status)
        seen = [
            events.from_dict(msgspec.json.decode(line))
            for line in self._out.read_bytes().splitlines(keepends=True)
            if line.endswith(b"\n")
        ]
        code = None if killed else os.WEXITSTATUS(status)
        return Outcome(code, seen, self._err.read_text(encoding="utf-8", errors="replace"))

    def _child(self, at: Point | None) -> None:
        try:
            for number, path in ((1, self._out), (2, self._err)):
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                os.dup2(descriptor, number)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            for name in [*os.environ]:
                if name.startswith(("MEMREAD_", "XDG_")):
                    del os.environ[name]
            os.environ.update(self.environment)
            if at is not None:
                die_at(at)
            main(["ask", str(self.document), "-q", QUESTION, "--events", "--quiet"])
        except SystemExit as left:
            sys.stdout.flush()
            os._exit(left.code if isinstance(left.code, int) else 1)
        finally:
            os._exit(99)


def die_at(point: Point) -> None:
    """Have this process kill itself there."""
    inner: Callable[..., Any] = getattr(point.owner, point.function)
    calls = 0

    def dying(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == point.n and not point.after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = inner(*arguments, **named)
        if calls == point.n and point.after:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(point.owner, point.function, dying)


class Undisturbed(NamedTuple):
    memories: list[str]
    answer: str
    seconds: float


def undisturbed(case: Case) -> Undisturbed:
    """What every other reading must come to."""
    begun = time.monotonic()
    outcome = case.run()
    assert outcome.code == 0, outcome.errors
    memories = [event.memory for event in outcome.events if isinstance(event, events.MemoryUpdated)]
    return Undisturbed(memories, _answer(outcome), time.monotonic() - begun)


def _answer(outcome: Outcome) -> str:
    (answered,) = [event.answer for event in outcome.events if isinstance(event, events.Answered)]
    assert answered.coverage.complete
    return answered.raw


def recorded(case: Case, expected: Undisturbed) -> tuple[int, bool]:
    """(segments that the journal has of the unfinished run, whether one is finished). Checks all it holds."""
    if not case.journal.exists():
        return 0, False
    # First as it is, by SQLite alone: opening it here rolls back what was half written.
    with closing(sqlite3.connect(case.journal)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    unfinished, finished = 0, False
    with Journal.open(case.journal) as journal:
        for row in journal.runs():
            run = journal.show(row.run_id)  # verifies the chain of its hashes
            memories = [step.memory for step in run.steps()]
            assert memories == expected.memories[: len(memories)], "a recorded memory differs"
            if row.status == "done":
                finished = True
                assert len(memories) == len(expected.memories)
                assert run.answer is not None and run.answer.raw == expected.answer
            else:
                assert row.status == "interrupted"
                unfinished = max(unfinished, len(memories))
    return unfinished, finished


def finish(case: Case, expected: Undisturbed) -> int:
    """The same command to its end, after a kill. Returns how many segments it did not have to read again."""
    steps, _ = recorded(case, expected)
    outcome = case.run()
    assert outcome.code == 0, outcome.errors
    (started,) = [event for event in outcome.events if isinstance(event, events.RunStarted)]
    assert started.recorded
    assert started.resumed == steps, "what was recorded was not gone on with"
    read = [event for event in outcome.events if isinstance(event, events.MemoryUpdated)]
    indices = [event.segment.index for event in read]
    assert indices == list(range(started.resumed, len(expected.memories))), "a segment twice, or none"
    assert [event.memory for event in read] == expected.memories[started.resumed :]
    assert _answer(outcome) == expected.answer
    assert recorded(case, expected)[1], "the journal does not say that it is done"
    return started.resumed


class Counts(NamedTuple):
    random_kills: int
    chosen_kills: int
    missed: int
    """Kills that came too late: the reading had ended, or never came to the place."""
    taken_over: int
    """Segments that were not read again, in all."""


def torture(
    folder: Path,
    model: Path,
    text: str,
    *,
    random_kills: int,
    chosen: list[Point],
    seed: int,
    seconds: float,
    worker: float,
    tell: Callable[[str], None],
) -> Counts:
    """Kill until the counts are reached, or `seconds` have passed. Raises AssertionError at the first fault.

    worker: the share of random kills with the model in a process of its own.
    """
    preload()
    begun, moments = time.monotonic(), random.Random(seed)
    inside, apart = {"MEMREAD_ENGINE_WORKER": "0"}, {"MEMREAD_ENGINE_WORKER": "1"}
    expected = undisturbed(Case(folder / "undisturbed", model, text, inside))
    other = undisturbed(Case(folder / "undisturbed-apart", model, text, apart))
    assert (other.memories, other.answer) == (expected.memories, expected.answer)
    kills = at_points = missed = taken = 0
    jobs: list[Point | None] = [*chosen, *[None] * random_kills]
    moments.shuffle(jobs)
    for number, point in enumerate(jobs):
        if time.monotonic() - begun > seconds:
            tell(f"time is up after {number} of {len(jobs)}")
            break
        away = point is None and moments.random() < worker
        case = Case(folder / str(number), model, text, apart if away else inside)
        duration = other.seconds if away else expected.seconds
        for _ in range(moments.choice([1, 1, 1, 2, 3]) if point is None else 1):
            outcome = case.run(kill_after=None if point else moments.uniform(0, duration), at=point)
            if outcome.code is None:
                kills += point is None
                at_points += point is not None
                recorded(case, expected)
            else:
                assert outcome.code == 0, outcome.errors
                missed += 1
        try:
            taken += finish(case, expected)
        except AssertionError as fault:
            raise AssertionError(f"{point or 'random'} in {case.folder}: {fault}") from fault
        _remove(case.folder)
        if (number + 1) % 20 == 0:
            tell(f"{number + 1} of {len(jobs)}: {kills} random kills, {at_points} at chosen points")
    return Counts(kills, at_points, missed, taken)


def _remove(folder: Path) -> None:
    import shutil

    shutil.rmtree(folder)
