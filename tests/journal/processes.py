"""Other processes that use a journal, and whether its file is sound."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
posix = pytest.mark.skipif(os.name != "posix", reason="POSIX only")


@contextmanager
def child(path: Path, question: str, steps: int, *more: str) -> Iterator[subprocess.Popen[str]]:
    """tests/journal/child.py at work; killed at the end, if it still is."""
    command = [sys.executable, "-m", "tests.journal.child", str(path), question, str(steps), *more]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str], *beginnings: str) -> list[str]:
    """The words of the next line of a child that begins so."""
    assert process.stdout is not None
    for text in process.stdout:
        if text.startswith(beginnings):
            return text.split()
    raise AssertionError(f"the child ended without {beginnings}")


def check_integrity(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
