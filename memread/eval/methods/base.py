"""What every way to answer an item has: a flow, what it keeps of the text, and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Literal

import msgspec

from memread import guard, prompts
from memread.errors import ContextTooSmall
from memread.eval.item import Gold, Item
from memread.eval.methods.wording import Words
from memread.events import AnswerStarted, Event, MemoryUpdated, ReplyRejected, SegmentStarted
from memread.loop import Flow, clean, seeded, unbox
from memread.profile import Profile
from memread.protocols import Tokenizer
from memread.segment import segments
from memread.types import Answer, ChatFrame, Counts, Coverage, Part, Reply, Request, Segment

Keeps = Literal["rewrites", "appends", "excerpt"]
"""What a method has of the text when it answers: a memory rewritten at each segment, a list that only grew
(of which it may take a part), or a part of the text itself."""

OVERHEAD = 256
"""Tokens for wording and question, for an estimate."""
SLACK = 32
"""Tokens for what joins differently when the parts of a prompt are tokenized together."""

Steps = Generator[Request | Event, Reply | None, str]
"""A part of a flow that comes to a text."""


class Setup(msgspec.Struct, frozen=True):
    """With what a method answers: the same for all of them."""

    profile: Profile
    """Budgets and sampling, fitted to the model; memread's own wording."""
    words: Words
    """The baselines' wording."""
    tokenizer: Tokenizer
    frame: ChatFrame
    window: int
    """Tokens of prompt and reply for a method that reads in one context."""
    lanes: int = 1
    """Parts of the text that memread reads each for itself."""


class Text:
    """The text of an item as it streams by, and in which segments its evidence lies."""

    def __init__(self, item: Item, tokenizer: Tokenizer) -> None:
        self._item, self._tokenizer = item, tokenizer
        self.tokens = 0
        """Of the segments so far."""
        self.places: list[list[int]] = [[] for _ in item.gold]
        """For each gold, the indices of the segments it was seen in (both, where it lies across a border)."""

    def segments(self, budget: int) -> Iterator[Segment]:
        """The text, cut into at most `budget` tokens. Once only."""
        last = ""
        for piece in segments(self._item.text(), self._tokenizer, budget):
            assert isinstance(piece, Segment)  # the text of an item has no unreadable parts
            self.tokens += piece.info.tokens
            for gold, places in zip(self._item.gold, self.places, strict=True):
                self._find(gold, places, last, piece)
            last = piece.text
            yield piece

    @staticmethod
    def _find(gold: Gold, places: list[int], last: str, piece: Segment) -> None:
        if len(places) > 16:  # a key that stands everywhere places nothing
            return
        size = len(gold.text) - 1
        if gold.text in piece.text:
            places.append(piece.info.index)
        elif size and gold.text in last[-size:] + piece.text[:size]:
            places += [piece.info.index - 1, piece.info.index]


class Cost(msgspec.Struct, frozen=True):
    """What a reading will take, in tokens, at the most."""

    prompt_tokens: int
    reply_tokens: int


class Method(msgspec.Struct, frozen=True):
    """A way to answer an item."""

    name: str
    keeps: Keeps
    summary: str
    """One line, for --help and tables."""
    flow: Callable[[Item, Text, Setup], Flow]
    cost: Callable[[int, Setup], Cost]
    """(tokens of the text, setup) → its cost."""
    longest: Callable[[Setup], int | None] = lambda setup: None
    """The longest text it can do, in tokens; None: any."""


class Talk:
    """The conversations of one item: asks, takes what is fit, counts. What the baselines are written with."""

    def __init__(self, item: Item, text: Text, setup: Setup) -> None:
        self.question, self.text, self.setup = item.question, text, setup
        self.counts = Counts()
        self.segments = 0
        self.kept = 0

    def read(self, budget: int) -> Iterator[Segment]:
        return self.text.segments(budget)

    def tokens(self, text: str) -> int:
        return self.setup.tokenizer.count(text)

    def room(self, template: str, limit: int, window: int) -> int:
        """Tokens left for {text} in a conversation of `window` tokens with a reply of `limit`.

        Raises ContextTooSmall when there is none.
        """
        frame = self.setup.frame
        wording = prompts.fill(template, question=self.question, text="", answer="")
        fixed = self.tokens(frame.before + wording + frame.after)
        if (room := window - fixed - limit - SLACK) < 1:
            raise ContextTooSmall(f"the question and a reply of {limit} tokens fill a window of {window}")
        return room

    def step(self, segment: Segment, template: str, *, old: str = "", **fields: str) -> Steps:
        """One conversation about one segment, as the loop has it: a rejected reply is tried once more, then
        `old` stays. Its events are the loop's, so that it is recorded, resumed and diagnosed alike."""
        info, before = segment.info, self.counts
        yield SegmentStarted(info)
        made, reason = old, "the section is blank"
        accepted = False
        if segment.text.strip():
            message = prompts.fill(template, question=self.question, text=segment.text, **fields)
            prompt = prompts.parts(self.setup.frame, message)
            for attempt in (0, 1):
                reply = yield self._request(
                    "update", prompt, self.setup.profile.budget.memory, info.digest, info.index, attempt
                )
                assert reply is not None
                self.counts += reply.counts
                proposed = clean(reply.text)
                reason = guard.fault(reply, proposed)
                if not reason:
                    made, accepted = proposed, True
                    break
                yield ReplyRejected(info, attempt, reason, reply.text)
            self.kept += not accepted
        self.segments += 1
        outcome: Literal["updated", "unchanged", "kept"] = (
            "updated" if made != old else "unchanged" if accepted or not segment.text.strip() else "kept"
        )
        spent = _minus(self.counts, before)
        yield MemoryUpdated(info, made, outcome, spent, reason)
        return made

    def combine(self, template: str, text: str, number: int) -> Steps:
        """One conversation that is about no segment. A rejected reply is tried once more; then it is ""."""
        message = prompts.fill(template, question=self.question, text=text)
        prompt = prompts.parts(self.setup.frame, message)
        for attempt in (0, 1):
            reply = yield self._request(
                "update", prompt, self.setup.profile.budget.memory, "combine", number, attempt
            )
            assert reply is not None
            self.counts += reply.counts
            proposed = clean(reply.text)
            if not guard.fault(reply, proposed):
                return proposed
        self.kept += 1
        return ""

    def answer(self, template: str, text: str, *, complete: bool = True) -> Flow:
        """The last conversation: the problem, and `text` to answer it from."""
        yield AnswerStarted(text)
        message = prompts.fill(template, question=self.question, text=text)
        prompt = prompts.parts(self.setup.frame, message)
        raw = made = ""
        boxed = False
        for attempt in (0, 1):
            reply = yield self._request(
                "answer", prompt, self.setup.profile.budget.answer, "answer", self.segments, attempt
            )
            assert reply is not None
            self.counts += reply.counts
            raw = reply.text
            made, boxed = unbox(clean(raw))
            if made and reply.finish != "loop":  # as the loop takes its answer
                break
        return self.outcome(made, boxed, raw, text, complete=complete)

    def outcome(self, made: str, boxed: bool, raw: str, memory: str, *, complete: bool = True) -> Answer:
        coverage = Coverage(self.segments, self.text.tokens, complete, kept=self.kept)
        return Answer(made, boxed, raw, memory, coverage, self.counts)

    def _request(
        self,
        kind: Literal["update", "answer"],
        prompt: tuple[Part, ...],
        limit: int,
        what: str,
        index: int,
        attempt: int,
    ) -> Request:
        profile = self.setup.profile
        sampling = seeded((profile.sampling, profile.retry)[attempt], self.question, what, index, attempt)
        return Request(kind, prompt, limit, sampling)


def _minus(after: Counts, before: Counts) -> Counts:
    return Counts(*(getattr(after, name) - getattr(before, name) for name in Counts.__struct_fields__))
