"""`memread models pull`: download a model."""

from __future__ import annotations

from typing import Annotated

import typer

from memread.cli.errors import note


def pull(
    model: Annotated[
        str,
        typer.Argument(
            help="A profile's name, hf:owner/repository[:quantization or file], or https://…/model.gguf.",
            metavar="MODEL",
        ),
    ],
    sha256: Annotated[
        str, typer.Option("--sha256", help="What the file must hash to, where its publisher says so.")
    ] = "",
    fresh: Annotated[bool, typer.Option("--fresh", help="Download it again if it is here.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be downloaded.")] = False,
) -> None:
    """Download a model, verify it and register it. An interrupted download goes on where it stopped."""
    from memread import config as configuration
    from memread import profile, registry
    from memread.registry import pull as pulling
    from memread.text import one_line
    from memread.views.transfer import TransferView

    config = configuration.load()
    profiles = registry.profiles_in(configuration.profiles_dir()) + profile.shipped()
    try:
        with TransferView() as view:
            planned = pulling.plan(model, config.models_dir, profiles, view, sha256=sha256)
            for line in planned.notes:
                view.say(line)
            if dry_run:
                size = f"{planned.size / 1e9:,.2f} GB" if planned.size else "size not known"
                view.say(f"{planned.origin}: {size}")
            else:
                done = pulling.pull(
                    planned,
                    config.model_folders,
                    view,
                    digest_cache=configuration.digest_cache(),
                    fresh=fresh,
                )
    except KeyboardInterrupt:
        note("memread: interrupted. What has arrived is kept: the same command goes on with it.")
        raise typer.Exit(130) from None
    if dry_run:
        for target in planned.targets:
            typer.echo(one_line(str(target), 400))
        return
    how = "SHA-256 verified" if done.verified else "its publisher states no SHA-256, so it was not verified"
    what = "was here" if not done.fetched else "is here"
    note(f"{done.model.name} {what} ({done.model.size / 1e9:,.2f} GB, {how}).")
    note(f'memread ask FILE "…" --model {one_line(done.model.name)}')
    typer.echo(one_line(str(done.model.path), 400))
