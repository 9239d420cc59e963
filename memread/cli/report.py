"""`memread report`: a reading as a page to look at."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from memread.cli.errors import note
from memread.cli.runs import open_journal
from memread.errors import UsageError


def report(
    run: Annotated[str, typer.Argument(help="A run's id, or its first letters.", metavar="RUN")],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="The file to write; memread-RUN.html without it. -: standard output."
        ),
    ] = None,
) -> None:
    """Write one page about a recorded reading: memories, evidence, answer, what was read.

    A single HTML file that needs no network. It holds texts of the document: share it as you would that.
    """
    from memread.report import page
    from memread.text import one_line

    with open_journal() as journal:
        record = journal.show(run)
    html = page(record.events(), created=record.row.created)
    if output == Path("-"):
        sys.stdout.write(html)
        return
    path = output or Path(f"memread-{record.row.run_id}.html")
    try:
        _write(path, html)
    except OSError as error:
        raise UsageError(
            f"{one_line(str(path))} cannot be written: {error.strerror or error}",
            "Give another file: -o FILE",
        ) from error
    note(f"wrote {one_line(str(path))} ({len(html.encode()) / 1000:,.0f} kB)")


def _write(path: Path, html: str) -> None:
    """All of it or nothing: a page that is cut off would look whole."""
    if path.exists() and not path.is_file():  # a device, such as /dev/stdout
        path.write_text(html, encoding="utf-8")
        return
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(html, encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
