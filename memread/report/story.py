"""What the page tells, folded from the recorded events."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from memread.events import Event, EvidenceFound, MemoryUpdated, RunStarted
from memread.types import Claim, DocumentInfo
from memread.views import diff, words
from memread.views.reading import Reading


@dataclass
class Step:
    """A segment, and what it did to the memory."""

    place: str
    tokens: int
    added: int
    dropped: int
    """Words."""
    outcome: str
    reason: str
    lines: list[Any]
    """The memory after it, as `Story.encoded` writes a difference."""
    found: list[Claim]
    """The claims that came in with it."""


@dataclass
class Story:
    """All of a reading. Texts are printable; they are not escaped yet."""

    reading: Reading = field(default_factory=Reading)
    steps: list[Step] = field(default_factory=list)
    strings: dict[str, int] = field(default_factory=dict)
    """Lines of memories that stayed, by number: a line that stays for 1,000 segments is written once."""

    @property
    def documents(self) -> tuple[DocumentInfo, ...]:
        return self.reading.documents

    @property
    def tokens(self) -> int:
        return sum(step.tokens for step in self.steps)

    def data(self) -> dict[str, Any]:
        """What the page's script needs."""
        steps = [
            [step.place, step.tokens, step.added, step.dropped, step.outcome, step.reason, step.lines]
            for step in self.steps
        ]
        return {"strings": list(self.strings), "steps": steps, "scale": self.scale}

    @property
    def scale(self) -> float:
        """The share of the documents that was read, as far as it is known: the strip is so long."""
        answer, fraction = self.reading.answer, self.reading.fraction
        if (answer is not None and answer.coverage.complete) or not fraction:
            return 1.0
        return min(1.0, max(0.02, fraction))

    def encoded(self, before: str, after: str) -> list[Any]:
        """The lines of `after`: a number for one that stayed, else [sign, text, changed, text, changed …]."""
        if before == after:
            return [self._number(text) for text in diff.units(after)]
        found: list[Any] = []
        for line in diff.compare(before, after):
            if line.sign == "=":
                found.append(self._number(line.text))
            else:
                runs = [part for run in line.runs for part in (words.shown(run.text), int(run.changed))]
                found.append([line.sign, *runs])
        return found

    def _number(self, text: str) -> int:
        return self.strings.setdefault(words.shown(text), len(self.strings))


def story(events: Iterable[Event]) -> Story:
    """The story of the recorded events of one run, which may have been resumed."""
    told = Story()
    memory = ""
    begun = 0
    for event in events:
        match event:
            case RunStarted():
                begun = len(told.steps)
                if not begun:
                    told.reading.apply(event, 0.0)
                elif told.reading.started is not None:  # gone on with: the first start has the whole story
                    told.reading.answer = told.reading.failure = None
            case MemoryUpdated():
                told.reading.apply(event, 0.0)
                told.steps.append(_step(told, event, memory))
                memory = event.memory
            case EvidenceFound(segment, claims):
                if segment < len(told.steps):
                    told.steps[segment].found = list(claims)
            case _:
                told.reading.apply(event, 0.0)
    return told


def _step(told: Story, event: MemoryUpdated, before: str) -> Step:
    added, dropped = diff.changes(before, event.memory) if before != event.memory else (0, 0)
    return Step(
        place=words.place(event.segment.span, told.documents),
        tokens=event.segment.tokens,
        added=added,
        dropped=dropped,
        outcome=event.outcome,
        reason=words.line(event.reason),
        lines=told.encoded(before, event.memory),
        found=[],
    )
