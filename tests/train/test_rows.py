"""Conversations in rows: what they share, and how many fit."""

from __future__ import annotations

from typing import NamedTuple

from memread.train.rows import by_likeness, in_order, row


class Said(NamedTuple):
    prompt: tuple[int, ...]
    reply: tuple[int, ...] = (5, 6)


def test_a_row_shares_what_prompts_begin_with() -> None:
    made = row([Said((1, 2, 3, 4)), Said((1, 2, 9), (7, 8, 6))])
    assert made.ids == [1, 2, 3, 4, 5, 9, 7, 8]
    assert made.positions == [0, 1, 2, 3, 4, 2, 3, 4]
    assert made.branches == [0, 0, 1, 1, 1, 2, 2, 2]
    assert [made.ids[place] for place in made.places] == [4, 5, 9, 7, 8]
    assert made.targets == [5, 6, 7, 8, 6]
    # Prompts that are the same to the end still have a token each to predict from.
    same = row([Said((1, 2), (3,))] * 2)
    assert (same.ids, same.branches, same.places) == ([1, 2, 2], [0, 1, 2], [1, 2])


def test_rows_stay_within_their_limit() -> None:
    long = [Said((1, *[n] * 40)) for n in range(2, 9)]
    made = list(in_order(long, 100))
    assert [len(r.conversations) for r in made] == [2, 2, 2, 1]
    assert all(len(r.ids) <= 100 for r in made)
    assert [said for r in made for said in r.conversations] == long
    assert len(list(in_order(long, 10))) == 7


def test_like_prompts_come_together() -> None:
    """Two sections, each read three times in mixed order, and two prompts like no other."""
    sections = [[Said((1, *[n] * 50, memory, 9)) for memory in (3, 4, 4)] for n in (70, 80)]
    mixed = [said for three in zip(*sections, strict=True) for said in three]
    mixed[3:3] = [Said((1, *range(200, 240))), Said((1, *range(300, 330)))]
    made = list(by_likeness(mixed, 1000))
    assert sorted(place for places, _ in made for place in places) == list(range(8))
    assert all(r.conversations == [mixed[place] for place in places] for places, r in made)
    assert [len(r.conversations) for _, r in made] == [2, 3, 3]
    assert [len(r.ids) for _, r in made] == [1 + 41 + 31, 51 + 3 * 3, 51 + 3 * 3]
    cut = list(by_likeness(mixed, 57))
    assert sorted(place for places, _ in cut for place in places) == list(range(8))
    assert all(len(r.ids) <= 57 for _, r in cut)
    assert len(cut) == 6
    assert list(by_likeness([], 100)) == []
