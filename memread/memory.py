"""The memory of a model that does not write all of it: what comes to it, what gives way when it is full."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain

from memread.evidence.statements import sentences
from memread.evidence.words import stems, words
from memread.protocols import Tokenizer

_LONGEST = 400
"""Characters of a sentence that come to a memory, at most."""
_SHARE = 0.6
"""Of what the best line has in common with the question: lines with less give way (docs/TRAINING.md)."""


def rewritten(known: str, reply: str, unchanged: str) -> str:
    """The memory that a reply gives; "" for none.

    known: the old memory, "" before anything was noted. unchanged: the word for it (Wording.unchanged). Below
    that stand lines that come to the memory. The word itself is never one of its lines, and nothing is said
    twice: neither a line nor what stands in another line.
    """
    if not unchanged:
        return reply
    lines = [line.strip() for line in reply.split("\n")]
    old = known.split("\n") if known and lines[0] == unchanged else []
    new = [line for line in lines if line and line != unchanged]
    return "\n".join(_once([*old, *new]))


def with_nearest(memory: str, section: str, question: str, count: int) -> str:
    """`memory` and up to `count` sentences of `section`: those that have most in common with the question.

    They share two words that carry meaning with it (one, if it has no more), and come in the order of the
    text. Of a long one that is what stands from the first such word on. Lines that have far less in common
    with the question than the best one give way: a small model is misled by them.
    """
    asked = stems(question)
    lines = memory.split("\n") if memory else []
    found = [sentence for line in section.splitlines() for sentence in sentences(line)]
    shared = [asked & stems(sentence) for sentence in found]
    worth = _worth(shared, [asked & stems(line) for line in lines])
    least = min(2, len(asked))
    fit = [place for place, common in enumerate(shared) if len(common) >= least > 0]
    chosen = sorted(sorted(fit, key=lambda place: -worth[place])[:count])
    lines = _once([*lines, *(_beginning(found[place], asked) for place in chosen)])
    worth = _worth([asked & stems(line) for line in lines])
    least_worth = _SHARE * max(worth, default=0.0)
    return "\n".join(line for line, each in zip(lines, worth, strict=True) if each >= least_worth)


def within(memory: str, question: str, limit: int, tokenizer: Tokenizer) -> str:
    """`memory` without so many of its lines that it has at most `limit` tokens; "" if none would be left.

    The line goes that has least in common with the question, the oldest of such. A word that they share
    counts for the less the more lines have it. If nothing gave way, what was noted first would keep out all
    that a long text says later.
    """
    if tokenizer.count(memory) <= limit:
        return memory
    lines, asked = memory.split("\n"), stems(question)
    shared = [asked & stems(line) for line in lines]
    while lines and tokenizer.count("\n".join(lines)) > limit:
        worth = _worth(shared)
        least = worth.index(min(worth))
        del lines[least], shared[least]
    return "\n".join(lines)


def _worth(shared: Sequence[frozenset[str]], others: Iterable[frozenset[str]] = ()) -> list[float]:
    """What each of `shared` says: a word counts for the less the more of them, and of `others`, have it."""
    often = Counter(chain.from_iterable([*shared, *others]))
    return [sum(1 / often[stem] for stem in common) for common in shared]


def _beginning(sentence: str, asked: frozenset[str]) -> str:
    if len(sentence) <= _LONGEST:
        return sentence
    first = next(word.start for word in words(sentence) if word.stem in asked)
    kept = sentence[first : first + _LONGEST]
    return kept if first + _LONGEST >= len(sentence) else kept.rpartition(" ")[0] or kept


def _once(lines: Sequence[str]) -> list[str]:
    """`lines`, each once, without those that stand in another."""
    found = dict.fromkeys(lines)
    return [line for line in found if not any(_says(other, line) for other in found)]


def _says(longer: str, line: str) -> bool:
    """Whether `line` stands in a longer one, as whole words."""
    if line == longer or line not in longer:
        return False
    return re.search(rf"(?<!\w){re.escape(line)}(?!\w)", longer) is not None
