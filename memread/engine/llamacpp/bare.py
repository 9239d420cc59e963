"""llama.cpp without memread around it: what the weights predict, and how fast this machine computes it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from memread.engine.llamacpp.engine import FLASH, KV_TYPES, Settings, resolved
from memread.engine.llamacpp.model import Model
from memread.errors import EngineFailed, OutOfMemory


class Bare:
    """A context of one sequence that decodes token ids as they are given."""

    def __init__(self, model: Model, settings: Settings) -> None:
        """settings: as LlamaEngine's; `slots` is 1. Raises OutOfMemory, EngineFailed."""
        self._model, self._api = model, model.lib.api
        settings = resolved(model, settings)
        self._size = min(settings.batch, settings.context)
        model.lib.log.clear()
        params = self._api.llama_context_default_params()
        params.n_ctx = settings.context
        params.n_batch = params.n_ubatch = params.n_outputs_max = self._size
        params.n_threads = params.n_threads_batch = settings.threads
        params.flash_attn_type = FLASH[settings.flash]
        params.type_k = params.type_v = KV_TYPES[settings.kv]
        params.no_perf = True
        self._context: Any = self._api.llama_init_from_model(model.handle, params)
        if not self._context:
            if model.lib.out_of_memory():
                raise OutOfMemory(f"no memory for a context of {settings.context} tokens")
            raise EngineFailed(f"llama.cpp made no context: {model.lib.last_error()}")
        model.attach_adapter(self._context)
        self._memory = self._api.llama_get_memory(self._context)
        self._batch = self._api.llama_batch_init(self._size, 0, 1)

    def prefill(self, ids: Sequence[int]) -> float:
        """Seconds that a prompt takes, from an empty context to its last token's logits."""
        self.clear()
        began = time.perf_counter()
        for start in range(0, len(ids), self._size):
            self._decode(ids[start : start + self._size], start, start + self._size >= len(ids))
        self._api.llama_synchronize(self._context)
        return time.perf_counter() - began

    def decode(self, ids: Sequence[int], position: int) -> float:
        """Seconds that `ids` take one by one, with `position` tokens in the context before them."""
        began = time.perf_counter()
        for i, token in enumerate(ids):
            self._decode([token], position + i, True)
        self._api.llama_synchronize(self._context)
        return time.perf_counter() - began

    def logits(self, ids: Sequence[int]) -> list[Any]:
        """The logits after every token of a text: numpy arrays of the vocabulary's length."""
        import numpy as np

        self.clear()
        rows: list[Any] = []
        size = (self._model.vocabulary.size,)
        for start in range(0, len(ids), self._size):
            part = ids[start : start + self._size]
            self._decode(part, start, True, every=True)
            for i in range(len(part)):
                row = self._api.llama_get_logits_ith(self._context, i)
                rows.append(np.ctypeslib.as_array(row, shape=size).copy())
        return rows

    def clear(self) -> None:
        self._api.llama_memory_clear(self._memory, False)

    def close(self) -> None:
        if self._context:
            self._api.llama_batch_free(self._batch)
            self._api.llama_free(self._context)
            self._context = None

    def _decode(self, ids: Sequence[int], position: int, last: bool, every: bool = False) -> None:
        batch = self._batch
        for i, token in enumerate(ids):
            batch.token[i], batch.pos[i], batch.n_seq_id[i] = token, position + i, 1
            batch.seq_id[i][0] = 0
            batch.logits[i] = every or (last and i == len(ids) - 1)
        batch.n_tokens = len(ids)
        code = self._api.llama_decode(self._context, batch)
        if code != 0:
            raise EngineFailed(f"llama.cpp failed (code {code}): {self._model.lib.last_error()}")

    def __enter__(self) -> Bare:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
