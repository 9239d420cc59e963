"""`memread config`: every setting, its value, and where that came from."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from memread.cli.errors import note


def config(
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Show every setting, its value, and where the value came from."""
    from memread import config as configuration
    from memread.settings import SETTINGS
    from memread.text import one_line
    from memread.views.json import write

    found = configuration.load()
    rows = [
        (setting.name, _plain(found.value(setting.name)), found.origin(setting.name), setting.help)
        for setting in SETTINGS
    ]
    if json:
        write(sys.stdout, {name: {"value": value, "origin": origin} for name, value, origin, _ in rows})
        return
    for warning in found.warnings:
        note(f"memread: {one_line(warning)}")
    for name, value, origin, description in rows:
        shown = ", ".join(value) if isinstance(value, list) else str(value)
        shown = "–" if value is None or not shown else one_line(shown)
        typer.echo(f"{name:<22} {shown:<28} {one_line(origin):<10} {description}")
    file = os.environ.get(configuration.FILE_VARIABLE) or configuration.config_dir() / "config.toml"
    typer.echo(
        f"\nSettings are read from {one_line(str(file))}, over it from variables "
        "such as MEMREAD_MODEL, over these from flags. – leaves the choice to the model's profile."
    )


def _plain(value: object) -> object:
    """A setting as JSON has it: paths are strings, addresses have no passwords."""
    from memread.text import without_credentials

    if isinstance(value, tuple):
        return [str(item) for item in value]
    if isinstance(value, str):
        return without_credentials(value)
    return str(value) if isinstance(value, Path) else value
