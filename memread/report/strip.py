"""The strip: the whole document from left to right, and how much the memory changed at each place."""

from __future__ import annotations

from collections.abc import Sequence

from memread.report.story import Step, Story
from memread.views.evidence import verified

WIDTH, UP, DOWN = 1200, 56, 24
"""Units of the drawing: its length, and what there is above and below the line."""


def strip(story: Story) -> str:
    """An SVG without any text of the documents. Words that came in stand up, those that went hang down."""
    ends = _ends(story.steps, story.tokens, story.scale)
    added = _columns(ends, [step.added for step in story.steps])
    dropped = _columns(ends, [step.dropped for step in story.steps])
    kept = _columns(ends, [int(step.outcome == "kept") for step in story.steps])
    found = _columns(ends, [sum(map(verified, step.found)) for step in story.steps])
    most = max([*(height for _, _, height in added), *(height for _, _, height in dropped), 1])
    read = ends[-1][1] if ends else 0.0
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {UP + DOWN + 12}" preserveAspectRatio="none" aria-hidden="true">',
        f'<path class="line" d="M0 {UP + 6}H{WIDTH}"/><path class="read" d="M0 {UP + 6}H{read:.1f}"/>',
        _path("added", added, most, UP, -1),
        _path("dropped", dropped, most, DOWN, 1),
        _marks("kept", kept, UP + 5, 4),
        _marks("found", found, UP + DOWN + 9, 3),
        "</svg>",
    ]
    return "".join(parts)


def _ends(steps: Sequence[Step], tokens: int, scale: float) -> list[tuple[float, float]]:
    """From where to where each segment reaches."""
    ends, at = [], 0
    for step in steps:
        start, at = at, at + step.tokens
        ends.append((WIDTH * scale * start / max(1, tokens), WIDTH * scale * at / max(1, tokens)))
    return ends


def _columns(ends: Sequence[tuple[float, float]], heights: Sequence[int]) -> list[tuple[float, float, int]]:
    """(from, to, height) of what is not 0; of segments that share a unit of the drawing, the highest."""
    found: list[tuple[float, float, int]] = []
    for (start, end), height in zip(ends, heights, strict=True):
        if height and found and start < found[-1][0] + 1:
            found[-1] = (found[-1][0], max(end, found[-1][1]), max(height, found[-1][2]))
        elif height:
            found.append((start, end, height))
    return found


def _path(kind: str, columns: Sequence[tuple[float, float, int]], most: int, room: int, way: int) -> str:
    drawn = []
    for start, end, height in columns:
        gap = min(10.0, (end - start) * 0.12)
        tall = way * max(1.5, room * (height / most) ** 0.5)
        drawn.append(f"M{start:.1f} {UP + 6 + way}v{tall:.1f}h{max(0.8, end - start - gap):.1f}v{-tall:.1f}z")
    return f'<path class="{kind}" d="{"".join(drawn)}"/>'


def _marks(kind: str, columns: Sequence[tuple[float, float, int]], y: int, tall: int) -> str:
    drawn = (
        f"M{start:.1f} {y}h{max(2.0, end - start - 1):.1f}v{tall}H{start:.1f}z" for start, end, _ in columns
    )
    return f'<path class="{kind}" d="{"".join(drawn)}"/>'
