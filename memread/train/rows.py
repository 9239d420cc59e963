"""Conversations that go through the model at once.

What their prompts share at the start is computed once: a row is a common prefix, and branches that see it but
not each other. With the section first, six questions about a text, or sixteen readings of it, cost about a
third of their conversations apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, Protocol, TypeVar

import msgspec

from memread.engine.llamacpp.slot import common


class Spoken(Protocol):
    """A prompt and its reply, in tokens."""

    @property
    def prompt(self) -> tuple[int, ...]: ...

    @property
    def reply(self) -> tuple[int, ...]: ...


S = TypeVar("S", bound=Spoken)


class Row(msgspec.Struct, Generic[S], frozen=True):
    """T tokens, N of them to be predicted."""

    conversations: list[S]
    """Branch number n is the n-th, 1-based."""
    ids: list[int]
    """[T]"""
    positions: list[int]
    """[T] Each branch goes on where the prefix ended."""
    branches: list[int]
    """[T] 0: the prefix, seen by all; else the number of the branch."""
    places: list[int]
    """[N] From which token of the row each token of a reply is predicted; reply by reply."""
    targets: list[int]
    """[N]"""

    @property
    def lengths(self) -> list[int]:
        """Of the replies: they add up to N."""
        return [len(said.reply) for said in self.conversations]


def row(conversations: Sequence[S]) -> Row[S]:
    """One row of all `conversations`."""
    shared = shared_by([said.prompt for said in conversations])
    ids = [*conversations[0].prompt[:shared]]
    positions, branches = [*range(shared)], [0] * shared
    places: list[int] = []
    targets: list[int] = []
    for number, said in enumerate(conversations, start=1):
        # The last token of a reply predicts nothing.
        rest = [*said.prompt[shared:], *said.reply[:-1]]
        first = len(ids) + len(said.prompt) - shared - 1
        places += range(first, first + len(said.reply))
        targets += said.reply
        ids += rest
        positions += range(shared, shared + len(rest))
        branches += [number] * len(rest)
    return Row([*conversations], ids, positions, branches, places, targets)


def in_order(conversations: Sequence[S], limit: int) -> Iterator[Row[S]]:
    """Rows of at most `limit` tokens (one conversation at least), conversations in their order."""
    for places in _cut(range(len(conversations)), conversations, limit):
        yield row([conversations[place] for place in places])


def by_likeness(conversations: Sequence[S], limit: int) -> Iterator[tuple[list[int], Row[S]]]:
    """Rows of at most `limit` tokens (one conversation at least), those with much in common together.

    Yields (the row's conversations as places in `conversations`, the row). Longest first: what does not fit
    into memory fails at once.
    """
    found = families([said.prompt for said in conversations])
    # Those with nothing in common are branches too; they are padded to one length, so like lengths together.
    alone = sorted((f[0] for f in found if len(f) == 1), key=lambda place: len(conversations[place].prompt))
    together = [*(family for family in found if len(family) > 1), alone]
    cut = [places for family in together for places in _cut(family, conversations, limit)]
    rows = [(places, row([conversations[place] for place in places])) for places in cut]
    yield from sorted(rows, key=lambda made: -len(made[1].ids))


def families(prompts: Sequence[tuple[int, ...]]) -> list[list[int]]:
    """Prompts by what they have in common, as their numbers: half of a prompt at least is how its family's
    first one begins."""
    found: list[list[int]] = []
    for number in sorted(range(len(prompts)), key=lambda number: prompts[number]):
        prompt = prompts[number]
        if found and 2 * common(prompts[found[-1][0]], prompt) >= len(prompt):
            found[-1].append(number)
        else:
            found.append([number])
    return found


def _cut(places: Iterable[int], conversations: Sequence[Spoken], limit: int) -> Iterator[list[int]]:
    """`places` in parts whose rows have at most `limit` tokens, or one conversation."""
    held: list[int] = []
    shared = tokens = 0
    for place in places:
        said = conversations[place]
        own = len(said.prompt) + len(said.reply) - 1
        if held:
            alike = min(shared, len(said.prompt) - 1, common(conversations[held[0]].prompt, said.prompt))
            if tokens + own - alike * len(held) <= limit:
                held.append(place)
                shared, tokens = alike, tokens + own
                continue
            yield held
        held, shared, tokens = [place], len(said.prompt) - 1, own
    if held:
        yield held


def shared_by(prompts: Sequence[tuple[int, ...]]) -> int:
    """How many tokens at the start all prompts share; each keeps one of its own, to predict from."""
    first, *others = prompts
    return min([len(first) - 1, *(min(len(other) - 1, common(first, other)) for other in others)])
