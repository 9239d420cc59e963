"""Figures: accuracy against length, the depth × length grid, and why items failed. PNG and SVG.

The colours are Okabe and Ito's, told apart by readers of any colour vision; on grey paper line styles,
markers and hatches tell the same.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from memread.errors import FileUnreadable, UsageError
from memread.eval.diagnose import NAMES, Cause
from memread.eval.intervals import interval
from memread.eval.report import ALL, Cell, arm, by_arm, causes, cells, compared, label, places, tokens
from memread.eval.results import Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _GREY, GRID = "#222222", "#6b6b6b", "#e3e3e3"
LINES: Final = (
    ("#0072B2", "o", "-", 2.6),  # memread is first, and heaviest
    ("#D55E00", "s", (0, (5, 2)), 1.7),
    ("#009E73", "^", (0, (1, 1.5)), 1.7),
    ("#CC79A7", "D", (0, (6, 2, 1, 2)), 1.7),
    ("#E69F00", "v", (0, (3, 1.5)), 1.7),
    ("#56B4E9", "P", (0, (4, 1, 1, 1, 1, 1)), 1.7),
    ("#333333", "X", (0, (2, 3)), 1.7),
    ("#8C6D1F", "<", (0, (8, 3)), 1.7),
    ("#7A4FA3", ">", (0, (1, 3)), 1.7),
)
_ORDER: Final = ("memread", "full", "truncate", "bm25", "refine", "mapreduce", "notes", "skim")
_CAUSES: Final[dict[Cause, tuple[str, str]]] = {
    "never_memorised": ("#56B4E9", ""),
    "lost": ("#E69F00", "///"),
    "answered_wrongly": ("#009E73", "..."),
    "overflowed": ("#CC79A7", "xxx"),
    "degenerated": ("#333333", ""),
    "unknown": ("#e4e4e4", ""),
}
STYLE: Final = {
    "font.size": 10,
    "font.family": "DejaVu Sans",
    "axes.edgecolor": _GREY,
    "axes.labelcolor": _INK,
    "text.color": _INK,
    "xtick.color": _GREY,
    "ytick.color": _GREY,
    "xtick.labelcolor": _INK,
    "ytick.labelcolor": _INK,
    "hatch.linewidth": 0.6,
    "figure.constrained_layout.w_pad": 0.08,
    "figure.constrained_layout.h_pad": 0.08,
    "svg.hashsalt": "memread",
    "svg.fonttype": "none",
}


def require() -> None:
    """Raises UsageError when matplotlib is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError("figures need matplotlib", 'Install it: pip install "memread[eval]"')


def plot(results: Sequence[Result], folder: Path, name: str) -> list[Path]:
    """Draw every figure for which there is something to draw; the files that were written.

    Several models are lines of one figure.

    Raises UsageError without matplotlib, FileUnreadable when `folder` cannot be written.
    """
    require()
    import matplotlib

    results = compared(results)
    written = []
    with matplotlib.rc_context(STYLE):
        drawn = {"accuracy": accuracy(results), "grid": grid(results), "failures": failures(results)}
        for kind, figure in drawn.items():
            if figure is None:
                continue
            for suffix in ("png", "svg"):
                path = folder / f"{name}-{kind}.{suffix}"
                # Without a date, the same results give the same file.
                data: dict[str, Any] = {"Date": None} if suffix == "svg" else {"Software": None}
                try:
                    folder.mkdir(parents=True, exist_ok=True)
                    figure.savefig(path, dpi=160, metadata=data, facecolor="white")
                except OSError as error:
                    raise FileUnreadable(f"{path}: cannot be written ({error.strerror or error})") from error
                written.append(path)
    return written


def accuracy(results: Sequence[Result]) -> Figure | None:
    """Accuracy against length, a line for each method, a panel for each task (all tasks together first)."""
    found = cells(results)
    panels: dict[tuple[str, str], list[Cell]] = {}
    for cell in found:
        panels.setdefault((cell.model, cell.task), []).append(cell)
    if not any(cell.accuracy for cell in found):
        return None
    ordered = sorted(panels, key=lambda name: (name[0], name[1] != ALL))
    columns = _columns(len(ordered))
    rows = -(-len(ordered) // columns)
    figure, axes = _figure(rows, columns, 3.1 if columns > 1 else 6.4, 2.6 if columns > 1 else 3.9)
    arms = list(dict.fromkeys(name for name in by_arm(results)))
    styles = _styles(arms)
    several = len({model for model, _ in ordered}) > 1
    for number, name in enumerate(ordered):
        ax = axes[number // columns][number % columns]
        _lines(ax, panels[name], arms, styles)
        heading = f"{name[1]}\n{name[0]}" if several else name[1]
        ax.set_title(heading, fontsize=10, loc="left", fontweight="bold" if name[1] == ALL else "normal")
        if number % columns == 0:
            ax.set_ylabel("accuracy, %")
        if number + columns >= len(ordered):
            ax.set_xlabel("documents" if panels[name][0].documents else "length of the text, tokens")
    for number in range(len(ordered), rows * columns):
        axes[number // columns][number % columns].set_axis_off()
    handles = {line.get_label(): line for ax in figure.axes for line in ax.get_lines()}
    named = [name for name in arms if name in handles]
    figure.legend(
        [handles[name] for name in named],
        named,
        loc="outside lower center",
        ncols=min(len(named), 7 if columns > 1 else 4),
        frameon=False,
        handlelength=3.2,
    )
    marks = "; ×: does not fit" if any(cell.misfits and not cell.accuracy for cell in found) else ""
    _title(figure, "Accuracy against length", results, "bars: 95 % intervals" + marks)
    return figure


def _lines(ax: Axes, group: list[Cell], arms: list[str], styles: dict[str, tuple[Any, ...]]) -> None:
    lengths = sorted({cell.length for cell in group})
    ratio = min((b / a for a, b in pairwise(lengths)), default=2.0)
    for number, name in enumerate(arms):
        points = [(cell.length, cell.accuracy) for cell in group if cell.arm == name and cell.accuracy]
        # Moved apart a little, so that intervals at the same place can be told apart.
        shift = ratio ** ((number - (len(arms) - 1) / 2) * 0.3 / max(len(arms), 4))
        color, marker, dashes, width = styles[name]
        x = [length * shift for length, _ in points]
        y = [100 * found.mean for _, found in points]
        ax.errorbar(
            x,
            y,
            yerr=[
                [100 * max(found.mean - found.low, 0) for _, found in points],
                [100 * max(found.high - found.mean, 0) for _, found in points],
            ],
            fmt="none",
            ecolor=color,
            elinewidth=1.1,
            capsize=1.8,
            alpha=0.55,
            zorder=2,
        )
        ax.plot(
            x,
            y,
            color=color,
            marker=marker,
            linestyle=dashes,
            linewidth=width,
            markersize=6.5 if width > 2 else 5.5,
            markeredgecolor="white",
            markeredgewidth=0.8,
            label=name,
            zorder=4 if width > 2 else 3,
        )
        for length in (
            cell.length for cell in group if cell.arm == name and not cell.accuracy and cell.misfits
        ):
            ax.plot(
                length * shift, -8, marker="x", markersize=5, color=color, linestyle="none", clip_on=False
            )
    ax.set_xscale("log", base=2)
    edge = max(ratio, 1.2) ** 0.6
    ax.set_xlim(lengths[0] / edge, lengths[-1] * edge)
    names = {cell.length: str(cell.length) if cell.documents else cell.label for cell in group}
    ax.set_xticks(lengths, [names[length] for length in lengths], minor=False)
    ax.minorticks_off()
    # Marks of what does not fit stand below 0: they are no accuracy.
    ax.set_ylim(-13 if any(cell.misfits and not cell.accuracy for cell in group) else -4, 104)
    ax.set_yticks([0, 25, 50, 75, 100])
    ax.grid(axis="y", color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    _plain(ax)


def grid(results: Sequence[Result]) -> Figure | None:
    """Where in the text the needle stood × how long the text was, a panel for each method."""
    placed: dict[str, dict[tuple[float, int], list[float]]] = {}
    for result in results:
        depth = result.details.get("cell")
        if isinstance(depth, int | float) and result.score is not None:
            place = (round(float(depth), 3), result.length)
            placed.setdefault(arm(result), {}).setdefault(place, []).append(result.score)
    if not placed:
        return None
    depths = sorted({depth for group in placed.values() for depth, _ in group})
    lengths = sorted({length for group in placed.values() for _, length in group})
    names = [name for name in by_arm(results) if name in placed]
    columns = _columns(len(names))
    rows = -(-len(names) // columns)
    wide, high = max(0.62 * len(lengths) + 1.1, 2.4), max(0.42 * len(depths) + 1.1, 1.9)
    figure, axes = _figure(rows, columns, wide, high)
    image: Any = None
    for number, name in enumerate(names):
        ax = axes[number // columns][number % columns]
        values = [
            [
                100 * sum(scores) / len(scores)
                if (scores := placed[name].get((depth, length)))
                else float("nan")
                for length in lengths
            ]
            for depth in depths
        ]
        image = ax.imshow(values, vmin=0, vmax=100, cmap="cividis", aspect="auto")
        for row, line in enumerate(values):
            for column, value in enumerate(line):
                text = "–" if value != value else f"{value:.0f}"
                color = _GREY if value != value else "white" if value < 55 else "black"
                ax.text(column, row, text, ha="center", va="center", fontsize=8.5, color=color)
        ax.set_xticks(range(len(lengths)), [tokens(length) for length in lengths])
        ax.set_yticks(range(len(depths)), [f"{100 * depth:.0f} %" for depth in depths])
        ax.tick_params(length=0)
        for side in ax.spines.values():
            side.set_visible(False)
        for border in range(1, len(depths)):
            ax.axhline(border - 0.5, color="white", linewidth=1.2)
        for border in range(1, len(lengths)):
            ax.axvline(border - 0.5, color="white", linewidth=1.2)
        ax.set_title(name, fontsize=10, loc="left")
        if number % columns == 0:
            ax.set_ylabel("depth of the needle")
        if number + columns >= len(names):
            ax.set_xlabel("length of the text, tokens")
    for number in range(len(names), rows * columns):
        axes[number // columns][number % columns].set_axis_off()
    bar = figure.colorbar(image, ax=[ax for row in axes for ax in row], shrink=0.8, pad=0.02)
    bar.set_label("accuracy, %")
    bar.outline.set_visible(False)
    _title(figure, "Accuracy by depth and length", results)
    return figure


def failures(results: Sequence[Result]) -> Figure | None:
    """Why items were not answered rightly: a bar for each method and length, as long as their share."""
    answered = [result for result in results if result.score is not None]
    if not any(causes([result]) for result in answered):
        return None
    rows: list[tuple[str, str, list[Result]]] = []
    placed = places(answered)
    for place in sorted(set(placed.values()), key=lambda place: (place[1], place[0])):
        here = [result for result in answered if placed[result.key] == place]
        rows += [(label(*place), name, group) for name, group in by_arm(here).items()]
    figure, axes = _figure(1, 1, 7.6, 0.27 * len(rows) + 0.36 * len(set(placed.values())) + 1.5)
    ax = axes[0][0]
    at, last = 0.0, ""
    ticks, names = [], []
    for heading, name, group in rows:
        if heading != last:
            at += 0.9 if last else 0.0
            ax.text(
                0,
                at - 0.72,
                heading if "docs" in heading else f"{heading} tokens",
                fontweight="bold",
                fontsize=9.5,
            )
            last = heading
        left = 0.0
        for cause, count in causes(group).items():
            share = 100 * count / len(group)
            color, hatch = _CAUSES[cause]
            ax.barh(
                at, share, left=left, height=0.72, color=color, hatch=hatch, edgecolor="white", linewidth=0.8
            )
            if share >= 5:
                dark = cause in ("answered_wrongly", "degenerated")
                ax.text(
                    left + share / 2,
                    at,
                    str(count),
                    ha="center",
                    va="center",
                    fontsize=8.5,
                    color="white" if dark else "black",
                    bbox={"boxstyle": "round,pad=0.15", "facecolor": color, "edgecolor": "none"}
                    if hatch
                    else None,
                )
            left += share
        ax.text(left + 1, at, "none" if not left else "", va="center", fontsize=8.5, color=_GREY)
        mean = interval([result.score for result in group if result.score is not None]).mean
        ax.text(101.5, at, f"{100 * mean:.0f} %", va="center", fontsize=8.5, color=_INK, clip_on=False)
        ticks.append(at)
        names.append(f"{name}  (n={len(group)})")
        at += 1.0
    ax.text(101.5, -0.72, "accuracy", fontsize=8.5, color=_GREY, clip_on=False)
    ax.set_yticks(ticks, names)
    ax.set_ylim(at - 0.4, -1.1)
    ax.set_xlim(0, 100)
    ax.set_xlabel("items that failed, % of those answered (numbers: items)")
    ax.grid(axis="x", color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    ax.tick_params(axis="y", length=0)
    _plain(ax)
    from matplotlib.patches import Patch

    present = causes(answered)
    handles = [
        Patch(facecolor=_CAUSES[cause][0], hatch=_CAUSES[cause][1], edgecolor="white", label=NAMES[cause])
        for cause in present
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    _title(figure, "Why items failed", results)
    return figure


def _styles(arms: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """A method has the same colour in every figure; the settings of a sweep take those that are left."""
    plain = {name: LINES[_ORDER.index(name)] for name in arms if name in _ORDER}
    left = [style for style in LINES if style not in plain.values()] or list(LINES)
    swept = [name for name in arms if name not in plain]
    return plain | {name: left[number % len(left)] for number, name in enumerate(swept)}


def _columns(panels: int) -> int:
    """So that the rows are about as full as each other."""
    return panels if panels < 4 else min(-(-panels // -(-panels // 4)), 4)


def _figure(rows: int, columns: int, wide: float, high: float) -> tuple[Figure, list[list[Axes]]]:
    # Not pyplot: no state, no window, no choice of a back end.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(wide * columns + 0.6, high * rows + 1.0), layout="constrained")
    made = figure.subplots(rows, columns, squeeze=False)
    return figure, [[made[row][column] for column in range(columns)] for row in range(rows)]


def _plain(ax: Axes) -> None:
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)


def _title(figure: Figure, title: str, results: Sequence[Result], more: str = "") -> None:
    models = ", ".join(sorted({result.model for result in results}))
    said = " · ".join(part for part in (title, models, more) if part)
    figure.suptitle(said, fontsize=11, x=0.02, ha="left")
