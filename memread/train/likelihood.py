"""Log-probabilities of replies under the model that is trained, with gradients.

The output head is applied to reply tokens only: over a vocabulary of 49,152, the head on every prompt token
would cost more than the rest of a 135M model.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F

from memread.train import packed
from memread.train.decoder import Tensor, causal
from memread.train.rows import Row


def score(
    model: Any, row: Row[Any], *, temperature: float = 1.0, autocast: bool = False
) -> tuple[Tensor, Tensor]:
    """Log-probability and entropy (no gradient) of every reply token, reply by reply: [N].

    autocast: matrix products in bfloat16.
    """
    inner = causal(model)
    device = inner.lm_head.weight.device
    with precision(device, autocast):
        logits = inner.lm_head(packed.hidden(inner, row))
    logits = logits.float() / temperature
    logprobs = -F.cross_entropy(logits, torch.tensor(row.targets, device=device), reduction="none")
    with torch.no_grad():
        log_all = torch.log_softmax(logits.detach(), dim=-1)
        entropy = -(log_all.exp() * log_all).sum(-1)
    return logprobs, entropy


def precision(device: Any, autocast: bool) -> AbstractContextManager[object]:
    """bfloat16 matrix products, or whatever the weights are."""
    if not autocast:
        return nullcontext()
    context: AbstractContextManager[object] = torch.autocast(device.type, torch.bfloat16)
    return context
