"""A profile: the only place for prompt wording, budgets, sampling and layout of a model.

A profile is a TOML file (`models/*.toml`, or a user's own). It is validated once, when it is loaded.
"""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Mapping
from pathlib import Path

import msgspec

from memread.errors import ConfigError
from memread.types import Budget, Sampling

UPDATE_FIELDS = frozenset({"prompt", "memory", "chunk"})
ANSWER_FIELDS = frozenset({"prompt", "memory"})


class Match(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which GGUF files the profile is for: regular expressions searched in metadata values."""

    metadata: dict[str, str] = {}
    """GGUF key → pattern (case-insensitive); all must be found. Empty matches no file."""


class Wording(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The user messages of the two kinds of conversation. `str.format` fields, braces doubled."""

    update: str
    """Fields: {prompt} the problem, {memory}, {chunk} the section. → the new memory."""
    answer: str
    """Fields: {prompt}, {memory}. → the answer, in \\boxed{{}}."""
    initial_memory: str = "No previous memory"
    summary: str = (
        "Summarize this text: what it is, what it says, and which people, events, facts and figures "
        "matter most in it."
    )
    """The problem when the user asks no question."""


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to read with a model."""

    name: str
    wording: Wording
    description: str = ""
    match: Match = Match()
    budget: Budget = Budget()
    sampling: Sampling = Sampling()
    retry: Sampling = Sampling(temperature=0.7, top_p=0.95)
    """Used once after a rejected reply: repeating a greedy reply would repeat its fault."""
    fit: bool = False
    """The segment may be made smaller when the model's context is too small for it."""

    @property
    def digest(self) -> str:
        """The identity of everything in the profile that can change a memory or an answer."""
        parts = msgspec.structs.replace(self, name="", description="", match=Match())
        return "sha256:" + hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()

    def matches(self, metadata: Mapping[str, object]) -> bool:
        """Whether a GGUF with this metadata is one the profile was made for."""
        patterns = self.match.metadata
        return bool(patterns) and all(
            re.search(pattern, str(metadata.get(key, "")), re.IGNORECASE) for key, pattern in patterns.items()
        )


def loads(text: str, source: str) -> Profile:
    """The profile in a TOML text. Raises ConfigError, naming `source`, if it is not valid."""
    try:
        profile = msgspec.toml.decode(text, type=Profile, strict=True)
    except (msgspec.DecodeError, ValueError) as error:
        raise ConfigError(f"{source}: {error}") from error
    _check_fields(profile.wording.update, UPDATE_FIELDS, f"{source}: wording.update")
    _check_fields(profile.wording.answer, ANSWER_FIELDS, f"{source}: wording.answer")
    budget = profile.budget
    for field, least in (("segment", 16), ("memory", 8), ("answer", 8), ("query", 8)):
        if getattr(budget, field) < least:
            raise ConfigError(f"{source}: budget.{field} must be at least {least}")
    for sampling in (profile.sampling, profile.retry):
        if sampling.temperature < 0 or not 0 < sampling.top_p <= 1 or sampling.top_k < 0:
            raise ConfigError(f"{source}: temperature and top_k must be ≥ 0, and top_p in (0, 1]")
    for key, pattern in profile.match.metadata.items():
        try:
            re.compile(pattern)
        except re.error as error:
            raise ConfigError(f"{source}: match.metadata.{key}: {error}") from error
    return profile


def load(path: Path) -> Profile:
    """The profile in a TOML file. Raises ConfigError."""
    try:
        return loads(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as a profile ({error})") from error


def shipped_dir() -> Path:
    """The folder of the profiles that ship: in the wheel, or beside the package in a checkout."""
    packaged = Path(__file__).parent / "_models"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / "models"


def shipped() -> list[Profile]:
    """The profiles that come with memread, "default" last."""
    profiles = [load(path) for path in sorted(shipped_dir().glob("*.toml"))]
    return sorted(profiles, key=lambda profile: profile.name == "default")


def _check_fields(template: str, expected: frozenset[str], where: str) -> None:
    try:
        found = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
    except ValueError as error:
        raise ConfigError(f"{where}: {error} (write {{{{ and }}}} for braces)") from error
    if found != expected:
        wanted = ", ".join(f"{{{name}}}" for name in sorted(expected))
        raise ConfigError(f"{where}: must use exactly {wanted}")
