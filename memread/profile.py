"""A profile: the only place for prompt wording, budgets, sampling and layout of a model.

A profile is a TOML file (`models/*.toml`, or a user's own). It is validated once, when it is loaded.
"""

from __future__ import annotations

import difflib
import hashlib
import re
import string
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from memread.errors import ConfigError
from memread.toml import line_of
from memread.types import Budget, Sampling

PART = "Notes on part {part} of the text:"
PART_FIELDS = frozenset({"part"})
_LATER: Mapping[str, object] = {
    "verbatim": False,
    "nearest": 0,
    "skim": False,
    "unsaid_from": 0.0,
    "likely_from": 0.0,
}
_LATER_WORDING: Mapping[str, object] = {"part": PART, "unchanged": "", "unsaid": ""}
"""Keys that came later, and their defaults: readings recorded before can be gone on with."""
_NO_WEIGHTS: Mapping[str, object] = {
    "repository": "",
    "base": "",
    "files": [],
    "licence": "",
    "kv_bytes": 0,
    "speed": "",
    "unsaid": "",
    "unverified": [],
}
"""What stands in every digest for the weights, from the first on."""
_SKIMMED = 800
"""Tokens of the sections that are skimmed, at most: of each only some sentences can come to the memory."""
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
    unchanged: str = ""
    """The word for the memory as it was, of models taught to say it instead of writing all of it again. As
    the whole reply it leaves the memory as it is; as its first line, the lines below it come to the memory.
    "": there is none, as published."""
    unsaid: str = ""
    """How an answer says that the text does not say it, if always in these words: it has no evidence then."""
    summary: str = (
        "Summarize this text: what it is, what it says, and which people, events, facts and figures "
        "matter most in it."
    )
    """The problem when the user asks no question."""
    part: str = PART
    """What stands above the memory of a part, where parts are read side by side and their memories are then
    read as sections. Field: {part}, such as "2 of 4, pp. 30–60"."""


class WeightsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of weights, as its publisher records it."""

    name: str
    size: int
    """Bytes."""
    sha256: str = ""


class Weights(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where weights for the profile are to be had, and what they need. Nothing here changes a reading."""

    repository: str = ""
    """Of GGUF files on the Hugging Face Hub, "owner/name"; "": none is known."""
    base: str = ""
    """The repository of the original weights: conversions of it are looked for when there is no other."""
    files: tuple[WeightsFile, ...] = ()
    """What `memread models pull NAME` gets."""
    licence: str = ""
    kv_bytes: int = 0
    """What a token of context adds to memory: bytes of an F16 KV cache."""
    speed: str = ""
    """How fast it reads, and how that is known."""
    unverified: tuple[str, ...] = ()
    """What nobody has checked, in words."""


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
    verbatim: bool = False
    """The memory is made of quotations: an engine that draws its own tokens lets the model write nothing
    else (Request.verbatim)."""
    nearest: int = 0
    """So many sentences of a section come to the memory beside what the model notes: those that have most in
    common with the question, by their words. For models that miss much, and say `wording.unchanged`."""
    skim: bool = False
    """The model notes nothing and only answers: the memory is made of the sentences that have most in common
    with the question. Where `nearest` is 0, of as many as it can hold."""
    unsaid_from: float = 0.0
    """From which probability on the answer is `wording.unsaid`, and below which it is not, whatever is the
    likeliest beginning of one (Request.refusal). 0: as the model says."""
    likely_from: float = 0.0
    """Below which probability an answer that stands in a line of the memory is replaced by `wording.unsaid`,
    beside `unsaid_from`; above 0 each line is also asked by itself, and the answer is what all together make
    likeliest (Request.likely_from). For models that are misled by what stands beside what answers."""
    fit: bool = False
    """The segment may be made smaller when the model's context is too small for it."""
    weights: Weights = Weights()

    @property
    def memory_need(self) -> int:
        """Bytes: the files of weights, and the KV cache of a full update. 0 if the profile does not say."""
        budget = self.budget
        tokens = budget.query + budget.segment + 2 * budget.memory
        return sum(file.size for file in self.weights.files) + tokens * self.weights.kv_bytes

    @property
    def digest(self) -> str:
        """The identity of everything in the profile that can change a memory or an answer."""
        parts = msgspec.structs.replace(self, name="", description="", match=Match())
        data = msgspec.to_builtins(parts)
        data["weights"] = _NO_WEIGHTS
        for table, later in ((data, _LATER), (data["wording"], _LATER_WORDING)):
            for key, unset in later.items():
                if table[key] == unset:
                    del table[key]
        return "sha256:" + hashlib.sha256(msgspec.json.encode(data)).hexdigest()

    def matches(self, metadata: Mapping[str, object]) -> bool:
        """Whether a GGUF with this metadata is one the profile was made for."""
        patterns = self.match.metadata
        return bool(patterns) and all(
            re.search(pattern, str(metadata.get(key, "")), re.IGNORECASE) for key, pattern in patterns.items()
        )


def skimming(profile: Profile, segment: int | None = None) -> Profile:
    """`profile` for a skim. segment: tokens of its sections, if they are to have a size of their own."""
    budget = msgspec.structs.replace(profile.budget, segment=segment or min(profile.budget.segment, _SKIMMED))
    return msgspec.structs.replace(profile, skim=True, budget=budget)


def loads(text: str, source: str) -> Profile:
    """The profile in a TOML text. Without [wording] it is worded as the shipped "default" is.

    Raises ConfigError, naming `source`, the line and the key, if it is not valid.
    """

    def wrong(what: str, *path: str) -> ConfigError:
        line = line_of(text, path)
        key = f" {'.'.join(path)}:" if path else ""
        return ConfigError(f"{source}:{f' line {line}:' if line else ''}{key} {what}")

    try:
        content = msgspec.toml.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise ConfigError(f"{source}: {error}") from error
    if "wording" not in content:
        content["wording"] = _default_wording()
    try:
        profile = msgspec.convert(content, Profile, strict=True)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$")
        path = [
            part for part in re.split(r"[.\[\]`]+", place) if part and not part.isdigit() and part != "..."
        ]
        unknown = re.search("unknown field `(.*)`", what)
        if unknown:
            path.append(unknown[1])
            what = "there is no such key" + _close(unknown[1], path[:-1])
        raise wrong(what[:1].lower() + what[1:], *path) from error
    _check(profile, wrong)
    return profile


def _check(profile: Profile, wrong: Callable[..., ConfigError]) -> None:
    """What types alone do not say. Raises ConfigError."""
    for name, expected in (("update", UPDATE_FIELDS), ("answer", ANSWER_FIELDS), ("part", PART_FIELDS)):
        fault = _fault(getattr(profile.wording, name), expected)
        if fault:
            raise wrong(fault, "wording", name)
    unchanged = profile.wording.unchanged
    if unchanged != unchanged.strip() or unchanged == profile.wording.initial_memory:
        raise wrong("must not be the initial memory, nor begin or end with space", "wording", "unchanged")
    if profile.nearest < 0 or (profile.nearest and not unchanged):
        raise wrong("must be ≥ 0, and 0 without wording.unchanged", "nearest")
    if not 0 <= profile.unsaid_from <= 1 or (profile.unsaid_from and not profile.wording.unsaid):
        raise wrong("must be 0 to 1, and 0 without wording.unsaid", "unsaid_from")
    if not 0 <= profile.likely_from <= 1 or (profile.likely_from and not profile.wording.unsaid):
        raise wrong("must be 0 to 1, and 0 without wording.unsaid", "likely_from")
    for field, least in (("segment", 16), ("memory", 8), ("answer", 8), ("query", 8)):
        if getattr(profile.budget, field) < least:
            raise wrong(f"must be at least {least}", "budget", field)
    for table in ("sampling", "retry"):
        sampling: Sampling = getattr(profile, table)
        for field, ok in (
            ("temperature", sampling.temperature >= 0),
            ("top_k", sampling.top_k >= 0),
            ("top_p", 0 < sampling.top_p <= 1),
        ):
            if not ok:
                raise wrong("must be above 0, up to 1" if field == "top_p" else "must be ≥ 0", table, field)
    for key, pattern in profile.match.metadata.items():
        try:
            re.compile(pattern)
        except re.error as error:
            raise wrong(f"not a regular expression ({error})", "match", "metadata", key) from error
    for file in profile.weights.files:
        if file.size < 0 or not re.fullmatch("([0-9a-f]{64})?", file.sha256):
            raise wrong("size is in bytes, sha256 is 64 hexadecimal digits", "weights", "files")


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


def _fault(template: str, expected: frozenset[str]) -> str:
    """What is wrong with a template, or ""."""
    try:
        found = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
    except ValueError as error:
        return f"{error} (write {{{{ and }}}} for braces)"
    wanted = ", ".join(f"{{{name}}}" for name in sorted(expected))
    return "" if found == expected else f"must use exactly {wanted}"


def _default_wording() -> object:
    content: dict[str, object] = msgspec.toml.decode((shipped_dir() / "default.toml").read_bytes())
    return content["wording"]


def _close(key: str, table: list[str]) -> str:
    """(did you mean …?)"""
    structs = {"budget": Budget, "sampling": Sampling, "retry": Sampling, "wording": Wording}
    kind = {**structs, "match": Match, "weights": Weights}.get(table[0]) if table else Profile
    close = difflib.get_close_matches(key, kind.__struct_fields__ if kind else (), n=1)
    return f" (did you mean {close[0]}?)" if close else ""
