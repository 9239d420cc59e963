"""How the next tokens of a batch are chosen, each row by its own sampling and its own random numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from memread.train.decoder import Tensor
from memread.types import Sampling


class Draws:
    """How the next tokens of some rows are chosen. uniforms: [B, count]."""

    def __init__(
        self, samplings: Sequence[Sampling], uniforms: Sequence[Sequence[float]], device: Any
    ) -> None:
        self.uniforms = torch.tensor(uniforms, device=device)
        self.temperatures = torch.tensor(
            [sampling.temperature if sampling.temperature > 0 else 1.0 for sampling in samplings],
            device=device,
        )[:, None]
        # Three kinds of rows, each drawn in its own way whatever its neighbours are: greedy, from all tokens
        # (no sort over the vocabulary, which is most of the time), and from the likeliest only.
        drawn = [place for place, sampling in enumerate(samplings) if sampling.temperature > 0]
        narrow = [place for place in drawn if samplings[place].top_p < 1 or samplings[place].top_k]
        plain = [place for place in drawn if place not in set(narrow)]
        self.plain = torch.tensor(plain, device=device) if plain else None
        self.narrow = torch.tensor(narrow, device=device) if narrow else None
        self.top_p = torch.tensor([samplings[place].top_p for place in narrow], device=device)[:, None]
        self.top_k = torch.tensor([samplings[place].top_k or 1 << 30 for place in narrow], device=device)[
            :, None
        ]

    def draw(self, logits: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """Tokens [B] and their log-probabilities [B], from logits [B, V].

        By inversion: the token at which the cumulated probability passes a uniform number that depends on
        the request's seed and on how many tokens it has, so that a reply does not depend on its batch.
        """
        logprobs = torch.log_softmax(logits / self.temperatures, dim=-1)
        tokens = logits.argmax(-1)
        uniforms = self.uniforms[:, number, None]
        if self.plain is not None:
            chosen = _pass(logprobs[self.plain].exp(), uniforms[self.plain])
            tokens[self.plain] = chosen
        if self.narrow is not None:
            chances, order = logprobs[self.narrow].exp().sort(-1, descending=True)
            before = chances.cumsum(-1) - chances
            ranks = torch.arange(chances.shape[-1], device=chances.device)
            chances = chances * ((before < self.top_p) & (ranks < self.top_k))
            chosen = _pass(chances, uniforms[self.narrow])
            tokens[self.narrow] = order.gather(-1, chosen[:, None])[:, 0]
        return tokens, logprobs.gather(-1, tokens[:, None])[:, 0]


def _pass(chances: Tensor, uniforms: Tensor) -> Tensor:
    """Where the cumulated chances [B, V] pass the uniform share [B, 1] of their sum: [B]."""
    totals = chances.cumsum(-1)
    # A uniform number can round to 1; the spot must stay below the sum, or the last token is drawn however
    # unlikely it is.
    below = torch.nextafter(totals[:, -1:], torch.zeros_like(totals[:, -1:]))
    places = torch.searchsorted(totals, torch.minimum(uniforms * totals[:, -1:], below), right=True)
    return places[:, 0].clamp(max=chances.shape[-1] - 1)
