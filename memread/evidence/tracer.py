"""Follows the statements of a memory through a reading: where each came in, and what the text says there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from memread.evidence.align import Match, Text
from memread.evidence.statements import statements
from memread.evidence.words import stems
from memread.types import Claim, Evidence, Segment

MOST = 512
"""Statements of a memory or an answer that are looked at: more than a memory of 1,024 tokens can hold."""
_ALIKE = 0.5
"""From this share of common words on, a statement counts as a new wording of an earlier one."""
_EARLIER = 3
"""Earlier statements whose passages are tried for a new wording: it may put two of them together."""


class Tracer:
    """The claims of the memory as it is now. Needs memory for one segment and one memory."""

    def __init__(self, initial: str = "", unsaid: str = "") -> None:
        """initial: the profile's wording of an empty memory, which states nothing. unsaid: its wording of an
        answer that says that the text does not say."""
        self._initial = initial.strip()
        self._unsaid = _plain(unsaid)
        self._claims: dict[str, Claim] = {}

    @property
    def claims(self) -> tuple[Claim, ...]:
        """One for each statement of the memory, in order."""
        return tuple(self._claims.values())

    def update(self, segment: Segment, memory: str) -> tuple[Claim, ...]:
        """Take the memory that was written after `segment`; the claims of its new or reworded statements."""
        text: Text | None = None
        before, self._claims, found = self._claims, {}, []
        for statement in self._statements(memory):
            key = _key(statement)
            if key in before:
                self._claims[key] = before[key]
            elif key not in self._claims:
                text = text or Text(segment.text)
                claim = _better(_fresh(statement, segment, text), _earlier(statement, before.values()))
                self._claims[key] = claim
                found.append(claim)
        return tuple(found)

    def merge(self, section: Segment, memory: str, noted: Iterable[Claim]) -> tuple[Claim, ...]:
        """As `update`, where `section` is no text but the memory of a part of it, and `noted` are its claims.

        The passages are those that the part's reader found; the place of the section is the part's.
        """
        index = section.info.index
        before, self._claims, found = self._claims, {}, []
        known = [msgspec.structs.replace(claim, segment=index) for claim in noted]
        same = {_key(claim.statement): claim for claim in known}
        for statement in self._statements(memory):
            key = _key(statement)
            if key in before:
                self._claims[key] = before[key]
            elif key not in self._claims:
                bare = Claim(statement, index, span=section.info.span)
                claim = same.get(key) or _better(bare, _earlier(statement, [*known, *before.values()]))
                self._claims[key] = claim
                found.append(claim)
        return tuple(found)

    def restore(self, memory: str, claims: Iterable[Claim]) -> None:
        """Take a memory, and what `update` returned for it once."""
        known = {**self._claims, **{_key(claim.statement): claim for claim in claims}}
        keys = [_key(statement) for statement in self._statements(memory)]
        self._claims = {key: known[key] for key in keys if key in known}

    def evidence(self, answer: str, question: str = "") -> Evidence:
        """What speaks for `answer`: the passages that speak for the memory it was written from.

        question: of several passages that say the same, those are taken whose statement is about it.
        """
        pool = [(claim, Text(claim.quote), stems(claim.statement)) for claim in self.claims if claim.quote]
        asked = stems(question)
        found: list[Claim] = []
        if self._unsaid and _plain(answer) == self._unsaid:
            return Evidence((), self.claims)
        for statement in statements(answer)[:MOST]:
            wanted = stems(statement)
            best: tuple[tuple[bool, float, float], Claim] | None = None
            for claim, text, theirs in pool:
                if match := text.find(statement):
                    rank = (match.verified, match.score, _likeness(wanted | asked, theirs))
                    if best is None or rank > best[0]:
                        part = msgspec.structs.replace(claim, quote=claim.quote[match.start : match.end])
                        best = rank, _under(part, statement, match)
            found.append(best[1] if best else Claim(statement))
        return Evidence(tuple(found), self.claims)

    def _statements(self, memory: str) -> Sequence[str]:
        return statements(memory)[:MOST] if memory.strip() != self._initial else ()


def _fresh(statement: str, segment: Segment, text: Text) -> Claim:
    """The claim of a statement that comes in with `segment`."""
    match = text.find(statement)
    if match is None:
        return Claim(statement, segment.info.index, span=segment.info.span)
    span = segment.span(match.start, match.end)
    quote = segment.text[match.start : match.end]
    return Claim(statement, segment.info.index, quote, span, match.verified, match.missing, match.score)


def _earlier(statement: str, claims: Iterable[Claim]) -> Claim | None:
    """The claim of a statement that words anew what stood in the memory before."""
    ours = stems(statement)
    alike = [(_likeness(ours, stems(claim.statement)), claim) for claim in claims]
    alike = sorted((a for a in alike if a[0] >= _ALIKE), key=lambda a: a[0], reverse=True)[:_EARLIER]
    best: Claim | None = None
    for _, claim in alike:
        match = Text(claim.quote).find(statement) if claim.quote else None
        worded = (
            _under(claim, statement, match) if match else Claim(statement, claim.segment, span=claim.span)
        )
        best = _better(worded, best)
    return best


def _under(claim: Claim, statement: str, match: Match) -> Claim:
    """The passage of `claim`, as evidence for another statement."""
    return msgspec.structs.replace(
        claim, statement=statement, verified=match.verified, missing=match.missing, score=match.score
    )


def _better(claim: Claim, other: Claim | None) -> Claim:
    """The one whose passage says more of the statement; of two that say as much, the earlier one."""
    if other is None:
        return claim
    return max((claim, other), key=lambda c: (c.verified, c.score, -c.segment))


def _plain(answer: str) -> str:
    return " ".join(answer.casefold().split()).strip(" .!\"'")


def _key(statement: str) -> str:
    return " ".join(statement.split())


def _likeness(ours: frozenset[str], theirs: frozenset[str]) -> float:
    """The share of words in common, whatever their order."""
    return 2 * len(ours & theirs) / (len(ours) + len(theirs)) if ours and theirs else 0.0
