"""Episodes → what supervision learns from: prompts and ideal replies in tokens.

Prompts are built by memread.prompts and encoded by the vocabulary that inference uses, as in a reading.
"""

from __future__ import annotations

import itertools
import random
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

import msgspec

from memread import prompts
from memread.errors import ModelUnloadable
from memread.evidence.statements import sentences
from memread.loop import boxed
from memread.memory import Frequencies, Nearest, rewritten, with_nearest, within
from memread.profile import Profile
from memread.train.bounds import Share, Weight, Whole
from memread.train.data.quotes import telling
from memread.train.episode import NOT_SAID, Episode
from memread.train.vocabulary import PromptVocabulary
from memread.types import ChatFrame, Part

Kind = Literal["new", "kept", "empty", "cleared", "answer", "unsaid"]
"""new: the memory changes. kept: it stays. empty: nothing is known, before and after. cleared: a false entry
goes (where the wording has no word for the old memory). answer, unsaid: the last reply, with an answer or
without."""


class Conversation(NamedTuple):
    """A prompt and its ideal reply, in tokens; the reply ends with the token that ends replies."""

    kind: Kind
    prompt: tuple[int, ...]
    reply: tuple[int, ...]
    weights: tuple[float, ...]
    """How much each token of the reply counts."""


class Choice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which conversations of an episode are learned from."""

    new: Share = 1.0
    """The share of the updates that change something."""
    kept: Share = 0.3
    """The same of those that change nothing."""
    empty: Share = 0.3
    """The same where nothing is known yet."""
    false_entries: Share = 0.15
    """The share of prompts whose memory holds a sentence too many, rather one that looks like what is asked
    for: an answer ignores it. An update leaves it, and where each memory is written anew, drops it."""
    false_in_answers: Whole = 1
    """How many an answer has to ignore, at most."""
    answers: Whole = 1
    """How many answers are learned from, at most, each from another memory: they cost no section."""
    unsaid: Share = 1.0
    """The share of the answers "not in the text" that are learned from."""
    alone: Share = 0.0
    """The share of these memories of which a line is answered from by itself too, as an answer is asked for
    line by line (Profile.likely_from): as often one that says the answer as one that does not. Not where the
    answer needs several sentences: a list is not learned an item at a time."""
    missed: Share = 0.0
    """The share of what is new that a memory lacks, as that of a model does. Where the profile brings
    sentences by a rule (Profile.nearest), they come nevertheless. An answer rests on what its memory holds,
    and is "not in the text" where that is not enough."""
    decisions: Weight = 3.0
    """Weight of the tokens where it is decided whether something is new, the first and those after a
    statement, and how an answer begins. All others merely go on with a quotation, and weigh 1."""


_OPENING = boxed("")[:-1]
"""What every answer begins with."""

EVERYTHING = Choice(kept=1.0, empty=1.0, false_entries=0.0, decisions=1.0)


class Teacher:
    """Makes conversations for one model and profile."""

    def __init__(
        self, profile: Profile, frame: ChatFrame, vocabulary: PromptVocabulary, end: int | None
    ) -> None:
        """end: the token that ends a reply, such as that of "<|im_end|>". Raises ModelUnloadable if not."""
        if end is None or not vocabulary.ends(end):
            raise ModelUnloadable("the model's file does not say which token ends a reply")
        self.profile, self.frame, self.vocabulary, self.end = profile, frame, vocabulary, end

    def conversations(
        self, episode: Episode, choice: Choice = EVERYTHING, seed: str = ""
    ) -> list[Conversation]:
        """The ideal conversations of an episode, in order: updates, then the answer."""
        return [
            said
            for _, said in self._conversations(episode, choice, random.Random(f"{seed}/{episode.id}"), ())
        ]

    def lessons(self, family: Sequence[Episode], choice: Choice, seed: str) -> list[list[Conversation]]:
        """Chosen conversations of episodes about one text, those about one section together."""
        facts = tuple(dict.fromkeys(line for e in family for line in e.memories[-1].split("\n") if line))
        groups: dict[int, list[Conversation]] = {}
        for episode in family:
            r = random.Random(f"{seed}/{episode.id}")
            for place, conversation in self._conversations(episode, choice, r, facts):
                groups.setdefault(place, []).append(conversation)
        return [groups[place] for place in sorted(groups)]

    def begun(self, episode: Episode, sections: int, choice: Choice, seed: str) -> Episode:
        """`episode` from where its last `sections` begin, with a memory of what was before them. Its answer
        is what the memory holds of it that misses nothing in these."""
        r = random.Random(f"{seed}/{episode.id}")
        memory = ""
        read = max(0, len(episode.segments) - sections)
        met = self._met(episode)
        for place in range(read):
            memory = self._read(episode, place, memory, choice, r, met)
        held, attentive = memory, msgspec.structs.replace(choice, missed=0.0)
        for place in range(read, len(episode.segments)):
            held = self._read(episode, place, held, attentive, r, met)
        episode = supported(episode, held)
        return msgspec.structs.replace(
            episode, segments=episode.segments[read:], memories=episode.memories[read:], known=memory
        )

    def _conversations(
        self, episode: Episode, choice: Choice, r: random.Random, facts: Sequence[str]
    ) -> Iterator[tuple[int, Conversation]]:
        """(number of the section, conversation); the answer after the last."""
        initial, unchanged = self.profile.wording.initial_memory, self.profile.wording.unchanged
        text = "".join(episode.segments)
        own = _evidence(episode, text)  # nothing that is still to come is false
        facts = [fact for fact in facts if not any(_says(_quoted(fact, text), said) for said in own)]
        before, held, met = "", [""] * choice.answers, self._met(episode)
        for place, (section, after) in enumerate(zip(episode.segments, episode.memories, strict=True)):
            given = self._with_false_entries(episode.question, held[0], facts, choice, r)
            kind: Kind = "new" if after != before else "kept" if given else "empty"
            share = {"new": choice.new, "kept": choice.kept, "empty": choice.empty}[kind]
            if given != held[0] and kind != "new":
                kind = "kept" if unchanged else "cleared"
                share = max(choice.kept, choice.empty)
            if r.random() < share:
                parts = prompts.update(
                    self.profile,
                    self.frame,
                    question=episode.question,
                    memory=given or initial,
                    section=section,
                )
                reply = said_briefly(before, after, given, unchanged) if unchanged else after or initial
                yield place, self._made(kind, parts, reply, choice)
            for number, memory in enumerate(held):
                held[number] = self._read(episode, place, memory, choice, r, met)
            before = after
        seen: set[str] = set()
        for memory in held:
            given = self._with_false_entries(
                episode.question, memory, facts, choice, r, choice.false_in_answers
            )
            for known in (given, *_alone(episode, given, choice, r)):
                if known in seen:
                    continue
                seen.add(known)
                parts = prompts.answer(
                    self.profile, self.frame, question=episode.question, memory=known or initial
                )
                reply = supported(episode, known).reply
                kind = "unsaid" if reply == boxed(NOT_SAID) else "answer"
                if kind == "unsaid" and r.random() >= choice.unsaid:
                    continue
                yield len(episode.segments), self._made(kind, parts, reply, choice)

    def _met(self, episode: Episode) -> list[Frequencies]:
        """How often the question's words were met after each section."""
        steps = itertools.accumulate(
            episode.segments, lambda met, text: met.after(text, episode.question), initial=Frequencies()
        )
        return [*steps][1:]

    def _read(
        self,
        episode: Episode,
        place: int,
        memory: str,
        choice: Choice,
        r: random.Random,
        met: Sequence[Frequencies],
    ) -> str:
        """What a reading makes of `memory` at section number `place`, 0-based: it notes what is new there, or
        misses that."""
        profile, unchanged = self.profile, self.profile.wording.unchanged
        before, after = ("", *episode.memories)[place : place + 2]
        if r.random() < choice.missed:
            after = before
        if not unchanged:
            return after
        memory = rewritten(memory, said_briefly(before, after, memory, unchanged), unchanged)
        if profile.nearest:
            section = episode.segments[place]
            memory = with_nearest(memory, section, episode.question, Nearest(profile.nearest), met[place])
        return within(memory, episode.question, profile.budget.memory, self.vocabulary, met[place])

    def _with_false_entries(
        self,
        question: str,
        memory: str,
        facts: Sequence[str],
        choice: Choice,
        r: random.Random,
        most: int = 1,
    ) -> str:
        """`memory`, at times with facts that are about something else: each, of three, that which `question`
        is most like."""
        if not facts or r.random() >= choice.false_entries:
            return memory
        lines = memory.split("\n") if memory else []
        for _ in range(r.randint(1, most)):
            entry = max(r.choices(facts, k=3), key=lambda fact: len(telling(fact, question)))
            if entry not in lines:
                lines.insert(r.randint(0, len(lines)), entry)
        return "\n".join(lines)

    def _made(self, kind: Kind, parts: Iterable[Part], reply: str, choice: Choice) -> Conversation:
        ids = self.vocabulary.encode(reply)
        weights = [1.0] * (len(ids) + 1)
        pieces = [self.vocabulary.piece(token) for token in ids]
        if kind in ("answer", "unsaid"):
            ends = [*itertools.accumulate(map(len, pieces))]
            weights[bisect_right(ends, len(_OPENING))] = choice.decisions
        else:
            weights[0] = weights[-1] = choice.decisions
            for place, piece in enumerate(pieces):
                if b"\n" in piece:
                    weights[place] = choice.decisions
        return Conversation(
            kind, tuple(self.vocabulary.encode_prompt(parts)), (*ids, self.end), tuple(weights)
        )


def _alone(episode: Episode, memory: str, choice: Choice, r: random.Random) -> list[str]:
    """A line of `memory` that is learned from by itself, if any."""
    lines = memory.split("\n")
    if len(lines) < 2 or not choice.alone or r.random() >= choice.alone:
        return []
    if len(_evidence(episode, "".join(episode.segments))) > 1:
        return []
    telling = [line for line in lines if supported(episode, line).answers]
    others = [line for line in lines if line not in telling]
    return [r.choice(telling if telling and (not others or r.random() < 0.5) else others)]


def said_briefly(before: str, after: str, given: str, unchanged: str) -> str:
    """The reply that turns the memory `given` into what is known, with `unchanged` for what stays.

    before, after: what was known, and what is. given: `before`, perhaps with lines too many, which stay. A
    line that no longer holds takes the whole memory to be written again.
    """
    known, knows = (text.split("\n") if text else [] for text in (before, after))
    gone = set(known).difference(knows)
    new = [line for line in knows if line not in known]
    old = given.split("\n") if given else []
    stays = [line for line in old if not any(each in line for each in gone)]
    if len(stays) < len(old) or not old:
        return "\n".join(stays + new) or unchanged
    return "\n".join([unchanged, *new])


def supported(episode: Episode, memory: str) -> Episode:
    """`episode` as one must answer it who has `memory` alone: what of the answer stands in lines that say
    it."""
    text = "".join(episode.segments)
    evidence = _evidence(episode, text)
    lines = [_quoted(line, text) for line in memory.split("\n") if line]
    there = [line for line in lines if any(_says(line, said) for said in evidence)]
    known, all_known = ("\n".join(said).casefold() for said in (there, evidence))
    told = [each for each in episode.answers if _stands(each.casefold(), all_known)]
    found = [each for each in episode.answers if _stands(each.casefold(), known)]
    whole = all(any(_says(line, said) for line in there) for said in evidence)
    if (whole and set(told) <= set(found)) or (found and not episode.need_all):
        return episode
    found.sort(key=episode.reply.find)
    reply = boxed(", ".join(found) or NOT_SAID)
    return msgspec.structs.replace(episode, answers=tuple(found), reply=reply)


def _evidence(episode: Episode, text: str) -> list[str]:
    """The sentences that the answer needs."""
    lines = (line for line in episode.memories[-1].split("\n") if line)
    return [said for line in lines for said in sentences(_quoted(line, text))]


def _quoted(line: str, text: str) -> str:
    """`line` of a memory, without what stands before a quotation from `text`, such as a title."""
    said = line
    while said and said not in text:
        said = said.partition(": ")[2]
    return said or line


def _stands(answer: str, known: str) -> bool:
    """Whether `answer` is in `known` as whole words: "yes" and "no" are said of all that is needed, or not at
    all."""
    return answer not in ("yes", "no") and re.search(rf"(?<!\w){re.escape(answer)}(?!\w)", known) is not None


_ENOUGH = 40
"""Characters at an end of a sentence by which it is known again."""


def _says(line: str, sentence: str) -> bool:
    """Whether `line` quotes `sentence`, or one of its ends where that is long."""
    if sentence in line:
        return True
    if min(len(line), len(sentence)) < _ENOUGH:
        return False
    pairs = ((line, sentence), (sentence, line))
    return any(a[:_ENOUGH] in b or a[-_ENOUGH:] in b for a, b in pairs)
