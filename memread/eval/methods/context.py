"""One conversation with text in it: all of it, its two ends, or the passages that a search finds."""

from __future__ import annotations

from collections import deque

from memread.errors import ContextTooSmall
from memread.eval.item import Item
from memread.eval.methods.base import OVERHEAD, SLACK, Cost, Method, Setup, Talk, Text
from memread.eval.methods.search import best
from memread.loop import Flow

_GRAIN = 128
"""Tokens of the pieces that are kept, dropped or retrieved: a paragraph or so."""


def full(item: Item, text: Text, setup: Setup) -> Flow:
    """The whole text in one context. Raises ContextTooSmall as soon as it is known not to fit."""
    talk = Talk(item, text, setup)
    template = setup.words.context.answer
    room = talk.room(template, setup.profile.budget.answer, setup.window)
    pieces = []
    # Large pieces: tokens are counted piece by piece, and the fewer borders, the closer the sum.
    for piece in talk.read(2048):
        pieces.append(piece.text)
        if text.tokens > room:
            raise ContextTooSmall(f"the text is longer than the {room} tokens that are left for it")
    return (yield from talk.answer(template, "".join(pieces)))


def truncate(item: Item, text: Text, setup: Setup) -> Flow:
    """As much of the text's beginning and of its end as fits; the middle is dropped without a word, as
    common tools do. Needs memory for the window only."""
    talk = Talk(item, text, setup)
    template = setup.words.context.answer
    room = talk.room(template, setup.profile.budget.answer, setup.window)
    # Until the room is used up, everything is kept; only then does the middle go.
    head: list[str] = []
    tail: deque[tuple[int, str]] = deque()
    ahead = behind = 0
    complete = True
    for piece in talk.read(_GRAIN):
        tokens = piece.info.tokens
        if not tail and ahead + tokens <= room // 2:
            head.append(piece.text)
            ahead += tokens
            continue
        tail.append((tokens, piece.text))
        behind += tokens
        while ahead + behind > room:
            behind -= tail.popleft()[0]
            complete = False
    shown = "".join(head) + "".join(piece for _, piece in tail)
    return (yield from talk.answer(template, shown, complete=complete))


def bm25(item: Item, text: Text, setup: Setup) -> Flow:
    """The passages that BM25 ranks highest for the question, as many as memread reads at a time, in the
    order of the text. The index needs memory in proportion to the text: all of it is held."""
    talk = Talk(item, text, setup)
    template = setup.words.context.answer
    window = talk.room(template, setup.profile.budget.answer, setup.window)
    room = min(window, setup.profile.budget.segment)
    passages = [
        (piece.text.strip(), piece.info.tokens) for piece in talk.read(min(_GRAIN, max(room // 8, 16)))
    ]
    # Two line breaks between passages: two tokens in most vocabularies.
    chosen = best(item.question, [words for words, _ in passages], [size + 2 for _, size in passages], room)
    shown = "\n\n".join(passages[index][0] for index in chosen)
    return (yield from talk.answer(template, shown, complete=len(chosen) == len(passages)))


def _room(setup: Setup) -> int:
    return setup.window - setup.profile.budget.answer - OVERHEAD - SLACK


def _cost(most: int, setup: Setup) -> Cost:
    return Cost(min(most, _room(setup)) + OVERHEAD, setup.profile.budget.answer)


FULL = Method(
    name="full",
    keeps="excerpt",
    summary="the whole text in one context, as far as the model goes",
    flow=full,
    cost=_cost,
    longest=_room,
)
TRUNCATE = Method(
    name="truncate",
    keeps="excerpt",
    summary="the middle cut out to fit, as common tools do silently",
    flow=truncate,
    cost=_cost,
)
BM25 = Method(
    name="bm25",
    keeps="excerpt",
    summary="the passages that BM25 ranks highest, as many as memread reads at a time",
    flow=bm25,
    cost=lambda length, setup: _cost(min(length, setup.profile.budget.segment), setup),
)
