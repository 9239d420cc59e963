"""`memread models optimize`: the fastest way of reading with a model here that keeps its quality."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from memread.cli.errors import note
from memread.cli.preparing import Preparing

if TYPE_CHECKING:
    from memread.optimize import Outcome, Row


def optimize(
    name: Annotated[
        str | None,
        typer.Argument(help="A model; without it the default.", metavar="[NAME]", show_default=False),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Measure; change nothing.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Read the model as before it was measured.")] = False,
    seconds: Annotated[
        float, typer.Option("--seconds", min=1, max=36000, help="For measuring, about.")
    ] = 120.0,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Find the type and settings that read fastest on this machine, and read with them from now on.

    Types are compared on a text: one whose predictions differ from the original's by more than a stated limit
    is not taken, however fast it is. Threads, batch size, flash attention and the KV cache's type follow.
    What you set yourself goes over it.
    """
    import msgspec

    from memread import config as configuration
    from memread import optimize as work
    from memread import registry
    from memread.text import one_line
    from memread.views.json import write

    config = configuration.load()
    found = registry.find(name or config.model, config.model_folders)
    if undo:
        forgotten = work.undo(config, found)
        note(f"{one_line(found.name)}: {'as it was before' if forgotten else 'nothing was measured'}")
        return
    if not json:
        typer.echo(_line("", "", "prefill", "decode", "reading", "KL", "same", ""))
    outcome = work.optimize(
        config,
        found,
        seconds=seconds,
        keep=not dry_run,
        say=Preparing(quiet=json),
        tell=(lambda row: None) if json else _tell,
    )
    if json:
        write(sys.stdout, {"model": found.name, "dry_run": dry_run, **msgspec.to_builtins(outcome)})
        return
    _conclude(outcome, found.name, dry_run)


def _tell(row: Row) -> None:
    measured = row.prefill > 0
    typer.echo(
        _line(
            row.what,
            row.value,
            f"{row.prefill:,.0f}/s" if measured else "",
            f"{row.decode:,.1f}/s" if measured else "",
            f"×{row.gain:.2f}" if measured or row.gain != 1.0 else "",
            "" if row.divergence is None else f"{row.divergence:.4f}",
            "" if row.agreement is None else f"{row.agreement:.1%}",
            row.verdict or "taken",
        )
    )


def _line(
    what: str, value: str, prefill: str, decode: str, gain: str, kl: str, same: str, verdict: str
) -> str:
    from memread.text import one_line

    columns = f"{what:<8} {value:<18} {prefill:>9} {decode:>9} {gain:>8} {kl:>8} {same:>7}  "
    return (columns + one_line(verdict, 120)).rstrip()


def _conclude(outcome: Outcome, name: str, dry_run: bool) -> None:
    from memread.optimize import GAIN, LIMIT
    from memread.text import one_line

    choice = outcome.choice
    settings = {"threads": choice.threads, "batch": choice.batch, "flash": choice.flash, "kv": choice.kv}
    changed = [f"{key} {value}" for key, value in settings.items() if value]
    note(
        f"Prompts of {outcome.prompt:,} tokens. Reading: against the model as it is, or the settings before. "
        f"KL, same: of the predictions over a text, against the original's; at most {LIMIT} nats. "
        f"A change is taken from ×{GAIN} on."
    )
    taken = ", ".join([choice.kind or "the type it has", *changed])
    note(f"{one_line(name)}: {taken}{' would be taken (--dry-run)' if dry_run else ' from now on'}.")
