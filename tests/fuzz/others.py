"""Targets: the segmenter, the journal, model files, replies, and whatever else meets strangers' bytes."""

from __future__ import annotations

import contextlib
import functools
import sqlite3
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from memread.errors import JournalError
from memread.events import Event, from_dict, to_dict
from memread.evidence import Tracer
from memread.gguf import describe, read_header
from memread.guard import fault, loops
from memread.journal import Journal, RunRow
from memread.journal.identity import decode, encode
from memread.loop import clean, unbox
from memread.segment import segments
from memread.text import one_line, printable
from memread.types import Locator, Passage, Reply, Segment, Skipped, digest
from tests.fuzz.bounds import Broken
from tests.fuzz.documents import FOLDER, PART
from tests.journal.readings import IDENTITY, STARTED, update


class Bytes:
    """A tokenizer for which every byte is a token: one character may be four."""

    def count(self, text: str) -> int:
        return len(text.encode("utf-8", "surrogatepass"))


class Clusters:
    """A tokenizer whose tokens are spread unevenly: runs of one character are one token, at most 16 long."""

    def count(self, text: str) -> int:
        found, run, before = 0, 0, ""
        for character in text:
            run = run + 1 if character == before and run < 16 else 1
            found += run == 1
            before = character
        return found


def segmenter(data: bytes) -> None:
    """Nothing lost, nothing twice, nothing too long, everything at its place, however the text arrives.

    The first bytes say how: the budget, the tokenizer, how long the passages are, where something is skipped.
    """
    if len(data) < 4:
        return
    budget, kind, size, gap = 16 + data[0], data[1], 1 + data[2] * 7, data[3]
    text = data[4:].decode("utf-8", "surrogateescape")[: 1500 if kind & 2 else 8000]
    tokenizer = Bytes() if kind & 1 else Clusters()
    items: list[Passage | Skipped] = []
    line, places = 1, []
    for number, at in enumerate(range(0, len(text), size)):
        piece = text[at : at + size]
        if gap and number % (1 + gap % 7) == 0:
            items.append(Skipped(Locator(page_number=1 + number), "lost"))
        places += [1 + number] * len(piece)
        where = Locator(line=line, page_number=1 + number)
        items.append(Passage(piece, where, min(1.0, (at + len(piece)) / len(text))))
        line += piece.count("\n")
    found = list(segments(items, tokenizer, budget))
    if [item for item in found if isinstance(item, Skipped)] != [i for i in items if isinstance(i, Skipped)]:
        raise Broken("a skipped part was lost, doubled or moved")
    cut = [item for item in found if isinstance(item, Segment)]
    if "".join(segment.text for segment in cut) != text:
        raise Broken("the segments are not the text")
    whole = segments([Passage(text, Locator(line=1), 1.0)], tokenizer, budget)
    if [s.text for s in whole if isinstance(s, Segment)] != [s.text for s in cut]:
        raise Broken("the cuts depend on how the text arrives")
    at = 0
    for index, segment in enumerate(cut):
        info = segment.info
        if info.index != index or info.digest != digest(segment.text):
            raise Broken("a wrong index or digest")
        if not 0 < info.tokens == tokenizer.count(segment.text) <= budget:
            raise Broken(f"{info.tokens} tokens of at most {budget}")
        if info.fraction is None or not 0 <= info.fraction <= 1:
            raise Broken(f"fraction {info.fraction}")
        for offset in {0, len(segment.text) // 2, len(segment.text) - 1}:
            place = segment.place(offset)
            if (place.page_number, place.line) != (places[at + offset], 1 + text[: at + offset].count("\n")):
                raise Broken(f"a wrong place: {place}")
        at += len(segment.text)
    for before, after in pairwise(cut):
        if (before.info.fraction or 0) > (after.info.fraction or 0):
            raise Broken("the fraction falls")
        first, last = after.info.span.start, before.info.span.end
        if (first.page_number or 0) < (last.page_number or 0) or (first.line or 0) < (last.line or 0):
            raise Broken("the places go back")


# ── the journal ──


class _Recorded(msgspec.Struct, frozen=True):
    early: bytes
    """The file after 4 of the segments."""
    late: bytes
    memories: dict[str, list[str]]
    """By run."""


@functools.cache
def _recorded() -> _Recorded:
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        path = Path(folder) / "journal.db"
        memories: dict[str, list[str]] = {}
        early = b""
        with Journal.open(path) as journal:
            for run in range(2):
                with journal.begin(IDENTITY, STARTED) as recording:
                    for index in range(6):
                        recording.record(update(index, f"run {run}, after {index} " + "x" * 300 * run))
                        if run == 0 and index == 3:
                            journal._database.forget()
                            early = path.read_bytes()
                    if run == 0:
                        recording.finish("done")
                memories[recording.run_id] = [f"run {run}, after {i} " + "x" * 300 * run for i in range(6)]
            journal._database.forget()
        return _Recorded(early, path.read_bytes(), memories)


def journal(data: bytes) -> None:
    """Torn and edited: what is read from it is what was written, or it is refused."""
    known = _recorded()
    file = bytearray(known.late)
    step = data[1:]
    match data[:1]:
        case b"p":  # pages of another time
            for number in step[:8]:
                at = number * 4096 % max(1, len(known.early))
                file[at : at + 4096] = known.early[at : at + 4096]
        case b"c":  # cut short
            del file[int.from_bytes(step[:3], "big") % (len(file) + 1) :]
        case b"s":  # what a column holds: (record, column, value)
            with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
                _read_back(_edited(Path(folder), step), known.memories)
            return
        case _:  # bytes
            for at in range(0, min(len(step), 64) - 3, 4):
                file[int.from_bytes(step[at : at + 3], "big") % len(file)] ^= step[at + 3]
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        path = Path(folder) / "journal.db"
        path.write_bytes(file)
        _read_back(path, known.memories)


_COLUMNS = ("seq", "kind", "segment", "taken_from", "created", "body", "hash")
_RUNS = ("id", "key", "identity", "status", "weights", "records", "head", "steps", "tokens", "created")


def _edited(folder: Path, step: bytes) -> Path:
    path = folder / "journal.db"
    path.write_bytes(_recorded().late)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for edit in step.split(PART)[:3]:
            if len(edit) < 3:
                continue
            value: Any = edit[3:]
            if edit[2] & 1:
                value = value.decode("utf-8", "replace")
            elif edit[2] & 2:
                value = int.from_bytes(value[:8], "big", signed=True)
            with contextlib.suppress(sqlite3.Error, OverflowError):
                if edit[0] & 1:
                    column = _COLUMNS[edit[1] % len(_COLUMNS)]
                    where = f"rowid = {1 + edit[0] // 2 % 14}"
                    connection.execute(f"UPDATE records SET {column} = ? WHERE {where}", (value,))
                else:
                    column = _RUNS[edit[1] % len(_RUNS)]
                    connection.execute(
                        f"UPDATE runs SET {column} = ? WHERE n = {1 + edit[0] // 2 % 2}", (value,)
                    )
    return path


def _read_back(path: Path, memories: dict[str, list[str]]) -> None:
    """Refused, or as it was."""
    with contextlib.suppress(JournalError), Journal.open(path, busy_seconds=0) as opened:
        rows = opened.runs()
        for row in rows:
            msgspec.convert(msgspec.to_builtins(row), RunRow)
            with contextlib.suppress(JournalError):
                shown = opened.show(row.run_id)
                _same(row.run_id, [step.memory for step in shown.steps()], memories)
                _ = shown.answer, shown.claims()
        with contextlib.suppress(JournalError):
            opened.speed(IDENTITY.weights)
        with contextlib.suppress(JournalError):
            found = opened.unfinished(IDENTITY)
            if found is not None:
                with found:
                    _same(found.run_id, [step.memory for step in found.steps()], memories)


def _same(run: str, found: list[str], memories: dict[str, list[str]]) -> None:
    # A file of an earlier moment holds fewer of the same.
    if run not in memories or found != memories[run][: len(found)]:
        raise Broken("a memory that was never written is believed")


# ── models, replies, texts ──


def gguf(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=FOLDER) as file:
        file.write(data)
        file.flush()
        header = read_header(Path(file.name))
        said = describe(header)
        _ = said.kv_elements
        for key in header.arrays:
            if len(header.array(key)) != header.count(key):
                raise Broken("an array of another length than it has")


def reply(data: bytes) -> None:
    """What a model says: thoughts, boxes, loops; then what is shown of it."""
    text = data.decode("utf-8", "surrogateescape")[:20_000]
    memory = clean(text)
    fault(Reply(text, "stop"), memory)
    content, boxed = unbox(memory)
    if boxed and (not content or content not in memory):
        raise Broken("a box that is not in the reply")
    tail = text[-600:]
    slow = any(sum(_common(tail, period)) >= max(120, 4 * period) for period in range(1, min(150, len(tail))))
    if loops(text) != slow:
        raise Broken("another period than by comparing letter by letter")


def _common(tail: str, period: int) -> tuple[int, int]:
    """(the period, how far back from the end it holds)."""
    run = 0
    while run + period < len(tail) and tail[-1 - run] == tail[-1 - run - period]:
        run += 1
    return period, run


def terminal(data: bytes) -> None:
    """Nothing that a terminal obeys comes through; a second time changes nothing."""
    text = data.decode("utf-8", "surrogateescape")
    shown = printable(text)
    if any(
        (ord(c) < 32 and c not in "\n\t") or 0x7F <= ord(c) < 0xA0 or 0x202A <= ord(c) <= 0x202E
        for c in shown
    ):
        raise Broken("a control character came through")
    shown.encode("utf-8")
    if printable(shown) != shown:
        raise Broken("not the same the second time")
    if len(line := one_line(text)) > 200 or "\n" in line:
        raise Broken("no line, or too long a one")


def event(data: bytes) -> None:
    """The body of a record: an event that comes back the same, or ValueError."""
    try:
        found: Event = from_dict(decode(data))
    except (ValueError, TypeError, AttributeError, RecursionError):  # those that Record.event expects
        return
    if from_dict(decode(encode(to_dict(found)))) != found:
        raise Broken("it does not come back as it was")


def evidence(data: bytes) -> None:
    """A section, and a memory and an answer of it: quotes are letters of the section."""
    parts = data.decode("utf-8", "surrogateescape")[:30_000].split(PART.decode())
    text, memory, answer = (*parts, "", "", "")[:3]
    (segment,) = list(segments([Passage(text, Locator(line=1))], Clusters(), 1 << 30)) or (None,)
    if not isinstance(segment, Segment):
        return
    tracer = Tracer("No previous memory")
    claims = tracer.update(segment, memory)
    found = tracer.evidence(answer, memory[:100])
    for claim in (*claims, *found.memory, *found.answer):
        if claim.quote not in text or not 0 <= claim.score <= 1:
            raise Broken(f"a quote that is not in the text: {claim}")
        if claim.verified and not claim.quote:
            raise Broken("verified without a quote")
