"""How fast this machine reads with a model, what that comes to for a text, and what the limit is."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from memread import tuning, weights
from memread.compose import chosen_profile, engine_settings
from memread.config import Config
from memread.errors import ConfigError
from memread.rates import Rates, lengths_for, measure, rewritten, sample
from memread.registry import InstalledModel
from memread.tuning import Choice, choice_for

_LEAST = 256
"""Tokens of a segment: in shorter ones too little stands together."""
_BETTER = 1.05
"""How much faster another segment size must be to be worth a recommendation."""


class Bench(msgspec.Struct, frozen=True):
    """What was measured, and what follows from it. Tokens, tokens a second."""

    model: str
    kind: str
    """The type it is read in; "" as it came."""
    profile: str
    segment: int
    memory: int
    rates: Rates
    limit: float
    """The best bare prefill rate: nothing can be read faster."""
    reading: float
    """In segments of the profile's size, with `rewritten` of the memory decoded token by token each time."""
    fastest: int
    """The segment size that reads fastest; the profile's own where it is tied to one, or none is better."""
    fastest_reading: float
    tied: bool
    """The profile was made for its segment size."""
    rewritten: float
    """Of the memory's limit, a share. 0: the model says that the memory stays."""


def bench(
    config: Config,
    found: InstalledModel,
    *,
    seconds: float,
    say: weights.Say,
    tell: Callable[[int, float], None],
) -> Bench:
    """Measure. seconds: about how long. tell: told each length of prompt and its rate when it is there.

    Raises ModelError, OutOfMemory, EngineFailed, ConfigError.
    """
    from memread.engine.llamacpp.bare import Bare
    from memread.engine.llamacpp.model import Model

    profile = chosen_profile(config, found)
    source = weights.prepare(config, found, say)
    layers = None if config.gpu_layers == "auto" else config.gpu_layers
    with Model(source.path, adapter=source.adapter, gpu_layers=layers) as model:
        lengths = lengths_for(profile, model.trained_context)
        settings = engine_settings(config, source.choice, profile, context=max(lengths) + 32)
        with Bare(model, settings) as context:
            text = model.vocabulary.encode(sample(20_000))
            rates = measure(context, text, lengths, seconds=seconds, say=tell)
        trained = model.trained_context
    budget, anew = profile.budget, rewritten(profile)
    reading = rates.reading(budget.segment, budget.memory, anew)
    room = trained - budget.query - 2 * budget.memory
    sizes = [
        length
        for length in rates.prefill
        if _LEAST <= length <= min(room, max(rates.prefill) - budget.memory)
    ]
    tied = not profile.fit or config.segment is not None
    best = max([budget.segment, *sizes], key=lambda size: rates.reading(size, budget.memory, anew))
    if tied or rates.reading(best, budget.memory, anew) < _BETTER * reading:
        best = budget.segment
    return Bench(
        found.name,
        source.kind,
        profile.name,
        budget.segment,
        budget.memory,
        rates,
        rates.best,
        reading,
        best,
        rates.reading(best, budget.memory, anew),
        tied,
        anew,
    )


def remember(config: Config, found: InstalledModel, measured: Bench, *, write: bool) -> None:
    """Keep the reading rate, for `stat`; with `write` the segment size too. Raises ConfigError."""
    sources, _ = weights.sources_of(found)
    known = choice_for(config.data_dir, sources.digest) or Choice(tuning.fingerprint(), name=found.name)
    if write and measured.tied:
        raise ConfigError(
            f"the profile {measured.profile} is for segments of {measured.segment} tokens",
            "Another size can still be asked for with --segment.",
        )
    size = measured.fastest if write else known.segment
    rate = measured.fastest_reading if write else measured.reading
    tuning.remember(
        config.data_dir, sources.digest, msgspec.structs.replace(known, segment=size, reading=rate)
    )
