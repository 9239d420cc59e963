"""One line on standard error while something takes a while before a reading can begin."""

from __future__ import annotations

import sys

from memread.cli.errors import note


class Preparing:
    """To be called with what is done and the share that is done: a line that counts, or one line in a log."""

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._said: tuple[str, int] = ("", -1)

    def __call__(self, text: str, share: float | None) -> None:
        percent = -1 if share is None else int(share * 100)
        if self._quiet or (text, percent) == self._said:
            return
        before, self._said = self._said, (text, percent)
        if share is None or not sys.stderr.isatty():
            if text != before[0]:
                note(f"{text} …")
            return
        note(f"\r{text}: {percent:3d} %", end="\n" if percent >= 100 else "")
