"""The workflow, driven by hand with `.send`."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from memread import events, profile, prompts
from memread.engine.scripted import Words
from memread.loop import NOTHING_NEAR, Flow, Progress, flow, unbox
from memread.types import (
    Answer,
    ChatFrame,
    Finish,
    Locator,
    Reply,
    Request,
    Segment,
    SegmentInfo,
    Skipped,
    Span,
    digest,
)

FRAME = ChatFrame("<user>", "<assistant>")
WORDS = Words()
PROFILE = profile.loads(
    """
    name = "test"
    [wording]
    update = "Q: {prompt} M: {memory} S: {chunk} {{}}"
    answer = "Q: {prompt} M: {memory}"
    [budget]
    memory = 50
    answer = 20
    """,
    "test",
)


def segment(index: int, text: str) -> Segment:
    span = Span(Locator(line=index + 1), Locator(line=index + 1))
    return Segment(SegmentInfo(index, len(text.split()), span, digest(text), (index + 1) / 3), text)


def run(
    reading: Flow, reply: Callable[[Request], Reply | str]
) -> tuple[Answer, list[Request], list[events.Event]]:
    requests, seen = [], []
    answer: Reply | None = None
    try:
        while True:
            item = reading.send(answer)
            answer = None
            if isinstance(item, Request):
                requests.append(item)
                made = reply(item)
                answer = made if isinstance(made, Reply) else Reply(made, "stop")
            else:
                seen.append(item)
    except StopIteration as end:
        return end.value, requests, seen


def message(request: Request) -> str:
    return "".join(part.text for part in request.prompt if not part.marker)


TEXTS = ["Ahab lost a leg.", "The whale is white.", "The ship sank."]


def reading(start: Progress | None = None) -> Flow:
    return flow("who?", [segment(i, text) for i, text in enumerate(TEXTS)], PROFILE, FRAME, WORDS, start)


def test_each_segment_is_an_independent_conversation_and_the_reply_replaces_the_memory() -> None:
    replies = iter(["m1", "m2", "m3", "It is \\boxed{Ahab}."])
    answer, requests, seen = run(reading(), lambda _: next(replies))
    assert [message(request) for request in requests] == [
        "Q: who? M: No previous memory S: Ahab lost a leg. {}",
        "Q: who? M: m1 S: The whale is white. {}",
        "Q: who? M: m2 S: The ship sank. {}",
        "Q: who? M: m3",
    ]
    assert [request.max_tokens for request in requests] == [50, 50, 50, 20]
    assert (answer.text, answer.boxed, answer.memory) == ("Ahab", True, "m3")
    assert answer.coverage.complete and answer.coverage.segments == 3 and answer.coverage.tokens == 11
    updates = [event for event in seen if isinstance(event, events.MemoryUpdated)]
    assert [update.memory for update in updates] == ["m1", "m2", "m3"]


def test_braces_in_text_and_memory_are_letters() -> None:
    replies = iter(["{chunk} {prompt}", "x"])
    _, requests, _ = run(
        flow("{memory}?", [segment(0, "{memory} {}")], PROFILE, FRAME, WORDS), lambda _: next(replies)
    )
    assert message(requests[0]) == "Q: {memory}? M: No previous memory S: {memory} {} {}"
    assert message(requests[1]) == "Q: {memory}? M: {chunk} {prompt}"


@pytest.mark.parametrize(
    ("text", "finish"), [("", "stop"), ("a b", "length"), ("la " * 99, "stop"), ("x", "loop")]
)
def test_a_rejected_reply_is_tried_once_more_then_the_old_memory_is_kept(text: str, finish: Finish) -> None:
    bad = Reply(text, finish)
    replies = iter(["m1", bad, bad, "m3", "done"])
    answer, requests, seen = run(reading(), lambda _: next(replies))
    rejected = [event for event in seen if isinstance(event, events.ReplyRejected)]
    assert [(event.segment.index, event.attempt) for event in rejected] == [(1, 0), (1, 1)]
    assert requests[2].sampling.temperature > 0 == requests[1].sampling.temperature
    updates = [event for event in seen if isinstance(event, events.MemoryUpdated)]
    assert [(update.memory, update.outcome) for update in updates] == [
        ("m1", "updated"),
        ("m1", "kept"),
        ("m3", "updated"),
    ]
    assert updates[1].reason
    assert answer.coverage.kept == 1 and answer.coverage.segments == 3


def test_a_good_retry_is_taken() -> None:
    replies = iter(["m1", "", "m2", "m3", "done"])
    _, _, seen = run(reading(), lambda _: next(replies))
    assert [e.memory for e in seen if isinstance(e, events.MemoryUpdated)] == ["m1", "m2", "m3"]


def test_a_memory_may_be_said_to_stay() -> None:
    wording = msgspec.structs.replace(PROFILE.wording, unchanged="Same")
    taught = msgspec.structs.replace(PROFILE, wording=wording)
    segments = [segment(i, text) for i, text in enumerate(TEXTS)]
    replies = iter(["m1", "Same\n", "Same m2", "done"])
    _, requests, seen = run(flow("who?", segments, taught, FRAME, WORDS), lambda _: next(replies))
    updates = [e for e in seen if isinstance(e, events.MemoryUpdated)]
    assert [(e.memory, e.outcome) for e in updates] == [
        ("m1", "updated"),
        ("m1", "unchanged"),
        ("Same m2", "updated"),
    ]
    assert "M: m1 S:" in message(requests[2])
    # What the reply is likeliest to begin with is that nothing changes; the memory is still copied from.
    assert [r.rewrites for r in requests[:3]] == ["Same"] * 3
    assert requests[1].quotes == (TEXTS[1], "m1", "who?")
    # Who was not taught it may have it in the memory.
    replies = iter(["m1", "Same", "m3", "done"])
    _, _, seen = run(flow("who?", segments, PROFILE, FRAME, WORDS), lambda _: next(replies))
    assert [e.memory for e in seen if isinstance(e, events.MemoryUpdated)] == ["m1", "Same", "m3"]


def test_lines_below_the_word_for_the_old_memory_come_to_it() -> None:
    wording = msgspec.structs.replace(PROFILE.wording, unchanged="Same")
    budget = msgspec.structs.replace(PROFILE.budget, memory=9)
    taught = msgspec.structs.replace(PROFILE, wording=wording, budget=budget)
    texts = [*TEXTS, "Call me Ishmael.", "The end."]
    segments = [segment(i, text) for i, text in enumerate(texts)]
    said = ["Same\na b", "Same \n c\n\na b\nc\nSame", "Same\ng h i", "Same\nd e", "a\nnew\nSame", "done"]
    replies = iter(said)
    _, requests, seen = run(flow("who?", segments, taught, FRAME, WORDS), lambda _: next(replies))
    updates = [e for e in seen if isinstance(e, events.MemoryUpdated)]
    assert [(e.memory, e.outcome) for e in updates] == [
        ("a b", "updated"),  # nothing was known
        ("a b\nc", "updated"),  # no line twice
        ("c\ng h i", "updated"),  # the oldest gives way
        ("g h i\nd e", "updated"),
        ("a\nnew", "updated"),  # written anew
    ]
    assert len(requests) == len(said)


def test_sentences_like_the_question_come_to_the_memory_whatever_the_model_says() -> None:
    wording = msgspec.structs.replace(PROFILE.wording, unchanged="Same")
    taught = msgspec.structs.replace(PROFILE, wording=wording, nearest=2)
    segments = [
        segment(0, "It rained. The ship was named Rachel."),
        segment(1, "The ship sank off Nantucket."),
    ]

    def memories(question: str) -> list[tuple[str, str]]:
        replies = iter(["Same", "Same\nsank off Nantucket", "done"])
        _, _, seen = run(flow(question, segments, taught, FRAME, WORDS), lambda _: next(replies))
        return [(e.memory, e.outcome) for e in seen if isinstance(e, events.MemoryUpdated)]

    assert memories("How was the ship named that sank?") == [
        ("The ship was named Rachel.", "updated"),
        ("The ship was named Rachel.\nThe ship sank off Nantucket.", "updated"),
    ]
    # A request for a summary is like no sentence.
    assert memories(taught.wording.summary)[0] == ("No previous memory", "unchanged")


def test_a_skim_keeps_what_is_nearest_and_asks_the_model_for_the_answer_alone() -> None:
    ship, lamps = "The ship sank off Nantucket in fog at night.", "A fog needs lamps."
    skimming = msgspec.structs.replace(PROFILE, skim=True)
    segments = [
        segment(i, text) for i, text in enumerate([f"It rained. {ship}", " ", f"{lamps} Nobody slept."])
    ]
    question = "Which ship sank off Nantucket in fog at night?"
    answer, requests, seen = run(flow(question, segments, skimming, FRAME, WORDS), lambda _: "none")
    updates = [(e.memory, e.outcome) for e in seen if isinstance(e, events.MemoryUpdated)]
    # With no number in the profile, lines that have less in common with the question stay too.
    assert updates == [(ship, "updated"), (ship, "unchanged"), (f"{ship}\n{lamps}", "updated")]
    (request,) = requests
    assert request.kind == "answer" and answer.memory in message(request)
    assert answer.coverage.complete and answer.coverage.segments == 3 and answer.coverage.kept == 0
    few = msgspec.structs.replace(skimming, nearest=3)
    shorter, _, _ = run(flow(question, segments, few, FRAME, WORDS), lambda _: "none")
    assert shorter.memory == ship


def test_a_skim_keeps_to_the_memory_limit_and_drops_the_farthest() -> None:
    budget = msgspec.structs.replace(PROFILE.budget, memory=15)
    skimming = msgspec.structs.replace(PROFILE, skim=True, budget=budget)
    texts = [f"The ship met fog number {n}." for n in range(6)] + ["The ship sank off Nantucket in fog."]
    segments = [segment(i, text) for i, text in enumerate(texts)]
    question = "Did the ship sink off Nantucket in fog?"
    answer, _, seen = run(flow(question, segments, skimming, FRAME, WORDS), lambda _: "yes")
    updates = [e for e in seen if isinstance(e, events.MemoryUpdated)]
    assert all(0 < WORDS.count(update.memory) <= 15 for update in updates)
    assert answer.memory == texts[-1]


def test_a_skim_that_finds_nothing_says_so() -> None:
    skimming = msgspec.structs.replace(PROFILE, skim=True)
    segments = [segment(i, text) for i, text in enumerate(TEXTS)]
    answer, requests, seen = run(flow("Who is Ishmael?", segments, skimming, FRAME, WORDS), lambda _: "?")
    assert [e.message for e in seen if isinstance(e, events.Notice)] == [NOTHING_NEAR]
    assert answer.memory == "No previous memory" and len(requests) == 1
    _, _, seen = run(flow("What is white?", segments, skimming, FRAME, WORDS), lambda _: "?")
    assert not [e for e in seen if isinstance(e, events.Notice)]
    nothing, requests, _ = run(flow("What is white?", [], skimming, FRAME, WORDS), lambda _: "?")
    assert (nothing.text, requests) == ("", [])


def test_what_a_skim_takes_for_enough() -> None:
    """Two words in common, where the profile has a number; else one, and what is far gives way in the end."""
    segments = [segment(0, "The judge was the King."), segment(1, "The jury slept at night.")]
    for count, kept in ((3, "No previous memory"), (0, "The judge was the King.")):
        skimming = msgspec.structs.replace(PROFILE, skim=True, nearest=count)
        asked = flow("Who was judge at the trial?", segments, skimming, FRAME, WORDS)
        answer, _, seen = run(asked, lambda _: "?")
        assert answer.memory == kept
        assert any(isinstance(event, events.Notice) for event in seen) == (count > 0)


def test_a_skim_is_stopped_between_segments() -> None:
    skimming = msgspec.structs.replace(PROFILE, skim=True)
    items = [segment(0, TEXTS[0]), events.Stopping(), segment(1, TEXTS[1])]
    answer, requests, seen = run(flow("Who lost a leg?", items, skimming, FRAME, WORDS), lambda _: "Ahab")
    assert (answer.memory, answer.coverage.segments) == ("Ahab lost a leg.", 1)
    assert not answer.coverage.complete and len(requests) == 1
    assert sum(isinstance(e, events.Stopping) for e in seen) == 1


def test_a_line_that_alone_is_too_long_is_refused() -> None:
    wording = msgspec.structs.replace(PROFILE.wording, unchanged="Same")
    budget = msgspec.structs.replace(PROFILE.budget, memory=4)
    taught = msgspec.structs.replace(PROFILE, wording=wording, budget=budget)
    long = "Same\none two three four five six"
    replies = iter([long, long, "done"])
    _, _, seen = run(flow("who?", [segment(0, "text")], taught, FRAME, WORDS), lambda _: next(replies))
    (update,) = (e for e in seen if isinstance(e, events.MemoryUpdated))
    assert update.outcome == "kept" and "limit" in update.reason


def test_a_memory_of_quotations_is_asked_for() -> None:
    bound = msgspec.structs.replace(PROFILE, verbatim=True)
    segments = [segment(i, text) for i, text in enumerate(TEXTS)]
    _, requests, _ = run(flow("who?", segments, bound, FRAME, WORDS), lambda _: "leg")
    first, second, _, answer = requests
    assert first.verbatim == (TEXTS[0], "") and second.verbatim == (TEXTS[1], "leg")
    assert first.words == ("No previous memory",) and answer.verbatim == ()
    _, requests, _ = run(reading(), lambda _: "leg")
    assert not any(request.verbatim for request in requests)


def test_whether_an_answer_refuses_is_decided_by_its_probability() -> None:
    wording = msgspec.structs.replace(PROFILE.wording, unsaid="not there")
    doubting = msgspec.structs.replace(PROFILE, wording=wording, unsaid_from=0.25)
    segments = [segment(i, text) for i, text in enumerate(TEXTS)]
    _, requests, _ = run(flow("who?", segments, doubting, FRAME, WORDS), lambda _: "leg")
    *updates, answer = requests
    assert (answer.refusal, answer.refused_from) == (("\\boxed{", "not there}"), 0.25)
    assert not any(request.refusal for request in updates)
    assert not any(request.refusal for request in run(reading(), lambda _: "leg")[1])


def test_each_line_of_the_memory_is_asked_by_itself_too() -> None:
    wording = msgspec.structs.replace(PROFILE.wording, unsaid="not there")
    weighing = msgspec.structs.replace(PROFILE, wording=wording, likely_from=0.25)
    segments = [segment(i, text) for i, text in enumerate(TEXTS)]
    for memory, lines in (("leg", 1), ("a leg\nof oak\nnew", 3)):
        _, requests, _ = run(flow("who?", segments, weighing, FRAME, WORDS), lambda _, memory=memory: memory)
        *updates, answer = requests
        assert answer.refusal == ("\\boxed{", "not there}") and answer.likely_from == 0.25
        assert not any(request.likely_from or request.beside for request in updates)
        assert len(answer.beside) == lines
        for line, (part, asked) in zip(memory.split("\n"), answer.beside, strict=True):
            assert part == line
            assert asked == prompts.answer(weighing, FRAME, question="who?", memory=line)


def test_seeds_depend_on_what_is_read_and_not_on_when() -> None:
    _, first, _ = run(reading(), lambda _: "m")
    _, second, _ = run(reading(), lambda _: "m")
    seeds = [request.sampling.seed for request in first]
    assert seeds == [request.sampling.seed for request in second] and len(set(seeds)) == len(seeds)
    start = Progress("m", segments=1)
    _, resumed, _ = run(flow("who?", [segment(1, TEXTS[1])], PROFILE, FRAME, WORDS, start), lambda _: "m")
    assert resumed[0].sampling.seed == seeds[1]


def test_cancelled_means_an_answer_from_what_was_read() -> None:
    replies = iter(["m1", Reply("half a mem", "cancelled"), "\\boxed{so far}"])
    answer, requests, seen = run(reading(), lambda _: next(replies))
    assert answer.text == "so far" and answer.memory == "m1"
    assert not answer.coverage.complete and answer.coverage.segments == 1
    assert any(isinstance(event, events.Stopping) for event in seen)
    assert message(requests[-1]) == "Q: who? M: m1"


def test_stopped_before_anything_was_read_there_is_no_answer() -> None:
    answer, requests, _ = run(flow("who?", [events.Stopping()], PROFILE, FRAME, WORDS), lambda _: "m")
    assert answer.text == "" and not requests and not answer.coverage.complete


def test_blank_sections_cost_nothing() -> None:
    answer, requests, seen = run(flow("q", [segment(0, " \n\n ")], PROFILE, FRAME, WORDS), lambda _: "m")
    assert [request.kind for request in requests] == ["answer"]
    assert any(isinstance(e, events.MemoryUpdated) and e.outcome == "unchanged" for e in seen)
    assert answer.coverage.segments == 1


def test_skipped_parts_are_counted() -> None:
    skipped = Skipped(Locator(page="3"), "no text layer")
    answer, _, seen = run(flow("q", [segment(0, "x"), skipped], PROFILE, FRAME, WORDS), lambda _: "m")
    assert answer.coverage.skipped == 1 and skipped in seen


def test_thoughts_are_not_memory() -> None:
    replies = iter(["<think>hm, \\boxed{no}</think>m1", "<think>never closed", "m2", "m3", "done"])
    _, _, seen = run(reading(), lambda _: next(replies))
    assert [e.memory for e in seen if isinstance(e, events.MemoryUpdated)] == ["m1", "m2", "m3"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\\boxed{42}", ("42", True)),
        ("So \\boxed{f(\\{x\\}) = {1}} ok", ("f(\\{x\\}) = {1}", True)),
        ("\\boxed{no} then \\boxed{yes}", ("yes", True)),
        ("\\boxed{first} and \\boxed{cut off", ("first", True)),
        ("\\boxed{}", ("\\boxed{}", False)),
        ("plain", ("plain", False)),
    ],
)
def test_unbox(text: str, expected: tuple[str, bool]) -> None:
    assert unbox(text) == expected
