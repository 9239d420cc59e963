"""Paired timings: A and B in turn, in one process, and the ratio pair by pair."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import msgspec


class Row(msgspec.Struct, frozen=True):
    """One measured figure: the median of the ratios of pairs, or of single runs, and its extremes."""

    part: str
    what: str
    target: str
    value: float
    least: float
    most: float
    runs: int
    unit: str = ""
    """ "" for a ratio."""
    detail: str = ""
    """The figures behind it, in words."""
    figures: tuple[float, ...] = ()
    """What a curve is drawn from: (tokens, A, B); seconds, or bytes."""

    def shown(self) -> str:
        spread = f" ({self.least:.3g} to {self.most:.3g}, {self.runs} runs)" if self.runs > 1 else " (1 run)"
        return f"{self.value:.3g}{' ' + self.unit if self.unit else ''}{spread}"


class Clock:
    """Stops a benchmark between two runs when its time is used up."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    @property
    def over(self) -> bool:
        return time.monotonic() >= self._end


def now() -> float:
    """Seconds of the clock that `MEMREAD_BENCH_CLOCK` names: "wall", or "cpu", that of this process.

    Processor time with one thread tells what work costs on a machine where other programs run.
    """
    return time.process_time() if os.environ.get("MEMREAD_BENCH_CLOCK") == "cpu" else time.perf_counter()


def seconds(work: Callable[[], object]) -> float:
    began = now()
    work()
    return now() - began


def paired(
    a: Callable[[], float], b: Callable[[], float], runs: int, clock: Clock
) -> list[tuple[float, float]]:
    """(seconds of A, seconds of B), A and B in turn. At least one pair, `runs` unless the time is over."""
    pairs: list[tuple[float, float]] = []
    while not pairs or (len(pairs) < runs and not clock.over):
        # Every other pair in the other order, so that a drift of the machine favours neither.
        if len(pairs) % 2:
            second = b()
            pairs.append((a(), second))
        else:
            pairs.append((a(), b()))
    return pairs


def ratio(part: str, what: str, target: str, pairs: list[tuple[float, float]], detail: str = "") -> Row:
    ratios = [a / b for a, b in pairs]
    return figure(part, what, target, ratios, detail=detail)


def figure(part: str, what: str, target: str, values: list[float], unit: str = "", detail: str = "") -> Row:
    return Row(
        part, what, target, statistics.median(values), min(values), max(values), len(values), unit, detail
    )


def machine() -> str:
    """The machine, as far as it changes speed."""
    name = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"):
            name = line.split(":", 1)[1].strip()
            break
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = f", load {os.getloadavg()[0]:.1f} before" if hasattr(os, "getloadavg") else ""
    return f"{name}, {usable} cores{load}, {platform.system()}, Python {platform.python_version()}"


def table(rows: list[Row]) -> str:
    """Markdown."""
    lines = ["| what | target | measured | |", "| --- | --- | --- | --- |"]
    lines += [f"| {row.what} | {row.target} | {row.shown()} | {row.detail} |" for row in rows]
    return "\n".join(lines)
