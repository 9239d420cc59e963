"""The live view in real terminals: what is left on the screen in the end."""

from __future__ import annotations

import os
import sys
import time

import pytest

if sys.platform == "win32":
    pytest.skip("needs a pseudo-terminal", allow_module_level=True)

import pexpect  # type: ignore[import-untyped]
import pyte

_REPLAY = ("-m", "memread.views.live", "--speed", "40")


def play(
    columns: int, lines: int, *resizes: tuple[int, int], **environment: str
) -> tuple[pyte.Screen, bytes]:
    """Replay the canned reading; the screen it leaves, and all bytes it wrote."""
    screen = pyte.Screen(columns, lines)
    stream = pyte.ByteStream(screen)
    child = pexpect.spawn(
        sys.executable,
        list(_REPLAY),
        dimensions=(lines, columns),
        env={**os.environ, "TERM": "xterm-256color", "PYTHONUTF8": "1", **environment},
        timeout=20,
    )
    out = b""
    pending = list(resizes)
    begun = None
    while True:
        try:
            data = child.read_nonblocking(65536, timeout=20)
        except pexpect.EOF:
            break
        out += data
        stream.feed(data)
        begun = begun or time.monotonic()
        if pending and time.monotonic() - begun > 0.2 * (len(resizes) - len(pending) + 1):
            width, height = pending.pop(0)
            screen.resize(height, width)
            child.setwinsize(height, width)
    child.close()
    assert child.exitstatus == 0
    assert not pending
    return screen, out


@pytest.mark.parametrize(
    ("columns", "lines", "resizes"),
    [(80, 24, ()), (40, 10, ()), (100, 30, ((60, 20), (110, 40)))],
)
def test_only_the_summary_is_left(columns: int, lines: int, resizes: tuple[tuple[int, int], ...]) -> None:
    screen, out = play(columns, lines, *resizes)
    left = "".join(line.rstrip() for line in screen.display)
    assert not screen.cursor.hidden
    assert "Read 6 segments, 29,928 tokens, to the end" in " ".join(left.split())
    assert "memread runs show" in left
    for gone in ("Writing the memory", "Answering", "━━━"):
        assert gone not in left
    assert b"\x1b[?1049h" not in out


def test_no_color() -> None:
    _, out = play(80, 24, NO_COLOR="1")
    assert b"\x1b[36m" not in out and b"\x1b[32m" not in out


def test_a_dumb_terminal_gets_lines() -> None:
    _, out = play(80, 24, TERM="dumb")
    assert b"\x1b" not in out
    assert b"[6] pp. 96" in out
