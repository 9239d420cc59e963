"""Which passages suit a question: BM25 (Robertson and Walker 1994), by the library bm25s."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

from memread.errors import UsageError


def require() -> None:
    """Raises UsageError when bm25s is not installed."""
    if importlib.util.find_spec("bm25s") is None:
        raise UsageError("the methods bm25 and notes need bm25s", 'Install it: pip install "memread[eval]"')


def best(question: str, passages: Sequence[str], sizes: Sequence[int], room: int) -> list[int]:
    """The indices of the best-ranked passages whose sizes sum to at most `room`, in the order of the text.

    A passage too large for what is left is passed over for the next in rank. Equal ranks (such as those of
    passages that share no word with the question) are taken in the order of the text.
    """
    if sum(sizes) <= room:
        return list(range(len(passages)))
    scores = _scores(question, passages)
    chosen = []
    for index in sorted(range(len(passages)), key=lambda index: (-scores[index], index)):
        if sizes[index] <= room:
            chosen.append(index)
            room -= sizes[index]
    return sorted(chosen)


def _scores(question: str, passages: Sequence[str]) -> list[float]:
    require()
    import bm25s

    tokens: Any = bm25s.tokenize(list(passages), stopwords="en", show_progress=False)
    query: Any = bm25s.tokenize(question, stopwords="en", return_ids=False, show_progress=False)[0]
    known = [word for word in query if word in tokens.vocab]
    if not known:
        return [0.0] * len(passages)
    index = bm25s.BM25()
    index.index(tokens, show_progress=False)
    return [float(score) for score in index.get_scores(known)]
