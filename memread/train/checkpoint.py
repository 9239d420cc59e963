"""The state of a training run on disk: whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

_NAME = "step-{:06d}.pt"


def save(folder: Path, step: int, state: dict[str, Any], keep: int = 2) -> Path:
    """Write the state after `step` and remove all but the last `keep`. Returns the file.

    To a temporary file, onto the disk, then renamed: a run that is killed at any moment leaves the last whole
    one, and never half of one under a name that is read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / _NAME.format(step)
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    for old in _files(folder)[:-keep]:
        old.unlink(missing_ok=True)
    return path


def latest(folder: Path, device: Any = "cpu") -> dict[str, Any] | None:
    """The last state that was saved, or None. Nothing but tensors and plain values is unpickled."""
    files = _files(folder)
    if not files:
        return None
    state: dict[str, Any] = torch.load(files[-1], map_location=device, weights_only=True)
    return state


def trainable(model: Any) -> dict[str, Any]:
    """The parameters that are trained, by name: LoRA's, or all."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def copied(parameters: dict[str, Any]) -> dict[str, Any]:
    """Their values, apart from the model."""
    return {name: parameter.detach().clone() for name, parameter in parameters.items()}


def restore(parameters: dict[str, Any], values: dict[str, Any]) -> None:
    """Write values back into the model's own parameters. Raises KeyError, RuntimeError if they do not fit."""
    if parameters.keys() != values.keys():
        raise KeyError(f"the checkpoint is of another model: {_differing(parameters, values)}")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(values[name])


class Reference:
    """The policy as it was when reinforcement began: what the KL term measures the distance to.

    A copy of the trained parameters only; `with reference:` the model is the reference. Right for LoRA that
    goes on from a warm start too, where switching the adapter off would give the model before that.
    """

    def __init__(self, model: Any, values: dict[str, Any] | None = None) -> None:
        self._parameters = trainable(model)
        self.values = values or copied(self._parameters)

    def __enter__(self) -> None:
        self._swap()

    def __exit__(self, *_: object) -> None:
        self._swap()

    def _swap(self) -> None:
        """Exchange the tensors behind the parameters; nothing is copied, the optimizer notices nothing."""
        for name, parameter in self._parameters.items():
            parameter.data, self.values[name] = self.values[name], parameter.data


def random_state() -> dict[str, Any]:
    """torch's random numbers on the CPU and on every GPU."""
    return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()}


def set_random_state(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["cpu"].cpu())
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all([one.cpu() for one in state["cuda"]])


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*.pt"))


def _differing(one: Iterable[str], other: Iterable[str]) -> str:
    return ", ".join(sorted(set(one) ^ set(other))[:3])
