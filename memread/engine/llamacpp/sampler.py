"""How the next token is drawn: llama.cpp's own sampler chain."""

from __future__ import annotations

import ctypes
from typing import Any

from memread.types import Sampling


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


def drawn(api: Any, chain: Any, logits: Any) -> int:
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
