"""`memread doctor`: what there is to work with on this machine."""

from __future__ import annotations

import os
import platform
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from memread.cli.preparing import Preparing
from memread.errors import MemreadError

if TYPE_CHECKING:
    from memread.config import Config


def doctor(
    engine: Annotated[
        str | None,
        typer.Option("--engine", metavar="URL", help="Check this server instead.", show_default=False),
    ] = None,
    model: Annotated[
        str | None, typer.Option("-m", "--model", help="The model to check.", show_default=False)
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option("--tokenizer", help="With --engine: see memread ask.", show_default=False),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show llama.cpp's own log.")] = False,
) -> None:
    """Check this installation, or a server. Exit code 0 if `ask` can work."""
    from memread import __version__
    from memread import config as configuration

    config = configuration.load({"engine.url": engine, "model": model, "engine.tokenizer": tokenizer})
    _row("memread", f"{__version__}, Python {platform.python_version()}, {platform.platform()}")
    problem = _machine(config, verbose) if config.url is None else _server(config)
    _row("models", ", ".join(map(str, config.model_folders)))
    _row("journal", str(config.journal_path) if config.journal else "off")
    _row("settings", str(configuration.config_dir() / "config.toml"))
    if problem is not None:
        raise typer.Exit(problem.exit_code)


def _server(config: Config) -> MemreadError | None:
    """Ask the server for what it is and one token. What is wrong with it."""
    from memread import compose
    from memread.text import without_credentials

    try:
        with compose.connected(config) as connection:
            server = connection.server
            _row("server", f"{without_credentials(config.url or '')}: {server.name}")
            _row("model", server.model + (f" ({server.digest})" if server.digest else ""))
            _row("context", f"{server.context} tokens" if server.context else "not told")
            exact = connection.prompts.exact
            _row("prompts", "sent as token ids" if exact else "sent as text, in the server's chat template")
            _row("tokens", f"counted by: {connection.counted}")
            ready = compose.served(config, connection)
            budget = ready.profile.budget
            _row(
                "profile",
                f"{ready.profile.name}: segments of {budget.segment} tokens, memory {budget.memory}",
            )
            for notice in ready.notices:
                typer.echo(f"{'':<11} {notice}")
    except MemreadError as error:
        _row("server", f"{error.message}. {error.hint}")
        return error
    return None


def _machine(config: Config, verbose: bool) -> MemreadError | None:
    """What is wrong with reading on this machine."""
    from memread import compose
    from memread.engine.llamacpp.library import cpu_threads, library

    lib = library()
    lib.verbose = verbose
    _row("llama.cpp", f"llama-cpp-python {lib.version}")
    _row("features", lib.system_info())
    if not lib.repacks:
        _row("", "AMX is not used: llama.cpp's code for it crashes or computes nonsense")
    _row("CPU", f"{os.cpu_count()} logical cores; {cpu_threads()} threads are used")
    gpus = [device for device in lib.devices() if device.gpu]
    for device in gpus:
        _row(
            "GPU",
            f"{device.name}: {device.description}, "
            f"{device.free / 1e9:.1f} of {device.total / 1e9:.1f} GB free",
        )
    if not lib.gpu_build:
        _row("GPU", "this build of llama.cpp is for the CPU only")
        for line in _how_to_get_gpu():
            typer.echo(f"{'':<11} {line}")
    elif not gpus:
        _row("GPU", "this build could use one, but finds none: is the driver installed?")
    try:
        with compose.engine_for(config, verbose=verbose, apart=config.worker, say=Preparing()) as ready:
            info = ready.engine.info
            _row("model", f"{info.model}: {info.path}")
            _row("placement", info.device)
            _row(
                "profile",
                f"{ready.profile.name}: segments of {ready.profile.budget.segment} tokens, "
                f"memory {ready.profile.budget.memory}, context {info.context}",
            )
            for notice in ready.notices:
                typer.echo(f"{'':<11} {notice}")
    except MemreadError as error:
        _row("model", f"{error.message}. {error.hint}")
        return error
    return None


def _row(name: str, value: str) -> None:
    from memread.text import one_line

    typer.echo(f"{name:<11} {one_line(value, 1000)}")


def _how_to_get_gpu() -> list[str]:
    """How to get a build with a GPU backend on this system."""
    again = "pip install --force-reinstall --no-cache-dir llama-cpp-python"
    if sys.platform == "darwin":
        return [f"Metal:  CMAKE_ARGS=-DGGML_METAL=on {again}"]
    return [
        f"NVIDIA, with the CUDA toolkit installed:  CMAKE_ARGS=-DGGML_CUDA=on {again}",
        f"other GPUs, with the Vulkan SDK installed:  CMAKE_ARGS=-DGGML_VULKAN=on {again}",
    ]
