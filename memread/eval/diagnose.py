"""Why an item failed, from the memories its reading went through and where its evidence stands.

A memory holds a piece of evidence when one of its keys stands in it as a word or words of its own, in any
case. This sees words, not meaning: a memory that holds a fact in other words counts as not holding it, and
one that holds a key by accident as holding it.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Final, Literal

import msgspec

from memread import guard
from memread.eval.item import Gold, Item
from memread.eval.methods.base import Keeps, Text
from memread.events import AnswerStarted, Event, MemoryUpdated
from memread.types import Answer

Cause = Literal[
    "right", "never_memorised", "lost", "answered_wrongly", "overflowed", "degenerated", "unknown"
]
"""right: nothing to explain. never_memorised: the evidence was read and left no trace (where a method shows
an excerpt: it was not in it). lost: it was in the memory, and then no longer. answered_wrongly: it was there
when the answer was given. overflowed: where the evidence stood, the replies ran into the limit and were
rejected. degenerated: there, or as an answer, the replies looped or were empty. unknown: where the evidence
is, is not known."""

NAMES: Final[dict[Cause, str]] = {
    "right": "right",
    "never_memorised": "never memorised",
    "lost": "memorised, then lost",
    "answered_wrongly": "kept, but answered wrongly",
    "overflowed": "memory overflowed",
    "degenerated": "reply degenerated",
    "unknown": "cause not known",
}
"""In the order of tables and figures."""
_FIRST: Final[tuple[Cause, ...]] = ("degenerated", "overflowed", "never_memorised", "lost")
"""Of causes equally common among an item's evidence, the first in this order is the item's."""
_PLACES = 8


class Fate(msgspec.Struct, frozen=True):
    """What became of one piece of evidence."""

    keys: tuple[str, ...]
    fate: Literal["never", "lost", "kept"]
    cause: Cause
    """"right" where it was kept."""
    evidence: tuple[int, ...]
    """Segments that it stands in; () where the method has none."""
    first: int | None
    """The segment after which the memory first held it."""
    lost_at: int | None
    """The segment after which it no longer did, the last time; None also where a list was cut at the end."""
    held: int
    """For how many segments it had been held then, or at the end."""


class Diagnosis(msgspec.Struct, frozen=True):
    cause: Cause
    fates: tuple[Fate, ...]


class Watch:
    """Follows a reading: `see` its events, then `diagnose`. Memory for a number a segment, no texts."""

    def __init__(self, item: Item, keeps: Keeps, text: Text) -> None:
        self._item, self._keeps, self._text = item, keeps, text
        self._traces = [_Trace(gold) for gold in item.gold]
        self._ends: list[int] = []  # tokens up to the end of each segment
        self._rejected: dict[int, str] = {}  # segment → why the last reply was
        self._final: str | None = None

    def see(self, event: Event) -> None:
        match event:
            case MemoryUpdated(info, memory, outcome, _, reason):
                self._ends.append((self._ends[-1] if self._ends else 0) + info.tokens)
                if outcome == "kept":
                    self._rejected[info.index] = reason
                for trace in self._traces:
                    trace.after(info.index, memory, appends=self._keeps == "appends")
            case AnswerStarted(memory):
                self._final = memory
            case _:
                pass

    def diagnose(self, answer: Answer, score: float) -> Diagnosis:
        """score: of the answer, 0..1; anything below 1 is a failure to be explained."""
        fates = tuple(self._fate(n, trace) for n, trace in enumerate(self._traces))
        return Diagnosis("right" if score >= 1 else self._cause(fates, answer), fates)

    def _cause(self, fates: tuple[Fate, ...], answer: Answer) -> Cause:
        missing = Counter(fate.cause for fate in fates if fate.fate != "kept")
        if missing:
            most = max(missing.values())
            return next(cause for cause in _FIRST if missing[cause] == most)
        if not answer.text.strip() or guard.loops(answer.raw):
            return "degenerated"
        if fates or not self._item.answers:
            return "answered_wrongly"
        if 2 * len(self._rejected) > len(self._ends):  # without evidence, most of the text has to do
            return Counter(map(_rejection, self._rejected.values())).most_common(1)[0][0]
        return "unknown"

    def _fate(self, number: int, trace: _Trace) -> Fate:
        evidence = self._evidence(number, trace.gold)
        holds = trace.holds
        if self._final is not None and self._keeps != "rewrites":
            holds = trace.held_by(self._final)
        fate: Literal["never", "lost", "kept"]
        cause: Cause
        if holds:
            fate, cause = "kept", "right"
        elif trace.first is not None:
            fate, cause = "lost", "lost"
        else:
            # A fact that lies across a border may be noticed in either segment: one rejection explains it.
            reasons = [self._rejected[index] for index in evidence if index in self._rejected]
            fate, cause = "never", _rejection(reasons[0]) if reasons else "never_memorised"
        return Fate(
            trace.gold.keys, fate, cause, evidence, trace.first, trace.lost_at, trace.held(len(self._ends))
        )

    def _evidence(self, number: int, gold: Gold) -> tuple[int, ...]:
        if not self._ends:
            return ()
        if places := self._text.places[number]:
            return tuple(places[:_PLACES])
        at = gold.depth * self._ends[-1]
        return (next((index for index, end in enumerate(self._ends) if end > at), len(self._ends) - 1),)


class _Trace:
    """Whether the memory holds one piece of evidence, segment by segment."""

    def __init__(self, gold: Gold) -> None:
        self.gold = gold
        words = "|".join(re.escape(" ".join(key.split())) for key in gold.keys if key.strip())
        self._pattern = re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE) if words else None
        self.first: int | None = None
        self.lost_at: int | None = None
        self._since = 0
        self._held = 0
        self.holds = False

    def held_by(self, memory: str) -> bool:
        return self._pattern is not None and self._pattern.search(" ".join(memory.split())) is not None

    def after(self, index: int, memory: str, *, appends: bool) -> None:
        now = self.held_by(memory) or (appends and self.holds)
        if now and not self.holds:
            self._since = index
            self.first = index if self.first is None else self.first
        elif self.holds and not now:
            self.lost_at, self._held = index, index - self._since
        self.holds = now

    def held(self, segments: int) -> int:
        return segments - self._since if self.holds else self._held


def _rejection(reason: str) -> Cause:
    """The cause that a reason of guard.fault stands for."""
    return "overflowed" if "limit" in reason else "degenerated"
