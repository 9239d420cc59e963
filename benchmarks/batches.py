"""What a batch costs by its size, and how far the logits of a token depend on what else is in the batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.measure import Row, figure, now
from benchmarks.models import Bare, passages
from benchmarks.reading import Options
from memread.engine.llamacpp.engine import FLASH
from memread.engine.llamacpp.library import cpu_threads
from memread.engine.llamacpp.model import Model

_SIZES = (1, 4, 16, 32, 63, 64, 96, 128)
_PROMPT = 550
_ATTENTION = (("on", "flash attention"), ("off", "plain attention"))


class _Context:
    """A bare llama.cpp context that has `before` tokens of the book, and goes on from there."""

    def __init__(self, model: Model, before: int, flash: str, threads: int) -> None:
        self._api: Any = model.lib.api
        self._before = before
        self._vocabulary = model.vocabulary.size
        text = "".join(passage.text for passage in passages(model, before + 2 * max(_SIZES)))
        self._ids = model.vocabulary.encode(text)
        params = self._api.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = before + 2 * max(_SIZES), 512, 512
        params.n_threads = params.n_threads_batch = threads
        params.flash_attn_type = FLASH[flash]
        self._context = self._api.llama_init_from_model(model.handle, params)
        self._batch = self._api.llama_batch_init(512, 0, 1)
        for start in range(0, before, 512):
            self._decode(start, min(512, before - start))

    def run(self, sizes: Sequence[int]) -> tuple[float, np.ndarray]:
        """Batches of these sizes: seconds, and the logits of their tokens, [tokens, vocabulary]."""
        api = self._api
        api.llama_memory_seq_rm(api.llama_get_memory(self._context), 0, self._before, -1)
        took, at, logits = 0.0, self._before, []
        for size in sizes:
            began = now()
            self._decode(at, size)
            took += now() - began
            at += size
            for row in range(size):
                found = api.llama_get_logits_ith(self._context, row)
                logits.append(np.ctypeslib.as_array(found, (self._vocabulary,)).copy())
        return took, np.stack(logits)

    def _decode(self, start: int, size: int) -> None:
        batch = self._batch
        for row in range(size):
            batch.token[row], batch.pos[row] = self._ids[start + row], start + row
            batch.n_seq_id[row], batch.seq_id[row][0], batch.logits[row] = 1, 0, True
        batch.n_tokens = size
        if self._api.llama_decode(self._context, batch):
            raise SystemExit("llama.cpp failed")

    def close(self) -> None:
        self._api.llama_batch_free(self._batch)
        self._api.llama_free(self._context)


def batches(options: Options) -> Iterator[Row]:
    """Milliseconds a token by the size of its batch, with and without flash attention, and what logits do."""
    for name, path in options.models():
        with Model(path) as model:
            for before in options.before:
                for flash, said in _ATTENTION:
                    what = f"after {before:,}, {said}, {name}"
                    context = _Context(model, before, flash, options.threads or cpu_threads())
                    try:
                        yield from _sizes(options, context, what)
                    finally:
                        context.close()
            yield from _prompts(options, model, name)


def _prompts(options: Options, model: Model, name: str) -> Iterator[Row]:
    """Tokens of a prompt a second, by its batches."""
    ids = model.vocabulary.encode("".join(part.text for part in passages(model, 2 * _PROMPT)))[:_PROMPT]
    threads = options.threads or cpu_threads()
    for flash, said in _ATTENTION:
        for batch in (128, 512):
            bare = Bare(model, context=1024, batch=batch, threads=threads, flash=flash)
            rates = [_PROMPT / bare.prefill(ids) for _ in range(options.runs)]
            bare.close()
            what = f"a prompt of {_PROMPT} tokens in batches of {batch}, {said}, {name}"
            yield figure("batches", what, "–", rates, "tokens/s")


def _sizes(options: Options, context: _Context, what: str) -> Iterator[Row]:
    clock = options.clock
    _, alone = context.run([1] * 8)
    for size in _SIZES:
        values: list[float] = []
        while not values or (len(values) < options.runs and not clock.over):
            took, logits = context.run([size])
            values.append(1000 * took / size)
        same = min(len(alone), size)
        apart = float(np.abs(logits[:same] - alone[:same]).max())
        yield figure(
            "batches",
            f"a token in a batch of {size}, {what}",
            "–",
            values,
            "ms",
            f"logits differ from those of batches of one by up to {apart:.2g} "
            f"(their standard deviation: {alone.std():.2g})",
        )
