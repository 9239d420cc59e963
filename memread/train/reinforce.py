"""Multi-Conv DAPO: rollout → advantages → loss → update, and again.

`reinforce` is the loop, update.learn what it does with a step's rollouts. Everything that decides an update
is in the state that is saved: a run that was killed goes on exactly as if it had not been.
"""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch

from memread import prompts
from memread.errors import ConfigError
from memread.profile import Profile
from memread.train import checkpoint, metrics, objective
from memread.train.episode import Episode
from memread.train.recipe import Reinforcement
from memread.train.rewards import outcome
from memread.train.rollout import Recording, Rollout, roll
from memread.train.update import Example, learn, score_all
from memread.train.vocabulary import PromptVocabulary


class Scored(msgspec.Struct, frozen=True):
    """A rollout and its reward."""

    rollout: Rollout
    outcome: float
    reward: float
    """The outcome, with what shapes it."""


Episodes = Callable[[int], Episode]
"""The n-th episode of the training data, the same at any time."""
Ready = Callable[[], Recording]
"""An engine that generates with the model's present weights."""


def reinforce(
    model: Any,
    ready: Ready,
    episodes: Episodes,
    profile: Profile,
    vocabulary: PromptVocabulary,
    settings: Reinforcement,
    folder: Path,
    *,
    report: Callable[[metrics.Row], None] = lambda row: None,
    saved: Callable[[], None] = lambda: None,
) -> None:
    """Train until `settings.steps`, from the last checkpoint in `folder` if there is one.

    Writes checkpoints/, metrics.jsonl and metrics.png there, and calls `saved` after each checkpoint. Raises
    ConfigError when the folder's run had other settings (steps and bookkeeping aside), and what the engine
    raises.
    """
    parameters = checkpoint.trainable(model)
    optimizer = torch.optim.AdamW(
        parameters.values(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    if settings.recompute_activations:
        model.gradient_checkpointing_enable()
    # Nothing here uses dropout; checkpointing of activations wants the model in training mode.
    model.train(settings.recompute_activations)
    folder.mkdir(parents=True, exist_ok=True)
    log, checkpoints = folder / "metrics.jsonl", folder / "checkpoints"
    state = checkpoint.latest(checkpoints)
    step = position = 0
    values = None
    if state is not None:
        if state["settings"] != settings.identity:
            raise ConfigError(f"{folder}: was trained with other settings", "Take another folder.")
        checkpoint.restore(parameters, state["parameters"])
        optimizer.load_state_dict(state["optimizer"])
        checkpoint.set_random_state(state["random"])
        step, position = state["step"], state["position"]
        values = {name: value.to(parameters[name].device) for name, value in state["reference"].items()}
    metrics.cut(log, step)
    reference = checkpoint.Reference(model, values)
    while step < settings.steps:
        began = time.perf_counter()
        engine = ready()
        groups, position, asked = gather(engine, episodes, profile, settings, step, position)
        generated = time.perf_counter()
        scored = [
            judge(group, settings, profile, _gains(model, group, profile, vocabulary, engine, settings))
            for group in groups
        ]
        examples = to_examples(scored, settings)
        row = learn(model, optimizer, examples, settings, reference, step)
        step += 1
        ended = time.perf_counter()
        row = {"step": step, "position": position} | summary(scored, settings, asked) | row
        row |= _speed(examples, generated - began, ended - generated)
        # Measured first: a kill in between makes a resumed run drop this line and do the update again.
        metrics.append(log, row)
        if step % settings.checkpoint_every == 0 or step == settings.steps:
            state = {
                "settings": settings.identity,
                "step": step,
                "position": position,
                "parameters": checkpoint.copied(parameters),
                "reference": reference.values,
                "optimizer": optimizer.state_dict(),
                "random": checkpoint.random_state(),
            }
            checkpoint.save(checkpoints, step, state, settings.keep)
            saved()
        report(row)
    if rows := metrics.read(log):
        metrics.draw({folder.name: rows}, folder / "metrics.png")


def gather(
    engine: Recording, episodes: Episodes, profile: Profile, settings: Reinforcement, step: int, position: int
) -> tuple[list[list[Rollout]], int, int]:
    """A step's groups of rollouts; the next episode's number; how many questions were asked for them.

    With dynamic sampling, groups of one reward are replaced by the next episodes' until there are enough, or
    the limit is reached; then the step is as large as it is (one group at least).
    """
    found: list[list[Rollout]] = []
    asked = 0
    while True:
        count = settings.questions - len(found)
        batch = [episodes(position + number) for number in range(count)]
        groups = roll(
            engine,
            batch,
            profile,
            rollouts=settings.rollouts,
            seed=_seed(settings.seed, step, position),
            temperature=settings.temperature,
            top_p=settings.top_p,
        )
        position += count
        asked += count
        for group in groups:
            rewards = [outcome(rollout.episode, rollout.answer, settings.reward) for rollout in group]
            if not settings.dynamic_sampling or objective.tells_apart(rewards):
                found.append(group)
        enough = len(found) >= settings.questions or not settings.dynamic_sampling
        if enough or asked >= settings.dynamic_limit * settings.questions:
            return found or groups[:1], position, asked


def judge(
    group: Sequence[Rollout], settings: Reinforcement, profile: Profile, gains: Sequence[float] = ()
) -> list[Scored]:
    """The rewards of a group: outcome, + InfoMem's term, + the mean soft punishment of its replies.

    DAPO punishes its one reply; a rollout here has many, and the mean keeps the punishment in −1…0.
    """
    outcomes = [outcome(rollout.episode, rollout.answer, settings.reward) for rollout in group]
    bonus = [0.0] * len(group)
    if settings.information and gains:
        bonus = objective.information_bonus(gains, [value >= 1.0 for value in outcomes])
    found = []
    for rollout, value, extra in zip(group, outcomes, bonus, strict=True):
        limits = {"update": profile.budget.memory, "answer": profile.budget.answer}
        long = [
            objective.overlong_penalty(len(item.reply), limits[item.kind], settings.overlong)
            for item in rollout.conversations
        ]
        reward = value + settings.information * extra + sum(long) / max(1, len(long))
        found.append(Scored(rollout, value, reward))
    return found


def to_examples(groups: Sequence[Sequence[Scored]], settings: Reinforcement) -> list[Example]:
    """Every conversation of every rollout, with its rollout's advantage (MemAgent §3.2)."""
    found = []
    for number, group in enumerate(groups):
        rewards = [item.reward for item in group]
        advantages = objective.group_advantages(rewards, divide=settings.divide_by_deviation)
        for item, advantage in zip(group, advantages, strict=True):
            found += [
                Example(talk.prompt, talk.reply, advantage, number, talk.logprobs)
                for talk in item.rollout.trained(settings.rejected)
            ]
    return found


def summary(groups: Sequence[Sequence[Scored]], settings: Reinforcement, asked: int) -> metrics.Row:
    """What the rollouts of a step were like."""
    every = [item for group in groups for item in group]
    talks = [talk for item in every for talk in item.rollout.conversations]
    refused = [one for item in every for one in item.rollout.rejected]
    kinds: dict[str, list[float]] = defaultdict(list)
    for item in every:
        kinds[item.rollout.episode.kind].append(item.outcome)
    return {
        "reward": _mean([item.outcome for item in every]),
        "shaped_reward": _mean([item.reward for item in every]),
        "by_kind": {kind: round(_mean(values), 4) for kind, values in sorted(kinds.items())},
        "boxed": _mean([float(item.rollout.answer.boxed) for item in every]),
        "telling_groups": _mean(
            [float(objective.tells_apart([s.reward for s in group])) for group in groups]
        ),
        "asked": asked,
        "memory_tokens": _mean([item.rollout.memory_tokens for item in every]),
        "reply_tokens": _mean([len(talk.reply) for talk in talks]),
        "rejected": _mean([float(one) for one in refused]),
        "conversations": len(talks),
    }


def _gains(
    model: Any,
    group: Sequence[Rollout],
    profile: Profile,
    vocabulary: PromptVocabulary,
    engine: Recording,
    settings: Reinforcement,
) -> list[float]:
    """InfoMem's gain of each rollout: mean log-likelihood of the ideal reply with its memory − with none."""
    if not settings.information:
        return []
    episode = group[0].episode
    reply = tuple(vocabulary.encode(episode.reply))
    memories = [profile.wording.initial_memory, *(rollout.answer.memory for rollout in group)]
    asked = [
        Example(
            tuple(
                vocabulary.encode_prompt(
                    prompts.answer(profile, engine.frame, question=episode.question, memory=memory)
                )
            ),
            reply,
            0.0,
            0,
        )
        for memory in memories
    ]
    without, *given = [float(values.mean()) for values in score_all(model, asked, settings)]
    return [value - without for value in given]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _seed(seed: int, step: int, position: int) -> int:
    name = f"{seed} {step} {position}".encode()
    return int.from_bytes(hashlib.sha256(name).digest()[:4], "big")


def _speed(examples: Sequence[Example], generating: float, learning: float) -> metrics.Row:
    tokens = sum(len(example.prompt) + len(example.reply) for example in examples)
    replies = sum(len(example.reply) for example in examples)
    return {
        "tokens": tokens,
        "generating_seconds": round(generating, 3),
        "learning_seconds": round(learning, 3),
        "generated_tokens_per_second": round(replies / generating, 1) if generating else 0.0,
        "tokens_per_second": round(tokens / (generating + learning), 1),
    }
