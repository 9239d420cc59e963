"""How much memory there is, also where a container limits it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from memread.machine import Memory, memory


def test_this_machine() -> None:
    total, available = memory()
    assert 1 << 28 < total < 1 << 50 and 0 <= available <= total


@pytest.mark.skipif(sys.platform == "win32", reason="Linux's files")
def test_a_container_with_a_limit(tmp_path: Path) -> None:
    proc = tmp_path / "meminfo"
    proc.write_text("MemTotal:       8000000 kB\nMemFree: 1 kB\nMemAvailable:    6000000 kB\n")
    assert memory(proc, tmp_path) == Memory(8_192_000_000, 6_144_000_000)
    (tmp_path / "memory.max").write_text("max\n")
    assert memory(proc, tmp_path) == Memory(8_192_000_000, 6_144_000_000)
    (tmp_path / "memory.max").write_text("4000000000\n")
    (tmp_path / "memory.current").write_text("1000000000\n")
    assert memory(proc, tmp_path) == Memory(4_000_000_000, 3_000_000_000)


@pytest.mark.skipif(sys.platform == "win32", reason="Linux's files")
@pytest.mark.parametrize("content", ["", "MemTotal: many kB\n", "MemTotal:\n"])
def test_files_that_say_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "meminfo").write_text(content)
    found = memory(tmp_path / "meminfo", tmp_path)
    assert found.total == memory().total or found.available == 0
