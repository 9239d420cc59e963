"""A prompt and its batches; a slot: one sequence of the KV cache, and the request that has it."""

from __future__ import annotations

import array
import hashlib
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from memread.engine.llamacpp.copying import Copying
from memread.engine.llamacpp.quoting import Quoting
from memread.types import Counts, Request


class Prompt:
    """Token ids, and the batches in which they are computed."""

    def __init__(self, ids: list[int], stretches: Sequence[int], batch: int, least: int = 0) -> None:
        """Every stretch of the prompt begins a batch, and has one every `batch` tokens.

        stretches: where they end, ascending, before the end of the prompt. least: one that ends so few tokens
        before it goes on to the end.
        """
        self.ids, self.batch = ids, batch
        ends = [0, *(end for end in stretches if 0 < end < len(ids) and end + least <= len(ids)), len(ids)]
        starts = [start for begin, end in pairwise(ends) for start in range(begin, end, batch)]
        self.borders = [*starts[1:], len(ids)]
        """Where its batches end, in tokens."""
        self._keys: list[bytes] = []
        key = b""
        # Not the last batch: it is always computed, for its logits.
        for start, end in pairwise([0, *self.borders[:-1]]):
            key = hashlib.blake2b(key + array.array("q", ids[start:end]).tobytes(), digest_size=16).digest()
            self._keys.append(key)

    def shared(self, other: Prompt) -> int:
        """How many tokens at its start are also at the other's, in the same whole batches."""
        count = common(self._keys, other._keys)
        return self.borders[count - 1] if count else 0


class Asked(NamedTuple):
    """What a slot is asked beside its prompt. Token ids."""

    others: list[list[int]]
    """The prompts."""
    parts: list[str]
    """Of what the prompt has: what is of several of them is not weighed."""
    opening: list[int]
    """How every reply begins."""
    refusing: int
    """The token behind it by which a reply refuses: no reply goes on with this one."""
    refusal: str
    """A reply that refuses to answer."""
    refused_from: float
    """A probability: a reply is replaced by that where the prompt makes it so likely; 0: where it makes it
    likeliest."""
    likely_from: float
    """A probability: so is one that is weighed and less likely."""


class Slot:
    """Its prompt is computed batch by batch; then its reply, some tokens at a time."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.ticket = -1
        self.turn = 0
        """Requests were given to slots in this order."""
        self.prompt = Prompt([], (), 1)
        self.kv: list[int] = []
        """The tokens whose KV it has: of the prompt and the reply."""
        self.ending: Any = None
        """The logits after its prompt [vocabulary], where others asked the same: they draw from these."""
        self.reply: list[int] = []
        self.text = ""
        self.max_tokens = 0
        self.copying = Copying((), (), 0)
        self.quoting: Quoting | None = None
        self.refusal: list[int] = []
        """A reply up to the token by which it refuses to answer, and that token (Request.refusal)."""
        self.refused_from = 0.0
        self.asked: Asked | None = None
        """What is asked beside its prompt, of a reply that is weighed."""
        self.likely: float | None = None
        """How probable that reply was."""
        self.beside = 0
        """Tokens of prompts beside its own that were computed for it."""
        self.cached = self.drafted = self.accepted = 0
        self.prefill_seconds = self.decode_seconds = 0.0
        self.sampler: Any = None
        self.decoder: Any = None

    @property
    def busy(self) -> bool:
        return self.ticket >= 0

    @property
    def decoding(self) -> bool:
        return self.busy and bool(self.reply)

    @property
    def prefilling(self) -> bool:
        return self.busy and not self.reply

    def pending(self) -> list[int]:
        """What the next batch holds of it: the prompt up to a border, then what was said since."""
        done, ids = len(self.kv), self.prompt.ids
        if done < len(ids):
            return ids[done : next(border for border in self.prompt.borders if border > done)]
        return self.reply[done - len(ids) :][: self.prompt.batch]

    def completed_by(self, tokens: list[int]) -> bool:
        """Whether the next token of the reply follows from `tokens`, the next batch."""
        return len(self.kv) + len(tokens) == len(self.prompt.ids) + len(self.reply)

    @property
    def decides(self) -> bool:
        """Whether its next token is the one by which it refuses to answer, or does not."""
        return bool(self.refusal) and self.reply == self.refusal[:-1]

    def guess(self, room: int) -> list[int]:
        """At most `room` tokens that it will probably say. One more is drawn after them, within the limit."""
        return self.copying.guess(max(0, min(room, self.max_tokens - len(self.reply) - 1)))

    def asks(self, prompt: Prompt) -> bool:
        """Whether its prompt is the same, in the same batches."""
        return self.prompt.ids == prompt.ids and self.prompt.borders == prompt.borders

    def ended(self, prompt: Prompt) -> bool:
        """Whether it has all of `prompt`, and the logits after it."""
        return self.ending is not None and self.asks(prompt) and len(self.kv) >= len(prompt.ids)

    def has(self, prompt: Prompt) -> int:
        """How many tokens at the start of `prompt` it has the KV of, from the same batches. All of them only
        where it has the logits after them too."""
        if self.ended(prompt):
            return len(prompt.ids)
        shared = self.prompt.shared(prompt)
        return max((border for border in prompt.borders if border <= min(shared, len(self.kv))), default=0)

    def begin(self, ticket: int, turn: int, request: Request, prompt: Prompt, copying: Copying) -> None:
        """Take a request. What of the KV is not the prompt's is cut away first."""
        if len(self.kv) < len(prompt.ids):
            self.ending = None
        self.ticket, self.turn, self.prompt, self.copying = ticket, turn, prompt, copying
        self.quoting = Quoting(request.words, request.verbatim) if request.verbatim else None
        self.max_tokens = request.max_tokens
        self.refusal, self.refused_from, self.asked = [], request.refused_from, None
        self.likely, self.beside = None, 0
        self.cached, self.drafted, self.accepted = len(self.kv), 0, 0
        self.reply, self.text = [], ""
        self.prefill_seconds = self.decode_seconds = 0.0

    def counts(self) -> Counts:
        """What its request cost so far."""
        return Counts(
            len(self.prompt.ids) + self.beside,
            self.cached,
            len(self.reply),
            self.prefill_seconds,
            self.decode_seconds,
            drafted_tokens=self.drafted,
            accepted_tokens=self.accepted,
        )

    def end(self, api: Any) -> None:
        """The request is over; the KV stays."""
        self.ticket = -1
        self.reply = []
        if self.sampler:
            api.llama_sampler_free(self.sampler)
            self.sampler = None


def common(one: Sequence[object], other: Sequence[object]) -> int:
    """How many items two sequences begin with in common."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((i for i, (mine, theirs) in pairs if mine != theirs), min(len(one), len(other)))
