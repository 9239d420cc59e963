"""`memread stat`: what a document is, and what reading it would take. Loads no weights."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from memread.cli.inputs import Chapters, Lines, NoIgnore, Null, Pages, gather, opened
from memread.cli.options import ModelOption, PasswordOption, ProfileOption, SegmentOption
from memread.errors import JournalError

if TYPE_CHECKING:
    from memread.config import Config
    from memread.protocols import Tokenizer
    from memread.registry import InstalledModel

_FORMATS = {"pdf": "PDF", "epub": "EPUB", "html": "HTML", "docx": "Word document", "odt": "OpenDocument text"}


def stat(
    files: Annotated[
        list[str] | None,
        typer.Argument(help="Files, folders, globs, or -.", metavar="FILE...", show_default=False),
    ] = None,
    pages: Pages = None,
    chapters: Chapters = None,
    lines: Lines = None,
    null: Null = False,
    no_ignore: NoIgnore = False,
    model: ModelOption = None,
    profile: ProfileOption = None,
    segment: SegmentOption = None,
    password: PasswordOption = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Tell what documents are: format, title, chapters or pages, tokens, segments, expected reading time."""
    import msgspec

    from memread import config as configuration
    from memread import registry
    from memread.compose import chosen_profile, connected, served_profile
    from memread.ingest import select_part
    from memread.segment import segments
    from memread.text import one_line
    from memread.types import Segment, Skipped
    from memread.views import scans
    from memread.views.json import write
    from memread.views.words import duration

    config = configuration.load({"model": model, "profile": profile, "budget.segment": segment})
    with ExitStack() as stack:
        resolved = gather(files or (), question_given=True, null=null, no_ignore=no_ignore)
        selection = select_part(pages, chapters, lines)
        documents, parts = stack.enter_context(
            opened(resolved, config.limits, selection=selection, password=password)
        )
        found: InstalledModel | None = None
        if config.url is not None:
            connection = stack.enter_context(connected(config))
            name, chosen = connection.server.model, served_profile(config, connection)
            tokenizer = connection.tokenizer
        else:
            found = registry.find(config.model, config.model_folders)
            name, chosen, tokenizer = found.name, chosen_profile(config, found), tokenizer_of(found, stack)
        tokens = characters = count = 0
        skipped: list[Skipped] = []
        for part in segments(parts, tokenizer, chosen.budget.segment):
            if isinstance(part, Segment):
                tokens += part.info.tokens
                characters += len(part.text)
                count += 1
            else:
                skipped.append(part)
        infos = [document.info for document in documents]
    known = _speed(config, found) if found is not None else None
    seconds = tokens / known[0] if known else None
    if json:
        write(
            sys.stdout,
            {
                "documents": msgspec.to_builtins(infos),
                "characters": characters,
                "tokens": tokens,
                "segments": count,
                "segment_limit": chosen.budget.segment,
                "model": name,
                "profile": chosen.name,
                "expected_seconds": seconds,
                "no_text_layer": scans.rows(skipped, infos),
                "skipped": [{"place": part.label(), "reason": part.reason} for part in skipped],
            },
        )
        return
    for info in infos:
        facts = [_FORMATS.get(info.format, info.format)]
        facts += [f"{info.pages} pages"] if info.pages else []
        facts += [f"{info.chapters} chapters"] if info.chapters else []
        facts += [f"{info.size:,} bytes"] if info.size is not None else []
        facts += [f"only {info.part}"] if info.part else []
        typer.echo(f"{one_line(info.name)}: {' · '.join(facts)}")
        if info.title or info.author:
            typer.echo(f"  {one_line(' — '.join(part for part in (info.title, info.author) if part))}")
    typer.echo(
        f"{tokens:,} tokens ({name}) · {characters:,} characters · "
        f"{count:,} segments of up to {chosen.budget.segment:,} tokens"
    )
    for line in scans.lines(skipped, infos):
        typer.echo(f"  {line}")
    for part in skipped:
        if scans.is_scan(part):
            continue
        typer.echo(f"  not readable: {one_line(part.label())}: {one_line(part.reason)}".replace(": :", ":"))
    if known is not None and seconds is not None:
        typer.echo(f"about {duration(seconds)} to read, at the {known[0]:,.0f} tokens/s of {known[1]}")
    else:
        typer.echo(
            "no reading with this model has been recorded yet, so no time can be told: memread bench measures"
        )


def tokenizer_of(model: InstalledModel, stack: ExitStack) -> Tokenizer:
    """The model's own vocabulary: through tiktoken where it is byte-level BPE, else through llama.cpp."""
    from memread import bpe

    own = bpe.tokenizer(model.header)
    if own is not None:
        return own
    from memread.engine.llamacpp.model import Model as Weights

    weights: Weights = stack.enter_context(Weights(model.path, vocabulary_only=True))
    return weights.vocabulary


def _speed(config: Config, model: InstalledModel) -> tuple[float, str] | None:
    """Tokens of text read per second, and how that is known; None where nothing was read or measured."""
    from memread import weights
    from memread.journal import Journal
    from memread.tuning import choice_for

    if config.journal_path.exists():
        try:
            with Journal.open(config.journal_path) as journal:
                found = journal.speed(weights.digest_of(config, model))
        except JournalError:
            found = None
        if found is not None:
            return found.tokens_per_second, "readings before"
    choice = choice_for(config.data_dir, weights.sources_of(model)[0].digest)
    return (choice.reading, "memread bench") if choice is not None and choice.reading else None
