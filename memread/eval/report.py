"""Results as numbers, a table and bars in the terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from memread.eval.diagnose import NAMES, Cause
from memread.eval.intervals import Interval, interval
from memread.eval.methods import METHODS
from memread.eval.results import Result
from memread.text import one_line

_MANY = 10
"""With more lengths than this (the paper's grid has ten), a task's items (a user's own texts) are grouped by
powers of two."""
_NAME = 60
"""Characters of a method's name with its settings: a file may come from elsewhere."""
ALL = "all tasks"


class Cell(msgspec.Struct, frozen=True):
    """One task, length and arm. Faults and texts that do not fit are counted, and not scored."""

    model: str
    task: str
    length: int
    """Tokens; for a task measured in documents, their number."""
    documents: bool
    arm: str
    """The method, and what a sweep changed."""
    items: int
    """Answered."""
    faults: int
    misfits: int
    accuracy: Interval | None
    """Mean score and its 95 % interval; None when nothing was answered."""
    seconds: float
    tokens: float
    """Prompt and reply tokens. Both a mean over the answered items."""
    causes: dict[Cause, int]
    repeated: int
    """Distractors used more than once, over all items."""

    @property
    def label(self) -> str:
        return label(self.length, self.documents)


def tokens(number: int) -> str:
    """Such as 8K, 3.5M, 5,000."""
    if number >= 1 << 20 and number % (1 << 18) == 0:
        return f"{number / (1 << 20):g}M"
    return f"{number // 1024}K" if number >= 1024 and number % 1024 == 0 else f"{number:,}"


def label(length: int, documents: bool) -> str:
    """Such as 8K, 50 docs."""
    return f"{length} docs" if documents else tokens(length)


def arm(result: Result) -> str:
    return one_line(f"{result.method} {result.variant}", _NAME)


def told_apart(results: Sequence[Result]) -> list[Result]:
    """`results`, of which those of one name that were measured with other weights or settings say so in their
    variant: together they would be a sample of nothing."""
    groups: dict[tuple[str, str, str], list[Result]] = {}
    for result in results:
        groups.setdefault((result.model, result.method, result.variant), []).append(result)
    said: dict[str, str] = {}
    for group in groups.values():
        facts = [_measured_with(result) for result in group]
        differ = [name for name in facts[0] if len({fact[name] for fact in facts}) > 1]
        if len(differ) > 1 and "profile" in differ:  # it is another since what it sets is
            without = [name for name in differ if name != "profile"]
            ways = [{tuple(fact[name] for name in names) for fact in facts} for names in (without, differ)]
            differ = without if len(ways[0]) == len(ways[1]) else differ
        for result, fact in zip(group, facts, strict=True):
            said[result.key] = ",".join(f"{name}={fact[name]}" for name in differ)
    return [
        msgspec.structs.replace(result, variant=" ".join(filter(None, (result.variant, said[result.key]))))
        for result in results
    ]


def _measured_with(result: Result) -> dict[str, str]:
    """What another value of makes another measurement, as it is shown."""
    found = {"weights": result.weights, "profile": str(result.settings.get("profile_digest", ""))}
    found = {name: digest.removeprefix("sha256:")[:8] for name, digest in found.items()}
    found["loop"] = result.versions.get("loop", "1")
    for part, names in (("budget", ("segment", "memory", "answer")), ("sampling", ("temperature", "seed"))):
        values = result.settings.get(part)
        values = values if isinstance(values, dict) else {}
        found |= {name: str(values.get(name, "")) for name in names}
    return found


def compared(results: Sequence[Result]) -> list[Result]:
    """Results whose lines can be drawn together: of several models, each is named in the variant."""
    models = sorted({result.model for result in results})
    if len(models) < 2:
        return list(results)
    name = " and ".join(models)
    return [
        msgspec.structs.replace(result, model=name, variant=f"{result.variant} {result.model}".lstrip())
        for result in results
    ]


def cells(results: Sequence[Result]) -> list[Cell]:
    """By model, task and length, methods in their order; then all tasks together where there are several."""
    placed = places(results)
    groups: dict[tuple[str, str, int, bool, str], list[Result]] = {}
    for result in results:
        place = placed[result.key]
        groups.setdefault((result.model, result.task, *place, arm(result)), []).append(result)
    if len({result.task for result in results}) > 1:
        for result in results:
            place = placed[result.key]
            groups.setdefault((result.model, ALL, *place, arm(result)), []).append(result)
    order = {name: number for number, name in enumerate(METHODS)}
    tasks = {task: number for number, task in enumerate(dict.fromkeys(group[1] for group in groups))}
    names = sorted(
        groups,
        key=lambda group: (group[0], tasks[group[1]], group[3], group[2], order.get(group[4].split()[0], 99)),
    )
    return [_cell(*name, groups[name]) for name in names]


def _cell(model: str, task: str, length: int, documents: bool, name: str, group: list[Result]) -> Cell:
    answered = [result for result in group if result.score is not None]
    count = len(answered) or 1
    return Cell(
        model=model,
        task=task,
        length=length,
        documents=documents,
        arm=name,
        items=len(answered),
        faults=sum(result.outcome == "fault" for result in group),
        misfits=sum(result.outcome == "does-not-fit" for result in group),
        accuracy=interval([result.score for result in answered if result.score is not None])
        if answered
        else None,
        seconds=sum(result.timing.seconds for result in answered) / count,
        tokens=sum(result.prompt_tokens + result.reply_tokens for result in answered) / count,
        causes=causes(answered),
        repeated=sum(result.repeated for result in group),
    )


def causes(results: Iterable[Result]) -> dict[Cause, int]:
    """How often each cause of failure is found, in their order; those that are not are left out."""
    found = Counter(result.diagnosis.cause for result in results if result.diagnosis is not None)
    return {cause: found[cause] for cause in NAMES if found[cause] and cause != "right"}


def places(results: Sequence[Result]) -> dict[str, tuple[int, bool]]:
    """By key: (length as it is grouped, whether that is a number of documents)."""
    lengths: dict[str, set[int]] = {}
    for result in results:
        lengths.setdefault(result.task, set()).add(result.length)
    found = {}
    for result in results:
        by_documents = result.task == "hotpotqa" and result.documents is not None
        if by_documents and result.documents is not None:
            place = result.documents
        elif len(lengths[result.task]) > _MANY:
            place = 1 << max(result.length - 1, 1).bit_length()
        else:
            place = result.length
        found[result.key] = place, by_documents
    return found


def as_data(results: Sequence[Result]) -> dict[str, Any]:
    """What --json prints."""
    first = results[0] if results else None
    return {
        "cells": [{**msgspec.to_builtins(cell), "label": cell.label} for cell in cells(results)],
        "results": len(results),
        "outcomes": dict(Counter(result.outcome for result in results)),
        "failures": {name: causes(group) for name, group in by_arm(results).items()},
        "models": sorted({result.model for result in results}),
        "weights": sorted({result.weights for result in results}),
        "versions": first.versions if first else {},
        "commands": list(dict.fromkeys(result.command for result in results)),
    }


def by_arm(results: Iterable[Result]) -> dict[str, list[Result]]:
    """In the order of METHODS."""
    found: dict[str, list[Result]] = {}
    for result in results:
        found.setdefault(arm(result), []).append(result)
    order = {name: number for number, name in enumerate(METHODS)}
    return dict(sorted(found.items(), key=lambda pair: order.get(pair[0].split()[0], 99)))


def table(results: Sequence[Result]) -> str:
    """Accuracy with its interval, what an item costs, and why the others failed; then the totals."""
    found = cells(results)
    several = len({cell.model for cell in found}) > 1
    rows = [
        ("task", "length", "method", "right %", "95 % interval", "items", "s/item", "tokens/item", "why not")
    ]
    last: tuple[str, ...] = ()
    for cell in found:
        head = (f"{cell.task} · {cell.model}" if several else cell.task, cell.label)
        shown = tuple(
            "" if part == before and head[:n] == last[:n] else part
            for n, (part, before) in enumerate(zip(head, last or ("",) * 2, strict=True))
        )
        last = head
        accuracy = cell.accuracy
        rows.append(
            (
                one_line(shown[0], 40),
                shown[1],
                cell.arm,
                f"{100 * accuracy.mean:.1f}" if accuracy else "–",
                f"{100 * accuracy.low:.1f} – {100 * accuracy.high:.1f}" if accuracy else "",
                str(cell.items),
                f"{cell.seconds:.1f}" if accuracy else "",
                f"{cell.tokens:,.0f}" if accuracy else "",
                _why(cell),
            )
        )
    lines = _aligned(rows, right=(3, 4, 5, 6, 7))
    failures = [
        f"{name}: {_named(counts)}" for name, group in by_arm(results).items() if (counts := causes(group))
    ]
    if failures:
        lines += ["", "Failures in all:", *(f"  {line}" for line in failures)]
    if any(cell.repeated for cell in found):
        lines += ["", "The corpus was too small: some distractors were used more than once (see repeated)."]
    return "\n".join(lines)


def bars(results: Sequence[Result], width: int = 80) -> str:
    """Accuracy as bars: for every length a bar for each arm, all tasks together."""
    found = cells(results)
    whole = [cell for cell in found if cell.task == ALL] or found
    several = len({(cell.model, cell.task) for cell in whole}) > 1
    names = max((len(cell.arm) for cell in whole), default=0)
    room = max(width - names - 26, 10)
    lines: list[str] = []
    head = ""
    for cell in whole:
        title = (f"{cell.task} · " if several else "") + cell.label
        if title != head:
            lines += ["", one_line(title, width)] if lines else [one_line(title, width)]
            head = title
        accuracy = cell.accuracy
        if accuracy is None:
            what = "does not fit" if cell.misfits else "no answer: the engine failed"
            lines.append(f"  {cell.arm:<{names}}  {what}")
            continue
        filled = round(accuracy.mean * room)
        low, high = round(accuracy.low * room), round(accuracy.high * room)
        bar = "".join(
            "█" if at < filled and at < low else "▓" if at < filled else "░" if at < high else " "
            for at in range(room)
        )
        lines.append(f"  {cell.arm:<{names}}  {bar}▏{100 * accuracy.mean:5.1f} %  n={cell.items}")
    if lines:
        lines += ["", "█ ▓ ░  up to the lower end, the mean and the upper end of the 95 % interval"]
    return "\n".join(lines)


def _why(cell: Cell) -> str:
    parts = [_named(cell.causes)] if cell.causes else []
    if cell.misfits:
        parts.append(f"{cell.misfits} do not fit")
    if cell.faults:
        parts.append(f"{cell.faults} engine faults")
    return ", ".join(parts)


def _named(counts: dict[Cause, int]) -> str:
    return ", ".join(f"{count} {NAMES[cause]}" for cause, count in counts.items())


def _aligned(rows: Sequence[Sequence[str]], right: Sequence[int]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            text.rjust(width) if column in right else text.ljust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    lines.insert(1, "─" * max(map(len, lines)))
    return lines
