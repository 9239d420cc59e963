"""`memread models`: what is installed, which one is the default, what else is on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from memread.cli import model_info, model_profiles, pull
from memread.cli.errors import note

if TYPE_CHECKING:
    from memread.config import Config

app = typer.Typer(
    help="The models on this machine; get more.", invoke_without_command=True, rich_markup_mode=None
)
app.command()(pull.pull)
app.command()(model_info.info)
app.command()(model_profiles.profiles)


@app.callback()
def models(
    context: typer.Context,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List the models on this machine: * marks the one that reads when none is named."""
    if context.invoked_subcommand is not None:
        return
    from memread import config as configuration
    from memread import registry, tuning
    from memread.errors import ModelError
    from memread.registry import catalogue
    from memread.text import one_line
    from memread.views.json import write

    config = configuration.load()
    found = registry.installed(config.model_folders)
    known = catalogue.load(config.model_folders)
    try:
        default = registry.find(config.model, config.model_folders)
    except ModelError as error:
        default = None
        if not found:
            raise
        note(f"memread: {one_line(error.message, 300)}")
    if default is not None and all(model.path != default.path for model in found):
        found.append(default)  # a file named in the settings
    fastest = {choice.name: choice.kind for choice in tuning.load(config.data_dir).values() if choice.kind}
    for model in found:
        kind = fastest.get(model.name) or (model.recipe.kind if model.recipe else "")
        try:
            facts = model.description
            profile = registry.profile_of(model, config.profile, configuration.profiles_dir()).name
            about = " · ".join(
                [
                    facts.name,
                    facts.quantization,
                    f"trained for {facts.context:,} tokens",
                    facts.licence or "licence not stated",
                    *([f"read as {kind}"] if kind else []),
                ]
            )
        except ModelError as error:
            profile, about = "", error.message
        aliases = [alias for alias, name in known.aliases.items() if name == model.name]
        if json:
            row = {
                "name": model.name,
                "default": default is not None and model.path == default.path,
                "aliases": aliases,
                "path": str(model.path),
                "bytes": model.size,
                "source": model.source,
                "origin": model.origin,
                "profile": profile,
                "read_as": kind,
                "about": about,
            }
            write(sys.stdout, row)
            continue
        mark = "*" if default is not None and model.path == default.path else " "
        also = f"  alias {one_line(', '.join(aliases))}" if aliases else ""
        where = "" if model.source in ("folder", "given", "tiny") else f"  {model.source}"
        name, size = one_line(model.name), f"{model.size / 1e6:,.0f} MB"
        typer.echo(f"{mark} {name}  {size}  profile {profile or '–'}{where}{also}")
        typer.echo(f"    {one_line(about, 160)}")
        typer.echo(f"    {one_line(str(model.path), 400)}")
    if not json:
        note(f"\nFolders searched: {', '.join(map(str, config.model_folders))}")
        for part in registry.unfinished(config.models_dir):
            note(f"Unfinished: {one_line(str(part), 300)}.part: the same `memread models pull` resumes it.")


@app.command()
def scan(
    folder: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders to look through instead.", metavar="[FOLDER...]"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Register nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Register what other programs have downloaded.

    Ollama, LM Studio, Hugging Face and llama.cpp: the files stay where they lie, nothing is copied.
    """
    import os

    from memread import config as configuration
    from memread.errors import FileMissing
    from memread.registry import registering, stores
    from memread.text import one_line
    from memread.views.json import write

    for each in folder or []:
        if not each.is_dir():
            raise FileMissing(f"{each}: there is no such folder")
    config = configuration.load()
    found = stores.scan(os.environ, Path.home())
    if folder:
        found = (item for each in folder for item in stores.scan_folder(each.resolve(), "added"))
    seen: list[stores.Found] = []
    for item in found:
        if isinstance(item, stores.Found):
            seen.append(item)
        elif json:
            write(sys.stdout, {"skipped": item.where, "reason": item.reason})
        else:
            note(f"skipped {one_line(item.where, 300)}: {one_line(item.reason)}")
    outcomes = registering.register(seen, config.model_folders, forget_missing=not folder, dry_run=dry_run)
    for name, outcome, path in outcomes:
        if json:
            write(sys.stdout, {"name": name, "outcome": outcome, "path": path})
        else:
            typer.echo(f"{outcome:<8} {one_line(name)}  {one_line(path, 400)}")
    if not json:
        new = sum(outcome == "new" for _, outcome, _ in outcomes)
        note(f"{len(seen)} models found, {new} of them new{' (not registered)' if dry_run and new else ''}.")


@app.command()
def add(
    path: Annotated[Path, typer.Argument(help="A .gguf file; of a split model any part.", metavar="FILE")],
    name: Annotated[str | None, typer.Option("--name", help="What --model will take.")] = None,
) -> None:
    """Register a file where it lies. Nothing is copied."""
    from memread import registry
    from memread.registry import registering
    from memread.settings import expanded
    from memread.text import one_line

    config = _config()
    model = registry.find(f"{expanded(path).absolute()}", config.model_folders)
    note(f"added {one_line(registering.add(model, name, config.model_folders))}")


@app.command()
def rm(
    name: Annotated[list[str], typer.Argument(help="Models or aliases.", metavar="NAME...")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before a file is deleted.")] = False,
) -> None:
    """Forget models or aliases.

    A file is deleted only if it lies in memread's own folder; others stay.
    """
    from memread.registry import registering
    from memread.text import one_line

    config = _config()
    for each in name:
        doomed = registering.own_files(each, config.model_folders)
        if doomed and not yes:
            size = sum(path.stat().st_size for path in doomed) / 1e9
            listed = ", ".join(one_line(str(path), 300) for path in doomed)
            if not sys.stdin.isatty():
                note(f"{listed} would be deleted ({size:,.1f} GB): --yes says that it may")
                raise typer.Exit(2)
            typer.confirm(f"Delete {listed} ({size:,.1f} GB)?", abort=True, err=True)
        note(one_line(registering.remove(each, config.model_folders), 600))


@app.command()
def default(
    name: Annotated[str | None, typer.Argument(help="A model or alias; without it: which one it is.")] = None,
) -> None:
    """Choose the model that reads when none is named."""
    from memread import registry
    from memread.registry import registering
    from memread.text import one_line

    config = _config()
    if name is not None:
        registering.set_default(name, config.model_folders)
        if config.model is not None:
            note(f"memread: {config.origin('model')} names {one_line(config.model)}, which goes over this")
    typer.echo(one_line(registry.find(config.model or None, config.model_folders).name))


@app.command()
def alias(
    new: Annotated[str, typer.Argument(help="The other name.", metavar="ALIAS")],
    name: Annotated[str, typer.Argument(help="The model.", metavar="NAME")],
) -> None:
    """Give a model another name. `rm ALIAS` takes it away."""
    from memread.registry import registering
    from memread.text import one_line

    model = registering.set_alias(new, name, _config().model_folders)
    note(f"{one_line(new)} is {one_line(model)}")


def _config() -> Config:
    from memread import config as configuration

    return configuration.load()
