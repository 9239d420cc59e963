"""The settings of reinforcement: one table, from a TOML file and flags; what a run's folder records."""

from __future__ import annotations

from typing import Literal

import msgspec

from memread.train.rewards import Rule

Average = Literal["tokens", "groups"]
Rejected = Literal["train", "skip"]


class Reinforcement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings. Defaults are MemAgent's as published, but for a step's size (128 questions there)."""

    steps: int = 100
    questions: int = 16
    """Per step."""
    rollouts: int = 16
    """Per question: the group."""
    seed: int = 0
    temperature: float = 1.0
    top_p: float = 1.0
    reward: Rule = "exact"
    rejected: Rejected = "train"
    """Whether replies that the guard refused are learned from."""
    learning_rate: float = 1e-6
    """For all weights. LoRA wants ten to a hundred times as much."""
    warmup: int = 20
    """Updates over which the learning rate rises."""
    weight_decay: float = 0.01
    clip_gradient: float = 1.0
    """The gradient's norm, at most."""
    minibatches: int = 1
    """Updates from one step's rollouts; the published 16 of 8 questions each, one pass over all."""
    clip_low: float = 0.20
    clip_high: float = 0.20
    """0.28 is DAPO's clip-higher."""
    dual_clip: float = 0.0
    kl: float = 0.001
    average: Average = "tokens"
    divide_by_deviation: bool = False
    dynamic_sampling: bool = False
    """Only groups whose rewards differ are learned from; more questions are asked until there are enough."""
    dynamic_limit: int = 4
    """Asked at most so many times the questions of a step."""
    overlong: int = 0
    """Tokens below a reply's limit in which DAPO's soft punishment sets in; 0: none."""
    information: float = 0.0
    """The weight of InfoMem's term in the reward."""
    old: Literal["recomputed", "engine"] = "recomputed"
    """Whose log-probabilities the ratio starts from: the trainer's own before the update, as published, so
    that rounding in generation is no change of policy; or those the engine drew with."""
    micro_tokens: int = 16384
    """Padded tokens in one forward and backward pass."""
    autocast: bool = False
    """Matrix products in bfloat16."""
    recompute_activations: bool = False
    """Less memory for a third more time."""
    checkpoint_every: int = 5
    keep: int = 2

    @property
    def identity(self) -> str:
        """What a resumed run must share: all but how long it is and how often it is saved."""
        parts = msgspec.structs.replace(self, steps=0, checkpoint_every=1, keep=1)
        return msgspec.json.encode(parts).decode()
