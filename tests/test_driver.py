"""The driver, against a scripted engine: order, several flows, loops that are cut short."""

from __future__ import annotations

import pytest

from memread import events, profile
from memread.driver import drive
from memread.engine.scripted import ScriptedEngine
from memread.errors import ContextTooSmall
from memread.loop import Flow, Progress, flow
from memread.types import Answer, Coverage, Locator, Request, Segment, SegmentInfo, Span, digest

PROFILE = profile.loads(
    """
    name = "test"
    [wording]
    update = "UPDATE {prompt} [{memory}] {chunk} |"
    answer = "ANSWER {prompt} [{memory}] |"
    """,
    "test",
)


def reading(engine: ScriptedEngine, question: str, texts: list[str]) -> Flow:
    here = Locator(line=1)
    segments = [
        Segment(SegmentInfo(i, len(text), Span(here, here), digest(text)), text)
        for i, text in enumerate(texts)
    ]
    return flow(question, segments, PROFILE, engine.frame, engine.tokenizer)


def collect(request: Request, prompt: str) -> str:
    """A reader that remembers every capitalized word."""
    memory, _, section = prompt.partition("[")[2].partition("]")
    words = [word for word in (memory + " " + section).split() if word.isupper()]
    return f"\\boxed{{{' '.join(words)}}}" if request.kind == "answer" else " ".join(words) or "nothing yet"


def test_one_flow_from_start_to_answer() -> None:
    engine = ScriptedEngine(collect)
    seen = [event for _, event in drive(engine, [reading(engine, "q", ["a RED b", "c", "d BLUE"])])]
    kinds = [type(event).__name__ for event in seen if not isinstance(event, events.Piece | events.Prefilled)]
    assert kinds == ["SegmentStarted", "MemoryUpdated"] * 3 + ["AnswerStarted", "Answered"]
    last = seen[-1]
    assert isinstance(last, events.Answered) and last.answer.text == "RED BLUE"


def test_many_flows_share_the_engine_and_none_sees_another() -> None:
    engine = ScriptedEngine(collect)
    made = (reading(engine, f"q{n}", [f"x WORD{n} y", "z"]) for n in range(7))
    seen = list(drive(engine, made, width=3))
    answers = {n: event.answer.text for n, event in seen if isinstance(event, events.Answered)}
    assert answers == {n: f"WORD{n}" for n in range(7)}


def test_flows_are_taken_only_as_they_are_needed() -> None:
    engine = ScriptedEngine(collect)
    made = []

    def many() -> object:
        for n in range(50):
            made.append(n)
            yield reading(engine, "q", ["A"])

    running = drive(engine, many(), width=2)  # type: ignore[arg-type]
    for _, event in running:
        if isinstance(event, events.Answered):
            break
    assert len(made) <= 3
    running.close()


def test_pieces_are_the_reply_and_progress_is_told() -> None:
    engine = ScriptedEngine(collect)
    seen = [event for _, event in drive(engine, [reading(engine, "q", ["one RED two GREEN"])])]
    pieces = "".join(event.text for event in seen if isinstance(event, events.Piece))
    assert pieces == "RED GREEN" + "\\boxed{RED GREEN}"
    assert sum(isinstance(event, events.Prefilled) for event in seen) == 2


def test_a_reply_that_repeats_itself_is_cut_short() -> None:
    def stuck(request: Request, prompt: str) -> str:
        return "and so on " * 5000 if "BAD" in prompt else "fine"

    engine = ScriptedEngine(stuck)
    seen = [event for _, event in drive(engine, [reading(engine, "q", ["GOOD", "BAD", "GOOD"])])]
    assert len([event for event in seen if isinstance(event, events.Piece)]) < 1000
    outcomes = [event.outcome for event in seen if isinstance(event, events.MemoryUpdated)]
    assert outcomes == ["updated", "kept", "unchanged"]


def test_no_flows_no_events() -> None:
    assert list(drive(ScriptedEngine(collect), [])) == []


def test_a_request_that_cannot_fit_is_raised_in_the_flow_that_made_it() -> None:
    class Small(ScriptedEngine):
        def submit(self, ticket: int, request: Request) -> None:
            if "LONG" in "".join(part.text for part in request.prompt):
                raise ContextTooSmall("too long")
            super().submit(ticket, request)

    engine = Small(collect)

    def careful(texts: list[str]) -> Flow:
        try:
            return (yield from reading(engine, "q", texts))
        except ContextTooSmall:
            return Answer("does not fit", False, "", "", Coverage(0, 0, False))

    seen = list(drive(engine, [careful(["LONG"]), careful(["a RED b"])], width=2))
    answers = {n: event.answer.text for n, event in seen if isinstance(event, events.Answered)}
    assert answers == {0: "does not fit", 1: "RED"}
    with pytest.raises(ContextTooSmall, match="too long"):
        list(drive(engine, [reading(engine, "q", ["LONG"])]))


def order(engine: ScriptedEngine, flows: list[Flow]) -> list[tuple[int, str, int]]:
    """(flow, kind of event, segment) of the events that borders are made of."""
    return [
        (number, type(event).__name__, event.segment.index)
        for number, event in drive(engine, flows, width=len(flows), abreast=True)
        if isinstance(event, events.SegmentStarted | events.MemoryUpdated)
    ]


def test_flows_abreast_begin_a_segment_together() -> None:
    engine = ScriptedEngine(collect)
    # Replies of different length: one flow would otherwise run away from the other.
    flows = [reading(engine, "q", ["A" * 400, "B", "C"]), reading(engine, "q", ["A", "B", "C"])]
    seen = order(engine, flows)
    for index in range(3):
        done = [at for at, (_, kind, n) in enumerate(seen) if kind == "MemoryUpdated" and n < index]
        begun = [at for at, (_, kind, n) in enumerate(seen) if kind == "SegmentStarted" and n == index]
        assert len(begun) == 2 and (not done or max(done) < min(begun))


def test_a_flow_that_is_ahead_waits_for_the_others() -> None:
    engine = ScriptedEngine(collect)
    ahead = reading(engine, "q", ["A", "B", "C", "D"])
    here = Locator(line=1)
    rest = [Segment(SegmentInfo(2, 1, Span(here, here), digest("C")), "C")]
    resumed = flow("q", rest, PROFILE, engine.frame, engine.tokenizer, Progress("A B", segments=2))
    updates = [
        (number, index) for number, kind, index in order(engine, [resumed, ahead]) if kind == "MemoryUpdated"
    ]
    assert updates.index((0, 2)) > updates.index((1, 1))
    assert updates[-1] == (1, 3)  # and the flow that has answered holds nobody up
