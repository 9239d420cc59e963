"""The reward of a reading: a rule on its boxed answer. No model judges."""

from __future__ import annotations

import re
import string
import unicodedata
from typing import Literal

from memread.loop import unbox
from memread.train.episode import Episode
from memread.types import Answer

Rule = Literal["exact", "substring"]
"""exact: the box is an answer, as the published rule has it. substring: the box has an answer in it."""

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans(dict.fromkeys(string.punctuation, " "))
_SPARE = 8
"""Words that a box may hold beside three times the answer: the whole memory in a box is no answer."""
_NOT_THERE = re.compile(
    r"\b(?:not (?:in|stated|mentioned|given|found|answered|said|known)|does not (?:say|mention|state|answer)|"
    r"no answer|no information|unknown|unanswerable|cannot be answered)\b"
)


def outcome(episode: Episode, answer: Answer, rule: Rule = "exact") -> float:
    """0 to 1: what the answer is worth.

    Nothing without a box. 1 for any one right answer; where all are needed, the share that is there (RULER's
    string_match_all, arXiv 2404.06654). Where the text does not answer, 1 for saying so and 0 for anything
    else; and nothing for saying so where it does.
    """
    if not answer.boxed:
        return 0.0
    said = normal(answer.text)
    ideal = normal(unbox(episode.reply)[0])
    if not episode.answers:
        return float(bool(said) and (said == ideal or bool(_NOT_THERE.search(said))))
    right = [normal(text) for text in episode.answers]
    allowed = 3 * sum(len(text.split()) for text in right) + _SPARE
    if len(said.split()) > allowed:
        return 0.0
    if episode.need_all:
        return sum(_within(text, said) for text in right) / len(right)
    if rule == "exact":
        return float(said in right)
    return float(any(_within(text, said) for text in right))


def normal(text: str) -> str:
    """Lower case, no punctuation, no articles, single spaces (the usual rule, SQuAD, arXiv 1606.05250)."""
    folded = unicodedata.normalize("NFKC", text).casefold().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", folded).split())


def _within(part: str, whole: str) -> bool:
    """By whole words: 12 is not in 3125."""
    return bool(part) and f" {part} " in f" {whole} "
