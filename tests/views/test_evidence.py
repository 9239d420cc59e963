"""The lines under an answer."""

from __future__ import annotations

from memread.types import Claim, DocumentInfo, Evidence, Locator, Span
from memread.views import evidence

PLACE = Span(Locator(page="12", page_number=14, chapter="Loomings"), Locator(page="12", page_number=14))
SAID = Claim("Ahab lost a leg.", 3, "Ahab had lost\na leg.", PLACE, True, (), 1.0)
NEAR = Claim("Ahab lost two legs.", 3, "Ahab had lost a leg.", PLACE, False, ("two",), 0.6)
OTHERWISE = Claim("A leg lost Ahab.", 3, "Ahab had lost a leg.", PLACE, False, (), 0.6)
NOTHING = Claim("A dragon came.", 3, span=PLACE)


def test_each_case_is_told_apart() -> None:
    assert evidence.lines(Evidence((SAID, NEAR, OTHERWISE, Claim("A dragon came.")))) == [
        "Evidence for the answer: 1 of 4 statements verified",
        "  Ahab lost a leg.",
        "    verified · p. 12 · Loomings",
        "    “Ahab had lost a leg.”",
        "  Ahab lost two legs.",
        "    not verified; the nearest passage · p. 12 · Loomings (lacks: two)",
        "    “Ahab had lost a leg.”",
        "  A leg lost Ahab.",
        "    not verified; the nearest passage · p. 12 · Loomings (the same words, said otherwise)",
        "    “Ahab had lost a leg.”",
        "  A dragon came.",
        "    no passage like it among those that the memory rests on",
    ]


def test_a_name_alone_verifies_nothing() -> None:
    name = Claim("The Queequeg", 3, "Queequeg", PLACE, True, (), 1.0)
    found = evidence.lines(Evidence((name, SAID)))
    assert found[0] == "Evidence for the answer: 1 of 2 statements verified"
    assert found[2] == "    stands in the text · p. 12 · Loomings (too few words to verify anything by them)"


def test_the_memory_follows_as_far_as_there_is_room_without_what_was_told() -> None:
    found = evidence.lines(Evidence((SAID,), (SAID, NOTHING, NEAR)), memory=1, more="see there")
    assert found[4:] == [
        "Evidence for the memory: 1 of 3 statements verified",
        "  A dragon came.",
        "    no passage like it was found; it came in with p. 12 · Loomings",
        "  and 1 statement more: see there",
    ]
    assert evidence.lines(None) == evidence.lines(Evidence()) == []


def test_what_comes_from_outside_is_made_printable_and_documents_are_named() -> None:
    bad = "\x1b[31mred\u202e\nline"
    claim = Claim(bad, 0, bad, PLACE, False, (bad,), 0.5)
    documents = (DocumentInfo(bad, "pdf"), DocumentInfo("b.pdf", "pdf"))
    said = evidence.lines(Evidence((claim,), (claim,)), documents)
    assert not any(sign in line for line in said for sign in ("\x1b", "\u202e", "\n"))
    assert any("red line · p. 12" in line for line in said)
