"""The MemAgent workflow (arXiv 2507.02259), without I/O.

For every segment one fresh, independent conversation of problem, memory and section; its reply replaces
the memory, or says that it stays and what comes to it (of models taught to: Wording.unchanged). At the end
one conversation of problem and memory alone; its reply is the answer. So the cost is linear in the length of
the text, and the memory used is constant.

`flow` yields requests, and is sent their replies; it yields events, and is sent None. `read` is half of it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Generator, Iterable, Iterator
from typing import Literal

import msgspec

from memread import guard, prompts
from memread.events import (
    AnswerStarted,
    Event,
    MemoryUpdated,
    Notice,
    ReplyRejected,
    SegmentStarted,
    Stopping,
)
from memread.memory import Frequencies, Nearest, rewritten, with_nearest, within
from memread.profile import Profile
from memread.protocols import Tokenizer
from memread.types import (
    Answer,
    ChatFrame,
    Counts,
    Coverage,
    Reply,
    Request,
    Sampling,
    Segment,
    SegmentInfo,
    Skipped,
    Span,
)

Flow = Generator[Request | Event, Reply | None, Answer]
Outcome = Literal["updated", "unchanged", "kept"]

NOTHING_NEAR = (
    "No sentence of the text has enough words of the question in it: the answer rests on nothing. Ask in the "
    "words of the text, or let the model read it, without --skim."
)
"""What is told where a skim has found nothing."""

_BRACE = re.compile(r"\\boxed\{|[{}]")
_FILLING = Nearest(8, share=0.0, least=1)
"""What a skim takes into a memory, where the profile says no number. Larger models are not misled by what
else a memory says, and miss less in a full one (docs/NOTES.md)."""
_THOUGHT = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)


class Progress(msgspec.Struct):
    """Where a reading is: what a resumed one starts from."""

    memory: str
    segments: int = 0
    tokens: int = 0
    kept: int = 0
    skipped: int = 0
    fraction: float | None = None
    last: Span | None = None
    complete: bool = True
    counts: Counts = Counts()
    met: Frequencies = Frequencies()
    """Of the question's words, where a rule decides with them what the memory holds."""

    def noted(self, profile: Profile) -> str:
        """The memory; "" before anything was noted."""
        return self.memory if self.memory != profile.wording.initial_memory else ""

    def past(self, segment: Segment, question: str, profile: Profile) -> None:
        """Count the words of `segment`, which is read."""
        if profile.wording.unchanged or profile.skim:
            self.met = self.met.after(segment.text, question)

    def after(self, segment: SegmentInfo, memory: str, outcome: Outcome, counts: Counts) -> None:
        """Go on to after `segment`, which left this memory."""
        self.memory = memory
        self.segments += 1
        self.tokens += segment.tokens
        self.kept += outcome == "kept"
        self.fraction = segment.fraction
        self.last = segment.span
        self.counts += counts


def flow(
    question: str,
    segments: Iterable[Segment | Skipped | Stopping],
    profile: Profile,
    frame: ChatFrame,
    tokenizer: Tokenizer,
    start: Progress | None = None,
) -> Flow:
    """Read `segments`, then answer `question`. A Stopping among them, or a cancelled reply, ends the reading
    early: the answer then rests on what was read so far. The answer is "" when nothing was.
    """
    now = start or Progress(profile.wording.initial_memory)
    yield from read(question, segments, profile, frame, tokenizer, now)
    return (yield from _answer(question, profile, frame, now))


def read(
    question: str,
    segments: Iterable[Segment | Skipped | Stopping],
    profile: Profile,
    frame: ChatFrame,
    tokenizer: Tokenizer,
    now: Progress,
) -> Generator[Request | Event, Reply | None, None]:
    """Read `segments` for `question`, and answer nothing: `now` is where it is in the end."""
    for item in segments:
        if isinstance(item, Skipped):
            now.skipped += 1
            yield item
        elif isinstance(item, Segment) and profile.skim:
            yield from _skim(question, item, profile, tokenizer, now)
        elif isinstance(item, Stopping) or not (
            yield from _read(question, item, profile, frame, tokenizer, now)
        ):
            now.complete = False
            yield Stopping()
            break


def coverage(now: Progress) -> Coverage:
    """How much of the inputs has been read."""
    return Coverage(
        segments=now.segments,
        tokens=now.tokens,
        complete=now.complete,
        fraction=now.fraction,
        last=now.last,
        skipped=now.skipped,
        kept=now.kept,
    )


def _read(
    question: str,
    segment: Segment,
    profile: Profile,
    frame: ChatFrame,
    tokenizer: Tokenizer,
    now: Progress,
) -> Generator[Request | Event, Reply | None, bool]:
    """One segment: rewrite the memory. False when it was cancelled; `now` is then as before."""
    info = segment.info
    yield SegmentStarted(info)
    prompt = prompts.update(profile, frame, question=question, memory=now.memory, section=segment.text)
    unchanged = profile.wording.unchanged
    rewrites = unchanged or now.memory
    known = now.noted(profile)
    quotes = (segment.text, known, question) if unchanged else (segment.text, question)
    verbatim = (segment.text, known) if profile.verbatim else ()
    words = tuple(filter(None, (unchanged, profile.wording.initial_memory)))
    counts = Counts()
    before, reason = now.met, ""
    now.past(segment, question, profile)
    outcome: Outcome = "kept"
    memory = now.memory
    samplings = (profile.sampling, profile.retry) if segment.text.strip() else ()
    for attempt, sampling in enumerate(samplings):
        sampling = seeded(sampling, question, info.digest, info.index, attempt)
        limit = profile.budget.memory
        reply = yield Request(
            "update", prompt, limit, sampling, prompts.SHARED, rewrites, quotes, verbatim, words
        )
        assert reply is not None
        counts += reply.counts
        if reply.finish == "cancelled":
            now.met = before
            return False
        proposed = clean(reply.text)
        reason = guard.fault(reply, proposed)
        if not reason and unchanged:
            proposed = rewritten(known, proposed, unchanged)
            if profile.nearest and question != profile.wording.summary:
                proposed = with_nearest(proposed, segment.text, question, Nearest(profile.nearest), now.met)
            proposed = proposed or memory
            if proposed != memory and not (proposed := within(proposed, question, limit, tokenizer, now.met)):
                reason = "it is over the memory limit"
        if not reason:
            outcome = "unchanged" if proposed == memory else "updated"
            memory = proposed
            break
        yield ReplyRejected(info, attempt, reason, reply.text)
    if not samplings:
        outcome, reason = "unchanged", "the section is blank"
    now.after(info, memory, outcome, counts)
    yield MemoryUpdated(info, memory, outcome, counts, reason)
    return True


def _skim(
    question: str, segment: Segment, profile: Profile, tokenizer: Tokenizer, now: Progress
) -> Iterator[Event]:
    """One segment, of which the memory gets what is nearest to the question; no model is asked."""
    info = segment.info
    yield SegmentStarted(info)
    now.past(segment, question, profile)
    rule = Nearest(profile.nearest) if profile.nearest else _FILLING
    made = with_nearest(now.noted(profile), segment.text, question, rule, now.met)
    memory = within(made, question, profile.budget.memory, tokenizer, now.met) or now.memory
    outcome: Outcome = "unchanged" if memory == now.memory else "updated"
    now.after(info, memory, outcome, Counts())
    yield MemoryUpdated(info, memory, outcome)


def _answer(
    question: str, profile: Profile, frame: ChatFrame, now: Progress
) -> Generator[Request | Event, Reply | None, Answer]:
    """The conversation of problem and memory alone."""
    refuses = profile.unsaid_from or profile.likely_from
    refusal = ("\\boxed{", f"{profile.wording.unsaid}}}") if refuses else None
    text = raw = ""
    in_box = cut = False
    likely = None
    if now.segments:
        if profile.skim and not now.noted(profile):
            yield Notice(NOTHING_NEAR)
        yield AnswerStarted(now.memory)
        prompt = prompts.answer(profile, frame, question=question, memory=now.memory)
        lines = now.memory.split("\n") if profile.likely_from else []
        beside = tuple(
            (line, prompts.answer(profile, frame, question=question, memory=line)) for line in lines
        )
        for attempt, sampling in enumerate((profile.sampling, profile.retry)):
            sampling = seeded(sampling, question, "answer", now.segments, attempt)
            limit = profile.budget.answer
            reply = yield Request(
                "answer",
                prompt,
                limit,
                sampling,
                prompts.SHARED,
                quotes=(now.memory, question),
                refusal=refusal,
                refused_from=profile.unsaid_from,
                beside=beside,
                likely_from=profile.likely_from,
            )
            assert reply is not None
            now.counts += reply.counts
            raw, likely = reply.text, reply.likely
            text, in_box = unbox(clean(raw))
            cut = reply.finish == "cancelled"
            # A truncated answer is still an answer; one that is empty or loops is worth a second try.
            if cut or (text and reply.finish != "loop"):
                break
    return Answer(text, in_box, raw, now.memory, coverage(now), now.counts, cut=cut, likely=likely)


def unbox(text: str) -> tuple[str, bool]:
    """The content of the last complete \\boxed{} in `text`, braces inside it balanced, and True;
    `text` itself and False when there is none or it is empty."""
    best: tuple[int, int] | None = None
    opened: list[tuple[int, bool]] = []  # (where its content begins, whether it is a box)
    for brace in _BRACE.finditer(text):
        if brace.group() != "}":
            opened.append((brace.end(), len(brace.group()) > 1))
        elif opened:
            start, boxed = opened.pop()
            if boxed and (best is None or start > best[0]):
                best = start, brace.start()
    content = text[slice(*best)].strip() if best else ""
    return (content, True) if content else (text, False)


def boxed(answer: str) -> str:
    """The reply that gives `answer`: the inverse of unbox."""
    return f"\\boxed{{{answer}}}"


def clean(text: str) -> str:
    """A reply without the model's thoughts, for models that think although they were told not to."""
    return _THOUGHT.sub("", text).strip()


def seeded(sampling: Sampling, question: str, what: str, index: int, attempt: int) -> Sampling:
    """`sampling` with a seed that depends on what is read, never on when: a resumed run draws the same."""
    name = f"{sampling.seed}\0{question}\0{what}\0{index}\0{attempt}".encode("utf-8", "surrogatepass")
    seed = int.from_bytes(hashlib.sha256(name).digest()[:4], "big")
    return msgspec.structs.replace(sampling, seed=seed)
