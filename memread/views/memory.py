"""The memory as lines: finished, with what came and went; and while it is being rewritten."""

from __future__ import annotations

from dataclasses import dataclass

from rich.text import Text

from memread.views import diff, words
from memread.views.page import Page, cut
from memread.views.reading import Reading

_SIGNS = {"=": "", "+": "bold green", "-": "bold red"}
_STYLES = {"=": "", "+": "green", "-": "dim"}
_ANCHOR = 3
"""Words in a row that the old and the new memory must share to be at the same place."""


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
        line = Text()
        line.append_text(sign if sign is not None else Text(" "))
        line.append(" ").append_text(part)
        lines.append(line)
    return lines


def revised(reading: Reading, page: Page) -> Block:
    """The memory after a segment, with what it gained (+) and lost (−)."""
    lines: list[Text] = []
    focus = 0
    for entry in diff.compare(words.shown(reading.before), words.shown(reading.memory)):
        sign = Text({"=": " ", "+": page.glyphs.plus, "-": page.glyphs.minus}[entry.sign], _SIGNS[entry.sign])
        text = Text()
        reworded = any(not run.changed for run in entry.runs) and len(entry.runs) > 1
        for run in entry.runs:
            style = _STYLES[entry.sign] if run.changed or not reworded else ""
            text.append(run.text, style)
        lines += plain(text, page, sign)
        if entry.sign != "=":
            focus = len(lines)
    return Block(lines, focus)


def drafted(reading: Reading, page: Page) -> Block:
    """The memory while it is written: the new text, then dimmed what is left to take its place."""
    old, new = words.shown(reading.memory), words.shown(reading.reply())
    known = {" ".join(unit.split()) for unit in diff.units(old)}
    written = diff.units(new)
    ghosts = diff.units(remainder(old, new))
    lines: list[Text] = []
    for unit in written[:-1]:
        lines += _drafted(unit, " ".join(unit.split()) in known, page)
    if written:
        key = " ".join(written[-1].split())
        ghost = ghosts.pop(0) if ghosts else ""
        lines += _drafted(written[-1], any(unit.startswith(key) for unit in known), page, ghost, caret=True)
    focus = len(lines)
    for ghost in ghosts:
        lines += plain(Text(ghost, "dim"), page)
    return Block(lines, focus)


def _drafted(unit: str, same: bool, page: Page, ghost: str = "", caret: bool = False) -> list[Text]:
    """A sentence being written, and behind the caret the one it is written over."""
    text = Text()
    text.append(unit, "" if same else "green")
    if caret:
        text.append(page.glyphs.caret, "cyan")
    if ghost:
        text.append(" " + ghost, "dim")
    lines = plain(text, page)
    if same:
        return lines
    seen = 0
    signed = []
    for line in lines:
        # Only lines that hold new text are marked, not those with the rest of the old.
        sign = Text(page.glyphs.plus, _SIGNS["+"]) if seen < len(unit) else Text(" ")
        signed.append(sign + line[1:])
        seen += len(line) - 1
    return signed


def remainder(old: str, new: str) -> str:
    """What of the old memory comes after the place that the new text has reached."""
    written = new.split()
    for end in range(len(written), _ANCHOR - 1, -1):
        phrase = " ".join(written[end - _ANCHOR : end])
        at = old.find(phrase)
        if at >= 0:
            return old[at + len(phrase) :].lstrip(".,;: ")
    return old
