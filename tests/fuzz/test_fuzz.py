"""A short sample of `make fuzz`, what it found before, and whether it would notice.

Here inputs are changed at random, without looking at what they reach: that needs atheris, and time.
"""

from __future__ import annotations

import importlib.util
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from memread.errors import DamagedDocument, EmptyInput

if sys.platform == "win32":
    pytest.skip("needs timers and limits of Unix", allow_module_level=True)

from tests.fuzz import bounds
from tests.fuzz.bounds import run
from tests.fuzz.findings import kept
from tests.fuzz.targets import REPEAT, TARGETS, changed

ROOT = Path(__file__).parents[2]
CHANGES = 30
"""Changed inputs of each target."""

pytestmark = pytest.mark.filterwarnings("default")
"""Parsers warn of broken documents."""


@pytest.mark.parametrize("name", [name for name in TARGETS if not name.endswith("-long")])
def test_whatever_is_changed_in_a_seed_ends_well(name: str) -> None:
    target = TARGETS[name]
    seeds, chance = target.seeds(), random.Random(name)
    for data in seeds:
        assert run(target.run, data) is None
    for _ in range(CHANGES):
        data = changed(chance.choice(seeds), chance, target.words)
        assert (found := run(target.run, data)) is None, f"{found.trace}\n{data!r}"


@pytest.mark.parametrize("name", [name for name in TARGETS if name.endswith("-long")])
def test_what_is_repeated_a_thousand_times_takes_no_hours(name: str) -> None:
    target = TARGETS[name]
    data = random.Random(name).choice([seed for seed in target.seeds() if REPEAT in seed])
    assert (found := run(target.run, data)) is None, f"{found.trace}\n{data!r}"


@pytest.mark.parametrize(
    "path", [path for name in TARGETS for path in kept(name)], ids=lambda path: path.name
)
def test_what_was_found_before_ends_well(path: Path) -> None:
    found = run(TARGETS[path.parent.name].run, path.read_bytes())
    assert found is None, found.trace


def test_every_finding_belongs_to_a_target() -> None:
    folders = {path.name for path in (Path(__file__).parent / "findings").iterdir() if path.is_dir()}
    assert folders - {"__pycache__"} <= set(TARGETS)


# ── whether it would notice ──


def test_an_error_of_memreads_is_an_end_like_another_and_others_are_findings() -> None:
    def fails(data: bytes) -> None:
        raise {b"a": EmptyInput("nothing"), b"b": DamagedDocument("two\nlines"), b"c": KeyError(3)}[data]

    assert run(fails, b"a") is None
    found = run(fails, b"b")
    assert found is not None and "message" in found.key
    found = run(fails, b"c")
    assert found is not None and found.key.startswith("KeyError in test_fuzz.py") and "raise" in found.trace


def test_a_hang_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "SECONDS", 0.05)

    def hangs(data: bytes) -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                re.match(r"(a+)+$", "a" * 18 + "b")
            except Exception:  # a reader that takes every error for damage
                continue

    found = run(hangs, b"")
    assert found is not None and found.key.startswith("hang in test_fuzz.py")


def test_memory_is_a_finding() -> None:
    program = (
        "from tests.fuzz import bounds; bounds.MEMORY = 50 << 20\n"
        "assert bounds.run(lambda data: None, b'') is None\n"
        "found = bounds.run(lambda data: len(b'x' * (400 << 20)), b'')\n"
        "assert found is not None and found.key == 'memory'"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=120)


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")
def test_the_command_counts_and_stops() -> None:
    command = [
        sys.executable,
        "-m",
        "tests.fuzz",
        "sniff",
        "--executions",
        "500",
        "--minutes",
        "1",
        "--seed",
        "7",
    ]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    counts = re.search(r"^sniff +(\d+) +\d+ +[\d,]+ +(\d+) → (\d+) +0$", ended.stdout, re.M)
    assert counts and int(counts[1]) >= 500 and int(counts[3]) >= int(counts[2]) > 10
