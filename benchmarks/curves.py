"""The curves of `context` as a figure: python -m benchmarks.curves build/bench/results.json FIGURE"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from benchmarks.measure import Row
from memread.eval import plots

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def main(results: Path, target: Path) -> None:
    import matplotlib

    rows = msgspec.json.decode(results.read_bytes(), type=list[Row])
    found = [row for row in rows if row.part == "context" and row.figures]
    if not found:
        raise SystemExit(f"{results} has no curves: python -m benchmarks context --lengths 4096,8192,16384")
    with matplotlib.rc_context(plots.STYLE):
        drawn = _drawn(found)
        drawn.savefig(target, dpi=160, facecolor="white", metadata={"Date": None})
    print(f"Written to {target}")


def _drawn(rows: list[Row]) -> Figure:
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(8.4, 3.4), layout="constrained")
    panels = (("time", "seconds", 1.0), ("peak memory", "peak memory, MiB", 2.0**20))
    for ax, (what, label, unit) in zip(drawn.subplots(1, 2), panels, strict=True):
        curve = sorted(row.figures for row in rows if row.what.endswith(f": {what}"))
        lengths = [length for length, _, _ in curve]
        lines = (
            ("memread", [ours / unit for _, ours, _ in curve]),
            ("one context", [whole / unit for _, _, whole in curve]),
        )
        for (name, values), (color, marker, dashes, width) in zip(lines, plots.LINES, strict=False):
            style = {"color": color, "marker": marker, "linestyle": dashes, "linewidth": width}
            ax.plot(lengths, values, label=name, markeredgecolor="white", clip_on=False, **style)
        ax.set_xticks(lengths, [f"{length / 1024:.0f}K" for length in lengths])
        ax.set_xlim(0, max(lengths) * 1.03)
        ax.set_ylim(0)
        ax.set_xlabel("tokens of the text")
        ax.set_title(label, loc="left")
        ax.grid(axis="y", color=plots.GRID, linewidth=0.8)
        ax.legend(frameon=False)
    return drawn


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
