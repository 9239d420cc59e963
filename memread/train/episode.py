"""What is learned from."""

from __future__ import annotations

from typing import Literal

import msgspec

NOT_SAID = "not in the text"
"""The answer to a question that the text does not answer."""

Split = Literal["train", "dev", "test"]
"""They share no wording template, no entity and no haystack text."""


class Episode(msgspec.Struct, frozen=True):
    """A question over a text in segments. Made from (split, seed) alone: the same anywhere, any time."""

    id: str
    split: Split
    kind: str
    """The maker: "needle", "multi-key", "multi-hop", "not-in-text", …"""
    question: str
    answers: tuple[str, ...]
    """Any one of them, or all of them (`need_all`), must be in the answer. () when the text does not say."""
    segments: tuple[str, ...]
    """The text as it is read: each at most the budget's tokens."""
    memories: tuple[str, ...]
    """The ideal memory after each segment: short statements quoted from the text, one a line; as before when
    nothing is new; "" while nothing is known (the profile's initial memory stands for it)."""
    reply: str
    """The ideal last reply, such as "\\\\boxed{7391}"."""
    need_all: bool = False
    known: str | None = None
    """The memory that a reading of it begins with ("": an empty one), where sections before its own were read
    already; None: it is read from the beginning."""
