"""How the next token is drawn: llama.cpp's own sampler chain, and what a request says of the token."""

from __future__ import annotations

import ctypes
import itertools
from typing import Any

from memread.engine.llamacpp.model import Model
from memread.engine.llamacpp.quoting import Quoting
from memread.engine.llamacpp.slot import Slot
from memread.types import Sampling

ENDING = -2
"""Instead of a row of the batch: the logits that a slot keeps of its prompt's end (Slot.ending)."""


def sampler(api: Any, sampling: Sampling) -> Any:
    """A chain for these settings; the caller frees it. Each draw takes one random number, so that the n-th
    token of a reply is drawn with the n-th, in whatever batches it is computed."""
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


class Drawing:
    """Draws the tokens of slots' replies, from the logits of a context's last batch or those a slot keeps."""

    def __init__(self, model: Model, context: Any) -> None:
        self._model, self._api, self._context = model, model.lib.api, context

    def token(self, slot: Slot, row: int) -> int:
        """The next token of a slot's reply, from the logits of a row of the batch, or of ENDING."""
        if row == ENDING:
            token = _drawn(self._api, slot.sampler, slot.ending)
        else:
            token = self._api.llama_sampler_sample(slot.sampler, self._context, row)
        if slot.decides:
            odds = self._odds(slot, row)
            if odds[slot.refusal[-1]] >= slot.refused_from * odds.sum():
                return slot.refusal[-1]
            if token == slot.refusal[-1]:
                odds[token] = 0.0
                return int(odds.argmax())
        if slot.quoting is None or self._quotes(slot.quoting, token):
            return token
        vocabulary, logits = self._model.vocabulary, self.logits(slot, row)
        pieces, longest = vocabulary.pieces
        known = (pieces[piece] for piece in slot.quoting.continuations(longest) if piece in pieces)
        fitting = list(itertools.chain.from_iterable(known))
        if vocabulary.end >= 0 and (slot.quoting.ends() or not fitting):
            fitting.append(vocabulary.end)
        return max(fitting, key=lambda likely: float(logits[likely]), default=token)

    def logits(self, slot: Slot, row: int) -> Any:
        """Of a row of the batch, or of ENDING: an array of the vocabulary's length."""
        if row == ENDING:
            return slot.ending
        import numpy as np  # a fifth of a second, which only such a reply should wait for

        rows = self._api.llama_get_logits_ith(self._context, row)
        return np.ctypeslib.as_array(rows, shape=(self._model.vocabulary.size,))

    def _odds(self, slot: Slot, row: int) -> Any:
        """Of each token, against the likeliest."""
        import numpy as np

        logits = self.logits(slot, row).astype(np.float64)
        return np.exp(logits - logits.max())

    def _quotes(self, quoting: Quoting, token: int) -> bool:
        """Whether a reply made of quotations may go on with this token."""
        if self._model.vocabulary.ends(token):
            return quoting.ends()
        piece = self._model.vocabulary.piece(token)
        return bool(piece) and quoting.fits(piece)


def _drawn(api: Any, chain: Any, logits: Any) -> int:
    """The token that a chain draws from logits [vocabulary], float32: as llama_sampler_sample from those of a
    row of a batch."""
    import numpy as np

    kinds = [("id", np.int32), ("logit", np.float32), ("p", np.float32)]  # llama_token_data
    candidates = np.zeros(len(logits), dtype=kinds)
    candidates["id"], candidates["logit"] = np.arange(len(logits)), logits
    first = candidates.ctypes.data_as(ctypes.POINTER(api.llama_token_data))
    array = api.llama_token_data_array(first, len(candidates), -1, False)
    api.llama_sampler_apply(chain, ctypes.byref(array))
    token: int = array.data[array.selected].id
    api.llama_sampler_accept(chain, token)
    return token
