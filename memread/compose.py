"""From settings to an engine that is ready to read: model, profile, context."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import msgspec

from memread import planning, registry
from memread.config import Config, digest_cache, profiles_dir
from memread.profile import Profile
from memread.protocols import Engine
from memread.registry import InstalledModel


class Ready(msgspec.Struct, frozen=True):
    """An engine, and the profile as it will be used."""

    engine: Engine
    profile: Profile
    notices: tuple[str, ...] = ()


def chosen_profile(config: Config, model: InstalledModel) -> Profile:
    """The profile for a model, with the settings that go over it. Raises ConfigError."""
    profile = registry.profile_for(model.header.metadata, config.profile, profiles_dir())
    budget = {"segment": config.segment, "memory": config.memory, "answer": config.answer}
    sampling = {"temperature": config.temperature, "top_p": config.top_p, "seed": config.seed}
    return msgspec.structs.replace(
        profile,
        budget=msgspec.structs.replace(profile.budget, **_given(budget)),
        sampling=msgspec.structs.replace(profile.sampling, **_given(sampling)),
        # A segment size that the user asked for is not made smaller behind their back.
        fit=profile.fit and config.segment is None,
    )


@contextmanager
def engine_for(config: Config, *questions: str, slots: int = 1, verbose: bool = False) -> Iterator[Ready]:
    """The engine that the settings name, loaded, with a context that fits the profile and all questions.

    questions: none, the profile's request for a summary. slots: requests at a time, each with a context of
    its own. Raises ModelError, QuestionTooLong, OutOfMemory, ConfigError, EngineFailed.
    """
    from memread.engine.llamacpp.engine import LlamaEngine, Settings
    from memread.engine.llamacpp.library import library
    from memread.engine.llamacpp.model import Model

    found = registry.find(config.model, config.model_folders)
    profile = chosen_profile(config, found)
    library().verbose = verbose
    budget = profile.budget
    with Model(
        found.path,
        gpu_layers=None if config.gpu_layers == "auto" else config.gpu_layers,
        context=slots * max(budget.segment + 2 * budget.memory + budget.query, config.context),
    ) as model:
        longest = max(questions or (profile.wording.summary,), key=model.vocabulary.count)
        fitted, context = planning.fit(profile, model.frame, model.vocabulary, longest, model.trained_context)
        notices: tuple[str, ...] = ()
        if fitted.budget.segment != budget.segment:
            shrunk = f"Segments are {fitted.budget.segment} tokens instead of {budget.segment}: "
            notices = (shrunk + f"the model was trained for {model.trained_context} tokens.",)
        settings = Settings(
            context=max(context, config.context),
            slots=slots,
            flash=config.flash_attention,
            kv="f16" if config.kv_type == "auto" else config.kv_type,
            batch=config.batch,
            threads=config.threads,
        )
        engine = LlamaEngine(
            model, settings, name=found.name, digest=registry.weights_digest(found.path, digest_cache())
        )
        try:
            yield Ready(engine, fitted, notices)
        finally:
            engine.close()


def _given(values: Mapping[str, int | float | None]) -> dict[str, int | float]:
    return {name: value for name, value in values.items() if value is not None}
