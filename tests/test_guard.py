from __future__ import annotations

import pytest

from memread.guard import fault, loops
from memread.types import Finish, Reply


@pytest.mark.parametrize(
    "text",
    [
        "The whale " + "and meth " * 40,
        "\n".join(["The solution"] * 30),
        "a" * 200,
        "Ahab is captain. " + "He hunts the white whale across the seas. " * 5,
    ],
)
def test_repetition_is_found(text: str) -> None:
    assert loops(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "No previous memory",
        "Ishmael signs on to the Pequod at Nantucket. " * 2,
        "- Ahab: captain\n- Starbuck: first mate\n- Stubb: second mate\n- Flask: third mate\n" * 1,
        "\n".join(f"{n}. item number {n} costs {n * 37 % 101} dollars" for n in range(40)),
    ],
)
def test_ordinary_text_is_not(text: str) -> None:
    assert not loops(text)


@pytest.mark.parametrize(
    ("finish", "text", "expected"),
    [
        ("stop", "Ahab is the captain.", ""),
        ("stop", "", "empty"),
        ("length", "Ahab is the captain of", "limit"),
        ("loop", "Ahab", "repeats"),
        ("stop", "no " * 100, "repeats"),
    ],
)
def test_faults(finish: Finish, text: str, expected: str) -> None:
    found = fault(Reply(text, finish), text.strip())
    assert (expected in found) if expected else found == ""
