"""`memread models info`: what a model is, how it will be read with, whether it fits this machine."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memread.cli.errors import note

if TYPE_CHECKING:
    from memread.config import Config
    from memread.gguf import Description
    from memread.profile import Profile
    from memread.registry import InstalledModel

_SCRATCH = 512 << 20
"""Bytes set aside for what llama.cpp computes in: a guess, meant to be on the safe side."""


def info(
    model: Annotated[
        str | None, typer.Argument(help="A name, an alias or a path; without it the default.", metavar="NAME")
    ] = None,
    profile: Annotated[
        str | None, typer.Option("--profile", help="A profile's name or .toml file.", show_default=False)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Tell what a model is, and whether it fits this machine.

    Architecture, size, window, type, chat template, licence; the profile that it is read with; how much
    memory that needs, how much context and how many layers on the GPU fit, how fast it has read.
    """
    from memread import config as configuration
    from memread import registry
    from memread.compose import chosen_profile
    from memread.text import one_line
    from memread.views.json import write

    config = configuration.load({"model": model, "profile": profile})
    found = registry.find(config.model, config.model_folders)
    facts = found.description
    used = chosen_profile(config, found)
    told = _about(found, facts) | _reading(found, facts, used) | _machine(found, facts)
    told["speed_tokens_per_second"] = _speed(config, found)
    told["memory_needed"] = found.size + told["context"] * told["kv_bytes_per_token"]
    if json:
        write(sys.stdout, told)
        return
    for name, value in _rows(told, facts, used):
        typer.echo(f"{name:<13} {one_line(value, 1000)}")
    for each in used.weights.unverified:
        note(f"Not verified: {one_line(each, 400)}")


def _about(found: InstalledModel, facts: Description) -> dict[str, Any]:
    from memread import gguf

    return {
        "name": found.name,
        "files": [str(path) for path in gguf.shards(found.path)],
        "bytes": found.size,
        "source": found.source,
        "origin": found.origin,
        "title": facts.name,
        "architecture": facts.architecture,
        "size": facts.size,
        "quantization": facts.quantization,
        "trained_context": facts.context,
        "vocabulary": facts.vocabulary,
        "tokens": facts.tokens,
        "licence": facts.licence,
        "kv_bytes_per_token": 2 * facts.kv_elements,
    }


def _reading(found: InstalledModel, facts: Description, profile: Profile) -> dict[str, Any]:
    """How it will be read with: the chat template is rendered, the context is what the profile needs."""
    from memread import planning
    from memread.engine.llamacpp.model import Model
    from memread.errors import MemreadError

    told: dict[str, Any] = {
        "profile": profile.name,
        "segment": profile.budget.segment,
        "memory": profile.budget.memory,
        "context": profile.budget.query + profile.budget.segment + 2 * profile.budget.memory,
        "chat_template": facts.chat_template,
        "reply_begins": "",
        "problem": "",
    }
    try:
        with Model(found.path, vocabulary_only=True) as model:
            frame = model.frame
            told["reply_begins"] = frame.after
            fitted, context = planning.fit(
                profile, frame, model.vocabulary, profile.wording.summary, facts.context
            )
            told.update(segment=fitted.budget.segment, context=context)
    except MemreadError as error:
        told["problem"] = f"{error.message}. {error.hint}".strip()
    return told


def _machine(found: InstalledModel, facts: Description) -> dict[str, Any]:
    from memread.engine.llamacpp.library import library
    from memread.engine.llamacpp.model import fitting_layers
    from memread.machine import memory

    total, available = memory()
    gpus = [device for device in library().devices() if device.gpu] if library().gpu_build else []
    free = sum(device.free for device in gpus)
    kv = 2 * facts.kv_elements
    room = (available or total) - found.size - _SCRATCH
    return {
        "memory_total": total,
        "memory_available": available,
        "context_that_fits": max(0, min(facts.context, room // kv)) if total and kv else None,
        "gpu": ", ".join(device.description or device.name for device in gpus),
        "gpu_free": free,
        "gpu_layers": fitting_layers(
            free=free * 9 // 10,
            weights=found.size,
            layers=facts.layers or 1,
            kv=kv * min(8192, facts.context),
        )
        if gpus
        else 0,
        "layers": facts.layers,
    }


def _speed(config: Config, found: InstalledModel) -> float | None:
    """Tokens a second that this machine read with these weights, by the journal; None if it never did."""
    from memread.config import digest_cache
    from memread.errors import MemreadError
    from memread.journal import Journal
    from memread.registry import digests

    digest = digests.known_digest(found.path, digest_cache())
    if not digest or not config.journal_path.exists():
        return None
    try:
        with Journal.open(config.journal_path) as journal:
            speed = journal.speed(digest)
    except MemreadError:
        return None
    return None if speed is None else round(speed.tokens / speed.seconds, 1)


def _rows(told: dict[str, Any], facts: Description, profile: Profile) -> list[tuple[str, str]]:
    """What is printed, for people."""
    kv = told["context"] * told["kv_bytes_per_token"]
    files = told["files"]
    more = f" and {len(files) - 1} more files" if len(files) > 1 else ""
    shape = f"{facts.layers} layers, width {facts.width:,}, {facts.heads} heads"
    shape += f", {max(facts.kv_heads)} KV heads" if facts.kv_heads else ""
    begins = f", a reply begins after {told['reply_begins']!r}" if told["reply_begins"] else ""
    off = " (thinking is off)" if "</think>" in told["reply_begins"] else ""
    chat = (
        f"the template in the file{begins}{off}" if told["chat_template"] else "no template: the bare message"
    )
    limits = f"memory {told['memory']:,}, context {told['context']:,}"
    cache = f"{_gb(kv)} of KV cache ({told['kv_bytes_per_token']:,} bytes a token, F16), some to compute in"
    speed = told["speed_tokens_per_second"]
    rows = [
        ("name", told["name"]),
        ("file", f"{files[0]}{more}, {_gb(told['bytes'])}"),
        ("from", " · ".join(part for part in (told["source"], told["origin"]) if part)),
        ("model", " · ".join(part for part in (told["title"], told["size"], told["quantization"]) if part)),
        ("architecture", f"{told['architecture']}: {shape}"),
        ("trained to", f"{told['trained_context']:,} tokens"),
        ("vocabulary", f"{told['vocabulary']}, {told['tokens']:,} tokens"),
        ("chat", told["problem"] or chat),
        ("licence", told["licence"] or "not stated in the file"),
        ("profile", f"{profile.name}: segments of {told['segment']:,} tokens, {limits}"),
        ("needs", f"{_gb(told['memory_needed'])}: {_gb(told['bytes'])} of weights, {cache}"),
        ("this machine", _fits(told)),
    ]
    if told["gpu"]:
        layers = f"{told['gpu_layers']} of {told['layers'] + 1} layers fit into {_gb(told['gpu_free'])} free"
        rows.append(("GPU", f"{told['gpu']}: {layers}"))
    rows.append(
        ("speed", f"{speed:,} tokens/s in readings so far" if speed else "not known before a first reading")
    )
    if profile.weights.speed:
        rows.append(("", f"{profile.weights.speed} (from the profile)"))
    return rows


def _fits(told: dict[str, Any]) -> str:
    total, available, context = (
        told[key] for key in ("memory_total", "memory_available", "context_that_fits")
    )
    if not total:
        return "does not say how much memory it has"
    has = f"{_gb(total)} of memory" + (f", {_gb(available)} free" if available else "")
    if context is None:
        return has
    if not context:
        return f"{has}: too little for this model (llama.cpp may still run it from the disk, slowly)"
    enough = "it fits" if context >= told["context"] else "too little for this profile's context"
    return f"{has}: {enough}; up to {context:,} tokens of context"


def _gb(size: int) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e8 else f"{size / 1e6:,.1f} MB"
