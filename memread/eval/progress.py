"""How long it will take, before and while it does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

import msgspec

from memread.driver import drive
from memread.eval.arms import Arm
from memread.eval.methods import Setup
from memread.eval.runner import Told
from memread.loop import Flow
from memread.protocols import Engine
from memread.types import Answer, Coverage, Part, Reply, Request, Sampling

_PROMPT, _REPLY = 1024, 24
"""Tokens of the measurement: some seconds on a slow machine."""
_SHARE = 0.5
"""Of the tokens a reply may have: how many it is expected to have."""
_BRIEF = 0.06
"""The same of a reader that says in one word that the memory stays: 0.01 to 0.08 of it (docs/eval)."""
_EVERY, _EVERY_LINE = 0.25, 60.0
"""Seconds between two tellings in the middle of an item: on a terminal, and where every one is a line."""


class Speed(msgspec.Struct, frozen=True):
    """Tokens per second."""

    prefill: float
    decode: float


def measure(engine: Engine, segment: int) -> Speed:
    """How fast the engine is at prompts like those to come, from one short reading."""
    words = " ".join(f"{n * 7919 % 9973} ships sailed on day {n}." for n in range(min(segment, _PROMPT) // 8))
    found: list[Reply] = []

    def flow() -> Flow:
        prompt = (
            Part(engine.frame.before, marker=True),
            Part(words + "\nCount from one to a hundred in words."),
            Part(engine.frame.after, marker=True),
        )
        reply = yield Request("update", prompt, _REPLY, Sampling())
        assert reply is not None
        found.append(reply)
        return Answer("", False, "", "", Coverage(0, 0, False))

    for _ in drive(engine, [flow()]):
        pass
    counts = found[0].counts
    prefill = (counts.prompt_tokens - counts.cached_tokens) / max(counts.prefill_seconds, 1e-6)
    decode = counts.reply_tokens / counts.decode_seconds if counts.decode_seconds > 0 else prefill / 4
    return Speed(max(prefill, 1e-3), max(decode, 1e-3))


def expected(
    arm: Arm, length: int, setup: Setup, speed: Speed, share: float | None = None, abreast: int = 1
) -> float:
    """Seconds for a text of `length` tokens; 0 where the method cannot do it.

    share: of the tokens that replies may have, how many they have; None: as is likely. abreast: items that
    are read side by side over the same text; a section that stands before its question is then read once.
    """
    longest = arm.method.longest(setup)
    if longest is not None and length > longest:
        return 0.0
    cost = arm.method.cost(length, setup)
    reads, wording = arm.method.name == "memread", arm.profile.wording
    if share is None:
        share = _BRIEF if reads and wording.unchanged else _SHARE
    section_first = wording.update.index("{chunk}") < wording.update.index("{prompt}")
    spared = length * (1 - 1 / abreast) if reads and section_first else 0.0
    return (cost.prompt_tokens - spared) / speed.prefill + share * cost.reply_tokens / speed.decode


def duration(seconds: float) -> str:
    """Such as "40 s", "12 min", "3 h 20 min", "2 days 4 h"."""
    whole = max(round(seconds), 0)
    if whole < 100:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} days {hours % 24} h"


class Progress:
    """Tells on standard error how far it is: one line that changes on a terminal, else a line a result.

    What is left is scaled by how long what is done took, against what was expected of it.
    """

    def __init__(
        self,
        total: float,
        results: int,
        due: Callable[[Arm, int], float],
        stream: TextIO,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """total: seconds expected in all. results: how many there will be. due: the seconds expected for an
        arm and a length."""
        self._total, self._results, self._due = total, results, due
        self._stream = stream
        self._line = stream.isatty()
        self._clock = clock
        self._begun = clock()
        self._done = 0
        self._worked = 0.0
        self._skipped = 0.0
        self._partial: dict[str, float] = {}
        self._shown = self._begun
        self._right = 0.0
        self._answered = 0

    def __call__(self, told: Told) -> None:
        name = f"{told.item.id}\0{told.arm.name}"
        due = self._due(told.arm, told.item.length)
        if told.kind == "step":
            before = self._partial.get(name, 0.0)
            self._partial[name] = min(before + due * told.tokens / max(told.item.length, 1), due)
        else:
            self._partial.pop(name, None)
            self._done += 1
            if told.kind == "skipped":
                self._skipped += due
            else:
                self._worked += due
        if told.result is not None and told.result.score is not None:
            self._answered += 1
            self._right += told.result.score
        now = self._clock()
        if self._line and (told.kind == "result" or now - self._shown > _EVERY):
            self._shown = now
            self._stream.write(f"\r\x1b[K{self.status(told)}")
            self._stream.flush()
        elif not self._line and (told.kind == "result" or now - self._shown > _EVERY_LINE):
            self._shown = now
            self._stream.write(self.status(told) + "\n")
            self._stream.flush()

    def left(self) -> float:
        """Seconds, as far as can be told."""
        worked = self._worked + sum(self._partial.values())
        rest = max(self._total - self._skipped - worked, 0.0)
        elapsed = self._clock() - self._begun
        # Little work says little about the pace.
        pace = elapsed / worked if worked > 0.02 * self._total and worked > 1 else 1.0
        return rest * pace

    def status(self, told: Told) -> str:
        score = told.result.score if told.result is not None else None
        came = "" if told.result is None else f" {told.result.outcome}" if score is None else f" {score:.2f}"
        mean = f", right {100 * self._right / self._answered:.0f} %" if self._answered else ""
        return (
            f"{self._done} of {self._results}{mean}, about {duration(self.left())} left"
            f" · {told.item.id} {told.arm.name}{came}"
        )[:200]

    def end(self) -> None:
        if self._line:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
