"""A reply that a prompt and others beside it are asked for together.

What each of them would reply is a candidate. The one is taken that all make likeliest, on the mean of its
probabilities: RAG-Sequence with thorough decoding (arXiv 2005.11401, §2.1 and §2.5), greedily. A list of
what stands in several of the parts that they have is likely with none of them: it is not weighed. What has a
word that stands in none is, unless it is such a list but for one of its entries.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from memread.engine.llamacpp.model import Model
from memread.engine.llamacpp.slot import Asked, common

ABORTED = 2
"""llama_decode's return value when the abort callback stopped it."""
_BETWEEN = re.compile(r"[,;\n]|\band\b", re.IGNORECASE)
"""What parts the entries of a list."""
WIDTH = 8
"""Prompts beside one, at most: each has a sequence of the KV cache of its own."""
ROOM = 128
"""Tokens of KV for each of them, beside what a slot has to spare."""


class Undecided(Exception):
    """llama.cpp did not compute a batch."""

    def __init__(self, code: int) -> None:
        """code: llama_decode's return value."""
        super().__init__(code)
        self.code = code


class Weighed(NamedTuple):
    """A reply, and how likely it is."""

    tokens: list[int]
    """From its opening on, without the token that ends it."""
    ended: bool
    refused: bool
    """Whether a refusal is to take its place."""
    chances: list[float]
    """The probability of all behind the opening, with the prompt and with each of the others; none where it
    was not weighed."""
    beside: int = 0
    """Tokens of the others that were computed for it."""

    @property
    def likely(self) -> float | None:
        """The mean of its probabilities with the prompt and with what beside it makes it likeliest."""
        if not self.chances:
            return None
        first, *others = self.chances
        return (first + max(others, default=first)) / 2


class _Token(NamedTuple):
    """One of a batch."""

    sequence: int
    position: int
    token: int
    telling: bool
    """Whether what follows it is asked for."""


class Weighing:
    """Has the sequences behind the slots' own for the prompts beside one. One thread owns it."""

    def __init__(self, model: Model, context: Any, *, first: int, capacity: int, outputs: int) -> None:
        """first: the sequence of the first prompt beside another. capacity: tokens of a batch. outputs: of
        them, with logits."""
        self._api, self._context, self._vocabulary = model.lib.api, context, model.vocabulary
        self._first, self._capacity, self._outputs = first, capacity, outputs
        self._memory = self._api.llama_get_memory(context)
        self._batch = self._api.llama_batch_init(capacity, 0, 1)

    def reply(self, slot: int, prompt: list[int], asked: Asked, limit: int) -> Weighed:
        """What `prompt`, whose KV the sequence `slot` has, and the others together reply. Leaves KV behind it
        in that sequence, and none in others. limit: tokens. Raises Undecided."""
        import numpy as np

        texts = [prompt, *asked.others]
        sequences = [slot, *range(self._first, self._first + len(asked.others))]
        pending = [_tokens(slot, len(prompt), asked.opening)]
        for sequence, text in zip(sequences[1:], asked.others, strict=True):
            shared = min(common(prompt, text), len(text) - 1)
            self._api.llama_memory_seq_cp(self._memory, slot, sequence, 0, shared)
            pending.append(_tokens(sequence, shared, [*text[shared:], *asked.opening]))
        ends = [len(text) + len(asked.opening) for text in texts]
        try:
            first = [*self._computed(pending)]  # logarithms, like what follows
            found = self._candidates(sequences, ends, first, asked.refusing, limit - len(asked.opening))
            chances: dict[tuple[int, ...], list[float]] = {}
            if not self._collected(found[0], asked.parts):
                chances = {one: self._chances(sequences, ends, first, one) for one in found}
        finally:
            self.clear()
        best = max(chances, key=lambda one: float(np.logaddexp.reduce(chances[one])), default=found[0])
        ended = self._vocabulary.ends(best[-1])
        said = [*asked.opening, *(best[:-1] if ended else best)]
        beside = sum(len(tokens) - len(asked.opening) for tokens in pending[1:])
        likely = [float(chance) for chance in np.exp(chances.get(best, []))]
        made = Weighed(said, ended, _refuses(first[0], asked), likely, beside)
        doubtful = made.likely is not None and made.likely < asked.likely_from
        return made._replace(refused=made.refused or doubtful)

    def clear(self) -> None:
        """Free the KV of the prompts beside others."""
        for sequence in range(self._first, self._first + WIDTH):
            self._api.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def close(self) -> None:
        self._api.llama_batch_free(self._batch)

    def _collected(self, candidate: tuple[int, ...], parts: Sequence[str]) -> bool:
        """Whether what a candidate has in its box is of several of `parts`: its words stand there, and not as
        they follow each other in it; or two entries of a list do, with no part that has both. Nothing at all
        is too."""
        ids = candidate[:-1] if self._vocabulary.ends(candidate[-1]) else candidate
        said = b"".join(map(self._vocabulary.piece, ids)).decode("utf-8", "replace")
        said = (said.rpartition("}")[0] if "}" in said else said).replace("\\boxed{", " ").strip()
        if not said:
            return True
        if _having(said, parts):
            return False
        if _words(said) <= _words("\n".join(parts)) | {"and"}:
            return True
        entries = [_having(entry, parts) for entry in _BETWEEN.split(said) if entry.strip()]
        return any(not one & other for one, other in itertools.combinations(filter(None, entries), 2))

    def _candidates(
        self, sequences: list[int], ends: list[int], first: list[Any], refusing: int, limit: int
    ) -> list[tuple[int, ...]]:
        """What each sequence goes on with, greedily, behind where it ends; each once. `first`: what follows
        there."""
        said: list[list[int]] = [[] for _ in sequences]
        going, rows = [*range(len(sequences))], [row.copy() for row in first]
        for row in rows:
            row[refusing] = -float("inf")
        while going:
            for place, row in zip(going, rows, strict=True):
                said[place].append(int(row.argmax()))
            going = [
                place
                for place in going
                if len(said[place]) < limit and not self._vocabulary.ends(said[place][-1])
            ]
            last = [ends[place] + len(said[place]) - 1 for place in going]
            rows = [
                *self._computed(
                    _tokens(sequences[place], position, said[place][-1:])
                    for place, position in zip(going, last, strict=True)
                )
            ]
        return [*dict.fromkeys(map(tuple, said))]

    def _chances(
        self, sequences: list[int], ends: list[int], first: list[Any], candidate: tuple[int, ...]
    ) -> list[float]:
        """The logarithm of a candidate's probability with each sequence."""
        found = [float(row[candidate[0]]) for row in first]
        for sequence, end in zip(sequences, ends, strict=True):
            self._api.llama_memory_seq_rm(self._memory, sequence, end, -1)
        pending = [
            _tokens(sequence, end, candidate[:-1], every=True)
            for sequence, end in zip(sequences, ends, strict=True)
        ]
        for number, row in enumerate(self._computed(pending)):
            place, at = divmod(number, len(candidate) - 1)
            found[place] += float(row[candidate[at + 1]])
        return found

    def _computed(self, pending: Iterable[Sequence[_Token]]) -> Iterator[Any]:
        """Log-probabilities [vocabulary] of what follows each telling token."""
        import numpy as np

        batch, size = self._batch, (self._vocabulary.size,)
        waiting = deque(itertools.chain.from_iterable(pending))
        while waiting:
            rows: list[int] = []
            batch.n_tokens = 0
            while waiting and batch.n_tokens < self._capacity and len(rows) < self._outputs:
                row, new = batch.n_tokens, waiting.popleft()
                batch.token[row], batch.pos[row], batch.n_seq_id[row] = new.token, new.position, 1
                batch.seq_id[row][0], batch.logits[row] = new.sequence, new.telling
                rows += [row] * new.telling
                batch.n_tokens += 1
            if code := self._api.llama_decode(self._context, batch):
                raise Undecided(code)
            for row in rows:
                found = self._api.llama_get_logits_ith(self._context, row)
                logits = np.ctypeslib.as_array(found, shape=size).astype(np.float64)
                logits -= logits.max()
                yield logits - np.log(np.exp(logits).sum())


def _refuses(row: Any, asked: Asked) -> bool:
    """Whether a reply refuses that goes on with the log-probabilities `row` behind its opening."""
    likely = math.exp(row[asked.refusing])
    return likely >= asked.refused_from if asked.refused_from else int(row.argmax()) == asked.refusing


def _having(said: str, parts: Sequence[str]) -> set[int]:
    """Which of `parts` say it."""
    quoted = re.compile(rf"(?<!\w){re.escape(said.strip())}(?!\w)", re.IGNORECASE)
    return {place for place, part in enumerate(parts) if quoted.search(part)}


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.casefold()))


def _tokens(sequence: int, start: int, ids: Sequence[int], *, every: bool = False) -> list[_Token]:
    """`ids` from a position on; the last one is telling, or every one."""
    last = len(ids) - 1
    return [_Token(sequence, start + i, token, every or i == last) for i, token in enumerate(ids)]
