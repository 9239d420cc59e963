"""What a training run measured: one JSON line an update, and a figure of them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]

REINFORCED = (
    ("reward", "reward", "of a rollout, 0 to 1"),
    ("kl", "KL to the start", "nats a token (k3)"),
    ("entropy", "entropy", "nats a token"),
    ("memory_tokens", "last memory", "tokens"),
    ("clip_fraction", "clipped", "share of tokens"),
    ("rejected", "rejected by the guard", "share of replies"),
)
SUPERVISED = (
    ("loss", "loss", "nats, weighted mean of a reply's tokens"),
    ("learning_rate", "learning rate", ""),
    ("dev.loss", "loss, development set", "nats"),
    ("dev.right.new", "a fact is new", "share right to the letter"),
    ("dev.right.kept", "the memory stays", "share right to the letter"),
    ("dev.right.answer", "the answer", "share right to the letter"),
)


def append(path: Path, row: Row) -> None:
    """Add an update's line, and have it on the disk."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read(path: Path) -> list[Row]:
    """All whole lines; a last one that a kill cut in two is left out."""
    rows: list[Row] = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def cut(path: Path, step: int) -> None:
    """Drop what was measured after `step`: a resumed run does those updates again."""
    if path.exists():
        kept = [row for row in read(path) if row["step"] <= step]
        temporary = path.with_suffix(".tmp")
        temporary.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept), "utf-8")
        temporary.replace(path)


def draw(runs: Mapping[str, Sequence[Row]], path: Path, title: str = "") -> None:
    """Six panels by update, of reinforced runs or of supervised ones, a line for each. Needs matplotlib.

    runs: by name, in the order of the key. path: ends with .png or .svg, which says what is written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 3, sharex=True).flat
    panels = REINFORCED if any("reward" in row for rows in runs.values() for row in rows) else SUPERVISED
    for axis, (name, heading, unit) in zip(axes, panels, strict=True):
        for colour, (run, rows) in enumerate(runs.items()):
            found = [(row["step"], value) for row in rows if (value := number(row, name)) is not None]
            at, values = [step for step, _ in found], [value for _, value in found]
            if len(values) > 40:
                axis.plot(at, values, color=f"C{colour}", alpha=0.25, linewidth=1)
                values = smoothed(values)
            marker = "" if len(values) > 40 else "o"
            axis.plot(at, values, color=f"C{colour}", linewidth=2, marker=marker, markersize=4, label=run)
        axis.set_title(heading, fontsize=10)
        axis.set_ylabel(unit, fontsize=8)
        axis.tick_params(labelsize=8)
        axis.margins(x=0)
    if len(runs) > 1:
        handles, names = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=len(runs), fontsize=9, frameon=False)
    if title:
        figure.suptitle(title, fontsize=11)
    figure.supxlabel("updates", fontsize=9)
    figure.savefig(path, dpi=120)


def number(row: Row, name: str) -> float | None:
    """A value by its dotted name; "4/30" is a share. None where the row has none."""
    value: Any = row
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    if isinstance(value, str):
        right, _, count = value.partition("/")
        return int(right) / int(count)
    return None if value is None else float(value)


def smoothed(values: list[float], weight: float = 0.9) -> list[float]:
    """The exponential mean of what came so far, without the pull of a first value."""
    found: list[float] = []
    total = share = 0.0
    for value in values:
        total = weight * total + (1 - weight) * value
        share = weight * share + (1 - weight)
        found.append(total / share)
    return found
