"""One update from one step's conversations: advantages and log-probabilities → loss → gradient → weights."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import msgspec
import torch

from memread.errors import ConfigError
from memread.train import objective
from memread.train.checkpoint import Reference, trainable
from memread.train.decoder import Tensor
from memread.train.likelihood import score
from memread.train.recipe import Reinforcement
from memread.train.rows import by_likeness


class Example(msgspec.Struct, frozen=True):
    """One conversation to learn from."""

    prompt: tuple[int, ...]
    reply: tuple[int, ...]
    advantage: float
    group: int
    behaviour: tuple[float, ...] | None = None
    """The engine's log-probabilities of the reply's tokens."""


def learn(
    model: Any,
    optimizer: Any,
    examples: Sequence[Example],
    settings: Reinforcement,
    reference: Reference,
    step: int = 0,
) -> dict[str, float]:
    """The updates from one step's examples; what was measured, as means over tokens, and row_tokens."""
    references: list[Tensor | None] = [None] * len(examples)
    if settings.kl:
        with reference:
            references = score_all(model, examples, settings)
    olds = _olds(model, examples, settings)
    parts = [
        [place for place, example in enumerate(examples) if example.group % settings.minibatches == part]
        for part in range(settings.minibatches)
    ]
    totals: dict[str, float] = defaultdict(float)
    parts = [part for part in parts if part]
    for number, part in enumerate(parts):
        update = step * settings.minibatches + number
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * min(1.0, (update + 1) / settings.warmup)
        optimizer.zero_grad(set_to_none=True)
        chosen = [examples[place] for place in part]
        found = accumulate(
            model, chosen, settings, [olds[place] for place in part], [references[place] for place in part]
        )
        norm = torch.nn.utils.clip_grad_norm_(trainable(model).values(), settings.clip_gradient)
        optimizer.step()
        for name, value in (found | {"gradient": float(norm)}).items():
            totals[name] += value if name == "row_tokens" else value / len(parts)
    optimizer.zero_grad(set_to_none=True)
    return {**totals, "learning_rate": optimizer.param_groups[0]["lr"]}


def accumulate(
    model: Any,
    examples: Sequence[Example],
    settings: Reinforcement,
    olds: Sequence[Tensor | None],
    references: Sequence[Tensor | None],
) -> dict[str, float]:
    """Add the gradient of one update's loss to the model's, row by row; what it measured, as means over the
    reply tokens that were computed, and how many tokens went through the model in all (row_tokens).

    Without a KL term, conversations of no advantage have no gradient: they are not computed.
    """
    lengths = [len(example.reply) for example in examples]
    weights = objective.token_weights(lengths, [example.group for example in examples], settings.average)
    telling = [n for n, example in enumerate(examples) if settings.kl or example.advantage]
    computed = sum(weights[n] * lengths[n] for n in telling)
    totals = dict.fromkeys(("loss", "entropy", "clip_fraction", "kl", "engine_gap", "row_tokens"), 0.0)
    for chosen, row in by_likeness([examples[n] for n in telling], settings.micro_tokens):
        batch, places = row.conversations, [telling[n] for n in chosen]
        logprobs, entropy = score(model, row, temperature=settings.temperature, autocast=settings.autocast)
        repeats = torch.tensor([lengths[place] for place in places], device=logprobs.device)
        share = _spread([weights[place] for place in places], repeats)
        old = _joined([olds[place] for place in places])
        before = logprobs.detach() if old is None else old
        advantages = _spread([example.advantage for example in batch], repeats)
        losses, lost = objective.policy_losses(
            logprobs,
            before,
            advantages,
            low=settings.clip_low,
            high=settings.clip_high,
            dual=settings.dual_clip,
        )
        then = _joined([references[place] for place in places])
        divergence = None if then is None else objective.k3(logprobs, then)
        loss = objective.total_loss(losses, share, divergence, settings.kl)
        loss.backward()
        totals["row_tokens"] += len(row.ids)
        with torch.no_grad():
            totals["loss"] += float(loss)
            share /= computed
            totals["entropy"] += float((entropy * share).sum())
            totals["clip_fraction"] += float((lost * share).sum())
            totals["kl"] += 0.0 if divergence is None else float((divergence * share).sum())
            if all(example.behaviour is not None for example in batch):
                drawn = torch.tensor(
                    [value for example in batch for value in example.behaviour or ()], device=before.device
                )
                totals["engine_gap"] += float(((drawn - before).abs() * share).sum())
    return totals


def _olds(model: Any, examples: Sequence[Example], settings: Reinforcement) -> list[Tensor | None]:
    """Log-probabilities before the first update; None: those of the update's own forward pass are they."""
    if settings.old == "engine":
        if any(example.behaviour is None for example in examples):
            raise ConfigError("the engine tells no log-probabilities", 'Set old = "recomputed".')
        device = next(iter(trainable(model).values())).device
        return [torch.tensor(example.behaviour, device=device) for example in examples]
    if settings.minibatches == 1:
        return [None] * len(examples)
    return [*score_all(model, examples, settings)]


def score_all(model: Any, examples: Sequence[Example], settings: Reinforcement) -> list[Any]:
    """Log-probabilities of each example's reply, without gradient."""
    found: list[Any] = [None] * len(examples)
    with torch.no_grad():
        # Without a backward pass four times as much fits.
        for places, row in by_likeness(examples, 4 * settings.micro_tokens):
            logprobs, _ = score(model, row, temperature=settings.temperature, autocast=settings.autocast)
            parts = logprobs.split(row.lengths)
            for place, part in zip(places, parts, strict=True):
                found[place] = part
    return found


def _spread(values: Sequence[float], repeats: Tensor) -> Tensor:
    return torch.tensor(values, device=repeats.device).repeat_interleave(repeats)


def _joined(parts: Sequence[Tensor | None]) -> Tensor | None:
    return torch.cat([*parts]) if parts and parts[0] is not None else None
