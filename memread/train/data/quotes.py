"""From which word on a sentence is quoted into an ideal memory."""

from __future__ import annotations

import re
from collections.abc import Sequence

_WORDS = """
about after again also although among another because been before being between both could during each even
ever every first from have having here however into itself just like made many might more most much must
never only other over same should since some such than that their them then there these they this those
through time under until upon very were what when where which while whom whose will with within without
would your
"""
COMMON = frozenset(_WORDS.split())
"""Words that say little of what a sentence is about."""
_WORD = re.compile(r"\w[\w’'-]*")


def begins(sentence: str, asked: str, answers: Sequence[str]) -> int:
    """Where the quotation of `sentence` begins: at its first telling word that is also in `asked`, or at an
    answer before that; 0 without either.

    Who quotes a whole sentence must find its first word before anything of what it says, which a small model
    learned badly (docs/TRAINING.md). A word of the question is before its eyes, an answer is what it looks
    for; the rest of the quotation follows from either.
    """
    starts = telling(sentence, asked)[:1]
    for answer in answers:
        if answer and (said := re.search(re.escape(answer), sentence, re.IGNORECASE)):
            starts.append(said.start())
    return min(starts, default=0)


def telling(sentence: str, asked: str) -> list[int]:
    """Where the telling words of `sentence` begin that are also in `asked`: none, and nothing shows
    that it matters."""
    known = {word.lower() for word in _WORD.findall(asked)}
    return [match.start() for match in _WORD.finditer(sentence) if _tells(match, known)]


def _tells(match: re.Match[str], known: set[str]) -> bool:
    word = match[0]
    if word.lower() not in known or word.lower() in COMMON:
        return False
    return len(word) > 3 or any(c.isdigit() for c in word) or (word[0].isupper() and match.start() > 0)
