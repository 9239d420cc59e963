"""Log-probabilities of replies under the model that is trained, with gradients.

The output head is applied to reply tokens only: over a vocabulary of 49,152, the head on every prompt token
would cost more than the rest of a 135M model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, TypeVar

import torch
import torch.nn.functional as F

from memread.train.decoder import Tensor, causal


class Scored(Protocol):
    """A prompt and a reply in tokens."""

    @property
    def prompt(self) -> tuple[int, ...]: ...

    @property
    def reply(self) -> tuple[int, ...]: ...


S = TypeVar("S", bound=Scored)


def score(
    model: Any, batch: Sequence[Scored], *, temperature: float = 1.0, autocast: bool = False
) -> tuple[Tensor, Tensor]:
    """Log-probability and entropy (no gradient) of every reply token, conversations one after the other: [N].

    autocast: matrix products in bfloat16. Padding is on the right, behind a causal mask, out of sight.
    """
    inner = causal(model)
    device = inner.lm_head.weight.device
    longest = max(len(item.prompt) + len(item.reply) for item in batch)
    ids = torch.zeros((len(batch), longest), dtype=torch.long)
    places: list[int] = []
    targets: list[int] = []
    for number, item in enumerate(batch):
        whole = item.prompt + item.reply
        ids[number, : len(whole)] = torch.tensor(whole)
        # The logits that predict a token are those of the token before it.
        start = number * longest + len(item.prompt) - 1
        places += range(start, start + len(item.reply))
        targets += item.reply
    with precision(device, autocast):
        hidden = inner.model(input_ids=ids.to(device), use_cache=False).last_hidden_state
        chosen = hidden.flatten(0, 1)[torch.tensor(places, device=device)]
        logits = inner.lm_head(chosen)
    logits = logits.float() / temperature
    logprobs = -F.cross_entropy(logits, torch.tensor(targets, device=device), reduction="none")
    with torch.no_grad():
        log_all = torch.log_softmax(logits.detach(), dim=-1)
        entropy = -(log_all.exp() * log_all).sum(-1)
    return logprobs, entropy


def micro_batches(items: Sequence[S], tokens: int) -> Iterator[tuple[list[int], list[S]]]:
    """Items of about equal length together, each batch of at most `tokens` padded tokens (one item at least).

    Yields (their places in `items`, the items). Longest first: what does not fit into memory fails at once.
    """
    order = sorted(range(len(items)), key=lambda place: -_length(items[place]))
    batch: list[int] = []
    for place in order:
        if batch and _length(items[batch[0]]) * (len(batch) + 1) > tokens:
            yield batch, [items[number] for number in batch]
            batch = []
        batch.append(place)
    if batch:
        yield batch, [items[number] for number in batch]


def precision(device: Any, autocast: bool) -> AbstractContextManager[object]:
    """bfloat16 matrix products, or whatever the weights are."""
    if not autocast:
        return nullcontext()
    context: AbstractContextManager[object] = torch.autocast(device.type, torch.bfloat16)
    return context


def _length(item: Scored) -> int:
    return len(item.prompt) + len(item.reply)
