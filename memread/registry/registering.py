"""Changing the catalogue: what `scan`, `add`, `rm`, `default` and `alias` do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from memread import gguf
from memread.errors import ModelMissing, ModelUnloadable, UsageError
from memread.registry import catalogue
from memread.registry.catalogue import STORES, Catalogue, Entry
from memread.registry.local import InstalledModel, find, installed, looks_like_a_path
from memread.registry.stores import Found
from memread.text import one_line

Outcome = tuple[str, str, str]
"""Name, "new", "known", "moved" or "gone", path."""


def register(
    found: Sequence[Found], folders: Sequence[Path], *, forget_missing: bool, dry_run: bool = False
) -> list[Outcome]:
    """Put what was found into the catalogue, each file once.

    forget_missing: forget models of other programs' stores whose file is gone. Raises ConfigError.
    """
    outcomes: list[Outcome] = []

    def how(known: Catalogue) -> Catalogue:
        outcomes.clear()
        for name, entry in [*known.models.items()]:
            if forget_missing and entry.source in STORES and not Path(entry.path).is_file():
                same = (each for each in found if (each.name, each.source) == (name, entry.source))
                moved = next(same, None)
                if moved is None:
                    known = known.without(name)
                    outcomes.append((name, "gone", entry.path))
                else:
                    known = known.with_model(name, Entry(str(moved.path), moved.source))
                    outcomes.append((name, "moved", str(moved.path)))
        names = {model.path.resolve(): model.name for model in installed(folders)}
        names.update({Path(entry.path).resolve(): name for name, entry in known.models.items()})
        settled = {path for _, _, path in outcomes}
        for each in found:
            if str(each.path) in settled:
                continue
            if each.path.resolve() in names:
                outcomes.append((names[each.path.resolve()], "known", str(each.path)))
                continue
            name = _free(each.name, each.source, {*names.values(), *known.models, *known.aliases})
            known = known.with_model(name, Entry(str(each.path), each.source))
            names[each.path.resolve()] = name
            outcomes.append((name, "new", str(each.path)))
        return known

    if dry_run:
        how(catalogue.load(folders))
    else:
        catalogue.change(folders[0], how)
    return outcomes


def add(model: InstalledModel, name: str | None, folders: Sequence[Path], origin: str = "") -> str:
    """Register one model; its name. Raises UsageError for a name that is taken or cannot be one."""
    entry = Entry(str(model.path.absolute()), "pulled" if origin else "added", origin)

    def how(known: Catalogue) -> Catalogue:
        taken = known.models.get(chosen)
        others = {each.name: each.path for each in installed(folders)}
        if chosen in known.aliases or (taken is None and others.get(chosen, model.path) != model.path):
            raise UsageError(f"{chosen!r} is the name of another model", "Choose one with --name")
        if taken is not None and Path(taken.path) != model.path.absolute() and Path(taken.path).is_file():
            raise UsageError(
                f"{chosen!r} is the name of {taken.path}", f"memread models rm {chosen}, or choose another"
            )
        return known.with_model(chosen, entry)

    if name is not None:
        _check_name(name)
    chosen = name or model.name  # a file's own name may hold spaces
    catalogue.change(folders[0], how)
    return chosen


def own_files(name: str, folders: Sequence[Path]) -> list[Path]:
    """The files that `remove` would delete: a model's that lie in memread's own folder."""
    if _alias(name, catalogue.load(folders)):
        return []
    model = _named(name, folders)
    if not _is_inside(model.path, folders[0]) or not model.path.is_file():
        return []
    try:
        files = gguf.shards(model.path)
    except ModelMissing:
        return [model.path]
    return [path for path in files if _is_inside(path, folders[0])]


def _alias(name: str, known: Catalogue) -> str:
    """`name` as the catalogue has it, if it is an alias; "" if not. As with models, case does not matter."""
    return next((alias for alias in known.aliases if alias.lower() == name.lower()), "")


def _is_inside(path: Path, folder: Path) -> bool:
    """Whether a file lies in `folder` itself: not where ".." or a link to another folder leads to."""
    return path.parent.resolve().is_relative_to(folder.resolve())


def remove(name: str, folders: Sequence[Path]) -> str:
    """Forget a model or an alias; delete its files if they are memread's own. What was done, in words.

    Raises ModelMissing, UsageError (a model that is not memread's to remove), ModelUnloadable.
    """
    known = catalogue.load(folders)
    if alias := _alias(name, known):
        catalogue.change(folders[0], lambda known: known.without(alias))
        return f"removed the alias {alias}"
    model = _named(name, folders)
    files = own_files(name, folders)
    if not files and model.name not in known.models:
        place = "a package" if model.source == "tiny" else str(model.path)
        raise UsageError(f"{model.name} is not memread's to remove: it is in {place}")
    for path in files:
        try:
            path.unlink()
        except OSError as error:
            raise ModelUnloadable(f"{path}: cannot be deleted ({error.strerror or error})") from error
        _remove_empty(path.parent.resolve(), folders[0].resolve())
    catalogue.change(folders[0], lambda known: known.without(model.name))
    return f"deleted {model.name}" if files else f"forgot {model.name}; {model.path} stays where it is"


def set_default(name: str, folders: Sequence[Path]) -> str:
    """Make a model the default; its name. A path is registered first."""
    model = find(name, folders)
    chosen = add(model, None, folders) if model.source == "given" else model.name
    catalogue.change(folders[0], lambda known: msgspec.structs.replace(known, default=chosen))
    return chosen


def set_alias(alias: str, name: str, folders: Sequence[Path]) -> str:
    """Give a model another name; the model's own. Raises UsageError, ModelMissing."""
    _check_name(alias)
    model = find(name, folders)
    if any(each.name.lower() == alias.lower() for each in installed(folders)):
        raise UsageError(f"{alias!r} is the name of a model")
    target = add(model, None, folders) if model.source == "given" else model.name
    catalogue.change(
        folders[0],
        lambda known: msgspec.structs.replace(known, aliases={**known.aliases, alias: target}),
    )
    return target


def _named(name: str, folders: Sequence[Path]) -> InstalledModel:
    """The model called `name`: also one whose file is gone, so that it can be forgotten."""
    entry = catalogue.load(folders).models.get(name)
    if entry is not None and not Path(entry.path).is_file():
        return InstalledModel(name, Path(entry.path), 0, entry.source, entry.origin)
    return find(name, folders)


def _remove_empty(folder: Path, top: Path) -> None:
    """The folders owner/repository that a download made."""
    while folder != top and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def _free(name: str, source: str, taken: set[str]) -> str:
    lower = {each.lower() for each in taken}
    candidates = [name, f"{name}@{source}", *(f"{name}@{source}-{number}" for number in range(2, 1000))]
    return next(each for each in candidates if each.lower() not in lower)


def _check_name(name: str) -> None:
    if not name or name != one_line(name, 120) or " " in name or name.startswith("-"):
        raise UsageError(f"{one_line(name)!r} cannot be a model's name", "Use letters, digits, - _ . : and /")
    if looks_like_a_path(name) and name.startswith((".", "/", "~", "\\")):
        raise UsageError(f"{name!r} cannot be a model's name: it is a path")
