"""Statements followed through a reading: where they came in, and what they rest on."""

from __future__ import annotations

from memread.evidence import Tracer, tracer
from memread.types import Evidence, Locator, Segment, SegmentInfo, Span, digest

FIRST = "The Pequod sailed on Christmas Day.\nCaptain Ahab had lost a leg to a whale.\n"
SECOND = "Starbuck was the first mate.\nQueequeg paid Ishmael thirty dollars in silver.\n"


def segment(index: int, text: str) -> Segment:
    start = Locator(line=1 + 2 * index)
    info = SegmentInfo(index, 20, Span(start, start.advanced(text)), digest(text))
    return Segment(info, text, ((0, start),))


def test_a_statement_has_the_place_where_it_came_in_and_keeps_it() -> None:
    tracer = Tracer("No previous memory")
    assert tracer.update(segment(0, FIRST), "No previous memory") == ()
    (claim,) = tracer.update(segment(0, FIRST), "Captain Ahab lost a leg to a whale.")
    assert claim.verified and claim.segment == 0
    assert claim.quote == "Captain Ahab had lost a leg to a whale."
    assert claim.span is not None and claim.span.label() == "line 2"
    (other,) = tracer.update(
        segment(1, SECOND), "Captain Ahab lost a leg to a whale.\n- Starbuck is first mate."
    )
    assert (other.segment, other.quote, other.verified) == (1, "Starbuck was the first mate.", True)
    assert tracer.claims == (claim, other)
    assert tracer.update(segment(2, FIRST), "Starbuck is first mate.") == ()
    assert tracer.claims == (other,)


def test_a_new_wording_keeps_its_passage_and_is_checked_against_it_again() -> None:
    tracer = Tracer()
    tracer.update(segment(0, FIRST), "Captain Ahab lost a leg to a whale.")
    (same,) = tracer.update(segment(1, SECOND), "Ahab lost a leg to a whale.")
    assert same.segment == 0 and same.verified and same.quote.startswith("Captain Ahab")
    (other,) = tracer.update(segment(1, SECOND), "Ahab lost an arm to a whale.")
    assert other.segment == 0 and not other.verified and other.missing == ("arm",)


def test_a_statement_without_support_says_when_it_came_in() -> None:
    tracer = Tracer()
    (claim,) = tracer.update(segment(1, SECOND), "A dragon guards the gate.")
    assert (claim.quote, claim.verified, claim.segment) == ("", False, 1)
    assert claim.span == segment(1, SECOND).info.span
    (again,) = tracer.update(segment(2, FIRST), "A dragon guards the old gate.")
    assert again.segment == 1


def test_an_answer_that_the_text_does_not_say_it_has_no_evidence() -> None:
    tracer = Tracer(unsaid="not in the text")
    tracer.update(segment(0, FIRST), "Captain Ahab lost a leg to a whale.")
    for answer in ("not in the text", " Not in the text."):
        assert tracer.evidence(answer) == Evidence((), tracer.claims)
    assert len(tracer.evidence("It is not in the text that a whale lost a leg.").answer) == 1


def test_an_answer_rests_on_the_passages_of_the_memory() -> None:
    tracer = Tracer()
    tracer.update(segment(0, FIRST), "Captain Ahab lost a leg to a whale.")
    tracer.update(
        segment(1, SECOND), "Captain Ahab lost a leg to a whale. Queequeg paid Ishmael thirty dollars."
    )
    evidence = tracer.evidence("thirty dollars. A hundred dragons.", "How much did Queequeg pay?")
    paid, dragons = evidence.answer
    assert paid.verified and paid.segment == 1 and paid.quote == SECOND.splitlines()[1]
    assert (dragons.segment, dragons.quote, dragons.verified) == (-1, "", False)
    assert evidence.memory == tracer.claims


def test_of_equal_passages_the_one_the_question_is_about_is_taken() -> None:
    text = "Ahab commanded the Pequod.\nAhab was born in Nantucket.\n"
    tracer = Tracer()
    tracer.update(segment(0, text), "Ahab commanded the Pequod. Ahab was born in Nantucket.")
    for question, line in (("Who commanded the Pequod?", 0), ("Who was born in Nantucket?", 1)):
        (claim,) = tracer.evidence("Ahab", question).answer
        assert claim.quote == text.splitlines()[line]


def test_what_was_recorded_is_restored() -> None:
    first, second = Tracer(), Tracer()
    for index, (text, memory) in enumerate(
        [
            (FIRST, "Captain Ahab lost a leg."),
            (SECOND, "Ahab lost a leg. Starbuck was first mate."),
            (FIRST, ""),
        ]
    ):
        second.restore(memory, first.update(segment(index, text), memory))
        assert second.claims == first.claims


def test_statements_beyond_the_bound_are_not_looked_up() -> None:
    many = Tracer()
    memory = "".join(f"Fact {n} of many. " for n in range(2 * tracer.MOST))
    assert len(many.update(segment(0, FIRST), memory)) == tracer.MOST
    assert len(many.evidence(memory).answer) == tracer.MOST


def test_merged_memories_keep_the_passages_that_their_parts_found() -> None:
    parts = []
    for index, text in enumerate((FIRST, SECOND)):
        part = Tracer("None yet.")
        part.update(segment(index, text), text.replace("had lost", "lost"))
        parts.append(part.claims)
    merged = Tracer("None yet.")
    one = "The Pequod sailed on Christmas Day.\nA dragon guards the gate."
    found = merged.merge(segment(0, "notes"), one, parts[0])
    assert [(claim.verified, claim.segment) for claim in found] == [(True, 0), (False, 0)]
    assert found[0].quote == "The Pequod sailed on Christmas Day."
    assert (found[1].quote, found[1].span) == ("", segment(0, "notes").info.span)
    both = "The Pequod sailed on Christmas Day.\nQueequeg paid thirty dollars in silver."
    (new,) = merged.merge(segment(1, "notes"), both, parts[1])
    assert new.verified and new.segment == 1 and new.span is not None and new.span.start.line == 4
    assert merged.claims == (found[0], new)
