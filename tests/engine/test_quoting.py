"""What a reply made of quotations may say."""

from __future__ import annotations

import random

import pytest

from memread.engine.llamacpp.quoting import Quoting

TEXT = "The ferry to Oland leaves from pier nine.\nIt costs 1,268 crowns; “Größe” matters.  Ask\n\nAnn-Marie."
OLD = "the code is 42."


def goes(reply: str, *, words: tuple[str, ...] = ("Same", "Nothing yet."), pieces: int = 0) -> bool:
    """Whether the reply may be said whole; in pieces of so many bytes."""
    quoting = Quoting(words, (TEXT, OLD))
    said = reply.encode()
    size = pieces or len(said) or 1
    for start in range(0, len(said), size):
        piece = said[start : start + size]
        if not quoting.fits(piece):
            return False
        quoting.extend(piece)
    return quoting.ends()


@pytest.mark.parametrize("pieces", [0, 1, 2, 5])
@pytest.mark.parametrize(
    "reply",
    [
        "Same",
        "Same\n",
        "Nothing yet.",
        "ferry to Oland leaves from pier nine",
        "ferry to Oland leaves from pier nine.",
        "Same\nferry to Oland\nthe code is 42.\n",
        "pier nine. It costs 1,268 crowns",  # over a break of the line
        "Ask Ann-Marie",
        "matters. Ask  Ann-Marie.",
        "“Größe” matters.",
        " ferry to Oland",
        "Oland: ferry to",
        "Oland: leaves from pier nine.\nAsk Ann: The ferry",
        "42",
    ],
)
def test_quotations_go(reply: str, pieces: int) -> None:
    assert goes(reply, pieces=pieces)


@pytest.mark.parametrize("pieces", [0, 1, 3])
@pytest.mark.parametrize(
    "reply",
    [
        "",
        "\n",
        "ferry to Gotland",
        "ferry to Olan",  # ends inside a word
        "erry to Oland",  # begins inside one
        "It costs 12",
        "Same\nferry to Gotland leaves",
        "Same ferry",
        "ferry to Oland\nSame",  # a given word stands on the first line only
        "ferry the code",  # no jump from one place to another
        "Oland: pier: nine",  # one title
        "Gotland: leaves from pier nine",
        "Oland:",
        "nine.\nthe code is 43.",
        "nothing yet.",
        "Nothing",
        "pier  nine \x00",
    ],
)
def test_nothing_else_goes(reply: str, pieces: int) -> None:
    assert not goes(reply, pieces=pieces)


def test_what_does_not_fit_changes_nothing() -> None:
    quoting = Quoting((), (TEXT,))
    quoting.extend(b"ferry to")
    for wrong in (b" Gotland", b"\n\0", b"x"):
        assert not quoting.fits(wrong)
        quoting.extend(wrong)
    assert quoting.ends() and quoting.fits(b" Oland") and not quoting.fits(b"Oland")


def test_any_quotation_of_a_random_text_goes_and_a_changed_one_does_not() -> None:
    r = random.Random(7)
    words = [" ".join(r.choices("abcdefgh", k=r.randint(1, 3))).replace(" ", "") for _ in range(300)]
    text = " ".join(words)
    for _ in range(200):
        first = r.randrange(300)
        quoted = words[first : first + r.randint(1, 12)]
        quoting = Quoting(("Same",), (text,))
        assert quoting.fits(" ".join(quoted).encode())
        quoting.extend(" ".join(quoted).encode())
        assert quoting.ends()
        changed = [*quoted, "z"]
        assert not Quoting(("Same",), (text,)).fits(" ".join(changed).encode())


def test_continuations_are_what_fits() -> None:
    r = random.Random(3)
    quoting = Quoting(("Same", "Nothing yet."), (TEXT, OLD))
    white = frozenset(b" \t\v\f\r\n")
    for _ in range(400):
        found = quoting.continuations(9)
        assert all(quoting.fits(piece) for piece in found)
        # Byte by byte nothing is missing, but for other kinds of white space.
        fitting = {bytes([byte]) for byte in range(256) if byte not in white and quoting.fits(bytes([byte]))}
        assert fitting == {piece for piece in found if len(piece) == 1 and piece[0] not in white}
        assert found, "there is always a way on"
        quoting.extend(r.choice(sorted(found)))


def test_a_title_and_what_it_says_may_lie_apart() -> None:
    quoting = Quoting((), ("Moby Dick. A book. Its author is Melville: he wrote it.",))
    for piece in (b"Moby Dick", b":", b" ", b"Its author", b" is Melville: he", b" wrote it."):
        assert quoting.fits(piece)
        quoting.extend(piece)
    assert quoting.ends()
