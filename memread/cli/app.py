"""The commands, and what happens to an error that reaches the top."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from memread import __version__
from memread.cli import (
    ask,
    bench,
    config,
    doctor,
    eval,
    mcp,
    models,
    optimize,
    report,
    runs,
    stat,
    text,
    train,
)
from memread.cli.errors import complain, note
from memread.cli.inputs import Command
from memread.errors import INTERRUPTED, MemreadError

_FULL = (errno.ENOSPC, errno.EIO, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
"""What a write to a file fails with that no reader of it can help."""

app = typer.Typer(
    name="memread",
    help="Read texts longer than a model's window, on this machine: a local model reads segment by segment "
    "and rewrites a small memory, then answers from it.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 answered · 2 usage · 3–11 a document cannot be read · 12 question too long · "
    "13–16 model · 17 out of memory · 18 engine · 19 journal · 20 configuration · 21–24 server · "
    "30–32 download · 130 interrupted.",
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"memread {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback for every error.")] = False,
) -> None:
    pass


app.command(cls=Command)(ask.ask)
app.command(cls=Command)(stat.stat)
app.command(cls=Command)(text.text)
models.app.command()(optimize.optimize)
app.add_typer(models.app, name="models")
app.command()(bench.bench)
app.command()(doctor.doctor)
app.command(cls=Command)(mcp.mcp)
app.command()(config.config)
app.add_typer(runs.app, name="runs")
app.command()(report.report)
app.add_typer(eval.app, name="eval")
app.add_typer(train.app, name="train")


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    _prepare_streams()
    arguments = list(sys.argv[1:] if argv is None else argv)
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    debug = "--debug" in own
    if debug:
        arguments.remove("--debug")  # allowed after the command too
    code = _run(arguments, debug)
    _leave(code)


def _run(arguments: list[str], debug: bool) -> int:
    try:
        code = app(arguments, standalone_mode=False)
        return code if isinstance(code, int) else 0
    except MemreadError as error:
        if debug:
            raise
        complain(error)
        return error.exit_code
    except KeyboardInterrupt:
        if debug:
            raise
        note("memread: interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        return 0  # the reader of our output has what it wanted
    except OSError as error:
        if debug or error.filename is not None or error.errno not in _FULL:
            return _fault(error, debug)
        complain(_unwritten(error))
        return 1
    except (typer.Abort, typer.Exit) as left:
        return getattr(left, "exit_code", INTERRUPTED)
    except MemoryError:
        if debug:
            raise
        complain(MemreadError("out of memory", "Use smaller segments (--segment), or a smaller model."))
        return 17
    except Exception as error:
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):  # click's own usage errors
            show = getattr(error, "show", None)
            if show:
                show()
            return int(error.exit_code)
        return _fault(error, debug)


def _fault(error: Exception, debug: bool) -> int:
    if debug:
        raise error
    complain(
        MemreadError(
            f"a fault in memread: {type(error).__name__}: {error}",
            "What was read is in the journal. --debug shows where it happened; please report it.",
        )
    )
    return 1


def _prepare_streams() -> None:
    """Give a closed standard stream something to hold, and letters that the locale lacks a mark.

    Else the journal could be opened as descriptor 2, and llama.cpp's log be written into it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is not None:
            continue
        mode = "w" if number else "r"
        stream = open(os.devnull, mode, encoding="utf-8")  # noqa: SIM115, PTH123
        try:
            os.fstat(number)
        except OSError:
            os.dup2(stream.fileno(), number)
        setattr(sys, name, stream)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _leave(code: int) -> None:
    """Exit, without a trace when the reader of our output has gone."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_output()
    except OSError as error:
        complain(_unwritten(error))
        _discard_output()
        code = code or 1
    raise SystemExit(code)


def _discard_output() -> None:
    """So that the interpreter does not try it once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _unwritten(error: OSError) -> MemreadError:
    return MemreadError(
        f"standard output cannot be written: {error.strerror or error}",
        "What was read is in the journal: see memread runs.",
    )
