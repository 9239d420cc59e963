"""RULER's variable tracking: a value handed from variable to variable, the statements far apart."""

from __future__ import annotations

from memread.errors import UsageError
from memread.eval.draw import Draw
from memread.eval.haystack import hide, noise
from memread.eval.item import Gold, Item
from memread.eval.lengths import Text, fit, passages
from memread.protocols import Tokenizer

_HOPS = 4
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_NAME = 5
_GRAIN = 100_000


def variables(id: str, length: int, seed: int, tokenizer: Tokenizer) -> Item:
    """vt: one chain, "VAR A = 12345", "VAR B = VAR A", … of four hops, in noise and in this order.

    The answer is all five names; each statement is gold, and a memory holds it if it holds the name that the
    statement brings in. Raises UsageError when the statements alone exceed `length`.
    """
    draw = Draw(f"vt/{id}/{seed}")
    straw = noise()
    # A name that is a word of the noise (GREEN) would be found in a reply that repeats the noise.
    taken = set(straw.units[0].upper().replace(".", "").split())
    names: list[str] = []
    while len(names) < _HOPS + 1:
        name = "".join(draw.choice(_LETTERS) for _ in range(_NAME))
        if name not in taken:
            taken.add(name)
            names.append(name)
    value = str(10_000 + draw.below(90_000))
    sources = [value, *(f"VAR {name}" for name in names)]
    statements = [f"VAR {name} = {source}" for name, source in zip(names, sources, strict=False)]
    depths = sorted(place / _GRAIN for place in draw.sample(_GRAIN, len(statements)))
    units = straw.cycle(tokenizer)

    def build(tokens: float) -> Text:
        placed = [(depth, f"\n{line}") for depth, line in zip(depths, statements, strict=True)]
        text = hide(placed, units, tokens, tokenizer)
        if text is None:
            raise UsageError(f"vt: {length} tokens are too few for the statements", "Ask for a longer text.")
        return text

    text = fit(length, tokenizer, build)
    return Item(
        id=id,
        task="vt",
        length=length,
        seed=seed,
        question="The text has statements such as VAR A = 7 and VAR B = VAR A, which make A and B both 7. "
        f"Find all variables that are assigned the value {value}, directly or through other variables. "
        f"There are {len(names)}.",
        answers=tuple(names),
        metric="all",
        text=passages(text),
        gold=tuple(
            Gold(line, (name,), mark) for line, name, mark in zip(statements, names, text.marks, strict=True)
        ),
        details={
            "tokens": round(text.tokens),
            "haystack": straw.name,
            "hops": _HOPS,
            "value": value,
        },
    )
