"""Parts read each for itself and merged, against a scripted engine: memories, coverage, order."""

from __future__ import annotations

import itertools

from memread import events, profile
from memread.driver import drive
from memread.engine.scripted import ScriptedEngine
from memread.lanes import Part, lane, merge, one_by_one, sections
from memread.segment import segments
from memread.types import Answer, Coverage, Locator, Passage, Request, Segment, Span

PROFILE = profile.loads(
    """
    name = "test"
    [wording]
    initial_memory = "nothing yet"
    update = "UPDATE {prompt} [{memory}] {chunk} |"
    answer = "ANSWER {prompt} [{memory}] |"
    part = "(part {part})"
    [budget]
    segment = 20
    """,
    "test",
)
TEXT = "".join(f"a b c d WORD{n} f g h.\n" for n in range(12))


def collect(request: Request, prompt: str) -> str:
    """A reader that remembers every capitalized word."""
    memory, _, section = prompt.partition("[")[2].partition("]")
    words = [word for word in (memory + " " + section).split() if word.isupper()]
    return f"\\boxed{{{' '.join(words)}}}" if request.kind == "answer" else " ".join(words) or "nothing yet"


def cut(text: str, engine: ScriptedEngine) -> list[Segment]:
    passages = [Passage(line, Locator(line=n)) for n, line in enumerate(text.splitlines(True), start=1)]
    found = list(segments(passages, engine.tokenizer, PROFILE.budget.segment))
    assert all(isinstance(item, Segment) for item in found)
    return [item for item in found if isinstance(item, Segment)]


def part(number: int, memory: str, *, of: int = 3, segments: int = 2, complete: bool = True) -> Part:
    last = Span(Locator(line=10 * number + 5), Locator(line=10 * number + 9)) if segments else None
    coverage = Coverage(segments, 100 * segments, complete, 1.0, last)
    return Part(number, of, Locator(line=10 * number), Answer("", False, "", memory, coverage))


def run(engine: ScriptedEngine, lanes: int, text: str = TEXT) -> tuple[list[events.Event], Answer]:
    made = one_by_one("q", cut(text, engine), PROFILE, engine.frame, engine.tokenizer, lanes)
    seen = [event for _, event in drive(engine, [made])]
    assert isinstance(seen[-1], events.Answered)
    return seen, seen[-1].answer


def test_parts_do_not_see_each_other_and_the_answer_sees_all() -> None:
    engine = ScriptedEngine(collect)
    seen, answer = run(engine, 3)
    assert answer.text == " ".join(f"WORD{n}" for n in range(12))
    total = len(cut(TEXT, engine))
    assert answer.coverage.complete and answer.coverage.fraction == 1.0
    assert answer.coverage.segments == total and len(answer.coverage.parts) == 3
    memories = [event for event in seen if isinstance(event, events.MemoryUpdated)]
    assert [event.segment.index for event in memories] == list(range(len(memories)))
    second = memories[total // 3]
    assert "WORD0" not in second.memory and "WORD4" in second.memory
    assert sum(event.counts.prompt_tokens for event in memories) < answer.counts.prompt_tokens


def test_a_text_of_one_segment_is_read_as_ever() -> None:
    engine = ScriptedEngine(collect)
    _, answer = run(engine, 4, "a WORD b.\n")
    assert answer.text == "WORD" and answer.coverage.parts == () and len(engine.requests) == 2


def test_a_section_says_where_it_comes_from_and_fits_the_budget() -> None:
    engine = ScriptedEngine(collect)
    long = " ".join(f"NOTE{n}" for n in range(40))
    found = sections([part(1, long), part(2, "short")], PROFILE, engine.tokenizer)
    assert found[0].segment.text.startswith("(part 1 of 3, lines 10–19)\n\n")
    together = "".join(each.segment.text for each in found if each.part.number == 1)
    assert together.endswith(long)
    assert all(each.segment.info.tokens <= PROFILE.budget.segment for each in found)
    assert [each.segment.info.index for each in found] == list(range(len(found)))
    assert found[-1].segment.text == "(part 2 of 3, lines 20–29)\n\nshort"
    assert found[-1].segment.info.span == part(2, "").span


def test_parts_that_noted_nothing_are_left_out_unless_all_did() -> None:
    engine = ScriptedEngine(collect)
    some = [part(1, "nothing yet"), part(2, "FOUND"), part(3, "unread", segments=0)]
    assert [each.part.number for each in sections(some, PROFILE, engine.tokenizer)] == [2]
    none = [part(1, "nothing yet"), part(2, "nothing yet")]
    assert {each.part.number for each in sections(none, PROFILE, engine.tokenizer)} == {1}
    assert sections([part(1, "x", segments=0)], PROFILE, engine.tokenizer) == []


def merged(parts: list[Part], stop_after: int | None = None) -> Answer:
    engine = ScriptedEngine(collect)
    found = sections(parts, PROFILE, engine.tokenizer)
    items: list[Segment | events.Stopping] = [each.segment for each in found]
    if stop_after is not None:
        items[stop_after:] = [events.Stopping()]
    made = merge("q", items, PROFILE, engine.frame, engine.tokenizer, parts=parts, sections=found, tokens=600)
    *_, (_, last) = drive(engine, [made])
    assert isinstance(last, events.Answered)
    return last.answer


def test_coverage_says_which_parts_were_read() -> None:
    cut_short = [
        part(1, "ONE"),
        part(2, "TWO", segments=1, complete=False),
        part(3, "", segments=0, complete=False),
    ]
    answer = merged(cut_short)
    assert answer.text == "ONE TWO" and not answer.coverage.complete
    assert [span.label() for span in answer.coverage.parts] == ["lines 10–19", "lines 20–29"]
    assert answer.coverage.tokens == 300 and answer.coverage.fraction == 0.5
    assert answer.coverage.segments == 3


def test_a_merging_that_is_stopped_counts_what_it_merged() -> None:
    answer = merged([part(1, "ONE"), part(2, "TWO"), part(3, "THREE")], stop_after=2)
    assert answer.text == "ONE TWO" and not answer.coverage.complete
    assert answer.coverage.tokens == 400 and len(answer.coverage.parts) == 2


def test_nothing_read_is_no_answer() -> None:
    assert merged([part(n, "", segments=0, complete=False) for n in (1, 2)]).text == ""


def test_lanes_abreast_end_as_one_after_the_other() -> None:
    engine = ScriptedEngine(collect)
    pieces = cut(TEXT, engine)
    halves = [pieces[: len(pieces) // 2], pieces[len(pieces) // 2 :]]
    flows = [lane("q", half, PROFILE, engine.frame, engine.tokenizer) for half in halves]
    ends = {n: e.answer for n, e in drive(engine, flows, width=2) if isinstance(e, events.Answered)}
    assert all(answer.text == "" for answer in ends.values())
    alone = [next(iter(drive(engine, [lane("q", [], PROFILE, engine.frame, engine.tokenizer)])))[1]]
    assert isinstance(alone[0], events.Answered) and alone[0].answer.memory == "nothing yet"
    words = list(itertools.chain(*(ends[n].memory.split() for n in (0, 1))))
    assert words == [f"WORD{n}" for n in range(12)]
