"""Coverage-guided fuzzing: `python -m tests.fuzz [TARGET…] [--executions N] [--minutes M]` (`make fuzz`)."""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.fuzz.bounds import Finding
from tests.fuzz.findings import keep, kept
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]
_DEATHS = 3
"""After so many deaths of its process a target is left alone."""
_ROW = "{:<11} {:>11} {:>7} {:>7} {:>14} {:>9}"


class Row(NamedTuple):
    """What came of one target."""

    executions: int
    seconds: float
    before: int
    """Branches that the seeds reach; libFuzzer counts edges of Python's bytecode."""
    after: int
    new: int
    """Findings that were not there before."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; else all")
    parser.add_argument("--executions", type=int, default=300_000, help="of all targets together")
    parser.add_argument("--minutes", type=float, default=30, help="of all targets together, at most")
    parser.add_argument("--seed", type=int, default=int(time.time()) % 1_000_000)
    options = parser.parse_args()
    if unknown := sorted(set(options.targets) - set(TARGETS)):
        parser.error(f"no such target: {', '.join(unknown)}")
    if importlib.util.find_spec("atheris") is None:
        print("Fuzzing needs atheris, which is there for Linux: pip install --group fuzz", file=sys.stderr)
        return 2
    names = options.targets or sorted(TARGETS, key=lambda name: -TARGETS[name].share)
    shares = sum(TARGETS[name].share for name in names)
    print(
        f"seed {options.seed}\n{_ROW.format('target', 'executions', 's', 'per s', 'coverage', 'findings')}",
        flush=True,
    )
    rows: list[Row] = []
    for number, name in enumerate(names):
        executions = round(options.executions * TARGETS[name].share / shares)
        # Each may take its part of the time that is left: what fast ones leave is for the others.
        left = 60 * options.minutes - sum(row.seconds for row in rows)
        rows.append(fuzz(name, executions, max(1.0, left) / (len(names) - number), options.seed))
        _tell(name, rows[-1])
    total = Row(*(sum(column) for column in zip(*rows, strict=True)))
    _tell("all", total)
    if total.new:
        print(f"\nNew findings are in {Path(__file__).parent / 'findings'}; the tests run them from now on.")
    return 1 if total.new else 0


def _tell(name: str, row: Row) -> None:
    speed = f"{row.executions / max(row.seconds, 0.1):,.0f}"
    coverage = f"{row.before:,} → {row.after:,}"
    print(
        _ROW.format(name, f"{row.executions:,}", f"{row.seconds:.0f}", speed, coverage, row.new), flush=True
    )


def fuzz(name: str, executions: int, seconds: float, seed: int) -> Row:
    """One target, until either bound is reached."""
    before, done, spent, deaths = set(kept(name)), 0, 0.0, 0
    coverage = [0, 0]
    while done < executions and spent < seconds and deaths < _DEATHS:
        with tempfile.TemporaryDirectory(prefix="memread-fuzz-") as folder:
            bounds = (str(executions - done), str(max(1, round(seconds - spent))), str(seed + deaths))
            begun = time.monotonic()
            said = _run(name, folder, bounds, 2 * seconds + 300)
            spent += time.monotonic() - begun
            written = (
                (Path(folder) / "executions").read_text() if (Path(folder) / "executions").exists() else ""
            )
            ended = re.search(r"Done (\d+) runs", said)
            done += int(ended.group(1)) if ended else int(written or 0)
            found = [int(number) for number in re.findall(r"cov: (\d+)", said)]
            if found:
                coverage = [coverage[0] or found[0], max(coverage[1], *found)]
            if ended:
                break
            deaths += 1
            for left in Path(folder).glob("died-*"):
                kind = left.name.split("-")[1]
                keep(name, left.read_bytes(), Finding(f"the process died: {kind}", said[-4000:]))
            if not list(Path(folder).glob("died-*")):
                raise SystemExit(f"the target {name} ended without a word:\n{said[-4000:]}")
    return Row(done, spent, *coverage, len(set(kept(name)) - before))


def _run(name: str, folder: str, bounds: tuple[str, ...], patience: float) -> str:
    """What libFuzzer says. A process that does not end by itself is killed."""
    command = [sys.executable, "-m", "tests.fuzz.child", name, folder, *bounds]
    try:
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=patience)
        return ended.stderr.decode("utf-8", "replace")
    except subprocess.TimeoutExpired as late:
        return (late.stderr or b"").decode("utf-8", "replace")


if __name__ == "__main__":
    sys.exit(main())
