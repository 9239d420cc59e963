"""Batched generation in torch with a KV cache. Implements protocols.Engine: rollouts use the one flow().

Rows of the cache are sequences. Waiting requests are admitted up to a budget of tokens whenever rows are
free, and their prompts are read together (a prompt that several ask for, as a group's first one, is read
once). Then all rows decode together, several tokens between two looks from the host, so that a GPU is never
left waiting for Python. Rows in use are kept at the front, so that a batch has no idle ones.

Every conversation is recorded with the ids that were sampled and their log-probabilities: what is trained on.
A reply depends on its prompt and its request's seed, not on its neighbours, but for rounding.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec
import torch

from memread.errors import ContextTooSmall, OutOfMemory
from memread.protocols import Decoded, Done, Output, Tokenizer
from memread.train.decoder import Cache, Decoder, Tensor
from memread.train.drawing import Draws
from memread.train.recipe import EngineSettings
from memread.train.rows import families, shared_by
from memread.train.vocabulary import PromptVocabulary
from memread.types import ChatFrame, Counts, EngineInfo, Finish, Reply, Request

_ALIGN = 64
"""The part of the cache that a step looks at grows in such strides: attention kernels want even lengths, and
a captured graph serves many steps."""


class Conversation(msgspec.Struct, frozen=True):
    """One request and its reply in tokens: what a policy gradient needs."""

    kind: str
    """"update" or "answer"."""
    prompt: tuple[int, ...]
    reply: tuple[int, ...]
    """With the token that ended it, if the model ended it."""
    logprobs: tuple[float, ...] | None
    """Of each reply token under the distribution it was drawn from before top-p and top-k, at the sampling's
    temperature (1 for greedy). None: the engine does not tell."""
    finish: Finish
    temperature: float = 1.0


class TorchEngine:
    """See protocols.Engine; one thread owns it. `taken` gives the conversations of a ticket."""

    def __init__(
        self,
        decoder: Decoder,
        vocabulary: PromptVocabulary,
        frame: ChatFrame,
        settings: EngineSettings | None = None,
        *,
        name: str = "torch",
        digest: str = "",
    ) -> None:
        """Make the cache. Raises OutOfMemory."""
        settings = settings or EngineSettings()
        self.decoder, self.settings = decoder, settings
        self._vocabulary, self._frame = vocabulary, frame
        length = -(-settings.context // _ALIGN) * _ALIGN
        try:
            self._cache = Cache(decoder.shape, settings.rows, length, decoder.dtype, decoder.device)
        except (torch.OutOfMemoryError, RuntimeError) as error:
            raise OutOfMemory(
                f"no memory for {settings.rows} sequences of {length} tokens", "Use fewer rows."
            ) from error
        self._queue: deque[_Row] = deque()
        self._rows: list[_Row] = []
        self._stops: dict[int, Finish] = {}
        self._records: dict[int, list[Conversation]] = {}
        self._graphs: dict[tuple[int, int], _Graph] = {}
        self._interrupted = False
        self._info = EngineInfo(
            model=name,
            path="",
            digest=digest,
            build=f"torch {torch.__version__}",
            device=str(decoder.device),
            context=settings.context,
            settings={"rows": settings.rows, "dtype": str(decoder.dtype), "burst": settings.burst},
        )

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def tokenizer(self) -> Tokenizer:
        return self._vocabulary

    @property
    def frame(self) -> ChatFrame:
        return self._frame

    def taken(self, ticket: int) -> list[Conversation]:
        """The conversations of a ticket since this was last asked, in order. Forgets them."""
        return self._records.pop(ticket, [])

    def submit(self, ticket: int, request: Request) -> None:
        prompt = tuple(self._vocabulary.encode_prompt(request.prompt))
        if len(prompt) + request.max_tokens > self.settings.context:
            raise ContextTooSmall(
                f"a prompt of {len(prompt)} tokens and a reply of up to {request.max_tokens} do not fit into "
                f"the context of {self.settings.context} tokens",
                "Use smaller segments or a smaller memory, or a larger context.",
            )
        self._queue.append(_Row(ticket, request, prompt))

    def step(self) -> Sequence[Output]:
        """Admit and read what fits, else decode one burst."""
        if self._interrupted:
            return self._cancel()
        outputs: list[Output] = [
            self._finish(row, self._stops.pop(row.ticket)) for row in self._rows if row.ticket in self._stops
        ]
        self._compact()
        with torch.inference_mode():
            admitted = self._admit()
            if admitted:
                self._prefill(admitted)
                fresh = admitted
            elif self._rows:
                self._decode()
                fresh = list(self._rows)
            else:
                return outputs
        for row in fresh:
            outputs += self._after(row)
        self._compact()
        return outputs

    def stop(self, ticket: int, finish: Finish) -> None:
        self._stops[ticket] = finish

    def interrupt(self) -> None:
        self._interrupted = True

    def refresh(self) -> None:
        """Take over the model's present weights; nothing may be running."""
        assert not self._rows and not self._queue
        self.decoder.refresh()

    def close(self) -> None:
        self._graphs.clear()
        del self._cache

    def _admit(self) -> list[_Row]:
        """Waiting requests for the free rows, up to the budget; equal prompts count once."""
        free = self.settings.rows - len(self._rows)
        admitted: list[_Row] = []
        longest, prompts = 0, set[tuple[int, ...]]()
        while self._queue and len(admitted) < free:
            prompt = self._queue[0].prompt
            count = len(prompts) + (prompt not in prompts)
            longest = max(longest, len(prompt))
            if admitted and count * longest > self.settings.prefill:
                break
            prompts.add(prompt)
            admitted.append(self._queue.popleft())
        return admitted

    def _prefill(self, admitted: list[_Row]) -> None:
        """Read the prompts and draw each reply's first token."""
        began = time.perf_counter()
        device, cache = self.decoder.device, self._cache
        first: dict[tuple[int, ...], int] = {}
        for number, row in enumerate(admitted):
            row.index = len(self._rows) + number
            first.setdefault(row.prompt, row.index)
        self._rows += admitted
        prompts, targets = [*first], [*first.values()]
        logits = self._read(prompts, targets, admitted)
        order = {prompt: number for number, prompt in enumerate(prompts)}
        for row in admitted:
            source = first[row.prompt]
            if source != row.index:
                row.cached = len(row.prompt)
                cache.move(source, row.index, len(row.prompt))
        picked = logits[torch.tensor([order[row.prompt] for row in admitted], device=device)]
        tokens, logprobs = _draws(admitted, 1, device).draw(picked, 0)
        seconds = (time.perf_counter() - began) / len(admitted)
        for row, token, logprob in zip(admitted, tokens.tolist(), logprobs.tolist(), strict=True):
            row.prefill_seconds = seconds
            row.drawn = [(token, logprob)]

    def _read(self, prompts: list[tuple[int, ...]], targets: list[int], admitted: list[_Row]) -> Tensor:
        """Different prompts into rows of the cache; what several begin with is read once.

        targets: the rows. Logits [B, V] after each prompt's end.
        """
        device, cache = self.decoder.device, self._cache
        found = families(prompts)
        shared = [shared_by([prompts[n] for n in family]) for family in found]
        first = torch.tensor([targets[family[0]] for family in found], device=device)
        begun = [
            prompts[family[0]][: length if len(family) > 1 else None]
            for family, length in zip(found, shared, strict=True)
        ]
        ends = self.decoder.prefill(*_padded(begun, device), cache, first)
        logits = ends.new_empty((len(prompts), ends.shape[1]))
        rests: list[tuple[int, int]] = []  # (prompt, from which token on)
        for number, (family, length) in enumerate(zip(found, shared, strict=True)):
            if len(family) == 1:
                logits[family[0]] = ends[number]
                continue
            rests += [(prompt, length) for prompt in family]
            for prompt in family[1:]:
                cache.move(targets[family[0]], targets[prompt], length)
                admitted[targets[prompt] - admitted[0].index].cached = length
        if rests:
            ids, lengths = _padded([prompts[prompt][start:] for prompt, start in rests], device)
            starts = torch.tensor([start for _, start in rests], device=device)
            rows = torch.tensor([targets[prompt] for prompt, _ in rests], device=device)
            ends = self.decoder.extend(ids, starts, lengths, cache, rows)
            logits[torch.tensor([prompt for prompt, _ in rests], device=device)] = ends
        return logits

    def _decode(self) -> None:
        """One burst for every row: the token drawn last is read, the next one drawn."""
        began = time.perf_counter()
        device, rows = self.decoder.device, self._rows
        count = len(rows)
        draws = _draws(rows, self.settings.burst, device)
        positions = torch.tensor([row.length - 1 for row in rows], device=device)
        tokens = torch.tensor([row.reply[-1] for row in rows], device=device)
        last = self._cache.length - 1
        reach = max(row.length for row in rows) + self.settings.burst
        length = min(self._cache.length, -(-reach // _ALIGN) * _ALIGN)
        drawn, chances = [], []
        for number in range(self.settings.burst):
            # A row that ended within the burst goes on for nothing, but never past its row of the cache.
            logits = self._step(tokens, (positions + number).clamp(max=last), count, length)
            tokens, logprobs = draws.draw(logits, number)
            drawn.append(tokens)
            chances.append(logprobs)
        ids, values = torch.stack(drawn, 1).tolist(), torch.stack(chances, 1).tolist()
        seconds = (time.perf_counter() - began) / count
        for row, these, those in zip(rows, ids, values, strict=True):
            row.decode_seconds += seconds
            row.drawn = list(zip(these, those, strict=True))

    def _step(self, tokens: Tensor, positions: Tensor, count: int, length: int) -> Tensor:
        if not (self.settings.graphs and self.decoder.device.type == "cuda"):
            return self.decoder.step(tokens, positions, self._cache, length)
        # A graph has fixed shapes: rows in powers of two, and the idle ones write where they will be
        # overwritten.
        padded = min(self.settings.rows, 1 << max(0, count - 1).bit_length())
        graph = self._graphs.get((padded, length))
        if graph is None:
            graph = self._graphs[padded, length] = _Graph(self.decoder, self._cache, padded, length)
        return graph.replay(tokens, positions)

    def _after(self, row: _Row) -> list[Output]:
        """Take over what was drawn for a row, up to its end."""
        outputs: list[Output] = []
        for token, logprob in row.drawn:
            row.reply.append(token)
            row.logprobs.append(logprob)
            if self._vocabulary.ends(token):
                outputs.append(self._finish(row, "stop"))
                break
            if self.settings.stream and (text := row.text_of(self._vocabulary, token)):
                outputs.append(Decoded(row.ticket, text))
            if len(row.reply) >= row.request.max_tokens:
                outputs.append(self._finish(row, "length"))
                break
        row.drawn = []
        return outputs

    def _finish(self, row: _Row, finish: Finish) -> Done:
        self._stops.pop(row.ticket, None)
        row.over = True
        sampling = row.request.sampling
        self._records.setdefault(row.ticket, []).append(
            Conversation(
                row.request.kind,
                row.prompt,
                tuple(row.reply),
                tuple(row.logprobs),
                finish,
                sampling.temperature or 1.0,
            )
        )
        said = row.reply[:-1] if finish == "stop" else row.reply
        data = b"".join(self._vocabulary.piece(token) for token in said)
        counts = Counts(len(row.prompt), row.cached, len(said), row.prefill_seconds, row.decode_seconds)
        return Done(row.ticket, Reply(data.decode("utf-8", "replace"), finish, counts))

    def _compact(self) -> None:
        """Move the last rows into the places of those that are over."""
        for place, row in enumerate(self._rows):
            while self._rows and self._rows[-1].over:
                self._rows.pop()
            if place >= len(self._rows):
                break
            if row.over:
                moved = self._rows.pop()
                with torch.inference_mode():
                    self._cache.move(moved.index, place, moved.length)
                moved.index = place
                self._rows[place] = moved

    def _cancel(self) -> list[Output]:
        self._interrupted = False
        outputs: list[Output] = [self._finish(row, "cancelled") for row in (*self._rows, *self._queue)]
        self._rows.clear()
        self._queue.clear()
        return outputs


class _Row:
    """A request, and its reply so far."""

    def __init__(self, ticket: int, request: Request, prompt: tuple[int, ...]) -> None:
        self.ticket, self.request, self.prompt = ticket, request, prompt
        self.index = -1
        self.reply: list[int] = []
        self.logprobs: list[float] = []
        self.drawn: list[tuple[int, float]] = []
        self.cached = 0
        self.prefill_seconds = self.decode_seconds = 0.0
        self.over = False
        self._random = random.Random(request.sampling.seed)
        self._uniforms: list[float] = []
        self._decoder: Any = None

    @property
    def length(self) -> int:
        """Tokens of prompt and reply."""
        return len(self.prompt) + len(self.reply)

    def uniforms(self, count: int) -> list[float]:
        """The numbers that choose the next `count` tokens, the same however the reply is cut into bursts."""
        while len(self._uniforms) < len(self.reply) + count:
            self._uniforms.append(self._random.random())
        return self._uniforms[len(self.reply) : len(self.reply) + count]

    def text_of(self, vocabulary: PromptVocabulary, token: int) -> str:
        """The characters that `token` completes."""
        if self._decoder is None:
            self._decoder = vocabulary.decoder()
        text: str = self._decoder.decode(vocabulary.piece(token))
        return text


def _padded(prompts: Sequence[tuple[int, ...]], device: Any) -> tuple[Tensor, Tensor]:
    """(ids [B, T], lengths [B])"""
    ids = torch.zeros((len(prompts), max(map(len, prompts))), dtype=torch.long)
    for number, prompt in enumerate(prompts):
        ids[number, : len(prompt)] = torch.tensor(prompt)
    return ids.to(device), torch.tensor([*map(len, prompts)], device=device)


def _draws(rows: Sequence[_Row], count: int, device: Any) -> Draws:
    """For the next `count` tokens of some rows."""
    return Draws([row.request.sampling for row in rows], [row.uniforms(count) for row in rows], device)


class _Graph:
    """A decoding step captured once and replayed: thousands of kernel launches become one."""

    def __init__(self, decoder: Decoder, cache: Cache, rows: int, length: int) -> None:
        device = decoder.device
        self._ids = torch.zeros(rows, dtype=torch.long, device=device)
        # Idle rows write at the last place of their row, which no running row of theirs has reached.
        self._idle = cache.length - 1
        self._positions = torch.full((rows,), min(self._idle, length - 1), device=device)
        self._rows = rows
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # kernels are chosen and workspaces made before the capture
            for _ in range(2):
                decoder.step(self._ids, self._positions, cache, length)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._logits = decoder.step(self._ids, self._positions, cache, length)

    def replay(self, ids: Tensor, positions: Tensor) -> Tensor:
        count = ids.shape[0]
        self._ids[:count] = ids
        self._positions[:count] = positions
        self._graph.replay()
        return self._logits[:count]
