"""From settings to an engine that is ready to read: model, profile, context."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import msgspec

from memread import planning, registry
from memread.config import Config, digest_cache, profiles_dir
from memread.profile import Profile
from memread.protocols import Engine, Tokenizer
from memread.registry import InstalledModel

if TYPE_CHECKING:
    from memread.engine.http.connect import Connection, Local

_UNKNOWN = 1 << 30
"""Tokens of a context whose size nobody tells."""


class Ready(msgspec.Struct, frozen=True):
    """An engine, and the profile as it will be used."""

    engine: Engine
    profile: Profile
    notices: tuple[str, ...] = ()


def chosen_profile(config: Config, model: InstalledModel) -> Profile:
    """The profile for a model, with the settings that go over it. Raises ConfigError."""
    return _profile(config, model.header.metadata)


def _profile(config: Config, metadata: Mapping[str, object]) -> Profile:
    profile = registry.profile_for(metadata, config.profile, profiles_dir())
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
def engine_for(
    config: Config, *questions: str, slots: int = 1, verbose: bool = False, apart: bool = False
) -> Iterator[Ready]:
    """The engine that the settings name, loaded, with a context that fits the profile and all questions.

    questions: none, the profile's request for a summary. slots: requests at a time, each with a context of
    its own. apart: in a process of its own, whose crash is survived. Raises ModelError, QuestionTooLong,
    OutOfMemory, ConfigError, EngineFailed, ServerError.
    """
    if config.url is not None:
        with connected(config) as connection:
            yield served(config, connection, questions, slots)
        return
    from memread.engine.llamacpp.engine import LlamaEngine, Settings
    from memread.engine.llamacpp.library import library
    from memread.engine.llamacpp.model import Model
    from memread.engine.worker.engine import WorkerEngine, WorkerModel

    found = registry.find(config.model, config.model_folders)
    profile = chosen_profile(config, found)
    layers = None if config.gpu_layers == "auto" else config.gpu_layers
    budget = profile.budget
    room = slots * max(budget.segment + 2 * budget.memory + budget.query, config.context)
    with ExitStack() as stack:
        model: Model | WorkerModel
        if apart:
            model = WorkerModel(found.path, gpu_layers=layers, context=room, verbose=verbose)
        else:
            library().verbose = verbose
            model = Model(found.path, gpu_layers=layers, context=room)
        stack.callback(model.close)
        # A model in another process is loaded meanwhile.
        digest = registry.weights_digest(found.path, digest_cache())
        tokenizer = (_own_tokenizer(found) if apart else None) or model.vocabulary
        longest = max(questions or (profile.wording.summary,), key=tokenizer.count)
        fitted, context = planning.fit(profile, model.frame, tokenizer, longest, model.trained_context)
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
            copy_ahead=config.copy_ahead,
        )
        engine: Engine
        if isinstance(model, WorkerModel):
            engine = WorkerEngine(model, settings, name=found.name, digest=digest, tokenizer=tokenizer)
        else:
            engine = LlamaEngine(model, settings, name=found.name, digest=digest)
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


def served(config: Config, connection: Connection, questions: Sequence[str] = (), slots: int = 1) -> Ready:
    """An engine on a server, whose context is not ours to choose. Raises QuestionTooLong, ContextTooSmall."""
    from memread.engine.http.engine import Settings

    name = connection.server.model
    profile = _profile(config, connection.metadata or {"general.name": name, "general.basename": name})
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


def _given(values: Mapping[str, int | float | None]) -> dict[str, int | float]:
    return {name: value for name, value in values.items() if value is not None}
