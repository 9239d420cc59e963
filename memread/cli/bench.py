"""`memread bench`: how fast this machine reads, and how long a text will take."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from memread.cli.errors import complain, note
from memread.cli.inputs import opened
from memread.cli.options import ModelOption, ProfileOption, SegmentOption
from memread.cli.preparing import Preparing
from memread.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from memread.bench import Bench
    from memread.config import Config
    from memread.registry import InstalledModel

_SIZES = {"a novel": 120_000, "a long one": 500_000, "a shelf": 3_500_000}
"""Tokens."""


def bench(
    files: Annotated[
        list[str] | None,
        typer.Argument(help="What is to be read.", metavar="[FILE...]", show_default=False),
    ] = None,
    model: ModelOption = None,
    profile: ProfileOption = None,
    segment: SegmentOption = None,
    threads: Annotated[int | None, typer.Option("--threads", help="Of the CPU.", show_default=False)] = None,
    seconds: Annotated[
        float, typer.Option("--seconds", min=1, max=3600, help="For measuring, about.")
    ] = 40.0,
    write: Annotated[
        bool, typer.Option("--write", help="Read in the segments that read fastest, from now on.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Measure how fast this machine reads with a model: prompts by length, single tokens, whole books."""
    import msgspec

    from memread import bench as work
    from memread import config as configuration
    from memread import registry
    from memread.views.json import write as write_json

    config = configuration.load(
        {"model": model, "profile": profile, "budget.segment": segment, "engine.threads": threads}
    )
    if config.url is not None:
        raise UsageError(
            "bench measures a model on this machine, and the settings name a server (engine.url)",
            "Unset it: MEMREAD_ENGINE_URL= memread bench … What a server reads a second, `memread ask` says.",
        )
    if write and config.segment is not None:
        raise UsageError(
            "--write looks for the segments that read fastest, and a size is asked for",
            "Leave out --segment, or budget.segment in the settings.",
        )
    found = registry.find(config.model, config.model_folders)
    texts = {"these": _tokens(files, config, found)} if files else _SIZES
    tell = (lambda length, rate: None) if json else _tell
    measured = work.bench(config, found, seconds=seconds, say=Preparing(quiet=json), tell=tell)
    expected = {name: tokens / measured.reading for name, tokens in texts.items()}
    if json:
        texts_said = [
            {"name": name, "tokens": tokens, "seconds": expected[name]} for name, tokens in texts.items()
        ]
        write_json(sys.stdout, {**msgspec.to_builtins(measured, str_keys=True), "texts": texts_said})
    else:
        _conclude(measured, texts, expected)
    try:
        work.remember(config, found, measured, write=write)
    except ConfigError as error:
        if write:
            raise
        complain(error)  # a rate that cannot be kept is no reason to fail
    if write:
        note(f"Segments of {measured.fastest:,} tokens from now on.")


def _tell(length: int, rate: float) -> None:
    typer.echo(f"prompt of {length:>6,} tokens  {rate:>9,.0f} tokens/s")


def _conclude(measured: Bench, texts: dict[str, int], expected: dict[str, float]) -> None:
    from memread.text import one_line
    from memread.views.words import duration

    typer.echo(f"one token after it      {measured.rates.decode:>9,.1f} tokens/s")
    share = measured.reading / measured.limit
    typer.echo(
        f"\n{one_line(measured.model)} reads about {measured.reading:,.0f} tokens/s: segments of "
        f"{measured.segment:,}, {measured.rewritten:.0%} of a memory of {measured.memory:,} written anew "
        "each time.\n"
        f"The limit is {measured.limit:,.0f} tokens/s, the best that bare llama.cpp does with a prompt: "
        f"this is {share:.0%} of it."
    )
    for name, tokens in texts.items():
        typer.echo(f"{name} ({tokens:,} tokens): about {duration(expected[name])}")
    if measured.fastest != measured.segment:
        typer.echo(
            f"Segments of {measured.fastest:,} tokens read at {measured.fastest_reading:,.0f} tokens/s: "
            "memread bench --write uses them."
        )
    elif measured.tied:
        typer.echo(f"The profile {one_line(measured.profile)} keeps its segment size.")
    note("Copied text in a memory costs less than this; other programs that run now cost more.")


def _tokens(files: list[str], config: Config, found: InstalledModel) -> int:
    """Tokens of the documents, as `memread stat` counts them."""
    from memread.cli.stat import tokenizer_of
    from memread.compose import chosen_profile
    from memread.ingest import resolve
    from memread.segment import segments
    from memread.types import Segment

    with ExitStack() as stack:
        _, parts = stack.enter_context(opened(resolve(files, question_given=True), config.limits))
        tokenizer = tokenizer_of(found, stack)
        cut = segments(parts, tokenizer, chosen_profile(config, found).budget.segment)
        return sum(part.info.tokens for part in cut if isinstance(part, Segment))
