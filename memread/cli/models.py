"""`memread models`: what is installed, which one is the default, where the file is."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from memread.cli.errors import note


def models(
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List the models on this machine: * marks the one that reads when none is named."""
    from memread import config as configuration
    from memread import registry
    from memread.errors import ModelError
    from memread.text import one_line
    from memread.views.json import write

    config = configuration.load()
    found = registry.installed(config.model_folders)
    try:
        default = registry.find(config.model, config.model_folders)
    except ModelError as error:
        default = None
        if not found:
            raise
        note(f"memread: {one_line(error.message, 300)}")
    if default is not None and all(model.path != default.path for model in found):
        found.append(default)  # a file named in the settings
    for model in found:
        try:
            facts = model.description
            profile = registry.profile_for(
                model.header.metadata, config.profile, configuration.profiles_dir()
            ).name
            about = " · ".join(
                [
                    facts.name,
                    facts.quantization,
                    f"trained for {facts.context:,} tokens",
                    facts.licence or "licence not stated",
                ]
            )
        except ModelError as error:
            profile, about = "", error.message
        if json:
            row = {
                "name": model.name,
                "default": model is default or (default is not None and model.path == default.path),
                "path": str(model.path),
                "bytes": model.size,
                "source": model.source,
                "profile": profile,
                "about": about,
            }
            write(sys.stdout, row)
            continue
        mark = "*" if default is not None and model.path == default.path else " "
        typer.echo(f"{mark} {one_line(model.name)}  {model.size / 1e6:,.0f} MB  profile {profile or '–'}")
        typer.echo(f"    {one_line(about, 160)}")
        typer.echo(f"    {one_line(str(model.path), 400)}")
    if not json:
        note(f"\nFolders searched: {', '.join(map(str, config.model_folders))}")
