"""What a memory states, sentence by sentence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memread.evidence import statements


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("He sails. She stays!  Who knows?", ["He sails.", "She stays!", "Who knows?"]),
        ("- one thing\n* another\n1. a third\n(b) a fourth", ["one thing", "another", "a third", "a fourth"]),
        ("Key facts:\n- Ahab lost a leg", ["Ahab lost a leg"]),
        ("Mr. Smith met J. R. Ewing on p. 5. He left.", ["Mr. Smith met J. R. Ewing on p. 5.", "He left."]),
        ("He sailed; she stayed.", ["He sailed", "she stayed."]),
        ("It cost 3.5 dollars.", ["It cost 3.5 dollars."]),
        ("吾輩は猫である。名前はまだ無い。", ["吾輩は猫である。", "名前はまだ無い。"]),
        ("ذهب إلى البحر؟ ثم عاد.", ["ذهب إلى البحر؟", "ثم عاد."]),
        ("यह एक नाव है। वह दूर गई।", ["यह एक नाव है।", "वह दूर गई।"]),
        ("---\n\n***\n…", []),
        ("", []),
    ],
)
def test_sentences_and_items_are_statements_and_headings_are_not(text: str, expected: list[str]) -> None:
    assert statements(text) == expected


@given(st.text())
def test_nothing_that_is_stated_gets_lost(text: str) -> None:
    said = [c for found in statements(text) for c in found if c.isalpha()]
    headings = {c for line in text.splitlines() if line.rstrip("*_ ").endswith((":", "：")) for c in line}
    lost = [c for c in text if c.isalpha() and c not in said and c not in headings]
    # The letter of a list, "a)", is a sign.
    assert all(f"{c})" in text or f"{c}." in text for c in lost)
