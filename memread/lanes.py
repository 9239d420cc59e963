"""Parts of a text read side by side, and their memories merged: the loop twice, without I/O.

`lane` reads a part and answers nothing. `merge` reads the memories of all parts, each as a section, and
answers. What a part's reader noted knows nothing of the parts before it: quality is another than that of one
reading from beginning to end, and has to be measured (`memread eval … --sweep lanes=1,4`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from memread import loop, prompts
from memread.events import Stopping
from memread.loop import Flow, Progress
from memread.profile import Profile
from memread.protocols import Tokenizer
from memread.segment import segments
from memread.spool import Spool
from memread.text import one_line
from memread.types import (
    Answer,
    ChatFrame,
    Coverage,
    Locator,
    Passage,
    Segment,
    Skipped,
    Span,
)

VERSION = 1
"""Part of the identity of a run with lanes: raise it when the same replies would lead to another answer."""

_LABEL = 80
"""Characters of the place that a part is introduced with: chapters may have long titles."""


class Part(msgspec.Struct, frozen=True):
    """A part of the text, and what its reading came to."""

    number: int
    """From 1, in the order of the text."""
    of: int
    start: Locator
    read: Answer
    """Of `lane`: memory, coverage and counts; no text."""

    @property
    def span(self) -> Span | None:
        """What was read of it; None for nothing."""
        last = self.read.coverage.last
        return Span(self.start, last.end) if last is not None and self.read.coverage.segments else None


class Section(msgspec.Struct, frozen=True):
    """The memory of a part, or a piece of it, as a segment to be read."""

    part: Part
    segment: Segment


def lane(
    question: str,
    items: Iterable[Segment | Skipped | Stopping],
    profile: Profile,
    frame: ChatFrame,
    tokenizer: Tokenizer,
    start: Progress | None = None,
) -> Flow:
    """Read one part. As loop.flow, but the Answer has a memory and no text."""
    now = start or Progress(profile.wording.initial_memory)
    yield from loop.read(question, items, profile, frame, tokenizer, now)
    return Answer("", False, "", now.memory, loop.coverage(now), now.counts)


def sections(parts: Sequence[Part], profile: Profile, tokenizer: Tokenizer) -> list[Section]:
    """The memories of `parts`, each introduced with where in the text it comes from, cut to the budget.

    A part that noted nothing is left out, unless none noted anything.
    """
    read = [part for part in parts if part.span is not None]
    nothing = profile.wording.initial_memory.strip()
    found: list[Section] = []
    for part in [part for part in read if part.read.memory.strip() != nothing] or read[:1]:
        assert part.span is not None
        label = one_line(part.span.label(), _LABEL)
        name = f"{part.number} of {part.of}" + (f", {label}" if label else "")
        text = prompts.fill(profile.wording.part, part=name) + "\n\n" + part.read.memory
        for piece in segments([Passage(text, part.start)], tokenizer, profile.budget.segment):
            assert isinstance(piece, Segment)
            info = msgspec.structs.replace(
                piece.info, index=len(found), span=part.span, fraction=part.number / part.of
            )
            found.append(Section(part, Segment(info, piece.text)))
    return found


def merge(
    question: str,
    items: Iterable[Segment | Skipped | Stopping],
    profile: Profile,
    frame: ChatFrame,
    tokenizer: Tokenizer,
    *,
    parts: Sequence[Part],
    sections: Sequence[Section],
    tokens: int,
) -> Flow:
    """Read the `sections`, which come as `items`, and answer. The coverage is that of the text.

    tokens: of all the text. A part whose sections were not all read counts as not read.
    """
    answer = yield from loop.flow(question, items, profile, frame, tokenizer)
    own = answer.coverage
    if not own.complete:
        missing = {section.part.number for section in sections[own.segments :]}
        taken = [part for part in parts if part.number not in missing]
    else:
        taken = list(parts)
    read = [part.read.coverage for part in taken]
    complete = own.complete and all(each.complete for each in read)
    seen = sum(each.tokens for each in read)
    spans = [part.span for part in taken if part.span is not None]
    coverage = Coverage(
        segments=sum(each.segments for each in read),
        tokens=seen,
        complete=complete,
        fraction=1.0 if complete else seen / tokens if tokens else None,
        last=next((each.last for each in reversed(read) if each.last is not None), None),
        skipped=sum(each.skipped for each in read),
        kept=own.kept + sum(each.kept for each in read),
        parts=tuple(spans),
    )
    counts = sum((part.read.counts for part in parts), answer.counts)
    return msgspec.structs.replace(answer, coverage=coverage, counts=counts)


def one_by_one(
    question: str,
    items: Iterable[Segment | Skipped],
    profile: Profile,
    frame: ChatFrame,
    tokenizer: Tokenizer,
    lanes: int,
) -> Flow:
    """The same in one flow, a part after the other: for measuring what it comes to, not how fast.

    Segments keep the numbers that they have in the text; the sections are numbered on from there.
    """
    with Spool() as spool:
        for item in items:
            spool.add(item)
        shares = spool.shares(lanes)
        if len(shares) < 2:
            whole = spool.part(range(len(spool)))
            return (yield from loop.flow(question, whole, profile, frame, tokenizer))
        parts: list[Part] = []
        for number, share in enumerate(shares, start=1):
            numbered = _renumbered(spool.part(share), share.start)
            read = yield from lane(question, numbered, profile, frame, tokenizer)
            parts.append(Part(number, len(shares), spool.start(share), read))
        found = sections(parts, profile, tokenizer)
        notes = _renumbered((section.segment for section in found), len(spool))
        return (
            yield from merge(
                question,
                notes,
                profile,
                frame,
                tokenizer,
                parts=parts,
                sections=found,
                tokens=spool.tokens,
            )
        )


def _renumbered(items: Iterable[Segment | Skipped], first: int) -> Iterator[Segment | Skipped]:
    for item in items:
        if isinstance(item, Segment):
            info = msgspec.structs.replace(item.info, index=item.info.index + first)
            item = msgspec.structs.replace(item, info=info)
        yield item


__all__ = ["VERSION", "Part", "Section", "lane", "merge", "one_by_one", "sections"]
