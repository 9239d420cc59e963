"""The warm start: supervised on ideal memories. Resumes exactly; bounded in steps and in time.

A step takes whole families of episodes until it has enough tokens; the data of step n thus depends on the
seed and on where step n-1 ended, nothing else. There is no dropout: with the weights, the optimizer's moments
and the number of the next family, a killed run goes on as if nothing had happened.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from memread.errors import ModelUnloadable
from memread.gguf import read_header
from memread.profile import Profile
from memread.protocols import Tokenizer
from memread.train import metrics
from memread.train.bounds import Count, Positive, Share, Weight, Whole
from memread.train.data.compose import Maker, Settings
from memread.train.episode import Split
from memread.train.lessons import Choice, Conversation, Teacher
from memread.train.rows import Row, in_order
from memread.train.weights import load_lora_state, lora_state, save_lora

Tensor = Any
"""torch.Tensor: torch is not installed where the types are checked."""
Lesson = Row[Conversation]


class Stage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the curriculum."""

    first: Whole
    """The step it begins with."""
    data: Settings


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How supervision is done."""

    stages: tuple[Stage, ...] = (
        Stage(0, Settings(segment_tokens=(150, 400), segments=(1, 3))),
        Stage(150, Settings(segment_tokens=(200, 900), segments=(1, 4))),
    )
    choice: Choice = Choice()
    learning_rate: Weight = 1e-3
    """At its peak: rises over `warmup` steps, stays, falls to a tenth over the last `decay` (a share) of
    `steps`."""
    warmup: Count = 15
    decay: Share = 0.4
    steps: Whole = 600
    step_tokens: Count = 6000
    """Tokens that go through the model in a step, at least."""
    row_tokens: Count = 2048
    """Tokens that go through it at once, at most: bounds memory (about 2 MB a token in float32)."""
    through_prefix: Share = 1.0
    """The share of rows whose gradients also flow through what their conversations share. The others are
    cheaper, and their gradient is another (docs/TRAINING.md)."""
    autocast: bool = False
    """Matrix products in bfloat16, for processors that have them (docs/TRAINING.md)."""
    clip_gradient: Positive = 1.0
    """The gradient's norm, at most."""
    checkpoint_every: Count = 20
    """Steps between checkpoints, and between looks at the development set."""
    dev_families: Whole = 6
    """How many of its texts are looked at."""
    seed: int = 0


class Progress(msgspec.Struct):
    """Where a run is."""

    step: int = 0
    """Steps done."""
    family: int = 0
    """The next family to learn from."""
    tokens: int = 0
    """That went through the model so far."""
    seconds: float = 0.0


def rate_at(recipe: Recipe, step: int) -> float:
    """The learning rate of step number `step`, 0-based."""
    begins = recipe.steps * (1 - recipe.decay)
    falling = (step - begins) / max(recipe.steps - begins, 1)
    return recipe.learning_rate * min((step + 1) / recipe.warmup, 1.0, max(0.1, 1.0 - 0.9 * falling))


def loss(
    model: Any, row: Lesson, *, through_prefix: bool = True, autocast: bool = False
) -> tuple[Tensor, Tensor]:
    """(sum of weight × cross-entropy over the row's reply tokens, whether each is the likeliest: [N]).

    through_prefix: see packed.hidden. autocast: matrix products in bfloat16.
    """
    import torch

    from memread.train import packed
    from memread.train.decoder import causal
    from memread.train.likelihood import precision

    inner = causal(model)
    device = inner.lm_head.weight.device
    # The output head costs 28M multiplications a token here: reply tokens only.
    with precision(device, autocast):
        logits = inner.lm_head(packed.hidden(inner, row, through_prefix=through_prefix)).float()
    targets = torch.tensor(row.targets, device=device)
    each = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    weights = [weight for said in row.conversations for weight in said.weights]
    return (each * torch.tensor(weights, device=device)).sum(), logits.argmax(-1) == targets


class Lessons:
    """The rows of every step. Makers of texts are kept: loading a folder takes a second."""

    def __init__(
        self, teacher: Teacher, tokenizer: Tokenizer, recipe: Recipe, folder: Path | None, split: Split
    ) -> None:
        self.teacher, self.recipe = teacher, recipe
        self._makers = [Maker(split, recipe.seed, tokenizer, s.data, folder) for s in recipe.stages]

    def step(self, number: int, family: int) -> tuple[list[Lesson], int]:
        """(rows of step `number` from family `family` on, the family after)"""
        recipe = self.recipe
        stage = max(i for i, s in enumerate(recipe.stages) if s.first <= number or i == 0)
        found: list[Lesson] = []
        while sum(len(row.ids) for row in found) < recipe.step_tokens:
            found += self.family(stage, family, recipe.choice)
            family += 1
        return found, family

    def family(self, stage: int, number: int, choice: Choice) -> Iterator[Lesson]:
        episodes = self._makers[stage].family(number)
        for group in self.teacher.lessons(episodes, choice, str(self.recipe.seed)):
            yield from in_order(group, self.recipe.row_tokens)


def learn(
    model: Any,
    lessons: Lessons,
    folder: Path,
    *,
    until: Callable[[], bool] = lambda: False,
    dev: Lessons | None = None,
    report: Callable[[dict[str, Any]], None] = lambda record: None,
) -> Progress:
    """Train until `recipe.steps`, or until `until()` says so after a step; go on where `folder` left off.

    folder: gets checkpoint.safetensors, lora.safetensors (the weights alone) and metrics.jsonl.
    Raises ModelUnloadable for a checkpoint of another model.
    """
    import torch

    recipe = lessons.recipe
    folder.mkdir(parents=True, exist_ok=True)
    names, parameters = zip(*((n, p) for n, p in model.named_parameters() if p.requires_grad), strict=True)
    optimizer = torch.optim.AdamW(parameters, lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.0)
    checkpoint = folder / "checkpoint.safetensors"
    progress = restore(checkpoint, model, optimizer, names) if checkpoint.exists() else Progress()
    metrics.cut(folder / "metrics.jsonl", progress.step)
    while progress.step < recipe.steps:
        began = time.monotonic()
        found, family = lessons.step(progress.step, progress.family)
        rate = rate_at(recipe, progress.step)
        for group in optimizer.param_groups:
            group["lr"] = rate
        record = _update(model, optimizer, parameters, found, recipe, progress.step)
        tokens, seconds = sum(len(row.ids) for row in found), time.monotonic() - began
        progress.step, progress.family = progress.step + 1, family
        progress.tokens, progress.seconds = progress.tokens + tokens, progress.seconds + seconds
        ends = progress.step >= recipe.steps or until()
        record |= {
            "step": progress.step,
            "learning_rate": rate,
            "tokens": tokens,
            "total_tokens": progress.tokens,
        }
        record |= {"seconds": round(seconds, 2), "tokens_per_second": round(tokens / seconds, 1)}
        if progress.step % recipe.checkpoint_every == 0 or ends:
            if dev is not None:
                record["dev"] = judge(model, dev, recipe.dev_families)
            # Before the checkpoint: a run that is killed between the two makes this file again.
            _replacing(folder / "lora.safetensors", lambda path: save_lora(path, model))
            save(checkpoint, model, optimizer, names, progress)
        metrics.append(folder / "metrics.jsonl", record)
        report(record)
        if ends:
            break
    return progress


def _update(
    model: Any,
    optimizer: Any,
    parameters: Sequence[Tensor],
    found: Sequence[Lesson],
    recipe: Recipe,
    step: int,
) -> dict[str, Any]:
    """One step over all rows: the mean over the weights of all reply tokens, however they are packed."""
    import torch

    drawn = random.Random(f"{recipe.seed}/{step}")
    total = sum(map(_weight, found))
    marks: dict[str, list[bool]] = {}
    value = 0.0
    optimizer.zero_grad(set_to_none=True)
    for row in found:
        through = drawn.random() < recipe.through_prefix
        summed, right = loss(model, row, through_prefix=through, autocast=recipe.autocast)
        (summed / total).backward()
        value += float(summed.detach())
        _mark(marks, row, right)
    norm = float(torch.nn.utils.clip_grad_norm_(parameters, recipe.clip_gradient))
    if math.isfinite(norm):
        optimizer.step()
    record: dict[str, Any] = {"loss": round(value / total, 5), "norm": round(norm, 4)}
    record["conversations"] = sum(map(len, marks.values()))
    return record | {"right": _shares(marks)}


def judge(model: Any, lessons: Lessons, families: int) -> dict[str, Any]:
    """Loss, and the share of replies that greedy decoding would give to the letter, by kind: every
    conversation of the first families, whatever was learned from. And of the tokens that decide (see
    Choice.decisions), given all before them: how many are right."""
    import torch

    marks: dict[str, list[bool]] = {}
    decided: list[bool] = []
    value = weight = 0.0
    with torch.no_grad():
        for number in range(families):
            for row in lessons.family(0, number, lessons.recipe.choice):
                summed, right = loss(model, row, autocast=lessons.recipe.autocast)
                value, weight = value + float(summed), weight + _weight(row)
                _mark(marks, row, right)
                heavy = [weight > 1 for said in row.conversations for weight in said.weights]
                decided += right[torch.tensor(heavy, device=right.device)].tolist()
    shares = _shares({"decisions": decided}) if decided else {}
    return {"loss": round(value / weight, 5), "right": _shares(marks)} | shares


def _mark(marks: dict[str, list[bool]], row: Lesson, right: Tensor) -> None:
    """Teacher forcing with every token the likeliest is what greedy decoding writes."""
    for said, part in zip(row.conversations, right.split(row.lengths), strict=True):
        marks.setdefault(said.kind, []).append(bool(part.all()))


def _weight(row: Lesson) -> float:
    return sum(sum(said.weights) for said in row.conversations)


def _shares(marks: dict[str, list[bool]]) -> dict[str, str]:
    return {kind: f"{sum(found)}/{len(found)}" for kind, found in sorted(marks.items())}


def save(path: Path, model: Any, optimizer: Any, names: Sequence[str], progress: Progress) -> None:
    """Write a checkpoint: LoRA, moments, progress. Atomic; no pickle, so that it may come from anywhere."""
    from safetensors.torch import save_file

    tensors = {f"lora/{name}": tensor for name, tensor in lora_state(model).items()}
    for name, parameter in zip(names, optimizer.param_groups[0]["params"], strict=True):
        for moment, value in optimizer.state[parameter].items():
            tensors[f"{moment}/{name}"] = value.cpu().contiguous()
    facts = {"progress": msgspec.json.encode(progress).decode()}
    _replacing(path, lambda temporary: save_file(tensors, temporary, facts))


def restore(path: Path, model: Any, optimizer: Any, names: Sequence[str]) -> Progress:
    """Load what `save` wrote. Raises ModelUnloadable."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            progress = msgspec.json.decode(file.metadata()["progress"], type=Progress)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError, KeyError, msgspec.DecodeError) as error:
        raise ModelUnloadable(f"{path}: cannot be read as a checkpoint ({error})") from error
    load_lora_state(model, {n.removeprefix("lora/"): t for n, t in tensors.items() if n.startswith("lora/")})
    for name, parameter in zip(names, optimizer.param_groups[0]["params"], strict=True):
        moments = ("step", "exp_avg", "exp_avg_sq")
        found = {m: tensors[f"{m}/{name}"] for m in moments if f"{m}/{name}" in tensors}
        if found:
            optimizer.state[parameter] = {
                m: t if m == "step" else t.to(parameter.device) for m, t in found.items()
            }
    return progress


def _replacing(path: Path, write: Callable[[Path], None]) -> None:
    """Write under another name, flush, rename: a kill leaves the old file or the new one."""
    import os

    temporary = path.with_name(path.name + ".part")
    write(temporary)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def teacher(path: Path, profile: Profile) -> Teacher:
    """The teacher for the model in a GGUF. Raises NotGguf, ModelUnloadable."""
    from memread.train.vocabulary import open_vocabulary

    vocabulary, frame = open_vocabulary(path)
    return Teacher(profile, frame, vocabulary, read_header(path).number("tokenizer.ggml.eos_token_id"))
