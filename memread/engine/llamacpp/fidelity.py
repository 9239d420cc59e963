"""Do two files say the same: their predictions of the next token, compared over a text."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec

from memread.engine.llamacpp.bare import Bare
from memread.engine.llamacpp.engine import Settings
from memread.engine.llamacpp.model import Model


class Fidelity(msgspec.Struct, frozen=True):
    """How near some predictions are to those of a reference."""

    tokens: int
    divergence: float
    """Mean Kullback-Leibler divergence from the reference, in nats; NaN where they are no numbers."""
    agreement: float
    """Share of places at which the likeliest token is the same."""


def predictions(
    path: Path, text: str, *, adapter: Path | None = None, tokens: int = 256, settings: Settings | None = None
) -> Any:
    """The logarithm of the probability of every token after each of the first `tokens` of `text`.

    [tokens, vocabulary], float32. Raises what loading a model and making a context raise.
    """
    import numpy as np

    with Model(path, adapter=adapter) as model:
        ids = model.vocabulary.encode(text)[:tokens]
        chosen = settings or Settings(context=len(ids))
        settings = msgspec.structs.replace(chosen, context=len(ids))
        with Bare(model, settings) as bare:
            rows: Any = np.array(bare.logits(ids), np.float32)
    rows -= rows.max(axis=-1, keepdims=True)
    rows -= np.log(np.exp(rows).sum(axis=-1, keepdims=True))
    return rows


def compare(reference: Any, other: Any) -> Fidelity:
    """Both as `predictions` gives them."""
    import numpy as np

    if reference.shape != other.shape or not bool(np.isfinite(other).all()):
        return Fidelity(len(reference), math.nan, 0.0)
    divergence = (np.exp(reference) * (reference - other)).sum(axis=-1).mean()
    agreement = (reference.argmax(axis=-1) == other.argmax(axis=-1)).mean()
    return Fidelity(len(reference), float(divergence), float(agreement))
