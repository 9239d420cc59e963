"""How the next token is drawn: llama.cpp's own sampler chain."""

from __future__ import annotations

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
