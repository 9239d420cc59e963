"""From settings to an engine that is ready to read: model, profile, context."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from memread import planning, registry, weights
from memread.config import Config, profiles_dir
from memread.profile import Profile, skimming
from memread.protocols import Engine, Tokenizer
from memread.registry import InstalledModel
from memread.tuning import Choice, choice_for

if TYPE_CHECKING:
    from memread.engine.http.connect import Connection, Local
    from memread.engine.llamacpp.engine import Settings

_UNKNOWN = 1 << 30
"""Tokens of a context whose size nobody tells."""


class Ready(msgspec.Struct, frozen=True):
    """An engine, and the profile as it will be used."""

    engine: Engine
    profile: Profile
    notices: tuple[str, ...] = ()


def chosen_profile(config: Config, model: InstalledModel) -> Profile:
    """The profile for a model, with the settings that go over it. Raises ConfigError."""
    profile = registry.profile_of(model, config.profile, profiles_dir())
    if profile.fit and config.segment is None and config.profile is None:
        choice = choice_for(config.data_dir, weights.sources_of(model)[0].digest)
        if choice is not None and choice.segment:
            budget = msgspec.structs.replace(profile.budget, segment=choice.segment)
            profile = msgspec.structs.replace(profile, budget=budget)
    return _adjusted(config, profile)


def _adjusted(config: Config, profile: Profile) -> Profile:
    budget = {"segment": config.segment, "memory": config.memory, "answer": config.answer}
    sampling = {"temperature": config.temperature, "top_p": config.top_p, "seed": config.seed}
    return msgspec.structs.replace(
        profile,
        budget=msgspec.structs.replace(profile.budget, **_given(budget)),
        sampling=msgspec.structs.replace(profile.sampling, **_given(sampling)),
        # A segment size that the user asked for is not made smaller behind their back.
        fit=profile.fit and config.segment is None,
    )


class Outline(msgspec.Struct, frozen=True):
    """What is known of an engine before it is made."""

    model: str
    profile: Profile
    """Not yet fitted to a context."""
    context: int
    """Tokens: what the model was trained to, or a server's; 0 where nobody tells."""
    slots: int
    """Requests that it works on at a time; 0 where nobody tells."""


def outline(config: Config) -> Outline:
    """What the settings lead to. A server is asked. Raises as engine_for."""
    if config.url is None:
        found = registry.find(config.model, config.model_folders)
        return Outline(found.name, chosen_profile(config, found), found.description.context, 0)
    with connected(config) as connection:
        server = connection.server
        return Outline(server.model, served_profile(config, connection), connection.context, server.slots)


@contextmanager
def engine_for(
    config: Config,
    *questions: str,
    slots: int = 1,
    verbose: bool = False,
    skim: bool = False,
    apart: bool = False,
    say: weights.Say = lambda text, share: None,
) -> Iterator[Ready]:
    """The engine that the settings name, loaded, with a context that fits the profile and all questions.

    questions: none, the profile's request for a summary. slots: requests at a time, each with a context of
    its own. skim: the model will only answer (Profile.skim). apart: in a process of its own, whose crash is
    survived. say: told how far a model is that is made ready at its first use. Raises ModelError,
    QuestionTooLong, OutOfMemory, ConfigError, EngineFailed, ServerError.
    """
    if config.url is not None:
        with connected(config) as connection:
            yield served(config, connection, questions, slots, skim=skim)
        return
    from memread.engine.llamacpp.engine import LlamaEngine
    from memread.engine.llamacpp.library import library
    from memread.engine.llamacpp.model import Model
    from memread.engine.worker.engine import WorkerEngine, WorkerModel

    found = registry.find(config.model, config.model_folders)
    profile = chosen_profile(config, found)
    profile = skimming(profile, config.segment) if skim else profile
    layers = None if config.gpu_layers == "auto" else config.gpu_layers
    budget = profile.budget
    room = slots * max(budget.segment + 2 * budget.memory + budget.query, config.context)
    source = weights.prepare(config, found, say)
    with ExitStack() as stack:
        model: Model | WorkerModel
        if apart:
            model = WorkerModel(
                source.path, adapter=source.adapter, gpu_layers=layers, context=room, verbose=verbose
            )
        else:
            library().verbose = verbose
            model = Model(source.path, adapter=source.adapter, gpu_layers=layers, context=room)
        stack.callback(model.close)
        tokenizer = (_own_tokenizer(found) if apart else None) or model.vocabulary
        longest = max(questions or (profile.wording.summary,), key=tokenizer.count)
        fitted, context = planning.fit(profile, model.frame, tokenizer, longest, model.trained_context)
        notices = source.notices
        if fitted.budget.segment != budget.segment:
            shrunk = f"Segments are {fitted.budget.segment} tokens instead of {budget.segment}: "
            notices += (shrunk + f"the model was trained for {model.trained_context} tokens.",)
        context = max(context, config.context)
        settings = engine_settings(config, source.choice, profile, context=context, slots=slots)
        engine: Engine
        if isinstance(model, WorkerModel):
            engine = WorkerEngine(model, settings, name=found.name, digest=source.digest, tokenizer=tokenizer)
        else:
            engine = LlamaEngine(model, settings, name=found.name, digest=source.digest)
        stack.callback(engine.close)
        yield Ready(engine, fitted, notices)


def _own_tokenizer(model: InstalledModel) -> Tokenizer | None:
    from memread import bpe  # tiktoken takes a moment to import

    return bpe.letter_tokenizer(model.header)


@contextmanager
def connected(config: Config) -> Iterator[Connection]:
    """The server that the settings name. Raises ServerError, ModelError, ConfigError."""
    from memread.engine.http.client import Client
    from memread.engine.http.connect import connect

    assert config.url is not None
    with ExitStack() as stack:
        local = _local(config, stack) if config.tokenizer else None
        client = Client(config.url)
        stack.callback(client.close)
        yield connect(client, config.model, local, config.timeout)


def _local(config: Config, stack: ExitStack) -> Local:
    """The vocabulary and the chat template of a local model. No weights are loaded."""
    from memread import bpe
    from memread.engine.http.connect import Local
    from memread.engine.llamacpp.model import Model

    found = registry.find(config.tokenizer, config.model_folders)
    model = stack.enter_context(Model(found.path, vocabulary_only=True))
    tokenizer = bpe.tokenizer(found.header) or model.vocabulary  # llama.cpp's own, where it is no known BPE
    return Local(model.vocabulary, model.frame, tokenizer, dict(found.header.metadata))


def served(
    config: Config,
    connection: Connection,
    questions: Sequence[str] = (),
    slots: int = 1,
    *,
    skim: bool = False,
) -> Ready:
    """An engine on a server, whose context is not ours to choose. Raises QuestionTooLong, ContextTooSmall."""
    from memread.engine.http.engine import Settings

    profile = served_profile(config, connection)
    profile = skimming(profile, config.segment) if skim else profile
    longest = max(questions or (profile.wording.summary,), key=connection.tokenizer.count)
    room = connection.context or config.context
    fitted, need = planning.fit(
        profile,
        connection.prompts.frame,
        connection.tokenizer,
        longest,
        room or _UNKNOWN,
        limit="the server’s context is" if connection.context else "engine.context is",
    )
    notices = connection.notices
    if fitted.budget.segment != profile.budget.segment:
        shrunk = f"Segments are {fitted.budget.segment} tokens instead of {profile.budget.segment}: "
        notices += (shrunk + f"the server’s context is {room} tokens.",)
    settings = Settings(context=room or need, slots=slots, timeout=config.timeout)
    return Ready(connection.engine(settings), fitted, notices)


def engine_settings(
    config: Config, choice: Choice | None, profile: Profile, *, context: int, slots: int = 1
) -> Settings:
    """How the context is made: what was set, over what was measured, over the defaults."""
    from memread.engine.llamacpp.engine import Settings

    measured = choice or Choice("")

    def pick(name: str, found: int | str) -> Any:
        default = config.origin(f"engine.{name}") == "default"
        return found if default and found else config.value(f"engine.{name}")

    kv = pick("kv_type", measured.kv)
    return Settings(
        context=context,
        slots=slots,
        flash=pick("flash_attention", measured.flash),
        kv="f16" if kv == "auto" else kv,
        batch=pick("batch", measured.batch),
        threads=pick("threads", measured.threads),
        brief=bool(profile.wording.unchanged),
        copy_ahead=config.copy_ahead,
        weighs=bool(profile.likely_from),
    )


def served_profile(config: Config, connection: Connection) -> Profile:
    """The profile for a server's model: by its name, where there is no local file. Raises ConfigError."""
    name = connection.server.model
    metadata = connection.metadata or {"general.name": name, "general.basename": name}
    return _adjusted(config, registry.profile_for(metadata, config.profile, profiles_dir()))


def _given(values: Mapping[str, int | float | None]) -> dict[str, int | float]:
    return {name: value for name, value in values.items() if value is not None}
