"""Guesses at a reply, on token ids alone."""

from __future__ import annotations

import random
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from memread.engine.llamacpp.copying import Copying

MEMORY = list(range(100, 200))
SECTION = list(range(1000, 1400))
ROOM = 10_000


def batches(reply: Sequence[int], copying: Copying, room: int = ROOM) -> tuple[int, int, int]:
    """How a reply is decoded: (batches, tokens guessed, tokens guessed right). Each batch says one more."""
    at = count = guessed = right = 0
    while at < len(reply):
        guess = copying.guess(min(room, len(reply) - at - 1))
        agreed = next((i for i, token in enumerate(guess) if reply[at + i] != token), len(guess))
        for token in reply[at : at + agreed + 1]:
            copying.extend(token)
        at += agreed + 1
        count, guessed, right = count + 1, guessed + len(guess), right + agreed
    assert at == len(reply)
    return count, guessed, right


def test_an_unchanged_memory_takes_few_batches() -> None:
    """As many tokens at once as a batch may hold; every batch says one of its own."""
    assert batches([*MEMORY, 2], Copying(MEMORY, [SECTION], 63)) == (2, 99, 99)
    longer = list(range(5000, 5512))
    assert batches([*longer, 2], Copying(longer, [SECTION], 128)) == (4, 509, 509)
    assert batches([*longer, 2], Copying(longer, [SECTION], 8)) == (57, 456, 456)


def test_the_first_guess_is_the_beginning_of_what_is_rewritten() -> None:
    assert Copying(MEMORY, [SECTION], 128).guess(ROOM) == MEMORY
    assert Copying(MEMORY, [SECTION], 8).guess(ROOM) == MEMORY[:8]
    assert Copying(MEMORY, [SECTION], 128).guess(5) == MEMORY[:5]
    assert Copying([], [SECTION], 128).guess(ROOM) == []
    assert Copying(MEMORY, [SECTION], 0).guess(ROOM) == []
    assert Copying(MEMORY, [SECTION], 128).guess(0) == []


def test_a_quotation_is_found_in_the_section_and_the_memory_is_found_again() -> None:
    reply = MEMORY[:50] + SECTION[200:240] + MEMORY[50:]
    count, guessed, right = batches(reply, Copying(MEMORY, [SECTION], 128))
    assert right >= len(reply) - 16
    assert count <= 16 and guessed <= 2 * len(reply)


def test_a_changed_word_costs_a_few_tokens() -> None:
    reply = [*MEMORY[:50], 7, *MEMORY[51:]]
    count, _, right = batches(reply, Copying(MEMORY, [SECTION], 128))
    assert right >= 90 and count <= 10


def test_of_two_places_the_next_in_the_memory_is_taken() -> None:
    memory = [1, 2, 3, 1, 2, 4, 1, 2, 5]
    copying = Copying(memory, [[1, 2, 6]], 128)
    for token in memory[:5]:
        copying.extend(token)
    assert copying.guess(1) == [4]
    other = Copying(memory, [[8, 1, 2, 6]], 128)
    for token in (8, 1, 2):
        other.extend(token)
    assert other.guess(ROOM) == [6], "three agree there, two in the memory"


def test_a_guess_does_not_run_from_one_text_into_another() -> None:
    copying = Copying([1, 2, 3], [[4, 5, 6]], 128)
    assert copying.guess(ROOM) == [1, 2, 3]
    for token in (1, 2, 3):
        copying.extend(token)
    assert copying.guess(ROOM) == []


ids = st.lists(st.integers(0, 5), max_size=60)


@given(memory=ids, section=ids, reply=ids, most=st.integers(0, 40), room=st.integers(0, 40))
def test_any_reply_is_decoded_whatever_is_guessed(
    memory: list[int], section: list[int], reply: list[int], most: int, room: int
) -> None:
    copying = Copying(memory, [section], most)
    count, guessed, right = batches(reply, copying, room)
    assert count + right == len(reply)
    assert guessed <= count * min(most, room)


@given(memory=ids, section=ids, reply=ids)
def test_guesses_follow_from_the_reply_alone(memory: list[int], section: list[int], reply: list[int]) -> None:
    """Not from the batches in which it was decoded."""
    asked, silent = Copying(memory, [section], 128), Copying(memory, [section], 128)
    for token in reply:
        asked.guess(ROOM)
        asked.extend(token)
        silent.extend(token)
    assert asked.guess(ROOM) == silent.guess(ROOM)


def test_wrong_guesses_cost_in_proportion_to_what_was_won() -> None:
    """Where nothing but chance agrees."""
    r = random.Random(1)
    memory = [r.randrange(50) for _ in range(2000)]
    reply = [r.randrange(50) for _ in range(500)]
    count, guessed, right = batches(reply, Copying(memory, [], 128))
    assert guessed <= 128 + 5 * count
    assert count + right == len(reply)
