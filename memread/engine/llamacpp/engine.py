"""Many requests at a time in one llama.cpp context. Implements protocols.Engine.

A slot is one sequence of the KV cache. Its prompt is decoded in batches whose borders follow from the prompt
alone: one where the fixed part of the reading's prompts ends, one every `batch` tokens before and after it.
KV that an earlier request of the slot left behind is reused up to the last border at which both agree. So a
prompt's KV always comes from the same batches, reused or not: a resumed reading computes what an undisturbed
one did.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import msgspec

from memread.engine.llamacpp.library import cpu_threads
from memread.engine.llamacpp.model import Model
from memread.errors import ContextTooSmall, EngineFailed, OutOfMemory
from memread.protocols import Decoded, Done, Output, Prefill, Tokenizer
from memread.types import ChatFrame, Counts, EngineInfo, Finish, Reply, Request, Sampling

_ABORTED = 2  # llama_decode's return value when the abort callback stopped it

FLASH = {"auto": -1, "off": 0, "on": 1}
"""llama.cpp's enum llama_flash_attn_type."""
KV_TYPES = {"f16": 1, "bf16": 30, "q8_0": 8}
"""ggml's enum ggml_type."""


class Settings(msgspec.Struct, frozen=True):
    """How a context is made. Tokens, threads and slots; part of a run's identity."""

    context: int
    """Prompt and reply of one request, at most."""
    slots: int = 1
    flash: str = "auto"
    """Flash attention: "on", "off", or "auto", llama.cpp's own choice."""
    kv: str = "f16"
    """The type of the KV cache: a key of KV_TYPES. "q8_0" needs flash attention."""
    batch: int = 512
    """Prompt tokens decoded at a time."""
    threads: int = 0
    """0: one a physical core."""


class LlamaEngine:
    """See protocols.Engine. One thread owns it; `interrupt` may come from any."""

    def __init__(self, model: Model, settings: Settings, *, name: str, digest: str) -> None:
        """Make the context. Raises ContextTooSmall, OutOfMemory, EngineFailed."""
        self._model, self._api = model, model.lib.api
        threads = settings.threads or cpu_threads()
        self._settings = msgspec.structs.replace(settings, threads=threads)
        self._frame = model.frame
        api = self._api
        model.lib.log.clear()
        params = api.llama_context_default_params()
        params.n_ctx = settings.context * settings.slots
        params.n_seq_max = settings.slots
        # A batch holds at most one prompt's share of the grid and one token a decoding slot.
        self._capacity = settings.batch + settings.slots
        params.n_batch = params.n_ubatch = self._capacity
        params.n_outputs_max = settings.slots
        params.n_threads = params.n_threads_batch = threads
        params.kv_unified = True
        params.no_perf = True
        params.flash_attn_type = FLASH[settings.flash]
        params.type_k = params.type_v = KV_TYPES[settings.kv]
        self._context: Any = api.llama_init_from_model(model.handle, params)
        if not self._context:
            if model.lib.out_of_memory():
                raise OutOfMemory(
                    f"no memory for a context of {params.n_ctx} tokens",
                    "Use smaller segments (--segment), or a smaller model.",
                )
            raise EngineFailed(f"llama.cpp made no context: {model.lib.last_error()}")
        model.attach_adapter(self._context)
        self._memory = api.llama_get_memory(self._context)
        self._batch = api.llama_batch_init(self._capacity, 0, 1)
        self._slots = [_Slot(i) for i in range(settings.slots)]
        self._queue: deque[tuple[int, Request, list[int], list[int]]] = deque()
        self._stops: dict[int, Finish] = {}
        # llama.cpp calls the abort callback hundreds of times a batch. A Python function would take the
        # interpreter's lock each time; C's strlen on this flag is 0 (go on) or 1 (stop) and takes none.
        self._flag = ctypes.create_string_buffer(2)
        strlen = ctypes.cast(_c_library().strlen, api.ggml_abort_callback)
        api.llama_set_abort_callback(self._context, strlen, ctypes.cast(self._flag, ctypes.c_void_p))
        self._closing = threading.Lock()
        self._info = EngineInfo(
            model=name,
            path=str(model.path),
            digest=digest,
            build=f"llama-cpp-python {model.lib.version}",
            device=model.placement,
            context=settings.context,
            threads=threads,
            settings={
                "flash": settings.flash,
                "kv": settings.kv,
                "batch": settings.batch,
                "slots": settings.slots,
                "gpu_layers": model.gpu_layers,
                "threads": threads,
            },
        )

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def tokenizer(self) -> Tokenizer:
        return self._model.vocabulary

    @property
    def frame(self) -> ChatFrame:
        return self._frame

    def submit(self, ticket: int, request: Request) -> None:
        prompt = self._model.vocabulary.encode_prompt(request.prompt)
        need = len(prompt) + request.max_tokens
        if need > self._settings.context:
            raise ContextTooSmall(
                f"a prompt of {len(prompt)} tokens and a reply of up to {request.max_tokens} do not fit into "
                f"the context of {self._settings.context} tokens",
                "Use smaller segments (--segment) or a smaller memory (--memory).",
            )
        if not self._queue and not any(slot.busy for slot in self._slots):
            self._flag[0] = b"\0"  # an interrupt was meant for requests that were waiting when it came
        self._queue.append((ticket, request, prompt, self._borders(request, prompt)))

    def _borders(self, request: Request, prompt: list[int]) -> list[int]:
        """Where the batches of a prompt end, in tokens."""
        fixed = self._model.vocabulary.encode_prompt(request.prompt[: request.fixed])
        pairs = enumerate(zip(fixed, prompt, strict=False))
        shared = next((i for i, (one, other) in pairs if one != other), min(len(fixed), len(prompt)))
        starts = [*range(0, shared, self._settings.batch), *range(shared, len(prompt), self._settings.batch)]
        return [*starts[1:], len(prompt)]

    def step(self) -> Sequence[Output]:
        outputs: list[Output] = []
        self._assign()
        if self._flag[0] != b"\0":
            return self._cancel()
        for slot in self._slots:
            if slot.busy and slot.ticket in self._stops:
                outputs += self._finish(slot, self._stops.pop(slot.ticket))
        planned = self._plan()
        if not planned:
            return outputs
        began = time.perf_counter()
        code = self._api.llama_decode(self._context, self._batch)
        if code == _ABORTED:
            return outputs + self._cancel()
        if code != 0:
            self._fail(code)
        seconds = (time.perf_counter() - began) / self._batch.n_tokens
        for slot, count, row in planned:
            outputs += self._after(slot, count, row, seconds * count)
        return outputs

    def stop(self, ticket: int, finish: Finish) -> None:
        self._stops[ticket] = finish

    def interrupt(self) -> None:
        self._flag[0] = b"\1"

    def close(self) -> None:
        """Free the context (not the model). Safe to call twice."""
        with self._closing:
            if self._context:
                for slot in self._slots:
                    slot.free_sampler(self._api)
                self._api.llama_batch_free(self._batch)
                self._api.llama_free(self._context)
                self._context = None

    def _assign(self) -> None:
        """Give waiting requests the free slots that have most of their prompt already."""
        while self._queue and (free := [slot for slot in self._slots if not slot.busy]):
            ticket, request, prompt, borders = self._queue.popleft()
            reusable = [slot.reusable(prompt, borders) for slot in free]
            keep = max(reusable)
            slot = free[reusable.index(keep)]
            if not self._api.llama_memory_seq_rm(self._memory, slot.index, keep, -1):
                # Recurrent and some sliding-window models cannot forget a part: start over.
                self._api.llama_memory_seq_rm(self._memory, slot.index, -1, -1)
                keep = 0
            slot.begin(ticket, request, prompt, borders, keep)
            slot.sampler = _sampler(self._api, request.sampling)
            slot.decoder = self._model.vocabulary.decoder()

    def _plan(self) -> list[tuple[_Slot, int, int]]:
        """Fill the batch: (slot, its tokens in the batch, the row of its logits or -1)."""
        batch, n = self._batch, 0
        planned: list[tuple[_Slot, int, int]] = []
        decoding = [slot for slot in self._slots if slot.busy and slot.decoding]
        prefilling = [slot for slot in self._slots if slot.busy and not slot.decoding]
        for slot in decoding + prefilling:
            tokens = slot.next_tokens()
            if n + len(tokens) > self._capacity:
                continue
            position = len(slot.kv)
            last = slot.decoding or position + len(tokens) == len(slot.prompt)
            for i, token in enumerate(tokens):
                batch.token[n] = token
                batch.pos[n] = position + i
                batch.n_seq_id[n] = 1
                batch.seq_id[n][0] = slot.index
                batch.logits[n] = last and i == len(tokens) - 1
                n += 1
            planned.append((slot, len(tokens), n - 1 if last else -1))
        batch.n_tokens = n
        return planned

    def _after(self, slot: _Slot, count: int, row: int, seconds: float) -> list[Output]:
        """What came of a slot's share of the batch."""
        outputs: list[Output] = []
        slot.kv += slot.next_tokens()
        if slot.decoding:
            slot.decode_seconds += seconds
        else:
            slot.prefill_seconds += seconds
            outputs.append(Prefill(slot.ticket, len(slot.kv), len(slot.prompt)))
        if row < 0:
            return outputs
        token: int = self._api.llama_sampler_sample(slot.sampler, self._context, row)
        if self._model.vocabulary.ends(token):
            return outputs + self._finish(slot, "stop")
        slot.reply.append(token)
        if text := slot.decoder.decode(self._model.vocabulary.piece(token)):
            slot.text += text
            outputs.append(Decoded(slot.ticket, text))
        if len(slot.reply) >= slot.max_tokens:
            outputs += self._finish(slot, "length")
        return outputs

    def _finish(self, slot: _Slot, finish: Finish) -> list[Output]:
        outputs: list[Output] = []
        if rest := slot.decoder.decode(b"", final=True):
            slot.text += rest
            outputs.append(Decoded(slot.ticket, rest))
        counts = Counts(
            len(slot.prompt), slot.cached, len(slot.reply), slot.prefill_seconds, slot.decode_seconds
        )
        outputs.append(Done(slot.ticket, Reply(slot.text, finish, counts)))
        self._stops.pop(slot.ticket, None)
        slot.end(self._api)
        return outputs

    def _cancel(self) -> list[Output]:
        """End everything that runs or waits. A batch that was aborted may have left KV: it goes."""
        self._flag[0] = b"\0"
        outputs: list[Output] = []
        for slot in self._slots:
            self._api.llama_memory_seq_rm(self._memory, slot.index, -1, -1)
            if slot.busy:
                outputs += self._finish(slot, "cancelled")
            slot.kv.clear()
        while self._queue:
            ticket, _, prompt, _ = self._queue.popleft()
            outputs.append(Done(ticket, Reply("", "cancelled", Counts(len(prompt)))))
        return outputs

    def _fail(self, code: int) -> None:
        if self._model.lib.out_of_memory():
            raise OutOfMemory(
                "llama.cpp ran out of memory while reading", "Use smaller segments (--segment)."
            )
        raise EngineFailed(
            f"llama.cpp failed while reading (code {code}): {self._model.lib.last_error()}".rstrip(": ")
        )


class _Slot:
    """One sequence of the KV cache, and the request that has it."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.ticket = -1
        self.kv: list[int] = []
        self.prompt: list[int] = []
        self.borders: list[int] = []
        """Where the batches of its prompt end, in tokens."""
        self.reply: list[int] = []
        self.text = ""
        self.max_tokens = 0
        self.cached = 0
        self.prefill_seconds = self.decode_seconds = 0.0
        self.sampler: Any = None
        self.decoder: Any = None

    @property
    def busy(self) -> bool:
        return self.ticket >= 0

    @property
    def decoding(self) -> bool:
        return bool(self.reply)

    def next_tokens(self) -> list[int]:
        """What the next batch holds of this slot: the last reply token, or the prompt up to a border."""
        if self.reply:
            return self.reply[-1:]
        return self.prompt[len(self.kv) : next(border for border in self.borders if border > len(self.kv))]

    def reusable(self, prompt: list[int], borders: list[int]) -> int:
        """Tokens of the KV that a prompt can keep: whole batches of the last prompt, and never all of it."""
        limit = min(len(self.kv), len(self.prompt), len(prompt) - 1)
        same = next((i for i in range(limit) if self.prompt[i] != prompt[i]), limit)
        keep = 0
        for mine, wanted in zip(self.borders, borders, strict=False):
            if mine != wanted or mine > same:
                break
            keep = mine
        return keep

    def begin(self, ticket: int, request: Request, prompt: list[int], borders: list[int], keep: int) -> None:
        self.ticket, self.prompt, self.borders, self.cached = ticket, prompt, borders, keep
        self.max_tokens = request.max_tokens
        del self.kv[keep:]
        self.reply, self.text = [], ""
        self.prefill_seconds = self.decode_seconds = 0.0

    def end(self, api: Any) -> None:
        self.ticket = -1
        self.reply = []
        self.free_sampler(api)

    def free_sampler(self, api: Any) -> None:
        if self.sampler:
            api.llama_sampler_free(self.sampler)
            self.sampler = None


def _sampler(api: Any, sampling: Sampling) -> Any:
    """llama.cpp's own sampler chain for these settings."""
    params = api.llama_sampler_chain_default_params()
    params.no_perf = True
    chain = api.llama_sampler_chain_init(params)
    if sampling.temperature <= 0:
        api.llama_sampler_chain_add(chain, api.llama_sampler_init_greedy())
        return chain
    if sampling.top_k:
        api.llama_sampler_chain_add(chain, api.llama_sampler_init_top_k(sampling.top_k))
    if sampling.top_p < 1:
        api.llama_sampler_chain_add(chain, api.llama_sampler_init_top_p(sampling.top_p, 1))
    api.llama_sampler_chain_add(chain, api.llama_sampler_init_temp(sampling.temperature))
    api.llama_sampler_chain_add(chain, api.llama_sampler_init_dist(sampling.seed))
    return chain


def _c_library() -> Any:
    return ctypes.CDLL("msvcrt") if hasattr(ctypes, "windll") else ctypes.CDLL(None)
