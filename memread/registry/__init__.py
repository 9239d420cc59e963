"""Which models are on this machine, which one to use, which profile it is read with, where to get more."""

from memread.registry.digests import weights_digest
from memread.registry.local import TINY, InstalledModel, find, installed, unfinished
from memread.registry.profiles import profile_for, profile_of, profiles_in
from memread.registry.recipes import Recipe

__all__ = [
    "TINY",
    "InstalledModel",
    "Recipe",
    "find",
    "installed",
    "profile_for",
    "profile_of",
    "profiles_in",
    "unfinished",
    "weights_digest",
]
