"""Writes `versionN.sqlite3`, a journal of the present schema, to be kept: `python -m tests.journal.older`.

Run it once a version of the schema; an existing file is not written over. Every later memread must open each
of these files, show what is in it and go on with what is unfinished: tests/journal/test_older.py.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from unittest import mock

from memread.events import Answered
from memread.journal import Journal
from memread.journal.database import VERSION
from memread.types import Answer, Counts, Coverage, Locator, Skipped
from tests.journal.readings import IDENTITY, STARTED, identity, rejected, update

FOLDER = Path(__file__).parent
DONE, UNFINISHED = "Who is done?", "Who is the captain?"


def write(path: Path) -> None:
    """A finished run, an unfinished one, and one that took over two of its segments."""
    with Journal.open(path) as journal:
        with journal.begin(identity(DONE), STARTED) as run:
            for index in range(3):
                run.record(update(index))
            coverage = Coverage(3, 2100, True, 1.0)
            run.record(Answered(Answer("Ahab", True, "\\boxed{Ahab}", "memory after 2", coverage, Counts())))
            run.finish("done")
        with journal.begin(identity("Who was it before?"), STARTED) as run:
            run.record(update(0))
            run.record(update(1, "half of a pair: \ud83d"))
            run.fork(2, STARTED).close()
        with journal.begin(IDENTITY, STARTED) as run:
            run.record(Skipped(Locator(page_number=2), "no text on this page"))
            run.record(update(0))
            run.record(rejected(1))
            run.record(update(1))


def main() -> None:
    target = FOLDER / f"version{VERSION}.sqlite3"
    if target.exists():
        raise SystemExit(f"{target.name} is there already, and stays as it is")
    with tempfile.TemporaryDirectory() as folder, mock.patch("platform.node", return_value="ship"):
        write(Path(folder) / "whole.sqlite3")
        with Journal.open(Path(folder) / "whole.sqlite3") as journal:
            journal.backup(Path(folder) / target.name)
        shutil.copyfile(Path(folder) / target.name, target)


if __name__ == "__main__":
    main()
