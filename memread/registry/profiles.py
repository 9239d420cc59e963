"""Which profile a model is read with."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path

from memread import profile
from memread.errors import ConfigError
from memread.profile import Profile
from memread.registry.local import InstalledModel, looks_like_a_path
from memread.settings import expanded


def profile_for(metadata: Mapping[str, object], override: str | None, own: Path) -> Profile:
    """The profile to read with: `override` (a name or a path), or the first that matches the metadata.

    own: the folder of the user's profiles, which come before those that ship. Raises ConfigError.
    """
    if override is not None and (override.endswith(".toml") or looks_like_a_path(override)):
        return profile.load(expanded(override))
    profiles = profiles_in(own) + profile.shipped()
    if override is not None:
        for found in profiles:
            if found.name == override:
                return found
        names = [found.name for found in profiles]
        close = difflib.get_close_matches(override, names, n=1)
        hint = f"Did you mean {close[0]}?" if close else f"There are: {', '.join(names)}"
        raise ConfigError(f"there is no profile {override!r}", hint)
    for found in profiles:
        if found.matches(metadata):
            return found
    return next(found for found in profiles if found.name == "default")


def profile_of(model: InstalledModel, override: str | None, own: Path) -> Profile:
    """The profile to read a model with: as `profile_for`, but a trained model's own before the shipped."""
    recipe = model.recipe
    if override is None and recipe is not None and recipe.profile is not None:
        metadata = model.header.metadata
        return next((each for each in profiles_in(own) if each.matches(metadata)), None) or profile.load(
            recipe.profile
        )
    return profile_for(model.header.metadata, override, own)


def profiles_in(folder: Path) -> list[Profile]:
    """The profiles in a user's folder, by file name. Raises ConfigError when one of them is not valid."""
    return [profile.load(path) for path in sorted(folder.glob("*.toml"))] if folder.is_dir() else []
