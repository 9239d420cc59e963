"""What makes two readings the same, and the one way in which the journal writes data as bytes."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

import msgspec

from memread.types import Budget, Sampling


def encode(data: object) -> bytes:
    """Plain JSON data as canonical bytes: sorted keys, no spaces, lone surrogates kept.

    The bytes are UTF-8 with "surrogatepass", not \\u escapes: two lone surrogates that follow each other
    would come back from escapes as one character. msgspec's own encoder refuses them altogether.
    """
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return text.encode("utf-8", "surrogatepass")


def decode(data: bytes) -> Any:
    """What `encode` wrote. Raises ValueError for anything that is not JSON."""
    return json.loads(data.decode("utf-8", "surrogatepass"))


def plain(text: str) -> str:
    """`text` as SQLite takes it in a column: a lone surrogate becomes its escape."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


_WORDS: Final = {
    "weights": "another model",
    "profile": "another profile",
    "budget": "other settings",
    "sampling": "other settings",
    "settings": "other settings",
    "engine": "another build of llama.cpp",
    "versions": "another version of memread",
}
"""What the fields of an identity are called."""


class Identity(msgspec.Struct, frozen=True):
    """Everything that decides what a reading comes to, except the text itself.

    The text is not part of it: each step holds its segment's digest, so that a run whose document was
    edited is found again and taken over up to the first segment that differs.
    """

    inputs: tuple[str, ...]
    """Absolute paths, or "-", in reading order."""
    question: str
    profile: str
    """`Profile.digest`."""
    weights: str
    """`EngineInfo.digest`; "" where it cannot be known."""
    engine: str
    """`EngineInfo.build`."""
    settings: dict[str, str | int | float | bool]
    """The engine's settings that can change a reply: context, batch size, adapters, threads…"""
    budget: Budget
    """As used: after `--segment-tokens` and the like, and after fitting to the model's context."""
    sampling: Sampling
    versions: dict[str, int]
    """memread's own: "segmenter", and whatever else can change a memory without a setting changing."""

    def differences(self, other: Identity) -> tuple[str, ...]:
        """What differs, in words, without repetition: "another model", "other settings"…"""
        names = [name for name in _WORDS if getattr(self, name) != getattr(other, name)]
        if "budget" in names or "sampling" in names:  # of which the profile's digest is one too
            names = [name for name in names if name != "profile"]
        return tuple(dict.fromkeys(_WORDS[name] for name in names))

    @property
    def key(self) -> str:
        """The name of this identity: "sha256:" and a hex digest. Equal identities have equal keys."""
        # Converted once, so that a temperature given as 0 and as 0.0 have one name.
        same = msgspec.convert(msgspec.to_builtins(self), Identity)
        body = b"memread identity 1\n" + encode(msgspec.to_builtins(same))
        return "sha256:" + hashlib.sha256(body).hexdigest()
