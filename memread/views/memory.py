"""The memory as lines: finished, with what came and went; and while it is being rewritten."""

from __future__ import annotations

from dataclasses import dataclass

from rich.text import Text

from memread.views import diff, words
from memread.views.page import Page, cut
from memread.views.reading import Reading

_SIGNS = {"=": "", "+": "bold green", "-": "bold red"}
_STYLES = {"=": "", "+": "green", "-": "dim"}


@dataclass(frozen=True)
class Block:
    """Lines, and how many of them there are up to where the eye should be."""

    lines: list[Text]
    focus: int


def plain(text: Text, page: Page, sign: Text | None = None, limit: int = 0) -> list[Text]:
    """`text` wrapped between the margins, each line with its sign; at most `limit` lines, if given."""
    wrapped = list(text.wrap(page.console, page.inner, tab_size=4))
    if limit and len(wrapped) > limit:
        wrapped = wrapped[:limit]
        wrapped[-1] = cut(Text.assemble(wrapped[-1], " " * page.inner), page.inner, page.glyphs.ellipsis)
    lines = []
    for part in wrapped:
        part.rstrip()
        lines.append(Text.assemble(sign if sign is not None else " ", " ", part))
    return lines


def revised(reading: Reading, page: Page) -> Block:
    """The memory after a segment, with what it gained (+) and lost (−)."""
    lines: list[Text] = []
    focus = 0
    # Once it is answered from, what matters is the memory, not how it came about.
    before = reading.memory if reading.answering else reading.before
    entries = diff.compare(words.shown(before), words.shown(reading.memory))
    gained = any(entry.sign == "+" for entry in entries)
    for entry in entries:
        sign = Text({"=": " ", "+": page.glyphs.plus, "-": page.glyphs.minus}[entry.sign], _SIGNS[entry.sign])
        text = Text()
        reworded = any(not run.changed for run in entry.runs) and len(entry.runs) > 1
        for run in entry.runs:
            style = _STYLES[entry.sign] if run.changed or not reworded else ""
            text.append(run.text, style)
        lines += plain(text, page, sign)
        if entry.sign == "+" or (entry.sign == "-" and not gained):
            focus = len(lines)
    return Block(lines, focus)


def drafted(reading: Reading, page: Page) -> Block:
    """The memory while it is written: the new text, then dimmed what is left to take its place."""
    old, new = words.shown(reading.memory), words.shown(reading.draft)
    known = {" ".join(unit.split()) for unit in diff.units(old)}
    written = diff.units(new)
    rest = diff.remainder(old, new)
    ghosts = diff.units(rest)
    lines: list[Text] = []
    for unit in written[:-1]:
        lines += _drafted(unit, " ".join(unit.split()) in known, page)
    if written:
        last = written[-1]
        same = any(unit.startswith(" ".join(last.split())) for unit in known)
        ghost = ""
        if ghosts and not last.endswith((".", "!", "?", "…", "。")):
            ghost = (" " if rest is old or rest[:1].isspace() else "") + ghosts.pop(0)
        lines += _drafted(last, same, page, page.glyphs.caret, ghost)
    focus = len(lines)
    for ghost in ghosts:
        lines += plain(Text(ghost, "dim"), page)
    return Block(lines, focus)


def _drafted(unit: str, same: bool, page: Page, caret: str = "", ghost: str = "") -> list[Text]:
    """A sentence being written, and behind the caret the one it is written over."""
    text = Text.assemble((unit, "" if same else "green"), (caret, "cyan"), (ghost, "dim"))
    if same:
        return plain(text, page)
    # Only lines that hold new text are marked, not those with the rest of the old.
    lines = plain(text, page, Text(page.glyphs.plus, _SIGNS["+"]))
    seen = 0
    for at, line in enumerate(lines):
        if seen >= len(unit):
            lines[at] = Text.assemble(" ", line[1:])
        seen += len(line) - 1
    return lines
