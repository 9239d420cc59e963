"""`memread models profiles`: which models memread knows how to read with, and how."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from memread.cli.errors import note


def profiles(
    name: Annotated[
        str | None, typer.Argument(help="A profile's name or .toml file: it is checked and printed.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List the profiles, or check and print one.

    The list tells which weights `pull` can get, their size, their licence and the memory that they need.
    """
    import msgspec

    from memread import config as configuration
    from memread import profile, registry
    from memread.text import one_line, printable
    from memread.views.json import write
    from memread.views.words import plural

    own = configuration.profiles_dir()
    if name is not None:
        found = registry.profile_for({}, name, own)
        text = _text(found.name, name, own)
        if json:
            write(sys.stdout, msgspec.to_builtins(found))
        else:
            typer.echo(printable(text), nl=False)
        return
    mine = {each.name for each in registry.profiles_in(own)}
    shown = registry.profiles_in(own) + [each for each in profile.shipped() if each.name not in mine]
    for each in shown:
        weights = each.weights
        size = sum(file.size for file in weights.files)
        if json:
            row = {
                "name": each.name,
                "description": each.description,
                "own": each.name in mine,
                "pull": bool(weights.files),
                "repository": weights.repository or weights.base,
                "bytes": size,
                "memory_needed": each.memory_need if size else None,
                "licence": weights.licence,
                "speed": weights.speed,
                "unverified": list(weights.unverified),
            }
            write(sys.stdout, row)
            continue
        facts = [
            f"{size / 1e9:,.1f} GB to download, {each.memory_need / 1e9:,.1f} GB of memory" if size else "",
            weights.licence,
            f"{plural(len(weights.unverified), 'thing')} not verified" if weights.unverified else "",
            "your own" if each.name in mine else "",
        ]
        typer.echo(one_line(each.name))
        typer.echo(f"    {one_line(each.description, 200) or '–'}")
        if any(facts):
            typer.echo(f"    {one_line(' · '.join(fact for fact in facts if fact), 200)}")
    if not json:
        note("\nmemread models pull NAME downloads the weights of those that name a size.")
        note(f"Your own profiles: {own}. memread models profiles NAME > my.toml makes a beginning.")


def _text(found: str, asked: str, own: Path) -> str:
    """The file of a profile that has been loaded."""
    from memread import profile
    from memread.settings import expanded

    if asked.endswith(".toml"):
        return expanded(asked).read_text(encoding="utf-8")
    for folder in (own, profile.shipped_dir()):
        for path in sorted(folder.glob("*.toml")):
            if profile.load(path).name == found:
                return path.read_text(encoding="utf-8")
    return ""
