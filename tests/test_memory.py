"""What comes to a memory, and what gives way."""

from __future__ import annotations

import pytest

from memread.memory import rewritten, with_nearest, within

SECTION = """The harbour lies in the north. Ahab had a leg of ivory.
Mr. Stubb smoked a pipe, and said that the leg was made of a whale's jaw.
Ahab walked. The whale swam away from Ahab, and nobody saw it again."""
ASKED = "Of which whale's jaw was Ahab's leg made?"


@pytest.mark.parametrize(
    ("known", "reply", "memory"),
    [
        ("a b", "Same\nc a b", "c a b"),  # the longer line says both
        ("c a b", "Same\na b\nd", "c a b\nd"),
        ("", "b\na b.\nb", "a b."),
        ("12", "Same\n312", "12\n312"),  # whole words only
        ("a b", "Same\na b", "a b"),
        ("(x", "Same\ny (x z", "y (x z"),
    ],
)
def test_nothing_is_said_twice(known: str, reply: str, memory: str) -> None:
    assert rewritten(known, reply, "Same") == memory
    assert rewritten(known, reply, "") == reply


@pytest.mark.parametrize(
    ("memory", "limit", "left"),
    [
        ("Ahab spoke.\nThe whale swam.", 5, "Ahab spoke.\nThe whale swam."),
        # What has nothing of the question goes first, then the older of two that have as much.
        ("The whale swam.\nIt rained.\nA whale.", 5, "The whale swam.\nA whale."),
        ("Two whales.\nThe whale swam.\nA whale.", 5, "The whale swam.\nA whale."),
        # A word that one line alone has says more than one that all have.
        ("Ahab had a leg.\nAhab met whales.\nA whale met Ahab.", 8, "Ahab had a leg.\nA whale met Ahab."),
        ("The legs of ivory are his own, every one of them.", 5, ""),
    ],
)
def test_what_has_least_to_do_with_the_question_gives_way(memory: str, limit: int, left: str) -> None:
    class Spaced:
        def count(self, text: str) -> int:
            return len(text.split())

    assert within(memory, "Of which whale was Ahab's leg made?", limit, Spaced()) == left


def test_sentences_that_are_like_the_question_come_to_the_memory() -> None:
    jaw = "Mr. Stubb smoked a pipe, and said that the leg was made of a whale's jaw."
    leg = "Ahab had a leg of ivory."
    swam = "The whale swam away from Ahab, and nobody saw it again."
    assert with_nearest("", SECTION, ASKED, 1) == with_nearest("", SECTION, ASKED, 3) == jaw
    # Three that share two words each; "Ahab walked." shares one.
    asked = "Which whale took Ahab's leg?"
    assert with_nearest("", SECTION, asked, 5) == f"{leg}\n{jaw}\n{swam}"
    assert len(with_nearest("", SECTION, asked, 2).split("\n")) == 2
    # What is there stays, and nothing is said twice.
    assert with_nearest(f"leg of ivory\n{swam}", SECTION, asked, 5) == f"{swam}\n{leg}\n{jaw}"
    # What has far less to do with the question than the best gives way, also what the model noted.
    assert with_nearest("Known.\nA whale.", SECTION, ASKED, 1) == jaw
    assert with_nearest("Known.", "Nothing of it here.", ASKED, 3) == "Known."
    assert with_nearest("", SECTION, "Who is it?", 3) == ""  # no word that carries meaning
    assert with_nearest("", SECTION, "Stubb?", 3) == jaw  # one word is all there is


def test_of_a_long_sentence_comes_what_stands_from_the_question_on() -> None:
    long = "And so it went on " * 30 + "until the whale broke his leg " + "and on " * 100 + "away."
    (kept,) = with_nearest("", long, "Who broke whose leg?", 3).split("\n")
    assert kept.startswith("broke his leg and on") and kept.endswith(" on") and len(kept) <= 400


def test_what_memory_lines_have_too_counts_less() -> None:
    section = "Ahab spoke of the leg. Ahab spoke of the jaw."
    assert with_nearest("the leg of Ahab", section, "Ahab leg jaw", 1).endswith("the jaw.")
    assert with_nearest("the jaw of Ahab", section, "Ahab leg jaw", 1).endswith("the leg.")
