"""Many requests at a time in one llama.cpp context. Implements protocols.Engine.

A slot is one sequence of the KV cache. Its prompt is decoded in batches of its own, whose borders follow from
the prompt alone: one where a part ends that other prompts share, one every `batch` tokens between these. KV
that an earlier request of the slot left behind, or that another slot has, is reused up to the last border at
which both agree. So a prompt's KV always comes from batches of the same shape, reused or not: a resumed
reading computes what an undisturbed one did.

Then the replies of all slots are decoded together. With a reply's last token a batch carries a guess at what
follows (copying.py). The next tokens are drawn from the batch's logits as they would have been one by one;
from the first wrong guess on its KV is cut away again. The last batch of a prompt carries no guess: its shape
would change, and with it, in the last bits, the whole reply (docs/PERFORMANCE.md).
"""

from __future__ import annotations

import ctypes
import platform
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from memread.engine.llamacpp.copying import Copying
from memread.engine.llamacpp.library import cpu_threads
from memread.engine.llamacpp.model import Model
from memread.engine.llamacpp.sampler import ENDING, Drawing, sampler
from memread.engine.llamacpp.slot import Asked, Prompt, Slot, common
from memread.engine.llamacpp.weighing import ABORTED, ROOM, WIDTH, Undecided, Weighing
from memread.errors import ContextTooSmall, EngineFailed, OutOfMemory
from memread.protocols import Decoded, Done, Output, Prefill, Tokenizer
from memread.types import ChatFrame, Counts, EngineInfo, Finish, Reply, Request

FLASH = {"auto": -1, "off": 0, "on": 1}
"""llama.cpp's enum llama_flash_attn_type."""
KV_TYPES = {"f16": 1, "bf16": 30, "q8_0": 8}
"""ggml's enum ggml_type."""
_TILE = 64
"""Tokens that flash attention on a processor computes together: 63 take longer than 64, 45 as long."""
_SCORES = 1 << 30
"""Bytes that attention may need for the scores of one batch when it is not computed in tiles."""


class Settings(msgspec.Struct, frozen=True):
    """How a context is made. Tokens, threads and slots; part of a run's identity."""

    context: int
    """Prompt and reply of one request, at most."""
    slots: int = 1
    flash: str = "auto"
    """Flash attention: a key of FLASH; "auto": see resolved."""
    kv: str = "f16"
    """The type of the KV cache: a key of KV_TYPES. "q8_0" needs flash attention."""
    batch: int = 512
    """Prompt tokens decoded at a time."""
    threads: int = 0
    """0: one a physical core."""
    brief: bool = False
    """Replies are mostly a few tokens: what counts is how fast prompts are read."""
    copy_ahead: int = 63
    """Tokens guessed ahead in one batch, of all slots together; 0: none. Each needs memory for its logits.
    One more is computed with them: on a CPU 64 tokens take less time than 63 (docs/PERFORMANCE.md)."""
    weighs: bool = False
    """Requests may have others beside them (Request.beside)."""


def resolved(model: Model, settings: Settings) -> Settings:
    """The settings with what is left to memread: threads and flash attention.

    On an x86 processor flash attention reads prompts faster, and computes batches under 64 tokens, as those
    of replies, up to four times slower (docs/PERFORMANCE.md): attention is plain unless replies are brief.
    Other processors were not measured. "auto", llama.cpp's own choice, stays where the KV cache is quantized,
    which needs flash attention, where plain attention's scores, batch × context × heads × 4 bytes, would be
    more than a gibibyte, and with several slots: plain attention computes a token's scores for the cells of
    all of them.
    """
    flash = settings.flash
    fits = settings.slots == 1 and settings.batch * settings.context * model.heads * 4 <= _SCORES
    x86 = platform.machine().lower() in ("x86_64", "amd64")
    if flash == "auto" and x86 and fits and model.gpu_layers == 0 and settings.kv != "q8_0":
        flash = "on" if settings.brief else "off"
    return msgspec.structs.replace(settings, flash=flash, threads=settings.threads or cpu_threads())


class _Share(NamedTuple):
    """Of a batch, what belongs to a slot."""

    slot: Slot
    tokens: list[int]
    guess: list[int]
    row: int
    """The first that has logits: the last of `tokens`; -1 for none."""


class LlamaEngine:
    """See protocols.Engine. One thread owns it; `interrupt` may come from any."""

    def __init__(
        self,
        model: Model,
        settings: Settings,
        *,
        name: str,
        digest: str,
        flag: ctypes.Array[ctypes.c_char] | None = None,
    ) -> None:
        """Make the context. flag: two zero bytes that another process sets the first of, to interrupt.

        Raises ContextTooSmall, OutOfMemory, EngineFailed.
        """
        self._model, self._api = model, model.lib.api
        self._settings = settings = resolved(model, settings)
        self._frame = model.frame
        api = self._api
        model.lib.log.clear()
        params = api.llama_context_default_params()
        others = WIDTH if settings.weighs else 0
        params.n_ctx = settings.context * settings.slots + ROOM * others
        params.n_seq_max = settings.slots + others
        # What cannot be cut out of its memory again cannot be guessed, nor taken over in part.
        self._cuttable = not (
            api.llama_model_is_recurrent(model.handle) or api.llama_model_is_hybrid(model.handle)
        )
        self._copy_ahead = settings.copy_ahead if self._cuttable else 0
        # Alone, what ends a prompt is for a second try at most: a few tokens need no batch of their own.
        alone = settings.flash == "on" and settings.slots == 1 and model.gpu_layers == 0
        self._least = _TILE if alone else 0
        # A batch is one prompt's, up to a border, or of every slot one token and the guesses.
        params.n_outputs_max = max(settings.slots, 1 + self._copy_ahead, 1 + others)
        self._capacity = max(settings.batch, params.n_outputs_max)
        params.n_batch = params.n_ubatch = self._capacity
        params.n_threads = params.n_threads_batch = settings.threads
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
        self._drawing = Drawing(model, self._context)
        self._batch = api.llama_batch_init(self._capacity, 0, 1)
        self._slots = [Slot(i) for i in range(settings.slots)]
        self._weighing = None
        if settings.weighs:
            sizes = {"capacity": self._capacity, "outputs": params.n_outputs_max}
            self._weighing = Weighing(model, self._context, first=settings.slots, **sizes)
        self._turns = 0
        self._queue: deque[tuple[int, Request, Prompt]] = deque()
        self._stops: dict[int, Finish] = {}
        # llama.cpp calls the abort callback hundreds of times a batch. A Python function would take the
        # interpreter's lock each time; C's strlen on this flag is 0 (go on) or 1 (stop) and takes none.
        self._flag = flag if flag is not None else ctypes.create_string_buffer(2)
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
            threads=settings.threads,
            settings={
                "flash": settings.flash,
                "kv": settings.kv,
                "batch": settings.batch,
                "slots": settings.slots,
                "gpu_layers": model.gpu_layers,
                "threads": settings.threads,
                "copy_ahead": self._copy_ahead,
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
        prompt = self._prompt(request)
        need = len(prompt.ids) + request.max_tokens
        if need > self._settings.context:
            raise ContextTooSmall(
                f"a prompt of {len(prompt.ids)} tokens and a reply of up to {request.max_tokens} do not fit "
                f"into the context of {self._settings.context} tokens",
                "Use smaller segments (--segment) or a smaller memory (--memory).",
            )
        if not self._queue and not any(slot.busy for slot in self._slots):
            self._flag[0] = b"\0"  # an interrupt was meant for requests that were waiting when it came
        self._queue.append((ticket, request, prompt))

    def _prompt(self, request: Request) -> Prompt:
        encode = self._model.vocabulary.encode_prompt
        ids = encode(request.prompt)
        # The last token of a part may be another one when something follows it.
        parts = (encode(request.prompt[:count])[:-1] for count in request.shared)
        stretches = {common(part, ids) for part in parts}
        return Prompt(ids, sorted(stretches), self._settings.batch, self._least)

    def _copying(self, request: Request) -> Copying:
        encode = self._model.vocabulary.encode
        if not self._copy_ahead:
            return Copying((), (), 0)
        quoted = [encode(text) for text in request.quotes]
        return Copying(encode(request.rewrites), quoted, self._copy_ahead)

    def _refusal(self, request: Request) -> list[int]:
        if request.refusal is None:
            return []
        encode, (begins, goes_on) = self._model.vocabulary.encode, request.refusal
        ids = encode(begins + goes_on)
        return ids[: common(encode(begins), ids) + 1]

    def _asked(self, request: Request, prompt: Prompt) -> Asked | None:
        """What is asked beside the prompt: as much of it as there is room for."""
        if request.refusal is None or not request.likely_from or self._weighing is None or not self._cuttable:
            return None
        refusing = self._refusal(request)
        others: list[list[int]] = []
        room = self._settings.context + ROOM * WIDTH - len(prompt.ids) - request.max_tokens
        for _, parts in request.beside[:WIDTH]:
            ids = self._model.vocabulary.encode_prompt(parts)
            room -= len(ids) - common(prompt.ids, ids) + request.max_tokens
            if room < 0:
                break
            if ids != prompt.ids:
                others.append(ids)
        return Asked(
            others,
            [part for part, _ in request.beside],
            refusing[:-1],
            refusing[-1],
            "".join(request.refusal),
            request.refused_from,
            request.likely_from,
        )

    def step(self) -> Sequence[Output]:
        outputs: list[Output] = []
        self._assign()
        if self._flag[0] != b"\0":
            return self._cancel()
        for slot in self._slots:
            if slot.busy and slot.ticket in self._stops:
                outputs += self._finish(slot, self._stops.pop(slot.ticket))
        try:
            for some in self._advance():
                outputs += some
        except Undecided as undecided:
            if undecided.code != ABORTED:
                self._fail(undecided.code)
            outputs += self._cancel()
        return outputs

    def _advance(self) -> Iterator[list[Output]]:
        """One batch. Raises Undecided."""
        yield from self._join()
        if not (shares := self._fill()):
            return
        began = time.perf_counter()
        if code := self._api.llama_decode(self._context, self._batch):
            raise Undecided(code)
        seconds = (time.perf_counter() - began) / self._batch.n_tokens
        # Weighing computes batches of its own, and then the logits of this one are gone.
        for share in sorted(shares, key=lambda share: share.slot.asked is not None):
            yield self._after(share, seconds)

    def stop(self, ticket: int, finish: Finish) -> None:
        waiting = any(queued == ticket for queued, _, _ in self._queue)
        if waiting or any(slot.ticket == ticket for slot in self._slots):  # else it has ended by itself
            self._stops[ticket] = finish

    def interrupt(self) -> None:
        self._flag[0] = b"\1"

    def close(self) -> None:
        """Free the context (not the model). Safe to call twice."""
        with self._closing:
            if self._context:
                for slot in self._slots:
                    slot.end(self._api)
                if self._weighing is not None:
                    self._weighing.close()
                self._api.llama_batch_free(self._batch)
                self._api.llama_free(self._context)
                self._context = None

    def _assign(self) -> None:
        """Give waiting requests the free slots that have most of their prompt already."""
        while self._queue and (free := [slot for slot in self._slots if not slot.busy]):
            ticket, request, prompt = self._queue.popleft()
            slot = max(free, key=lambda slot: slot.has(prompt))
            self._cut(slot, slot.has(prompt))
            self._turns += 1
            slot.begin(ticket, self._turns, request, prompt, self._copying(request))
            slot.refusal = self._refusal(request)
            slot.asked = self._asked(request, prompt)
            slot.sampler = sampler(self._api, request.sampling)
            slot.decoder = self._model.vocabulary.decoder()

    def _cut(self, slot: Slot, keep: int) -> None:
        """Keep so many tokens of a slot's KV, or none where the model cannot forget a part."""
        if not self._api.llama_memory_seq_rm(self._memory, slot.index, keep, -1):
            self._api.llama_memory_seq_rm(self._memory, slot.index, -1, -1)
            keep = 0
        del slot.kv[keep:]

    def _take_over(self, slot: Slot) -> None:
        """What another slot has of a slot's prompt and it has not."""
        others = [other for other in self._slots if other is not slot] if self._cuttable else []
        giver = max(others, key=lambda other: other.has(slot.prompt), default=slot)
        have, had = giver.has(slot.prompt), len(slot.kv)
        if have > had:
            self._cut(slot, 0)
            self._api.llama_memory_seq_cp(self._memory, giver.index, slot.index, 0, have)
            slot.kv = slot.prompt.ids[:have]
            if giver.ended(slot.prompt):
                slot.ending = giver.ending
            slot.cached += have - had

    def _join(self) -> Iterator[list[Output]]:
        """Begin the replies to prompts that another slot has computed to their end. Raises Undecided."""
        for slot in self._slots:
            if slot.prefilling and any(other.ended(slot.prompt) for other in self._slots):
                self._take_over(slot)
            if slot.prefilling and slot.ended(slot.prompt):
                yield [Prefill(slot.ticket, len(slot.kv), len(slot.kv))]
                yield self._said(slot, [], ENDING)

    def _fill(self) -> list[_Share]:
        """Fill the batch: with the oldest prompt, or else with every slot's reply. Who has what of it."""
        turns = [slot for slot in self._slots if slot.decoding]
        room = self._copy_ahead + 1 - len(turns)
        if prefilling := [slot for slot in self._slots if slot.prefilling]:
            turns, room = [min(prefilling, key=lambda slot: slot.turn)], 0
            self._take_over(turns[0])
        shares: list[_Share] = []
        self._batch.n_tokens = 0
        for slot in turns:
            tokens = slot.pending()
            if self._batch.n_tokens + len(tokens) > self._capacity:
                continue
            completed = slot.completed_by(tokens)
            guess = slot.guess(room) if completed and self._cuttable else []
            room -= len(guess)
            row = self._add(slot, tokens + guess, logits=len(guess) + 1 if completed else 0)
            shares.append(_Share(slot, tokens, guess, row))
        return shares

    def _add(self, slot: Slot, tokens: list[int], logits: int) -> int:
        """Add tokens to the batch, the last `logits` of them with logits; the first such row, or -1."""
        batch, first = self._batch, self._batch.n_tokens
        for i, token in enumerate(tokens):
            row = first + i
            batch.token[row] = token
            batch.pos[row] = len(slot.kv) + i
            batch.n_seq_id[row] = 1
            batch.seq_id[row][0] = slot.index
            batch.logits[row] = i >= len(tokens) - logits
        batch.n_tokens += len(tokens)
        return batch.n_tokens - logits if logits else -1

    def _after(self, share: _Share, seconds: float) -> list[Output]:
        """What came of a slot's share of the batch. seconds: of one token of it."""
        slot, tokens, guess, row = share
        outputs: list[Output] = []
        slot.kv += tokens + guess
        slot.drafted += len(guess)
        if slot.decoding:
            slot.decode_seconds += seconds * (len(tokens) + len(guess))
        else:
            slot.prefill_seconds += seconds * len(tokens)
            outputs.append(Prefill(slot.ticket, len(slot.kv), len(slot.prompt.ids)))
        if row < 0:
            return outputs
        if slot.asked is None and not slot.reply and self._asked_again(slot):
            slot.ending = self._drawing.logits(slot, row).copy()
        return outputs + self._said(slot, guess, row)

    def _asked_again(self, slot: Slot) -> bool:
        """Whether others wait with the same prompt."""
        waiting = [prompt for _, _, prompt in self._queue]
        waiting += [other.prompt for other in self._slots if other.prefilling and other is not slot]
        return self._cuttable and any(slot.asks(prompt) for prompt in waiting)

    def _said(self, slot: Slot, guess: Sequence[int], row: int) -> list[Output]:
        """What a slot says from a row of the batch on, which `guess` goes on from; or from ENDING.

        Raises Undecided.
        """
        if slot.asked is not None and self._weighing is not None:
            return self._weighed(slot, slot.asked, self._weighing)
        outputs: list[Output] = []
        for i, expected in enumerate([*guess, None]):
            token = self._draw(slot, row + i)
            if self._model.vocabulary.ends(token):
                return outputs + self._finish(slot, "stop")
            piece = self._model.vocabulary.piece(token)
            slot.reply.append(token)
            slot.copying.extend(token)
            if slot.quoting is not None:
                slot.quoting.extend(piece)
            slot.accepted += token == expected
            if text := slot.decoder.decode(piece):
                slot.text += text
                outputs.append(Decoded(slot.ticket, text))
            if len(slot.reply) >= slot.max_tokens:
                return outputs + self._finish(slot, "length")
            if token != expected:
                break
        # The last token said has no KV yet; what was guessed after a wrong guess must not have any.
        said = len(slot.prompt.ids) + len(slot.reply) - 1
        if len(slot.kv) > said:
            self._cut(slot, said)
            if not slot.kv:  # it is computed again; let it be the last time
                self._cuttable = False
        return outputs

    def _weighed(self, slot: Slot, asked: Asked, weighing: Weighing) -> list[Output]:
        """All of a reply that others beside the prompt have a say in. Raises Undecided."""
        began = time.perf_counter()
        found = weighing.reply(slot.index, slot.prompt.ids, asked, slot.max_tokens)
        slot.decode_seconds += time.perf_counter() - began
        self._cut(slot, len(slot.prompt.ids))
        slot.reply, slot.likely, slot.beside = found.tokens, found.likely, found.beside
        pieces = map(self._model.vocabulary.piece, found.tokens)
        slot.text = asked.refusal if found.refused else "".join(map(slot.decoder.decode, pieces))
        outputs: list[Output] = [Decoded(slot.ticket, slot.text)]
        return outputs + self._finish(slot, "stop" if found.ended else "length")

    def _draw(self, slot: Slot, row: int) -> int:
        """The next token of a slot's reply, from the logits of a row of the batch."""
        return self._drawing.token(slot, row)

    def _finish(self, slot: Slot, finish: Finish) -> list[Output]:
        outputs: list[Output] = []
        if rest := slot.decoder.decode(b"", final=True):
            slot.text += rest
            outputs.append(Decoded(slot.ticket, rest))
        outputs.append(Done(slot.ticket, Reply(slot.text, finish, slot.counts(), slot.likely)))
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
            ticket, _, prompt = self._queue.popleft()
            outputs.append(Done(ticket, Reply("", "cancelled", Counts(len(prompt.ids)))))
        return outputs

    def _fail(self, code: int) -> None:
        if self._model.lib.out_of_memory():
            raise OutOfMemory(
                "llama.cpp ran out of memory while reading", "Use smaller segments (--segment)."
            )
        raise EngineFailed(
            f"llama.cpp failed while reading (code {code}): {self._model.lib.last_error()}".rstrip(": ")
        )


def _c_library() -> Any:
    return ctypes.CDLL("msvcrt") if hasattr(ctypes, "windll") else ctypes.CDLL(None)
