"""A key is found on the line that sets it, or at its nearest table."""

from __future__ import annotations

import pytest

from memread.toml import line_of

TEXT = '''# a comment
name = "x"
text = """
segment = 3
[budget]
"""
one = \'\'\'segment = 4\'\'\'

[budget]
segment = 5
inline = { memory = 3 }

[match.metadata]
"general.name" = "a.b"
plain.dotted = 1
'odd key' = 2

[[list]]
a = 1
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (["name"], 2),
        (["text"], 3),
        (["one"], 7),
        (["budget"], 9),
        (["budget", "segment"], 10),
        (["budget", "missing"], 9),
        (["budget", "inline", "memory"], 11),
        (["match"], 13),
        (["match", "metadata", "general.name"], 14),
        (["match", "metadata", "plain", "dotted"], 15),
        (["match", "metadata", "odd key"], 16),
        (["list", "a"], 19),
        (["nowhere"], None),
        ([], None),
    ],
)
def test_the_line_of_a_key(path: list[str], line: int | None) -> None:
    assert line_of(TEXT, path) == line
