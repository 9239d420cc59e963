"""What the command line says on standard error."""

from __future__ import annotations

import contextlib
import sys

from memread.errors import MemreadError


def note(text: str, end: str = "\n") -> None:
    """A line on standard error. That nobody can read it is no reason to stop."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(text + end)
        sys.stderr.flush()


def complain(error: MemreadError) -> None:
    """One readable line on stderr, and a hint. Both may quote a document or a file name."""
    from memread.text import one_line

    note(f"memread: {one_line(error.message, 600)}")
    if error.hint:
        note(f"  {one_line(error.hint, 600)}")
