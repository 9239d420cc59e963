"""RULER's eight needle tasks (arXiv 2404.06654, section 3 and its configurations), and a needle grid.

A needle is one sentence that gives a key a value; the question asks for the values of some keys. Every key
and every value is used once in a text, asked for or not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

import msgspec

from memread.errors import UsageError
from memread.eval.draw import Draw, Permutation, uuid4
from memread.eval.haystack import Haystack, Made, Units, hide, noise
from memread.eval.item import Gold, Item
from memread.eval.lengths import Text, fit, passages
from memread.eval.words import Pairs
from memread.protocols import Tokenizer

_DEPTHS = 40
"""RULER hides at 40 evenly spaced depths, the beginning and the end among them."""


class Kind(msgspec.Struct, frozen=True):
    """What one of the tasks hides, and in what."""

    haystack: Literal["noise", "prose", "needles"] = "prose"
    keyed_by: Literal["words", "uuids"] = "words"
    valued: Literal["numbers", "uuids"] = "numbers"
    keys: int = 1
    values: int = 1
    """For each key."""
    asked: int = 1
    """Of the keys."""


KINDS: Final = {
    "niah_single_1": Kind(haystack="noise"),
    "niah_single_2": Kind(),
    "niah_single_3": Kind(valued="uuids"),
    "niah_multikey_1": Kind(keys=4),
    "niah_multikey_2": Kind(haystack="needles"),
    "niah_multikey_3": Kind(haystack="needles", keyed_by="uuids", valued="uuids"),
    "niah_multivalue": Kind(values=4),
    "niah_multiquery": Kind(keys=4, asked=4),
}


def needles(
    task: str,
    id: str,
    length: int,
    seed: int,
    tokenizer: Tokenizer,
    prose: Haystack,
    depth: float | None = None,
) -> Item:
    """An item of one of KINDS; `depth` (0..1) puts its first needle there, else chance does.

    Raises UsageError when the needles alone exceed `length`.
    """
    kind = KINDS[task] if task in KINDS else Kind()
    salt = f"{task}/{id}/{seed}"
    draw = Draw(salt)
    key, value = _keys(kind, salt), _values(kind, salt)
    hidden = [(key(k), value(k * kind.values + v)) for k in range(kind.keys) for v in range(kind.values)]
    sentences = [_sentence(kind, *pair) for pair in hidden]
    depths = [place / (_DEPTHS - 1) for place in draw.sample(_DEPTHS, len(hidden))]
    if depth is not None:
        depths[0] = depth

    units: Units
    if kind.haystack == "needles":
        name, separator = "needles", "\n"
        first, used = kind.keys, len(hidden)
        units = Made(lambda i: "\n" + _sentence(kind, key(first + i), value(used + i)), tokenizer)
    else:
        straw = noise() if kind.haystack == "noise" else prose
        name, separator = straw.name, straw.separator
        units = straw.cycle(tokenizer, draw.below(len(straw.units)))

    def build(tokens: float) -> Text:
        placed = [(place, separator + text) for place, text in zip(depths, sentences, strict=True)]
        text = hide(placed, units, tokens, tokenizer)
        if text is None:
            raise UsageError(
                f"{task}: {length} tokens are too few for what must be hidden", "Ask for a longer text."
            )
        return text

    text = fit(length, tokenizer, build)
    asked = sorted(draw.sample(kind.keys, kind.asked))
    chosen = [k * kind.values + v for k in asked for v in range(kind.values)]
    return Item(
        id=id,
        task=task,
        length=length,
        seed=seed,
        question=_question(kind, [key(k) for k in asked]),
        answers=tuple(hidden[index][1] for index in chosen),
        metric="all",
        text=passages(text),
        gold=tuple(Gold(sentences[i], (hidden[i][1],), text.marks[i]) for i in chosen),
        details={
            "tokens": round(text.tokens),
            "haystack": name,
            "haystack_repeats": text.repeats,
            "needles": len(hidden),
            "depth": round(text.marks[chosen[0]], 4),
        },
    )


def grid(id: str, length: int, depth: float, seed: int, tokenizer: Tokenizer, prose: Haystack) -> Item:
    """A cell of the needle grid: niah_single_2 with its needle at `depth` (0..1).

    details["cell"] is the depth asked for; details["depth"] where the nearest border of a sentence is.
    """
    if not 0 <= depth <= 1:
        raise UsageError(f"{depth} is not a depth", "Depths lie between 0 (the beginning) and 1 (the end).")
    item = needles("needle_grid", id, length, seed, tokenizer, prose, depth)
    return msgspec.structs.replace(item, details={**item.details, "cell": depth})


def _sentence(kind: Kind, key: str, value: str) -> str:
    return f"One of the special magic {kind.valued} for {key} is: {value}."


def _question(kind: Kind, keys: list[str]) -> str:
    if kind.asked * kind.values == 1:
        return f"What is the special magic {kind.valued[:-1]} for {keys[0]} mentioned in the text?"
    listed = f"{', '.join(keys[:-1])}, and {keys[-1]}" if len(keys) > 1 else keys[0]
    return f"What are all the special magic {kind.valued} for {listed} mentioned in the text?"


def _keys(kind: Kind, salt: str) -> Callable[[int], str]:
    if kind.keyed_by == "uuids":
        return lambda index: uuid4(f"{salt}/key/{index}")
    return Pairs(f"{salt}/keys").__getitem__


def _values(kind: Kind, salt: str) -> Callable[[int], str]:
    """The index-th value of the text: seven digits, none twice; or a UUID."""
    if kind.valued == "uuids":
        return lambda index: uuid4(f"{salt}/value/{index}")
    numbers = Permutation(9_000_000, f"{salt}/values")
    return lambda index: str(1_000_000 + numbers[index])
