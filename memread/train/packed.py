"""A row through the model: a prefix, and branches that see it but not each other (see rows.Row).

A mask over the whole row would compute every pair of tokens and throw many of them away. Here the prefix is
causal, which needs no mask, and the branches are padded to one length, each against the prefix and itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from transformers import AttentionInterface, DynamicCache

from memread.train.rows import Row

Tensor = Any
"""torch.Tensor: torch is not installed where the types are checked."""
_NAME = "memread-packed"


def hidden(inner: Any, row: Row[Any], *, through_prefix: bool = True) -> Tensor:
    """The last layer's output at `row.places`: [N, width]. inner: a LlamaForCausalLM.

    through_prefix: whether gradients flow through the prefix. Without them it goes forward only, and what the
    branches do with its keys and values is learned.
    """
    device = inner.lm_head.weight.device
    ids = torch.tensor([row.ids], device=device)
    positions = torch.tensor([row.positions], device=device)
    places = torch.tensor(row.places, device=device)
    shared = row.branches.count(0)
    lengths = [row.branches.count(number) for number in range(1, max(row.branches) + 1)]
    cache = None
    if not through_prefix and shared:
        with torch.no_grad():
            cache = DynamicCache(config=inner.config)
            inner.model(input_ids=ids[:, :shared], past_key_values=cache, use_cache=True)
        ids, positions, places = ids[:, shared:], positions[:, shared:], places - shared
    before = inner.config._attn_implementation
    inner.config._attn_implementation = _NAME
    try:
        found = inner.model(
            input_ids=ids,
            position_ids=positions,
            past_key_values=cache,
            use_cache=cache is not None,
            shared=shared,
            lengths=lengths,
        )
    finally:
        inner.config._attn_implementation = before
    return found.last_hidden_state[0][places]


def _attention(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Any,
    *,
    scaling: float,
    shared: int,
    lengths: Sequence[int],
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention as transformers calls it: query [1, heads, Q, width], key and value [1, groups, T, width] →
    [1, Q, heads, width]. T: the prefix, then the branches. Q: the same, or the branches alone."""
    key, value = (x.repeat_interleave(module.num_key_value_groups, dim=1) for x in (key, value))
    first_key, first_value = key[:, :, :shared], value[:, :, :shared]
    asked = query.shape[2] - sum(lengths)  # tokens of the prefix that ask
    longest = max(lengths)
    own = torch.ones(longest, longest, dtype=torch.bool, device=query.device).tril_()
    seen = torch.cat([own.new_ones(longest, shared), own], 1)
    apart = [_apart(x, lengths) for x in (query, key, value)]
    # The fused one is slower than products of bfloat16 on a processor (docs/TRAINING.md).
    plain = query.device.type == "cpu" and query.dtype == torch.bfloat16
    found = (_products if plain else F.scaled_dot_product_attention)(
        apart[0],
        torch.cat([first_key.expand(len(lengths), -1, -1, -1), apart[1]], 2),
        torch.cat([first_value.expand(len(lengths), -1, -1, -1), apart[2]], 2),
        attn_mask=seen,
        scale=scaling,
    )
    parts = [found[number, :, :length] for number, length in enumerate(lengths)]
    if asked:
        first = F.scaled_dot_product_attention(
            query[:, :, :asked], first_key, first_value, is_causal=True, scale=scaling
        )
        parts.insert(0, first[0])
    return torch.cat(parts, 1)[None].transpose(1, 2), None


def _products(query: Tensor, key: Tensor, value: Tensor, *, attn_mask: Tensor, scale: float) -> Tensor:
    """F.scaled_dot_product_attention, one product after the other; the softmax in float32."""
    scores = (query * scale) @ key.transpose(-1, -2)
    away = torch.zeros(attn_mask.shape, dtype=scores.dtype).masked_fill_(~attn_mask, float("-inf"))
    return torch.softmax(scores + away, -1, dtype=torch.float32).to(value.dtype) @ value


def _apart(x: Tensor, lengths: Sequence[int]) -> Tensor:
    """The branches at the end of [1, heads, T, width], padded: [branches, heads, longest, width]."""
    longest = max(lengths)
    parts = x[0, :, x.shape[2] - sum(lengths) :].split(list(lengths), dim=1)
    return torch.stack([F.pad(part, (0, 0, 0, longest - part.shape[1])) for part in parts])


AttentionInterface.register(_NAME, _attention)
