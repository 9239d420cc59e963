"""Multi-Conv DAPO as plain functions: rewards → advantages → loss per token → one number.

Sources: MemAgent, arXiv 2507.02259 (§3, and its run scripts for what was in fact run); GRPO, 2402.03300;
DAPO, 2503.14476; Dr. GRPO, 2503.20783; dual clip, 1912.09729; k3, J. Schulman, "Approximating KL divergence"
(2020); InfoMem, 2606.03329.

Tensors of tokens are flat: [N], all reply tokens of all conversations of an update, one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from memread.train.recipe import Average

Tensor = Any
_LEAST_DEVIATION = 1e-6


def group_advantages(rewards: Sequence[float], *, divide: bool = False) -> list[float]:
    """The advantage of each rollout of a group: reward − the group's mean.

    It goes to every token of every conversation of the rollout (MemAgent §3.2). Undivided, as MemAgent was
    trained and Dr. GRPO argues: dividing weighs easy and hard questions up. divide: by the sample deviation
    too, as in GRPO.
    """
    mean = sum(rewards) / len(rewards)
    centred = [reward - mean for reward in rewards]
    if not divide or len(rewards) < 2:
        return centred
    deviation = (sum(value * value for value in centred) / (len(rewards) - 1)) ** 0.5
    return [value / (deviation + _LEAST_DEVIATION) for value in centred]


def tells_apart(rewards: Sequence[float]) -> bool:
    """Whether a group can be learned from: DAPO's dynamic sampling drops those of one reward (§3.2)."""
    return max(rewards) - min(rewards) > 1e-9


def overlong_penalty(tokens: int, limit: int, buffer: int) -> float:
    """DAPO's soft punishment of long replies (§3.4, eq. 13): 0 up to limit − buffer, then falling to −1.

    tokens: of one reply; limit: its most. buffer 0: no punishment.
    """
    if buffer <= 0:
        return 0.0
    return -min(1.0, max(0.0, (tokens - (limit - buffer)) / buffer))


def information_bonus(gains: Sequence[float], successes: Sequence[bool]) -> list[float]:
    """InfoMem's dense term: 0 to 1 for how much the final memory raises the likelihood of the true answer.

    gains: per rollout of a group, log-likelihood per token of the answer with the memory − without one. Only
    rollouts that succeeded get it, and it is normalised before it is added: both are the paper's findings.
    The normalisation over the group's successes, from the least to the largest gain, is ours.
    """
    among = [gain for gain, success in zip(gains, successes, strict=True) if success]
    if not among or max(among) - min(among) < _LEAST_DEVIATION:
        return [0.0] * len(gains)
    least, span = min(among), max(among) - min(among)
    return [(gain - least) / span if success else 0.0 for gain, success in zip(gains, successes, strict=True)]


def token_weights(lengths: Sequence[int], groups: Sequence[int], average: Average = "tokens") -> list[float]:
    """What one token of each conversation weighs in the loss; over all tokens the weights add up to 1.

    lengths: reply tokens per conversation; groups: its question's number. "tokens": the mean over all tokens
    of the update (DAPO's token-level loss, §3.3; MemAgent's scripts: token-mean). "groups": the mean over a
    group's tokens, then over groups, so that a question with long memories counts no more than another.
    """
    if average == "tokens":
        return [1.0 / max(1, sum(lengths))] * len(lengths)
    totals: dict[int, int] = {}
    for length, group in zip(lengths, groups, strict=True):
        totals[group] = totals.get(group, 0) + length
    return [1.0 / (len(totals) * max(1, totals[group])) for group in groups]


def policy_losses(
    logprobs: Tensor,
    old: Tensor,
    advantages: Tensor,
    *,
    low: float = 0.20,
    high: float = 0.20,
    dual: float = 0.0,
) -> tuple[Tensor, Tensor]:
    """The clipped surrogate per token, to be minimised [N], and where clipping took the gradient away [N].

    −min(r·A, clip(r, 1−low, 1+high)·A) with r = exp(logprobs − old). high 0.28 is DAPO's clip-higher (§3.1).
    dual: for A < 0 the loss is at most dual·|A| (dual clip); 0: off. verl's default, under which MemAgent
    ran, is 3.
    """
    ratio = (logprobs - old).clamp(-20.0, 20.0).exp()
    plain = -advantages * ratio
    clipped = -advantages * ratio.clamp(1.0 - low, 1.0 + high)
    losses = torch.maximum(plain, clipped)
    lost = clipped > plain
    if dual:
        bound = -advantages * dual
        over = (advantages < 0) & (losses > bound)
        losses, lost = torch.where(over, bound, losses), lost | over
    return losses, lost


def k3(logprobs: Tensor, reference: Tensor) -> Tensor:
    """Schulman's estimate of KL(policy ‖ reference) per token [N]: e^d − d − 1 with d = reference − policy.

    Never negative; 0 where both agree. d is clamped to ±20, where its exponential still is a number.
    """
    difference = (reference - logprobs).clamp(-20.0, 20.0)
    return difference.exp() - difference - 1.0


def total_loss(
    losses: Tensor, weights: Tensor, divergence: Tensor | None = None, kl: float = 0.001
) -> Tensor:
    """Σ weight · (policy loss + kl · divergence): the share of the update's loss that these tokens make.

    A plain sum over tokens whose weights were fixed for the whole update: however the update is cut into
    micro-batches, the parts add up to the same loss, and their gradients to the same gradient.
    """
    if divergence is not None and kl:
        losses = losses + kl * divergence
    return (losses * weights).sum()
