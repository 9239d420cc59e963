"""`memread mcp`: an MCP server on standard input and output."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from memread.cli.options import ModelOption, ProfileOption
from memread.errors import ConfigError, FileMissing


def mcp(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            help="The folders whose documents may be read; without any, the current one.",
            metavar="[FOLDER...]",
            show_default=False,
        ),
    ] = None,
    model: ModelOption = None,
    profile: ProfileOption = None,
) -> None:
    """Serve the tool `ask_document` to programs that speak MCP, on standard input and output.

    It reads documents in the given folders only, one at a time, and leaves no record of them.
    """
    try:
        from memread.integrations.mcp import server
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the MCP server needs a package that is not installed ({error.name})",
            'Install it with: pip install "memread[mcp]"',
        ) from error
    chosen = folders or [Path()]
    for folder in chosen:
        try:
            there = folder.is_dir()
        except OSError:  # such as a name that is too long
            there = False
        if not there:
            from memread.text import one_line

            raise FileMissing(f"{one_line(str(folder))}: there is no such folder")
    given = {"model": model, "profile": profile}
    server(chosen, {name: value for name, value in given.items() if value is not None}).run("stdio")
