"""Every way to answer, with scripted readers: what it shows the model, and what comes of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import msgspec
import pytest

from memread import events
from memread.driver import drive
from memread.engine.scripted import Script, ScriptedEngine
from memread.errors import ContextTooSmall, UsageError
from memread.eval.item import Item
from memread.eval.methods import METHODS, Setup, Text, chosen, search, wording
from memread.types import Answer, Request
from tests.eval import readers


@dataclasses.dataclass
class Run:
    answer: Answer
    events: list[events.Event]
    prompts: list[str]
    text: Text


def run(name: str, item: Item, script: Script = readers.perfect, window: int = 4096) -> Run:
    engine = ScriptedEngine(script)
    text = Text(item, engine.tokenizer)
    flow = METHODS[name].flow(item, text, readers.setup(engine, window))
    happened = [event for _, event in drive(engine, [flow])]
    last = happened[-1]
    assert isinstance(last, events.Answered)
    prompts = ["".join(part.text for part in request.prompt) for request in engine.requests]
    return Run(last.answer, happened, prompts, text)


@pytest.mark.parametrize("name", METHODS)
def test_a_perfect_reader_answers_by_every_method(name: str) -> None:
    item = readers.item(needles={"rome": "4711", "oslo": "1234"}, at=(7, 31))
    made = run(name, item)
    assert {"4711", "1234"} <= set(made.answer.text.replace("\n", " ").replace(".", "").split())
    assert all(item.question in prompt for prompt in made.prompts)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_reads_the_whole_text_and_says_where_the_evidence_is(name: str) -> None:
    item = readers.item()
    made = run(name, item)
    assert made.answer.coverage.tokens == made.text.tokens
    assert made.text.tokens == ScriptedEngine(readers.deaf).tokenizer.count(
        "".join(passage.text for passage in item.text())
    )
    ((place, *_),) = made.text.places
    assert place >= 0


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_a_function_of_the_replies_alone(name: str) -> None:
    first, second = (run(name, readers.item(), readers.forgetful(20)) for _ in range(2))
    assert first.prompts == second.prompts and first.answer == second.answer


@pytest.mark.parametrize("name", ["memread", "skim", "refine", "mapreduce", "notes"])
def test_a_method_that_reads_in_segments_tells_of_each(name: str) -> None:
    made = run(name, readers.item())
    steps = [event for event in made.events if isinstance(event, events.MemoryUpdated)]
    assert [step.segment.index for step in steps] == list(range(made.answer.coverage.segments))
    assert len(steps) >= 5
    assert sum(step.segment.tokens for step in steps) == made.text.tokens


@pytest.mark.parametrize("name", ["memread", "refine", "mapreduce", "notes"])
def test_rejected_replies_are_tried_again_and_told(name: str) -> None:
    made = run(name, readers.item(), readers.babbling)
    rejected = [event for event in made.events if isinstance(event, events.ReplyRejected)]
    assert len(rejected) == 2 * made.answer.coverage.segments
    assert made.answer.coverage.kept == made.answer.coverage.segments


@pytest.mark.parametrize("name", ["full", "truncate"])
def test_a_text_that_fits_is_shown_whole(name: str) -> None:
    item = readers.item()
    made = run(name, item)
    (prompt,) = made.prompts
    assert "".join(passage.text for passage in item.text()).strip() in prompt
    assert made.answer.coverage.complete


def test_full_refuses_what_does_not_fit_before_it_has_read_it() -> None:
    item = readers.item(lines=4000)
    engine = ScriptedEngine(readers.perfect)
    text = Text(item, engine.tokenizer)
    with pytest.raises(ContextTooSmall):
        list(METHODS["full"].flow(item, text, readers.setup(engine, 500)))
    assert text.tokens < 4000


def test_truncate_keeps_both_ends_and_drops_the_middle() -> None:
    made = run("truncate", readers.item(lines=400, at=(200,)), window=1000)
    (prompt,) = made.prompts
    assert "Paragraph 1 " in prompt and "Paragraph 400 " in prompt and "4711" not in prompt
    assert not made.answer.coverage.complete
    shown = readers.part(prompt, "text")
    assert 600 < ScriptedEngine(readers.deaf).tokenizer.count(shown) < 1000 - 20


def test_bm25_finds_the_needle_anywhere_and_keeps_the_order_of_the_text() -> None:
    item = readers.item(needles={"rome": "4711", "oslo": "1234"}, at=(320, 30), lines=400)
    made = run("bm25", item)
    (prompt,) = made.prompts
    assert made.answer.text.split() == ["1234", "4711"]
    assert ScriptedEngine(readers.deaf).tokenizer.count(readers.part(prompt, "text")) <= 60


def test_skim_asks_the_model_for_the_answer_alone() -> None:
    item = readers.item(needles={"rome": "4711", "oslo": "1234"}, at=(320, 30), lines=400)
    made = run("skim", item)
    (prompt,) = made.prompts
    memories = [event.memory for event in made.events if isinstance(event, events.MemoryUpdated)]
    assert memories[0] == "Nothing." and memories[-1] == readers.part(prompt, "memory")
    assert memories[-1].split("\n") == ["The code of oslo is 1234.", "The code of rome is 4711."]
    assert made.answer.coverage.complete and made.answer.coverage.segments == len(memories) > 50


def test_search_takes_what_fits_in_order() -> None:
    passages = ["cats sleep", "a dog barks", "cats and a dog", "fish swim"]
    assert search.best("dog", passages, [2, 2, 2, 2], 4) == [1, 2]
    assert search.best("dog", passages, [2, 2, 2, 2], 100) == [0, 1, 2, 3]
    assert search.best("unheard of", passages, [2, 2, 2, 2], 4) == [0, 1]
    assert search.best("", passages, [2, 2, 2, 2], 4) == [0, 1]
    assert search.best("the", ["the", "a"], [5, 5], 6) == [0]  # nothing but stop words
    assert search.best("dog", ["dog " * 9, "dog", "x"], [9, 1, 1], 2) == [1, 2]  # too large is passed over


def test_mapreduce_combines_level_by_level_and_shows_no_prompt_too_long() -> None:
    names = {f"city{n}": f"{1000 + n}" for n in range(24)}
    item = readers.item(needles=names, at=tuple(range(3, 3 + 8 * 24, 8)), lines=220)

    def brief(request: Request, prompt: str) -> str:
        """As perfect, but combining keeps the last two facts only, so that levels are needed."""
        facts = readers.seen(prompt)
        if request.kind == "answer":
            return readers.answer(facts)
        return "\n".join(facts if readers.part(prompt, "section") else facts[-2:]) or "NONE"

    made = run("mapreduce", item, brief)
    combining = [prompt for prompt in made.prompts if "<findings>" in prompt]
    assert len(combining) > 5
    words = ScriptedEngine(readers.deaf).tokenizer
    assert all(words.count(readers.part(prompt, "findings")) <= 60 for prompt in combining)
    assert made.answer.text.split()[-1] == "1023"


def test_findings_that_cannot_be_combined_are_not_lost_altogether() -> None:
    names = {f"city{n}": f"{1000 + n}" for n in range(12)}
    item = readers.item(needles=names, at=tuple(range(3, 3 + 8 * 12, 8)), lines=120)

    def stuck(request: Request, prompt: str) -> str:
        if request.kind == "update" and readers.part(prompt, "findings"):
            return "and so on " * 300
        return readers.perfect(request, prompt)

    assert "1011" in run("mapreduce", item, stuck).answer.text


def test_notes_are_kept_for_ever_and_looked_up() -> None:
    names = {f"city{n}": f"{1000 + n}" for n in range(24)}
    item = readers.item(needles=names, at=tuple(range(3, 3 + 8 * 24, 8)), lines=220)
    item = msgspec.structs.replace(item, question="What is the code of city2?", answers=("1002",))
    made = run("notes", item)
    shown = readers.part(made.prompts[-1], "notes")
    assert "city2 is 1002" in shown
    assert ScriptedEngine(readers.deaf).tokenizer.count(shown) <= 60


def test_costs_grow_with_the_text_and_single_contexts_stop_at_the_window() -> None:
    setup = readers.setup(ScriptedEngine(readers.deaf), 1000)
    for method in METHODS.values():
        small, large = method.cost(500, setup), method.cost(500_000, setup)
        grows = method.name in ("memread", "refine", "mapreduce", "notes")
        assert (large.prompt_tokens > 500_000) == grows
        assert large.prompt_tokens >= small.prompt_tokens > 0
    longest = METHODS["full"].longest(setup)
    assert longest is not None and 0 < longest < 1000


@pytest.mark.parametrize("name", METHODS)
def test_cost_is_near_what_is_spent(name: str) -> None:
    item = readers.item(lines=100)
    setup: Setup = readers.setup(ScriptedEngine(readers.deaf))
    made = run(name, item)
    expected = METHODS[name].cost(made.text.tokens, setup).prompt_tokens
    assert expected / 8 < made.answer.counts.prompt_tokens < 4 * expected


def test_methods_are_chosen_by_name() -> None:
    assert [method.name for method in chosen("bm25, memread,bm25")] == ["bm25", "memread"]
    assert len(chosen("all")) == 8
    for bad in ("memraed", "", ","):
        with pytest.raises(UsageError):
            chosen(bad)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("{text}\n", "{txt}\n", 1),
        lambda text: text.replace("[notes]", "[note]"),
        lambda text: text.replace("{answer}", ""),
        lambda text: text + "\nmore = 1",
        lambda text: text.replace("{question}\n", "{question\n", 1),
    ],
)
def test_wording_that_is_not_whole_is_refused(change: Callable[[str], str]) -> None:
    from importlib import resources

    text = resources.files("memread.eval").joinpath("data/methods.toml").read_text(encoding="utf-8")
    assert wording.loads(text).digest == wording.shipped().digest
    with pytest.raises(ValueError):
        wording.loads(change(text))
