"""Replies → scores between 0 and 1.

`all` and `part` are RULER's (arXiv 2404.06654): the answer's letters anywhere in the reply, in any case. The
rest compare after the normalisation of SQuAD's and HotpotQA's own scorers: lower case, no ASCII punctuation,
no "a", "an", "the", single spaces. `substring` is what MemAgent reports for RULER-HotpotQA (its sub_em): the
reply contains the answer, or the answer the reply. Three kinds of reply that its published scorer counts are
wrong here, so a score is never above the published one: nothing but punctuation and articles; "yes" and "no"
within another word ("unknown"); less than the answer, but not whole words of it ("1" for "1988").
"""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import regex

from memread.eval.item import Item, Metric

_PUNCTUATION: Final = str.maketrans("", "", string.punctuation)
_ARTICLES: Final = regex.compile(r"\b(?:a|an|the)\b")
_VERDICTS: Final = ("yes", "no", "noanswer")

_REASON: Final = (
    r"answer|availab|clear|contain|determin|enough|found|find|giv|includ|indicat|in (?:the|this|any)|"
    r"information|know|mention|provid|relevant|say|said|specif|stat(?:e|ed|es|ing)\b|tell|told"
)
_UNANSWERED: Final = regex.compile(
    rf"unanswerable|\bunknown|insufficient|"
    rf"(?:\b(?:no|not|none|nothing|never|nowhere|neither|cannot)\b|n['’]t\b).{{0,40}}?\b(?:{_REASON})"
)


def score(item: Item, reply: str) -> float:
    """How right `reply` (an answer already out of its box: loop.unbox) is, by the item's own metric: 0..1."""
    return score_by(item.metric, item.answers, reply)


def all_scores(item: Item, reply: str) -> dict[Metric, float]:
    """`reply` by every metric, for whoever wants to compare them."""
    return {metric: score_by(metric, item.answers, reply) for metric in _METRICS}


def score_by(metric: Metric, answers: Sequence[str], reply: str) -> float:
    """0..1. Where the text has no answer (`answers` is empty), 1 if the reply says so, by any metric."""
    if not answers:
        return float(says_unanswered(reply))
    return _METRICS[metric](answers, reply)


def says_unanswered(reply: str) -> bool:
    """Whether `reply` says that the text does not answer the question.

    English wordings ("not mentioned", "no information", "cannot be determined", "unanswerable", …) are looked
    for in the first sentence; an empty reply says nothing and is wrong. Known limits: other languages; a
    refusal after an explanation; an answer that is worded like one ("It was not found until 1901").
    """
    first = regex.split(r"(?<=[.!?])\s|\n", reply.strip(), maxsplit=1)[0].lower()
    return _UNANSWERED.search(first) is not None


def normalised(text: str) -> str:
    """Lower case, without ASCII punctuation and articles, single spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def _all(answers: Sequence[str], reply: str) -> float:
    low = reply.lower()
    return sum(answer.lower() in low for answer in answers) / len(answers)


def _part(answers: Sequence[str], reply: str) -> float:
    low = reply.lower()
    return float(any(answer.lower() in low for answer in answers))


def _exact(answers: Sequence[str], reply: str) -> float:
    given = normalised(reply)
    return float(any(normalised(answer) == given for answer in answers))


def _f1(answers: Sequence[str], reply: str) -> float:
    return max(_f1_of(normalised(answer), normalised(reply)) for answer in answers)


def _f1_of(answer: str, reply: str) -> float:
    # As in HotpotQA's scorer: a verdict is right or wrong, sharing words with it is worth nothing.
    if answer == reply:
        return 1.0
    if answer in _VERDICTS or reply in _VERDICTS:
        return 0.0
    wanted, given = answer.split(), reply.split()
    shared = sum((Counter(wanted) & Counter(given)).values())
    return 2 * shared / (len(wanted) + len(given)) if shared else 0.0


def _substring(answers: Sequence[str], reply: str) -> float:
    given = normalised(reply)
    return float(bool(given) and any(_contains(normalised(answer), given) for answer in answers))


def _contains(answer: str, reply: str) -> bool:
    if not answer:
        return False
    if answer in _VERDICTS:
        return answer in reply.split()
    return answer in reply or f" {reply} " in f" {answer} "


_METRICS: Final[dict[Metric, Callable[[Sequence[str], str], float]]] = {
    "all": _all,
    "part": _part,
    "exact": _exact,
    "f1": _f1,
    "substring": _substring,
}
