"""A small sample of `make torture`; the long version is that command."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks and kills")


def torture(*arguments: str) -> str:
    command = [sys.executable, "-m", "tests.torture", *arguments]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=3600)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_readings_killed_here_and_there_end_as_undisturbed_ones() -> None:
    said = torture("--random", "2", "--chosen", "3", "--downloads", "0", "--minutes", "2")
    assert "Every reading ended as the undisturbed one" in said


def test_downloads_killed_here_and_there_end_with_the_very_file() -> None:
    # Of a seed of its own, the three points may be such as are never come to.
    said = torture("--random", "0", "--chosen", "0", "--downloads", "3", "--minutes", "4", "--seed", "3")
    killed = re.search(r"^Downloads: (\d+) kills at chosen points; \d+ came too late", said, re.M)
    assert killed and int(killed[1]) >= 4


@pytest.mark.slow
def test_readings_killed_everywhere_end_as_undisturbed_ones() -> None:
    assert "Every reading ended as the undisturbed one" in torture()
