"""A memory or an answer, cut into the statements that it makes."""

from __future__ import annotations

import regex

from memread.evidence.words import words

# A sentence ends at its mark and white space, or at a mark that needs no space (Chinese, Japanese).
_SENTENCE = regex.compile(
    r"(?<=[.!?…؟۔।॥።][\"'”’)\]»]?)\s+(?=[\p{Lu}\p{Lo}\p{N}\"'“‘«(\[*-])|(?<=[。！？][」』”]?)(?=\S)"
)
# ... but not after an initial or a title, which is written with a stop too.
_ABBREVIATED = regex.compile(
    r"(?<![\p{L}\p{N}])(?:\p{Lu}|Mr|Mrs|Ms|Messrs|Dr|Prof|St|Sr|Jr|Capt|Col|Gen|Lt|Sgt|Rev|Hon|No|Nos|Vol"
    r"|Ch|Fig|vs|cf|ca|pp?|e\.g|i\.e|[Nn]r|Hr|Fr|Bd|M|Mme|Mlle)\.\Z"
)
_PARTS = regex.compile(r"(?<=[;；؛])\s+|(?<=；)")
_LEAST = 3
"""Words that carry meaning in what can be verified: somebody, something, and what joins them."""
_LETTER = regex.compile(r"[\p{L}\p{N}]")
_LIST_SIGN = regex.compile(r"\s*(?:[-*•‣▪◦–—>#]+|\(?(?:\d{1,3}|\p{Ll})[.)])(?=\s)\s*|\s*(?=\S)")


def sentences(line: str) -> list[str]:
    """The sentences of one line, which joined by spaces are the line."""
    found: list[str] = []
    for part in _SENTENCE.split(line):
        part = part.strip()
        if found and abbreviated(found[-1], len(found[-1])):
            found[-1] += " " + part
        elif part:
            found.append(part)
    return found


def statements(text: str) -> list[str]:
    """The sentences and list items of `text`, without list signs; headings state nothing and are left out.

    What a semicolon parts are two statements.
    """
    found: list[str] = []
    for line in text.splitlines():
        item = line[_LIST_SIGN.match(line).end() :] if line.strip() else ""  # type: ignore[union-attr]
        for sentence in sentences(item):
            found += filter(_states, (part.rstrip(";；؛ ") for part in _PARTS.split(sentence)))
    return found


def bare(statement: str) -> bool:
    """Whether it is a name or a figure and no statement: that its words stand in a passage says little."""
    return sum(word.counts for word in words(statement)) < _LEAST


def _states(sentence: str) -> bool:
    return bool(_LETTER.search(sentence)) and not sentence.rstrip("*_ ").endswith((":", "："))


def abbreviated(text: str, end: int) -> bool:
    """Whether the stop before `end` belongs to an initial or a title, and ends no sentence."""
    return _ABBREVIATED.search(text, max(0, end - 12), end) is not None
