"""How an error is told on the terminal."""

from __future__ import annotations

import typer

from memread.errors import MemreadError


def complain(error: MemreadError) -> None:
    """One readable line on stderr, and a hint. Both may quote a document or a file name."""
    from memread.text import one_line

    typer.echo(f"memread: {one_line(error.message, 600)}", err=True)
    if error.hint:
        typer.echo(f"  {one_line(error.hint, 600)}", err=True)
