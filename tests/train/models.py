"""The tiny random GGUF as a torch model. Imported only where torch is."""

from __future__ import annotations

import copy
import functools
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch

from memread.train import weights
from tests.fixtures.gguf_model import write_tiny_gguf

torch.set_num_threads(1)  # the matrices are tiny: a second thread only waits


def tiny_llama() -> Any:
    """A copy of its own of the model that the fixture `tiny_gguf` writes."""
    return copy.deepcopy(_loaded())


def with_lora(model: Any, rank: int = 4) -> Any:
    """The model with LoRA on all its linear layers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers for what it has renamed
        return weights.with_lora(model, weights.Lora(rank, 2.0 * rank))


@functools.cache
def _loaded() -> Any:
    with tempfile.TemporaryDirectory() as folder:
        return weights.load(write_tiny_gguf(Path(folder) / "tiny.gguf"))
