"""`memread config`: every setting, its value, and where that came from."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from memread.cli.errors import note


def config(
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Show every setting, its value, and where the value came from."""
    from memread import config as configuration
    from memread.text import one_line
    from memread.views.json import write

    found = configuration.load()
    rows = [
        (setting.name, found.value(setting.name), found.origin(setting.name), setting.help)
        for setting in configuration.SETTINGS
    ]
    if json:
        write(sys.stdout, {name: {"value": value, "origin": origin} for name, value, origin, _ in rows})
        return
    for warning in found.warnings:
        note(f"memread: {warning}")
    for name, value, origin, description in rows:
        shown = "–" if value is None or value == [] else one_line(str(value))
        typer.echo(f"{name:<22} {shown:<28} {origin:<10} {description}")
    typer.echo(
        f"\nSettings are read from {configuration.config_dir() / 'config.toml'}, over it from variables "
        "such as MEMREAD_MODEL, over these from flags. – leaves the choice to the model's profile."
    )
