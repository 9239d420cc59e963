"""Episodes → groups of readings, every conversation of them, through the one flow() and driver.

The guard and its retry are part of the reading, as at inference: the paper trains without one, but what is
trained must be what is used. A rejected attempt is an action that the policy took and that its reward depends
on, so it is a conversation of the rollout like any other (`rejected="train"`); "skip" leaves it out. Both
attempts draw at the training temperature, whatever the profile says of its retry, so that they are on policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from memread.driver import drive
from memread.events import Answered, MemoryUpdated, ReplyRejected
from memread.loop import Flow, Progress, flow
from memread.profile import Profile
from memread.protocols import Done, Engine, Output, Tokenizer
from memread.train.engine import Conversation
from memread.train.episode import Episode
from memread.train.recipe import Rejected
from memread.train.vocabulary import PromptVocabulary
from memread.types import (
    Answer,
    ChatFrame,
    EngineInfo,
    Finish,
    Locator,
    Part,
    Request,
    Sampling,
    Segment,
    SegmentInfo,
    Span,
    digest,
)


class Recording(Engine, Protocol):
    """An engine that remembers what it generated, in tokens."""

    def taken(self, ticket: int) -> list[Conversation]:
        """The conversations of a ticket since this was last asked, in order. Forgets them."""
        ...


class Rollout(msgspec.Struct, frozen=True):
    """One reading of one episode."""

    episode: Episode
    group: int
    """Which question of the step."""
    number: int
    """Which rollout of its group."""
    conversations: tuple[Conversation, ...]
    rejected: tuple[bool, ...]
    """Of each conversation: the guard did not accept its reply."""
    memories: tuple[str, ...]
    """After each segment."""
    memory_tokens: int
    """Of the last memory."""
    answer: Answer

    def trained(self, rejected: Rejected = "train") -> list[Conversation]:
        """The conversations that are learned from: those that were not cut off from outside or empty."""
        return [
            item
            for item, refused in zip(self.conversations, self.rejected, strict=True)
            if item.reply and item.finish != "cancelled" and not (refused and rejected == "skip")
        ]


def roll(
    engine: Recording,
    episodes: Sequence[Episode],
    profile: Profile,
    *,
    rollouts: int,
    seed: int,
    temperature: float = 1.0,
    top_p: float = 1.0,
    width: int = 0,
) -> list[list[Rollout]]:
    """`rollouts` readings of every episode; one list an episode. width 0: all at a time.

    What is drawn depends on (seed, episode, rollout) and the engine's weights alone.
    """
    flows: list[Flow] = []
    for number in range(len(episodes) * rollouts):
        episode = episodes[number // rollouts]
        # flow() hashes this seed with the question, the segment and the attempt.
        sampling = Sampling(temperature, top_p, 0, (seed * 1_000_003 + number % rollouts) % (1 << 32))
        # What is drawn must be what the weights say: their probabilities are learned from.
        own = msgspec.structs.replace(
            profile, sampling=sampling, retry=sampling, verbatim=False, unsaid_from=0, likely_from=0
        )
        texts, tokenizer = segments(episode, engine.tokenizer), engine.tokenizer
        begun = None
        if episode.known is not None:
            begun = Progress(episode.known or profile.wording.initial_memory, segments=1)
        flows.append(flow(episode.question, texts, own, engine.frame, tokenizer, begun))
    running = [_Gathered() for _ in flows]
    for number, event in drive(engine, flows, width=width or max(1, len(flows))):
        gathered = running[number]
        match event:
            case ReplyRejected():
                gathered.take(engine.taken(number), refused=True)
            case MemoryUpdated(_, memory):
                gathered.take(engine.taken(number))
                gathered.memories.append(memory)
            case Answered(answer):
                gathered.take(engine.taken(number))
                gathered.answer = answer
    found: list[list[Rollout]] = [[] for _ in episodes]
    for number, gathered in enumerate(running):
        group, place = divmod(number, rollouts)
        found[group].append(gathered.rollout(episodes[group], group, place, engine.tokenizer))
    return found


def segments(episode: Episode, tokenizer: Tokenizer) -> list[Segment]:
    """The text of an episode, as flow() takes it."""
    found = []
    for index, text in enumerate(episode.segments):
        here = Locator()
        info = SegmentInfo(index, tokenizer.count(text), Span(here, here), digest(text))
        found.append(Segment(info, text))
    return found


class Recorder:
    """Makes any engine a Recording one: llama.cpp's, on a CPU, generates a small model several times as fast.

    It gives text, not ids: replies are tokenized again, with the token that ends a reply after those that
    ended. Where the model wrote a word in other pieces than the tokenizer would, the ids differ from what was
    drawn; log-probabilities are not known (None) and computed by the trainer for the ids trained on.
    """

    def __init__(self, engine: Engine, vocabulary: PromptVocabulary, end: str) -> None:
        """end: the spelling of the token that ends a reply, such as "<|im_end|>"."""
        self._engine, self._vocabulary = engine, vocabulary
        self._end = vocabulary.encode_prompt((Part(end, marker=True),))[-1]
        self._asked: dict[int, Request] = {}
        self._records: dict[int, list[Conversation]] = {}

    @property
    def info(self) -> EngineInfo:
        return self._engine.info

    @property
    def tokenizer(self) -> Tokenizer:
        return self._engine.tokenizer

    @property
    def frame(self) -> ChatFrame:
        return self._engine.frame

    def submit(self, ticket: int, request: Request) -> None:
        self._asked[ticket] = request
        self._engine.submit(ticket, request)

    def step(self) -> Sequence[Output]:
        outputs = self._engine.step()
        for output in outputs:
            if isinstance(output, Done):
                request, reply = self._asked.pop(output.ticket), output.reply
                ids = self._vocabulary.encode(reply.text)
                if reply.finish == "stop":
                    ids.append(self._end)
                conversation = Conversation(
                    request.kind,
                    tuple(self._vocabulary.encode_prompt(request.prompt)),
                    tuple(ids),
                    None,
                    reply.finish,
                    request.sampling.temperature or 1.0,
                )
                self._records.setdefault(output.ticket, []).append(conversation)
        return outputs

    def stop(self, ticket: int, finish: Finish) -> None:
        self._engine.stop(ticket, finish)

    def interrupt(self) -> None:
        self._engine.interrupt()

    def close(self) -> None:
        self._engine.close()

    def taken(self, ticket: int) -> list[Conversation]:
        return self._records.pop(ticket, [])


class _Gathered:
    """What is known of a rollout so far."""

    def __init__(self) -> None:
        self.conversations: list[Conversation] = []
        self.rejected: list[bool] = []
        self.memories: list[str] = []
        self.answer: Answer | None = None

    def take(self, conversations: list[Conversation], refused: bool = False) -> None:
        self.conversations += conversations
        self.rejected += [refused] * len(conversations)

    def rollout(self, episode: Episode, group: int, number: int, tokenizer: Tokenizer) -> Rollout:
        assert self.answer is not None
        return Rollout(
            episode,
            group,
            number,
            tuple(self.conversations),
            tuple(self.rejected),
            tuple(self.memories),
            tokenizer.count(self.answer.memory),
            self.answer,
        )
