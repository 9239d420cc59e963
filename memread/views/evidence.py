"""What in the text speaks for an answer, in lines to print under it."""

from __future__ import annotations

from collections.abc import Sequence

from memread.evidence import bare
from memread.types import Claim, DocumentInfo, Evidence
from memread.views import words

MEMORY = 8
"""Statements of the memory that are printed when not all are asked for."""
_LINE = 240
"""Characters of a statement or a quote that are printed."""


def lines(
    evidence: Evidence | None,
    documents: Sequence[DocumentInfo] = (),
    *,
    memory: int | None = MEMORY,
    more: str = "",
) -> list[str]:
    """The evidence for the answer, then for what else the memory says; safe to print. None: nobody looked.

    memory: so many of its statements at most, None for all. more: where the others can be seen.
    """
    if evidence is None or not (evidence.answer or evidence.memory):
        return []
    said = [f"Evidence for the answer: {summed(evidence.answer)}"] if evidence.answer else []
    for claim in evidence.answer:
        said += _claim(claim, documents, answer=True)
    told = {claim.statement for claim in evidence.answer if claim.quote}
    others = [claim for claim in evidence.memory if claim.statement not in told]
    shown = others[:memory]
    if shown:
        said.append(f"Evidence for the memory: {summed(evidence.memory)}")
    for claim in shown:
        said += _claim(claim, documents, answer=False)
    left = len(others) - len(shown)
    if left:
        said.append(f"  and {words.plural(left, 'statement')} more" + (f": {more}" if more else ""))
    return said


def verified(claim: Claim) -> bool:
    """Whether its words stand in the text, and are enough of them to state something."""
    return claim.verified and not bare(claim.statement)


def summed(claims: Sequence[Claim]) -> str:
    """Such as "3 of 5 statements verified"."""
    return f"{words.count(sum(map(verified, claims)))} of {words.plural(len(claims), 'statement')} verified"


def verdict(claim: Claim, documents: Sequence[DocumentInfo] = (), *, answer: bool = False) -> str:
    """What was found for a statement, and where."""
    where = words.place(claim.span, documents)
    if verified(claim):
        return f"verified{_at(where)}"
    if claim.verified:
        return f"stands in the text{_at(where)} (too few words to verify anything by them)"
    if claim.quote:
        lacks = ", ".join(words.line(word, 40) for word in claim.missing)
        why = f"lacks: {lacks}" if lacks else "the same words, said otherwise"
        return f"not verified; the nearest passage{_at(where)} ({why})"
    if answer:
        return "no passage like it among those that the memory rests on"
    return "no passage like it was found" + (f"; it came in with {where}" if where else "")


def _at(where: str) -> str:
    return f" · {where}" if where else ""


def _claim(claim: Claim, documents: Sequence[DocumentInfo], *, answer: bool) -> list[str]:
    said = [
        f"  {words.line(claim.statement, _LINE)}",
        f"    {verdict(claim, documents, answer=answer)}",
    ]
    return [*said, f"    “{words.line(claim.quote, 2 * _LINE)}”"] if claim.quote else said
