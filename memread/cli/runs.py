"""`memread runs`: what was read, and what came of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memread.cli.errors import note
from memread.errors import JournalError, ModelError, UsageError

if TYPE_CHECKING:
    from memread.events import Event, RunStarted
    from memread.journal import Journal

app = typer.Typer(help="The readings that were recorded.", invoke_without_command=True, rich_markup_mode=None)


@app.callback()
def runs(
    context: typer.Context,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many, newest first.")] = 20,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List the readings that were recorded, newest first."""
    if context.invoked_subcommand is not None:
        return
    import msgspec

    from memread.text import one_line
    from memread.views.json import write
    from memread.views.words import plural

    with open_journal() as journal:
        found = journal.runs(limit)
    if json:
        for row in found:
            write(sys.stdout, msgspec.to_builtins(row))
        return
    if not found:
        note("No reading has been recorded yet.")
        return
    for row in found:
        state = row.status
        names = ", ".join(one_line(name, 60) for name in row.documents)
        typer.echo(
            f"{row.run_id}  {row.created[:16].replace('T', ' ')}  {state:<11}  "
            f"{plural(row.steps, 'segment')}, {row.tokens:,} tokens  {names}"
        )
        lane = f"lane {row.lane} of {row.lanes}: " if row.lane else ""
        typer.echo(f"          {lane}{one_line(row.question, 100)}")
        if row.answer:
            typer.echo(f"          → {one_line(row.answer, 100)}")


@app.command()
def show(
    run: Annotated[str, typer.Argument(help="A run's id, or its first letters.", metavar="ID")],
    memory: Annotated[
        bool, typer.Option("--memory", help="Each memory as it was after each segment, and where that was.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="The JSON object that `ask --json` printed.")] = False,
    evidence: Annotated[
        bool, typer.Option("--evidence", help="What in the text speaks for the answer and the memory.")
    ] = False,
    events: Annotated[
        bool, typer.Option("--events", help="The recorded events, a line of JSON each.")
    ] = False,
) -> None:
    """Show one reading: question, documents, answer, what was read; with --memory every memory."""
    from memread.views.json import EventsView, result, write
    from memread.views.memories import MemoriesView
    from memread.views.plain import RecordView

    with open_journal() as journal:
        recorded = list(journal.show(run).events())
    if json:
        write(sys.stdout, result(recorded))
        return
    if evidence:
        _show_evidence(recorded)
        return
    view = EventsView if events else MemoriesView if memory else RecordView
    with view(sys.stdout) as shown:
        for event in recorded:
            shown.show(event)


def _show_evidence(recorded: list[Event]) -> None:
    from memread.events import Answered, RunStarted
    from memread.views.evidence import lines

    started = next(event for event in recorded if isinstance(event, RunStarted))
    answers = [event.answer for event in recorded if isinstance(event, Answered)]
    found = lines(answers[-1].evidence, started.documents, memory=None) if answers else []
    for line in found:
        typer.echo(line)
    if not found:
        note("No evidence was recorded for this reading." if answers else "This reading has no answer yet.")


@app.command()
def ask(
    run: Annotated[str, typer.Argument(help="A run's id, or its first letters.", metavar="ID")],
    question: Annotated[str, typer.Argument(help="What you also want to know.", metavar="QUESTION")],
    model: Annotated[
        str | None,
        typer.Option("-m", "--model", help="Another model than the one that read.", show_default=False),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of the answer.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress; warnings only.")] = False,
    no_evidence: Annotated[
        bool, typer.Option("--no-evidence", help="Do not print what in the text speaks for the answer.")
    ] = False,
) -> None:
    """Ask a reading another question: answered at once, from the memory it kept.

    That memory was kept for another question, and may lack what this one needs: memread ask --reread FILE...
    QUESTION reads the text again. The answer is not recorded.
    """
    from memread import config as configuration
    from memread.cli.ask import show_evidence
    from memread.compose import engine_for
    from memread.events import Answered
    from memread.followup import follow_up, started
    from memread.text import printable
    from memread.views import choose_view

    if not question.strip():
        raise UsageError("the question is empty")
    with open_journal() as journal:
        record = journal.show(run)
    begun = started(record)
    settings: dict[str, object] = {"evidence": False if no_evidence else None, "model": model}
    if model is None and "://" in begun.engine.path:
        settings["engine.url"] = begun.engine.path
    elif model is None:
        settings["model"] = _model_of(begun)
    config = configuration.load(settings)
    with engine_for(config, question) as ready, choose_view(quiet=quiet, json=json) as view:
        for event in follow_up(record, question, ready.engine, ready.profile):
            view.show(event, 0)
    assert isinstance(event, Answered)
    if not json:
        sys.stdout.write(printable(event.answer.text) + "\n")
        if config.evidence and not quiet:
            show_evidence([event.answer], [question], begun.documents)


def _model_of(begun: RunStarted) -> str | None:
    """The model that read: its name, with which its profile comes, or its file; None: neither is here."""
    from memread import config as configuration
    from memread import registry, weights

    config = configuration.load()
    try:
        found = registry.find(begun.engine.model, config.model_folders)
        if weights.digest_of(config, found) == begun.engine.digest:
            return begun.engine.model
    except ModelError:
        pass
    return begun.engine.path if Path(begun.engine.path).is_file() else None


@app.command()
def rm(
    run: Annotated[list[str], typer.Argument(help="Ids, or their first letters.", metavar="ID...")],
) -> None:
    """Remove readings from the journal."""
    with open_journal() as journal:
        for each in run:
            note(f"removed {journal.remove(each)}")


@app.command()
def prune(
    keep: Annotated[int, typer.Option("--keep", min=0, help="How many of the newest to keep.")],
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Also those that could still be gone on with.")
    ] = False,
) -> None:
    """Remove all but the newest finished readings from the journal."""
    with open_journal() as journal:
        removed = journal.prune(keep, unfinished=unfinished)
    note(f"removed {len(removed)} readings" if len(removed) != 1 else "removed 1 reading")


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The new file.", metavar="FILE")],
) -> None:
    """Write a sound copy of the journal, also while a reading is being recorded.

    A copy of the file itself, made while it is written, may be torn.
    """
    from memread.text import one_line

    with open_journal() as journal:
        count = journal.backup(file)
    note(f"{count} readings are in {one_line(str(file))}")


def open_journal() -> Journal:
    """The journal that the settings name. Raises JournalError if there is none yet."""
    from memread import config
    from memread.journal import Journal

    path = config.load().journal_path
    if not path.exists():
        raise JournalError("no reading has been recorded yet", f"The journal will be {path}")
    return Journal.open(path)
