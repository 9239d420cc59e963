"""What is compared: methods, each with the settings of a sweep; and the names results are kept under."""

from __future__ import annotations

import hashlib
import itertools
import json
import platform
from collections.abc import Sequence
from importlib import metadata
from typing import Any

import msgspec

from memread import __version__
from memread.asking import LOOP_VERSION
from memread.errors import UsageError
from memread.eval.item import Item
from memread.eval.methods import VERSION, Method, Setup
from memread.lanes import VERSION as LANES_VERSION
from memread.profile import Profile
from memread.segment import VERSION as SEGMENTER_VERSION
from memread.types import EngineInfo

_SWEPT = {"segment": 16, "memory": 16, "answer": 16, "lanes": 1}
"""What can be swept, and the least it can be."""
_UNNAMED_SETTINGS = ("slots", "threads")
"""Of the engine: recorded in every line, but no reason to measure again."""


class Arm(msgspec.Struct, frozen=True):
    """A method with its settings."""

    method: Method
    profile: Profile
    """With the sweep's values in its budget, not yet fitted to a question."""
    variant: str = ""
    """Such as "memory=128" or "segment=500,memory=128"; "" without a sweep."""
    lanes: int = 1

    @property
    def name(self) -> str:
        return f"{self.method.name} {self.variant}".rstrip()


def swept(sweeps: Sequence[str]) -> list[dict[str, int]]:
    """The combinations that "memory=128,256" and the like come to: {"memory": 128}, … Raises UsageError."""
    choices: list[list[tuple[str, int]]] = []
    for sweep in sweeps:
        name, _, values = sweep.partition("=")
        name = name.strip()
        if name not in _SWEPT or any(name == taken[0][0] for taken in choices):
            raise UsageError(f"--sweep {sweep}: cannot be swept", "Such as: --sweep memory=128,256,512")
        try:
            numbers = [int(value) for value in values.split(",")]
        except ValueError:
            raise UsageError(f"--sweep {sweep}: not a list of numbers") from None
        if min(numbers) < _SWEPT[name]:
            raise UsageError(f"--sweep {sweep}: must be {_SWEPT[name]} or more")
        choices.append([(name, number) for number in dict.fromkeys(numbers)])
    return [dict(combination) for combination in itertools.product(*choices)]


def arms(methods: Sequence[Method], profile: Profile, sweeps: Sequence[str] = ()) -> list[Arm]:
    """Every method with every combination; only memread has lanes. Raises UsageError."""
    found: dict[str, Arm] = {}
    for method in methods:
        for values in swept(sweeps):
            if method.name != "memread":
                values.pop("lanes", None)
            variant = ",".join(f"{name}={value}" for name, value in values.items())
            lanes = values.pop("lanes", 1)
            budget = msgspec.structs.replace(profile.budget, **values)
            own = msgspec.structs.replace(profile, budget=budget, fit=profile.fit and "segment" not in values)
            arm = Arm(method, own, variant, lanes)
            found[arm.name] = arm
    return list(found.values())


def settings(arm: Arm, setup: Setup, info: EngineInfo) -> dict[str, Any]:
    """Everything that was set, as plain data: what a line of results holds."""
    profile = setup.profile
    found: dict[str, Any] = {
        "profile": profile.name,
        "profile_digest": profile.digest,
        "budget": msgspec.to_builtins(profile.budget),
        "sampling": msgspec.to_builtins(profile.sampling),
        "retry": msgspec.to_builtins(profile.retry),
        "engine": {**info.settings, "context": info.context},
    }
    if setup.lanes > 1:
        found["lanes"] = [setup.lanes, LANES_VERSION]
    if arm.method.name != "memread":
        found["wording"] = setup.words.digest
    if arm.method.keeps == "excerpt":
        found["window"] = setup.window
    return found


def key(item: Item, arm: Arm, found: dict[str, Any], info: EngineInfo) -> str:
    """The name of a measurement: "sha256:" and a hex digest over all that decides what it comes to."""
    engine = {name: value for name, value in found["engine"].items() if name not in _UNNAMED_SETTINGS}
    # What other methods of the same run need of a context changes nothing in this one.
    engine.pop("context", None)
    named = {name: value for name, value in found.items() if name not in ("engine", "profile")}
    identity = {
        "item": [item.id, item.task, item.length, item.seed, item.question, item.answers, item.metric],
        "gold": [[gold.text, gold.keys, gold.depth] for gold in item.gold],
        "documents": [item.documents, item.repeated],
        "details": item.details,
        "method": [arm.method.name, VERSION],
        "settings": named,
        "engine": [info.digest, info.build, engine],
        "versions": [LOOP_VERSION, SEGMENTER_VERSION],
    }
    body = json.dumps(identity, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return "sha256:" + hashlib.sha256(body.encode("utf-8", "surrogatepass")).hexdigest()


def versions() -> dict[str, str]:
    """Of everything that takes part."""
    found = {"memread": __version__, "python": platform.python_version(), "loop": str(LOOP_VERSION)}
    for name in ("llama-cpp-python", "bm25s"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
