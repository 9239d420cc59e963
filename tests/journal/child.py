"""A process that records: `python -m tests.journal.child DATABASE QUESTION STEPS [hold]`.

Resumes the run of QUESTION or begins one, prints its id and the index it goes on at, and one line for each
step once it is recorded; with "hold" it then waits to be killed with the run still held.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from memread.errors import JournalError
from memread.journal import Journal
from tests.journal.readings import STARTED, identity, rejected, update


def say(text: str) -> None:
    os.write(1, f"{text}\n".encode())


def main(database: str, question: str, steps: int, hold: bool) -> None:
    say("opening")
    with Journal.open(Path(database)) as journal:
        recording = journal.unfinished(identity(question)) or journal.begin(identity(question), STARTED)
        with recording:
            first = recording.recorded
            say(f"run {recording.run_id} {first}")
            for index in range(first, first + steps):
                if index % 3 == 0:
                    recording.record(rejected(index))
                try:
                    recording.record(update(index, f"memory after {index} " + "x" * 3000))
                except JournalError as error:
                    say(f"error {error.message}")
                    break
                say(f"step {index}")
            if hold:
                say("holding")
                time.sleep(60)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), "hold" in sys.argv[4:])
