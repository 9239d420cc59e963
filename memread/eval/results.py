"""The result file: one JSON line for an item and a method, on disk before the next is begun.

A line holds all that is needed to make it again and to judge it. A line torn by a crash is dropped when the
file is next opened; a fault is tried again, and the later line of the same key is the one that counts.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Literal

import filelock
import msgspec

from memread.errors import DamagedDocument, FileMissing, FileUnreadable, UsageError
from memread.eval.diagnose import Diagnosis
from memread.eval.item import Metric
from memread.loop import Flow
from memread.types import Answer, Reply, Request

FORMAT = 1
Outcome = Literal["answered", "fault", "does-not-fit"]
"""fault: the engine failed; does-not-fit: the method cannot do this length. Neither is a wrong answer."""


class Timing(msgspec.Struct, frozen=True):
    """What may differ when the same is done again."""

    seconds: float
    """Of the engine's work, this item's share of it: prefill and decoding."""
    prefill_seconds: float
    decode_seconds: float
    wall_seconds: float
    """From its first step to its last in this sitting; items that run at the same time overlap."""
    cached_tokens: int
    """Of the prompts' tokens, those whose KV was already there."""
    peak_rss: int | None
    """The process's peak of resident memory so far, bytes; None where it cannot be known."""
    finished: str
    """UTC, ISO 8601."""


class Result(msgspec.Struct, frozen=True):
    """One line."""

    key: str
    """The name of item, method and settings: equal keys are the same measurement."""
    item: str
    task: str
    length: int
    """Asked for, in tokens."""
    tokens: int
    """Read, by the model's own tokenizer."""
    seed: int
    question: str
    answers: tuple[str, ...]
    metric: Metric
    method: str
    variant: str
    """What a sweep changed: "memory=128"; "" without one."""
    outcome: Outcome
    reason: str
    """Of a fault, or why it does not fit."""
    prediction: str
    raw: str
    """The reply as it came, before the answer was taken out of its box."""
    score: Annotated[float, msgspec.Meta(ge=0, le=1)] | None
    """0..1; None unless it was answered."""
    diagnosis: Diagnosis | None
    memories: tuple[tuple[int, str], ...]
    """(segment, memory after it), where it changed. For methods that append: what was added."""
    segments: int
    kept: int
    """Segments whose replies were all rejected."""
    rejected: dict[str, int]
    """Reason → rejected replies."""
    prompt_tokens: int
    reply_tokens: int
    documents: int | None
    repeated: int
    details: dict[str, str | int | float]
    settings: dict[str, Any]
    model: str
    weights: str
    build: str
    device: str
    versions: dict[str, str]
    command: str
    timing: Timing
    format: int = FORMAT


def read(path: Path) -> tuple[list[Result], list[str]]:
    """The results in a file, the last of each key, and notices of what was left out.

    Raises FileMissing, FileUnreadable, DamagedDocument (which names the line).
    """
    found: dict[str, Result] = {}
    notices = []
    for number, line, whole in _lines(path):
        if not whole:
            notices.append(f"{path}:{number}: the last line is not complete (interrupted); it is left out")
            continue
        result = _decoded(path, number, line)
        found.pop(result.key, None)
        found[result.key] = result
    return list(found.values()), notices


def _lines(path: Path) -> Iterator[tuple[int, bytes, bool]]:
    """(number, line, whether it ends as a line does), blank ones left out."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip() or not line.endswith(b"\n"):
                    yield number, line, line.endswith(b"\n")
    except FileNotFoundError as error:
        raise FileMissing(
            f"{path}: there is no such file", "memread eval ruler --out FILE makes one."
        ) from error
    except OSError as error:
        raise FileUnreadable(f"{path}: cannot be read ({error.strerror or error})") from error


def _decoded(path: Path, number: int, line: bytes) -> Result:
    try:
        return msgspec.convert(json.loads(line.decode("utf-8", "surrogatepass")), Result)
    except (ValueError, RecursionError) as error:
        raise DamagedDocument(
            f"{path}:{number}: not a line of results ({error})", "Is this a file that memread eval wrote?"
        ) from error


def encoded(data: object) -> bytes:
    """A line. Lone surrogates, which a data set may hold, are kept."""
    text = json.dumps(msgspec.to_builtins(data), ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass") + b"\n"


class ResultFile:
    """A result file being written, by one process at a time. A context manager.

    Beside it, while it is written: PATH.lock, and PATH.steps/ with the replies of items not yet done.
    """

    def __init__(self, path: Path) -> None:
        """Take the file, and drop a torn last line. Raises UsageError, FileUnreadable, DamagedDocument."""
        self.path = path
        self.steps = Path(f"{path}.steps")
        self.done: set[str] = set()
        """Keys that need not be done again."""
        self._lock = filelock.FileLock(f"{path}.lock")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise UsageError(
                f"{path}: another memread eval is writing it", "Wait for it, or name another file: --out"
            ) from None
        except OSError as error:
            raise FileUnreadable(f"{path}: cannot be written ({error.strerror or error})") from error
        try:
            self._file = self._open()
        except BaseException:
            self._lock.release()
            raise

    def _open(self) -> Any:
        end = 0
        if self.path.exists():
            for number, line, whole in _lines(self.path):
                if not whole:
                    break
                result = _decoded(self.path, number, line)
                self.done.discard(result.key)
                if result.outcome != "fault":
                    self.done.add(result.key)
            end = self._whole_lines()
        try:
            file = self.path.open("ab")
            file.truncate(end)
            self.steps.mkdir(exist_ok=True)
        except OSError as error:
            raise FileUnreadable(f"{self.path}: cannot be written ({error.strerror or error})") from error
        for stale in self.steps.glob("*.jsonl"):
            if f"sha256:{stale.stem}" in self.done:
                stale.unlink()
        return file

    def _whole_lines(self) -> int:
        """The length of the file up to its last line break, bytes."""
        with self.path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            while end:
                start = max(end - 65536, 0)
                file.seek(start)
                if (at := file.read(end - start).rfind(b"\n")) >= 0:
                    return start + at + 1
                end = start
        return 0

    def append(self, result: Result) -> None:
        """Write a line; on return it is on disk, and the item's steps are gone. Raises FileUnreadable."""
        try:
            self._file.write(encoded(result))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise FileUnreadable(f"{self.path}: cannot be written ({error.strerror or error})") from error
        if result.outcome != "fault":
            self.done.add(result.key)
            StepLog.at(self.steps, result.key).unlink(missing_ok=True)

    def log(self, key: str) -> StepLog:
        """The replies of an item that is being done, those of an earlier sitting first."""
        return StepLog(StepLog.at(self.steps, key))

    def close(self, *, complete: bool = False) -> None:
        """Let go of the file. complete: everything was done, no steps are needed any more."""
        self._file.close()
        if complete:
            shutil.rmtree(self.steps, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                self.steps.rmdir()
        self._lock.release()
        with contextlib.suppress(OSError):
            Path(self._lock.lock_file).unlink(missing_ok=True)

    def __enter__(self) -> ResultFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class StepLog:
    """The replies of one item, as they came. Since a flow is a function of its replies, running it again over
    these leads to where it was: a segment is not read twice, whatever the method."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._old: list[tuple[str, Reply]] = []
        self._end = 0
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            for line in file:
                try:
                    if not line.endswith(b"\n"):
                        break
                    data = json.loads(line.decode("utf-8", "surrogatepass"))
                    self._old.append((data["request"], msgspec.convert(data["reply"], Reply)))
                except (ValueError, KeyError, TypeError):
                    break  # what stands after a damaged line is done again
                self._end += len(line)
        self.replayed = 0
        """Replies that were not asked for again."""
        self.seconds = 0.0
        """What those cost when they were made."""
        self._file: Any = None

    @staticmethod
    def at(folder: Path, key: str) -> Path:
        return folder / f"{key.removeprefix('sha256:')}.jsonl"

    def recorded(self, flow: Flow) -> Flow:
        """`flow`, its requests answered from the log as far as that goes, and logged from there on."""
        reply: Reply | None = None
        try:
            while True:
                item = flow.send(reply)
                reply = None
                if not isinstance(item, Request):
                    yield item
                    continue
                name = hashlib.sha256(encoded(item)).hexdigest()
                reply = self._replay(name)
                if reply is None:
                    reply = yield item
                    assert reply is not None
                    self._append(name, reply)
        except StopIteration as end:
            answer: Answer = end.value
            return answer
        finally:
            self.close()

    def _replay(self, name: str) -> Reply | None:
        if self.replayed < len(self._old) and self._file is None:
            expected, reply = self._old[self.replayed]
            if expected == name:
                self.replayed += 1
                self.seconds += reply.counts.prefill_seconds + reply.counts.decode_seconds
                return reply
        return None

    def _append(self, name: str, reply: Reply) -> None:
        if reply.finish == "cancelled":
            return
        if self._file is None:
            self._path.parent.mkdir(exist_ok=True)
            kept = self._old[: self.replayed]
            self._file = self._path.open("wb" if len(kept) < len(self._old) else "ab")
            if len(kept) < len(self._old):  # the text is another from here on: so is all that follows
                for old, given in kept:
                    self._file.write(encoded({"request": old, "reply": given}))
            else:
                self._file.truncate(self._end)
        self._file.write(encoded({"request": name, "reply": reply}))
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
            self._old = []
