"""The journal file as a whole: begin, find again, list, show, remove."""

from __future__ import annotations

import platform
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, get_args

import msgspec

from memread.errors import JournalError
from memread.events import Answered, MemoryUpdated, RunStarted
from memread.journal import recording
from memread.journal.database import Database
from memread.journal.identity import Identity, decode, plain
from memread.journal.lease import Lease, discard, held
from memread.journal.recording import Recording
from memread.journal.records import (
    COLUMNS,
    Record,
    RunRecord,
    RunRow,
    Speed,
    Status,
    damaged,
    load,
    seconds,
)

_ROW = "n, id, status, created, updated, steps, tokens, taken_from"


_ALL = 1 << 62
"""A limit that is none. SQLite's numbers do not go much further."""


_LOOKED_AT: Final = 50
"""Unfinished runs among which one that was read otherwise is looked for."""


class Otherwise(NamedTuple):
    """An unfinished run of the same inputs and question."""

    run_id: str
    steps: int
    """Segments read."""
    differences: tuple[str, ...]
    """As Identity.differences says them."""


class Journal:
    """The runs recorded in one file. A context manager; for the thread that opened it.

    Any number of processes may use the file at once. Recordings are closed by themselves, not by this.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, path: Path, busy_seconds: float = 10.0) -> Journal:
        """The journal at `path`, made with its folder (for the owner's eyes only) if it is not there.

        busy_seconds: how long another process that is writing is waited for, here and later.
        Raises JournalError: no permission, read-only, not a journal, a newer one, locked, disk full.
        """
        return cls(Database.open(path, busy_seconds))

    @property
    def path(self) -> Path:
        return self._database.path

    def close(self) -> None:
        self._database.close()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def begin(self, identity: Identity, started: RunStarted) -> Recording:
        """A new run. `started.run` and `started.recorded` are filled in: see `Recording.started`.

        Raises JournalError.
        """
        return recording.begin(self._database, identity, started)

    def unfinished(self, identity: Identity, first: str = "") -> Recording | None:
        """The run of this identity that is not done and that no live process holds, to go on with: the one
        that got farthest, the newest of several.

        first: only a run whose first segment has this digest. Runs whose steps another one took over
        (`Recording.fork`) are left alone: that one is the newer.
        Raises JournalError, also if a record of the run is damaged.
        """
        found = self._database.rows(
            "SELECT n, id FROM runs WHERE key = ? AND status <> 'done'"
            " AND id NOT IN (SELECT taken_from FROM runs) ORDER BY steps DESC, n DESC",
            (identity.key,),
        )
        for n, run_id in found:
            resumed = recording.resume(self._database, n, run_id, identity)
            if resumed is None:
                continue
            if not first or any(step.digest == first for step in resumed.steps()[:1]):
                return resumed
            resumed.close()
        return None

    def otherwise(self, identity: Identity) -> Otherwise | None:
        """The newest unfinished run of these inputs and this question that another identity keeps from being
        gone on with. Raises JournalError."""
        found = self._database.rows(
            "SELECT id, steps, identity FROM runs WHERE status <> 'done' AND steps > 0"
            " AND id NOT IN (SELECT taken_from FROM runs) ORDER BY n DESC LIMIT ?",
            (_LOOKED_AT,),
        )
        for run_id, steps, body in found:
            other = _identity(body)
            if other and (other.inputs, other.question) == (identity.inputs, identity.question):
                return Otherwise(run_id, steps, identity.differences(other))
        return None

    def runs(self, limit: int = 50) -> list[RunRow]:
        """The newest runs, newest first. Not verified: a damaged run is listed. Raises JournalError."""
        with self._database.transaction(write=False):
            found = self._database.rows(
                f"SELECT {_ROW} FROM runs ORDER BY n DESC LIMIT ?", (min(limit, _ALL),)
            )
            return [self._row(*row) for row in found]

    def show(self, id_prefix: str) -> RunRecord:
        """All of a run, verified. Raises JournalError: no such run, several, damaged."""
        n, run_id = self._find(id_prefix)
        with self._database.transaction(write=False):
            found = self._database.rows(f"SELECT identity, {_ROW} FROM runs WHERE n = ?", (n,))
            if not found:
                raise _no_such_run(id_prefix)
            records = load(self._database, n)
            body, *row = found[0]
            try:
                identity = msgspec.convert(decode(body), Identity)
            except (ValueError, msgspec.ValidationError) as error:
                raise damaged(run_id, "its identity cannot be read") from error
            return RunRecord(self._row(*row), identity, records)

    def verify(self, id_prefix: str) -> int:
        """How many records a run has, each of them as it was written. Raises JournalError."""
        return len(self.show(id_prefix).records)

    def remove(self, id_prefix: str) -> str:
        """Delete a run, and with what lanes were merged in the runs of the lanes; the texts are overwritten
        in the file. Returns its full id.

        Raises JournalError: no such run, several, or a live process is recording it.
        """
        n, run_id = self._find(id_prefix)
        lanes = self._lanes_of(n)
        self._remove(n, run_id)
        for lane, lane_id in lanes:
            self._remove(lane, lane_id)
        return run_id

    def _remove(self, n: int, run_id: str) -> None:
        lease = Lease.take(self.path, run_id)
        if lease is None:
            raise JournalError(f"run {run_id} is being recorded", "Stop that reading first.")
        try:
            with self._database.transaction():
                self._database.change("DELETE FROM runs WHERE n = ?", (n,))
            self._database.forget()
        finally:
            lease.release()
        discard(self.path, run_id)

    def _lanes_of(self, n: int) -> list[tuple[int, str]]:
        """(number, id) of the runs of the lanes that run number `n`, and no other, was merged from."""
        own = self._database.rows("SELECT id, identity FROM runs WHERE n = ?", (n,))
        asked = [_identity(body) for _, body in own]
        if not asked or asked[0] is None or not asked[0].settings.get("lanes"):
            return []
        # A reading is known by the first run that merged it: merged again, it has another, taken from that.
        readings: dict[str, str] = {}  # by the runs that merge it
        last: dict[str, str] = {}  # begun with a key
        lanes: dict[str, list[tuple[int, str]]] = {}
        for number, run_id, key, body, taken_from in self._database.rows(
            "SELECT n, id, key, identity, taken_from FROM runs ORDER BY n"
        ):
            identity = _identity(body)
            if identity is None:
                continue
            if not identity.settings.get("lane"):
                readings[run_id] = readings.get(taken_from, run_id)
                if key not in last:  # those whose first run was removed go with the next
                    lanes[readings[run_id]] = lanes.pop(key, [])
                last[key] = readings[run_id]
                continue
            merging = msgspec.structs.replace(identity, settings={**identity.settings, "lane": 0}).key
            lanes.setdefault(last.get(merging, merging), []).append((number, run_id))
        reading = readings.get(own[0][0], "")
        return lanes.get(reading, []) if list(readings.values()).count(reading) == 1 else []

    def prune(self, keep: int, *, unfinished: bool = False) -> list[str]:
        """Remove all but the newest `keep` finished runs; returns their ids. Raises JournalError.

        A reading with lanes counts as one; see `remove`. unfinished: those too that could be gone on with. A
        run that is being recorded stays.
        """
        rows = [row for row in self.runs(_ALL) if not row.lane and (row.status == "done" or unfinished)]
        return [self.remove(row.run_id) for row in rows[keep:] if row.status != "running"]

    def backup(self, target: Path) -> int:
        """Write a sound copy of the journal to the new file `target`, also while others record.

        Returns how many runs it has, each verified in the copy. Raises JournalError.
        """
        self._database.copy(target)
        with Journal.open(target) as copied:
            rows = copied.runs(_ALL)
            for row in rows:
                copied.verify(row.run_id)
        return len(rows)

    def speed(self, weights: str, device: str | None = None, steps: int = 64) -> Speed | None:
        """How fast this machine read with these weights in the last `steps` segments; None if it never did.

        weights: `EngineInfo.digest`; "" knows no speed. device: `EngineInfo.device`, None for any.
        Segments taken over from another run were not read in this one, and are not counted twice.
        Raises JournalError.
        """
        only = None if device is None else plain(device)
        found = self._database.rows(
            f"SELECT {COLUMNS} FROM records WHERE rowid IN (SELECT records.rowid FROM records"
            " JOIN runs ON records.run = runs.n WHERE runs.weights = ? AND runs.weights <> ''"
            " AND runs.host = ? AND (? IS NULL OR runs.device = ?)"
            " AND records.kind = 'memory_updated' AND records.taken_from = ''"
            " ORDER BY records.rowid DESC LIMIT ?)",
            (plain(weights), plain(platform.node()), only, only, steps),
        )
        tokens, spent = 0, 0.0
        for row in found:
            event = _event(Record(*row))
            if isinstance(event, MemoryUpdated) and seconds(event.counts) > 0:
                tokens += event.segment.tokens
                spent += seconds(event.counts)
        return Speed(tokens, spent) if tokens and spent else None

    def _find(self, id_prefix: str) -> tuple[int, str]:
        wanted = id_prefix.strip().lower()
        found = self._database.rows(
            "SELECT n, id FROM runs WHERE ? <> '' AND substr(id, 1, length(?)) = ? ORDER BY n DESC LIMIT 9",
            (wanted, wanted, wanted) if wanted.isascii() else ("", "", ""),
        )
        if not found:
            raise _no_such_run(id_prefix)
        if len(found) > 1:
            ids = ", ".join(run_id for _, run_id in found)
            raise JournalError(f"more than one run begins with {wanted}", f"Type more of it: {ids}")
        n, run_id = found[0]
        return n, run_id

    def _row(
        self,
        n: int,
        run_id: str,
        status: Status,
        created: str,
        updated: str,
        steps: int,
        tokens: int,
        taken_from: str,
    ) -> RunRow:
        if status not in get_args(Status):  # a damaged row is listed too
            status = "failed"
        started = self._one(n, "seq = 0")
        # An answer is one only until another segment is read.
        last = self._one(n, "kind IN ('answered', 'memory_updated')")
        known = started if isinstance(started, RunStarted) else None
        return RunRow(
            run_id=_shown(run_id),
            question=known.question if known else "",
            summary=known.summary if known else False,
            documents=tuple(document.name for document in known.documents) if known else (),
            model=known.engine.model if known else "",
            status="interrupted" if status == "running" and not held(self.path, run_id) else status,
            created=_shown(created),
            updated=_shown(updated),
            steps=steps if isinstance(steps, int) else 0,
            tokens=tokens if isinstance(tokens, int) else 0,
            answer=_first_line(last.answer.text) if isinstance(last, Answered) else "",
            taken_from=_shown(taken_from),
            lanes=known.lanes if known else 1,
            lane=known.lane if known else 0,
        )

    def _one(self, n: int, condition: str) -> Any:
        found = self._database.rows(
            f"SELECT {COLUMNS} FROM records WHERE run = ? AND {condition} ORDER BY seq DESC LIMIT 1", (n,)
        )
        return _event(Record(*found[0])) if found else None


def _identity(body: object) -> Identity | None:
    """What a column holds, None if it is none: a list goes on."""
    try:
        return msgspec.convert(decode(body), Identity) if isinstance(body, bytes) else None
    except (ValueError, TypeError, AttributeError, msgspec.ValidationError):
        return None


def _event(record: Record) -> object:
    try:
        return record.event()
    except ValueError:
        return None  # `show` says what is wrong with it; a list goes on


def _shown(value: object) -> str:
    """A column as the text that it should be: SQLite lets it hold anything."""
    return value if isinstance(value, str) else "?"


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def _no_such_run(id_prefix: str) -> JournalError:
    return JournalError(f"no run {id_prefix!r} in the journal", "List the runs: memread runs")
