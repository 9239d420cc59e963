"""The words of the baselines, from data/methods.toml."""

from __future__ import annotations

import functools
import hashlib
import string
from importlib import resources

import msgspec


class Context(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    answer: str


class Refine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    first: str
    next: str


class MapReduce(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    map: str
    combine: str
    answer: str


class Notes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    take: str
    answer: str


class Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One table a family of methods. Fields: {question}, {text}; in `refine.next` also {answer}."""

    context: Context
    refine: Refine
    mapreduce: MapReduce
    notes: Notes

    @property
    def digest(self) -> str:
        """The identity of the wording: another one is another measurement."""
        return "sha256:" + hashlib.sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()


def loads(text: str) -> Words:
    """Raises msgspec.ValidationError (a ValueError) for a missing or unknown table or key, ValueError for
    a template whose fields are not exactly its own."""
    words = msgspec.toml.decode(text, type=Words, strict=True)
    for table, templates in msgspec.to_builtins(words).items():
        for name, template in templates.items():
            found = {field for _, field, _, _ in string.Formatter().parse(template) if field is not None}
            wanted = {"question", "text"} | ({"answer"} if (table, name) == ("refine", "next") else set())
            if found != wanted:
                raise ValueError(f"{table}.{name} must use exactly {sorted(wanted)}, not {sorted(found)}")
    return words


@functools.cache
def shipped() -> Words:
    """The wording that comes with memread."""
    return loads(resources.files("memread.eval").joinpath("data/methods.toml").read_text(encoding="utf-8"))
