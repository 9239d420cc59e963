"""What comes to a memory, and what gives way."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from memread.memory import Frequencies, Nearest, rewritten, with_nearest, within

SECTION = """The harbour lies in the north. Ahab had a leg of ivory.
Mr. Stubb smoked a pipe, and said that the leg was made of a whale's jaw.
Ahab walked. The whale swam away from Ahab, and nobody saw it again."""


def nearest(memory: str, section: str, question: str, count: int) -> str:
    met = Frequencies().after(section, question)
    return with_nearest(memory, section, question, Nearest(count), met)


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

    asked = "Of which whale was Ahab's leg made?"
    assert within(memory, asked, limit, Spaced(), Frequencies().after(memory, asked)) == left


def test_sentences_that_are_like_the_question_come_to_the_memory() -> None:
    jaw = "Mr. Stubb smoked a pipe, and said that the leg was made of a whale's jaw."
    leg = "Ahab had a leg of ivory."
    swam = "The whale swam away from Ahab, and nobody saw it again."
    asked = "Of which whale's jaw was the leg made?"
    assert nearest("", SECTION, asked, 1) == nearest("", SECTION, asked, 3) == jaw
    # Three that share two words each; "Ahab walked." shares one.
    asked = "Which whale took Ahab's leg?"
    assert nearest("", SECTION, asked, 5) == f"{leg}\n{jaw}\n{swam}"
    assert len(nearest("", SECTION, asked, 2).split("\n")) == 2
    # What is there stays, and nothing is said twice.
    assert nearest(f"leg of ivory\n{swam}", SECTION, asked, 5) == f"{swam}\n{leg}\n{jaw}"
    # What has far less to do with the question than the best gives way, also what the model noted.
    assert nearest("Known.\nA whale.", SECTION, "Of which jaw was the leg made?", 1) == jaw
    assert nearest("Known.", "Nothing of it here.", asked, 3) == "Known."
    assert nearest("", SECTION, "Who is it?", 3) == ""  # no word that carries meaning
    assert nearest("", SECTION, "Stubb?", 3) == jaw  # one word is all there is


def test_each_name_of_the_question_keeps_its_best_line() -> None:
    section = "Mr. Stubb was born at Cape Cod, the second mate. Flask was born on land."
    both = "Mr. Stubb was born at Cape Cod, the second mate.\nFlask was born on land."
    assert (
        nearest("", section, "Was Stubb, the second mate of Cape Cod, or was Flask born on land?", 3) == both
    )
    assert "Flask" not in nearest("", section, "Where was the second mate Stubb of Cape Cod born?", 3)


def test_what_goes_on_from_a_name_comes_too() -> None:
    film = "The Whale is a film that was directed by Nora Quint."
    who = "Among the painters of Hull was Nora Quint, a Dane."
    asked = "Of which nation is the director of the film The Whale?"
    memory = nearest("", f"{film}\nIt rained in Hull.", asked, 3)
    assert memory == film
    assert nearest(memory, f"It rained on Nora.\nIt snowed.\n{who}\nNobody knew Quint.", asked, 3) == (
        f"{film}\nIt rained on Nora.\n{who}"  # two at most, with most of the names
    )
    # What was met before it was known to matter is not there, and what nothing leads to any more gives way.
    assert nearest("", f"{who}\n{film}", asked, 3) == f"{film}\n{who}"
    assert nearest(
        f"{film}\n{who}", "A better film, The Whale, has a director of this nation.", asked, 3
    ) == ("A better film, The Whale, has a director of this nation.")


def test_a_title_comes_with_what_stands_below_it() -> None:
    text = "Document 4:\nNora Quint\nShe was a painter of Hull, and born in 1851. She died there. "
    text += "She had a whale."
    assert nearest("", text, "When was Nora Quint born?", 3) == (
        "Nora Quint: She was a painter of Hull, and born in 1851."
    )
    assert nearest("", text, "Had Nora Quint a whale?", 1) == "Nora Quint: She had a whale."
    # A line of a log is no title of the next one, and no verse of what goes on.
    log = "Nora Quint went away\nShe was a painter of Hull"
    assert nearest("", log, "Was Nora Quint a painter of Hull?", 3) == log
    log = "08:01 mail sent to Hull\n08:02 the disk of Hull is full\n"
    log += "08:03 the bank of Hull has closed, and the disk of Hull was not read any more"
    asked = "Is the disk of Hull full, or the bank closed?"
    assert nearest("", log, asked, 3).split("\n") == log.split("\n")[1:]


def test_lines_cut_to_a_width_are_one_paragraph() -> None:
    wrapped = (
        "Then the captain of the ship said that\nhe had seen the white whale, which had\nbitten off his leg."
    )
    assert nearest("", wrapped, "What had the whale bitten off?", 3) == (
        "Then the captain of the ship said that he had seen the white whale, which had bitten off his leg."
    )
    log = "error: no whale was found\nwarning: the disk of the whale server is full\nok"
    assert nearest("", log, "Was the whale found?", 3) == "error: no whale was found"


def test_of_a_long_sentence_comes_what_stands_from_the_question_on() -> None:
    long = "And so it went on " * 30 + "until the whale broke his leg " + "and on " * 100 + "away."
    (kept,) = nearest("", long, "Who broke whose leg?", 3).split("\n")
    assert kept.startswith("broke his leg and on") and kept.endswith(" on") and len(kept) <= 400


def test_of_a_line_without_end_comes_the_part_that_is_about_the_question() -> None:
    """Such as data on one line."""
    line = ",".join(f'"k{number}":"the value of {number}"' for number in range(200))
    (kept,) = nearest("", line, "What is the value of k123?", 3).split("\n")
    assert '"k123":"the value of 123"' in f'"{kept}' and len(kept) <= 400
    assert nearest("", "value " * 4000, "What value has k123?", 3) == ""


def test_what_a_book_is_full_of_counts_less() -> None:
    asked, answer, other = "Where did Ahab meet Elijah?", "Elijah met him at the wharf.", "Ahab met a boat."
    fresh = Frequencies().after(f"{answer} {other}", asked)
    assert fresh == Frequencies(2, {"ahab": 1, "elijah": 1})
    later = fresh.after("Ahab walked. " * 40, asked)
    assert later.sentences == 42 and later.having["ahab"] == 41
    assert later.worth(["elijah"]) > 3 * later.worth(["ahab"]) > 0

    class Spaced:
        def count(self, text: str) -> int:
            return len(text.split())

    both = f"{answer}\n{other}"
    assert within(both, asked, 7, Spaced(), fresh) == other  # the older of two that have as much goes
    assert within(both, asked, 7, Spaced(), later) == answer


def test_a_line_is_worth_the_same_in_every_process() -> None:
    # Sets of words have another order in each; added up one after the other, the last bits differ.
    program = """
from memread.memory import Frequencies
words = "iron copper silver golden wooden marble ivory amber paper leather velvet cotton".split()
met = Frequencies(90, {word: place for place, word in enumerate(words)})
print([met.worth(frozenset(words[first:])) for first in range(len(words))])
"""
    said = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONHASHSEED": str(seed)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in range(3)
    }
    assert len(said) == 1
