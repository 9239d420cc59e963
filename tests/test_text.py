"""Nothing a terminal obeys, and nothing that hides, gets through `memread.text`."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memread.text import one_line, printable

# Text as hostile as it gets: pieces of sequences, in any order, between letters.
_BITS = [*"[]a中 \n\t\r\x07\x1b\x9b\x9c\x9d", "\x1b\\", "31m", "8;;", "[bold]"]
_BITS += [*"\u0301\u200b\u200d\u202e\u2066\ufeff\ud800\U000e0041"]
hostile = st.lists(st.sampled_from(_BITS), max_size=40).map("".join) | st.text()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x9b31mred", "red"),
        ("\x1b]8;;https://evil.example\x1b\\click\x1b]8;;\x1b\\", "click"),
        ("\x1b]52;c;cm0gLXJmIC8=\x07copied", "copied"),
        ("\x1bP1$r0m\x1b\\dcs", "dcs"),
        ("\x9d0;title\x9cx", "x"),
        ("\x1b]0;never ended, and all of this is the book", "0;never ended, and all of this is the book"),
        ("\x1b(0lqk", "lqk"),
        ("\x1bcreset", "reset"),
        ("\x1b\x1b[31m[31m", "[31m"),
        ("over\rwritten", "over\nwritten"),
        ("dos\r\nlines", "dos\nlines"),
        ("one\x0ctwo\x0bthree\x85four\u2028five\u2029six", "one\ntwo\nthree\nfour\nfive\nsix"),
        ("user\u202etxt.exe", "usertxt.exe"),
        ("\u2066isolated\u2069", "isolated"),
        ("soft\u00adhyphen zero\u200bwidth \ufeffmark", "softhyphen zerowidth mark"),
        ("hidden\U000e0041\U000e0042\U000e0100", "hidden"),
        ("half \ud83d of a pair", "half  of a pair"),
        ("filler\u3164\u115f", "filler"),
        ("a" + "\u0301" * 50, "a" + "\u0301" * 6),
        ("tab\tand\nline", "tab\tand\nline"),
        ("[bold]markup[/bold]", "[bold]markup[/bold]"),
    ],
)
def test_printable(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "Ω ≈ ç √ — “quotes” … \u00a0",
        "吾輩は猫である。名前はまだ無い。",
        "كتاب ۱۲ می\u200cخواهم",
        "שָׁלוֹם",
        "👩\u200d👩\u200d👧 ❤\ufe0f 🇫🇷",
        "क्\u200dष नमस्ते",
        "தமிழ் ไทย བོད",
    ],
)
def test_honest_text_is_left_alone(text: str) -> None:
    assert printable(text) == text


@given(hostile)
def test_nothing_unsafe_is_left(text: str) -> None:
    shown = printable(text)
    left = {c for c in shown if unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t"}
    assert not left
    assert not set(shown) & set(
        "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029\u200b\ufeff"
    )
    shown.encode("utf-8")
    assert printable(shown) == shown


@given(hostile, st.integers(min_value=1, max_value=30))
def test_one_line_is_one_short_line(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert len(line) <= limit
    assert len(line.splitlines()) <= 1
    assert line == line.strip()


@pytest.mark.parametrize("bit", ["\x1b]", "\x9d", "\x9b", "\x1b[0;", "\x9da", "\x1bPx", "\u0301", "\x1b("])
def test_a_megabyte_of_malice_takes_no_time(bit: str) -> None:
    started = time.process_time()
    printable(bit * (1_000_000 // len(bit)))
    assert time.process_time() - started < 2.0
