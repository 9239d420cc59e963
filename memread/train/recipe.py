"""The settings of a training run: one table, from a TOML file and flags; what a run's folder records.

[lora]       rank, alpha
[supervise]  the warm start (supervise.Recipe)
[reinforce]  Reinforcement
[texts]      the texts that are rolled out on (data.compose.Settings)
[engine]     EngineSettings
and at the top: model, profile, data, threads, device, dtype, rollouts

The recipes that memread's own weights were made with are in recipes/, to be used by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from memread.errors import ConfigError
from memread.settings import expanded, is_file
from memread.train.bounds import Count, Positive, Share, Weight, Whole
from memread.train.data.compose import Settings as Texts
from memread.train.rewards import Rule
from memread.train.supervise import Recipe as Supervision
from memread.train.weights import Lora

Average = Literal["tokens", "groups"]
Rejected = Literal["train", "skip"]


class Reinforcement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings. Defaults are MemAgent's as published, but for a step's size (128 questions there)."""

    steps: Whole = 100
    questions: Count = 16
    """Per step."""
    rollouts: Count = 16
    """Per question: the group."""
    seed: int = 0
    temperature: Positive = 1.0
    top_p: Share = 1.0
    sections: Whole | None = None
    """Of a text's last ones, how many a rollout reads: it begins with a memory as supervision makes it of
    those before them (supervise.choice). 0: the answer alone. None: the whole text, as published."""
    reward: Rule = "exact"
    rejected: Rejected = "train"
    """Whether replies that the guard refused are learned from."""
    learning_rate: Weight = 1e-6
    """For all weights. LoRA wants ten to a hundred times as much."""
    warmup: Count = 20
    """Updates over which the learning rate rises; 1: none."""
    weight_decay: Weight = 0.01
    clip_gradient: Positive = 1.0
    """The gradient's norm, at most."""
    minibatches: Count = 1
    """Updates from one step's rollouts; the published 16 of 8 questions each, one pass over all."""
    clip_low: Weight = 0.20
    clip_high: Weight = 0.20
    """0.28 is DAPO's clip-higher."""
    dual_clip: Weight = 0.0
    kl: Weight = 0.001
    average: Average = "tokens"
    divide_by_deviation: bool = False
    dynamic_sampling: bool = False
    """Only groups whose rewards differ are learned from; more questions are asked until there are enough."""
    dynamic_limit: Count = 4
    """Asked at most so many times the questions of a step."""
    overlong: Whole = 0
    """Tokens below a reply's limit in which DAPO's soft punishment sets in; 0: none."""
    information: Weight = 0.0
    """The weight of InfoMem's term in the reward."""
    old: Literal["recomputed", "engine"] = "recomputed"
    """Whose log-probabilities the ratio starts from: the trainer's own before the update, as published, so
    that rounding in generation is no change of policy; or those the engine drew with."""
    micro_tokens: Count = 16384
    """Tokens in one forward and backward pass; what prompts share counts once."""
    autocast: bool = False
    """Matrix products in bfloat16."""
    recompute_activations: bool = False
    """Less memory for a third more time."""
    checkpoint_every: Count = 5
    keep: Count = 2

    @property
    def identity(self) -> str:
        """What a resumed run must share: all but how long it is and how often it is saved."""
        parts = msgspec.structs.replace(self, steps=0, checkpoint_every=1, keep=1)
        return msgspec.json.encode(parts).decode()


class EngineSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much is done at once. Tokens and rows."""

    rows: Count = 64
    """Sequences at a time: 32 to 64 on a CPU, 2,048 on a large GPU."""
    context: Count = 2048
    """Prompt and reply of one request, at most."""
    prefill: Count = 8192
    """Prompt tokens, padding included, read in one batch."""
    burst: Count = 4
    """Decoding steps between two looks at what was sampled. A row that ends early idles until then."""
    stream: bool = False
    """Give text out as it comes. Off, a reply is given out whole: a thousand rows would spend more time on
    pieces nobody watches than on decoding."""
    threads: Whole = 0
    """Of llama.cpp, where it generates; 0: one a physical core."""
    copy_ahead: Whole = 63
    """With llama.cpp: tokens guessed ahead in a batch, of all rows together. Worth it where memories are
    written again; short replies of many rows are faster without."""
    graphs: bool = False
    """On a GPU: replay decoding steps as CUDA graphs."""


class Run(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings of a training run."""

    model: str | None = None
    """A GGUF of architecture "llama": what `memread ask --model` takes."""
    profile: str | None = None
    """Wording and budgets that are trained; None: the model's own. A path beginning with "./" or "../" in a
    file of settings starts at that file."""
    data: str | None = None
    """A folder of real texts and questions; None: generated ones only."""
    threads: Whole = 0
    """Of torch; 0: as many as it chooses."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the frozen weights, and of generation. auto: bfloat16 on a GPU."""
    rollouts: Literal["torch", "llama.cpp"] = "torch"
    """What generates: with llama.cpp, an adapter is written and loaded after every update."""
    lora: Lora = Lora()
    supervise: Supervision = Supervision()
    reinforce: Reinforcement = Reinforcement()
    texts: Texts = Texts()
    engine: EngineSettings = EngineSettings()


def recipe_file(given: str) -> Path:
    """The file of settings: a path, or the name of a recipe that ships. Raises ConfigError."""
    own = Path(__file__).parent / "recipes"
    for path in (expanded(given), own / f"{given}.toml"):
        if is_file(path):
            return path
    names = ", ".join(sorted(path.stem for path in own.glob("*.toml")))
    raise ConfigError(f"{given}: there is no such file, and no recipe of this name", f"There are: {names}")


def read_run(file: Path | None, changes: Sequence[str] = ()) -> Run:
    """The defaults, then a TOML file's settings, then `changes` such as "reinforce.steps=20".

    Raises ConfigError for what is not a setting, or not one of its values.
    """
    tables = _toml(file.read_bytes(), str(file)) if file is not None else {}
    beside = tables.get("profile")
    if file is not None and isinstance(beside, str) and beside.startswith(("./", "../")):
        tables["profile"] = str((file.parent / beside).resolve())
    for change in changes:
        name, equals, value = change.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"--set {change}: must be NAME=VALUE, such as reinforce.steps=20")
        at = tables
        *path, last = name.strip().split(".")
        for part in path:
            at = at.setdefault(part, {})
            if not isinstance(at, dict):
                raise ConfigError(f"--set {change}: {part} is not a table")
        at[last] = _value(value.strip())
    # Not strict for flags' sake only in numbers: TOML and _value give typed values already.
    try:
        return msgspec.convert(_merged(msgspec.to_builtins(Run()), tables), Run)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{file or '--set'}: {error}") from error


def _toml(content: bytes, where: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = msgspec.toml.decode(content)
    except (msgspec.DecodeError, ValueError) as error:
        raise ConfigError(f"{where}: cannot be read as TOML ({error})") from error
    return found


def _value(text: str) -> Any:
    """A TOML value; what is none is a string, so that names need no quotes."""
    try:
        return msgspec.toml.decode(f"v = {text}")["v"]
    except (msgspec.DecodeError, ValueError):
        return text


def _merged(defaults: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """`given` over `defaults`, tables into tables."""
    found = dict(defaults)
    for name, value in given.items():
        old = found.get(name)
        both = isinstance(old, dict) and isinstance(value, dict)
        found[name] = _merged(old, value) if both else value  # type: ignore[arg-type]
    return found
