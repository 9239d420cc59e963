"""The journal: every reading, recorded as it happens, in one SQLite file.

`Journal.open(path)` gives the file; `begin`, `unfinished` and `Recording.fork` give a `Recording`, which
takes the events of a reading; `runs`, `show` and `speed` read back. All of it belongs to one thread: the
consumer of events. Failures of the file, the disk or a record are `JournalError`; `ValueError` and
`sqlite3.ProgrammingError` mean a mistake in memread.
"""

from memread.journal.identity import Identity
from memread.journal.journal import Journal
from memread.journal.recording import Recording
from memread.journal.records import Ending, RunRecord, RunRow, Speed, Status, Step

__all__ = [
    "Ending",
    "Identity",
    "Journal",
    "Recording",
    "RunRecord",
    "RunRow",
    "Speed",
    "Status",
    "Step",
]
