from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memread.views import diff


def shown(before: str, after: str) -> list[str]:
    return [line.sign + line.text for line in diff.compare(before, after)]


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ("", "", []),
        ("", "One. Two.", ["+One.", "+Two."]),
        ("One. Two.", "One. Two.", ["=One.", "=Two."]),
        ("One. Two.", "One.\nTwo.", ["=One.", "=Two."]),
        ("The cat sleeps. Rain falls.", "Rain falls.", ["-The cat sleeps.", "=Rain falls."]),
        ("- a\n- b", "- a\n- c d e\n- b", ["=- a", "+- c d e", "=- b"]),
        ("The cat is called Tama.", "The cat is called Kuro.", ["-… Tama …", "+The cat is called Kuro."]),
        ("The old grey cat sleeps.", "The cat sleeps.", ["-… old grey …", "=The cat sleeps."]),
        (
            "He goes to sea on a cold day in May.",
            "He goes to sea in a damp, grey month in May.",
            ["-… on a cold day …", "+He goes to sea in a damp, grey month in May."],
        ),
        ("名前はまだ無い。猫である。", "猫である。", ["-名前はまだ無い。", "=猫である。"]),
        ("Dr. Watson came.", "Dr. Watson came. He left.", ["=Dr.", "=Watson came.", "+He left."]),
    ],
)
def test_compare(before: str, after: str, lines: list[str]) -> None:
    assert shown(before, after) == lines


def test_reworded_words_are_known() -> None:
    (_, line) = diff.compare("The cat is called Tama.", "The cat is called Kuro.")
    assert [run.text for run in line.runs if run.changed] == ["Kuro"]


@given(st.text(alphabet="ab. \n。", max_size=60), st.text(alphabet="ab. \n。", max_size=60))
def test_what_is_not_dropped_is_the_new_memory(before: str, after: str) -> None:
    kept = [line.text for line in diff.compare(before, after) if line.sign != "-"]
    assert [" ".join(text.split()) for text in kept] == [" ".join(t.split()) for t in diff.units(after)]


def test_changes_count_words() -> None:
    assert diff.changes("the cat sleeps here", "the black cat sleeps") == (1, 1)
    assert diff.changes("", "a, b!") == (2, 0)


@pytest.mark.parametrize(
    ("written", "rest"),
    [
        ("", "He goes to sea in winter. He has no money."),
        ("He goes to sea", " in winter. He has no money."),
        ("He goes to se", "a in winter. He has no money."),
        ("Ishmael goes to sea in winter, because", " He has no money."),
        ("Something else entirely", "He goes to sea in winter. He has no money."),
    ],
)
def test_remainder(written: str, rest: str) -> None:
    assert diff.remainder("He goes to sea in winter. He has no money.", written) == rest
