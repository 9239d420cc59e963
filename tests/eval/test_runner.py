"""Items and arms to results: complete, resumable at every point, and never an engine's fault as an answer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from memread.engine.scripted import Script, ScriptedEngine
from memread.errors import DamagedDocument, EngineFailed, FileMissing, FileUnreadable, UsageError
from memread.eval.arms import arms, swept
from memread.eval.item import Item
from memread.eval.methods import METHODS, chosen
from memread.eval.results import Result, ResultFile, read
from memread.eval.runner import Runner, Told
from memread.protocols import Output
from memread.types import Passage, Request
from tests.eval import readers

ITEMS = [readers.item(n, at=(5 + 7 * n,)) for n in range(4)]


class Dies(Exception):
    """The process was killed."""


class Mortal(ScriptedEngine):
    """Is killed after so many replies."""

    def __init__(self, script: Script, lives: int) -> None:
        super().__init__(script)
        self.lives = lives

    def submit(self, ticket: int, request: Request) -> None:
        if not self.lives:
            raise Dies
        self.lives -= 1
        super().submit(ticket, request)


class Fragile(ScriptedEngine):
    """Fails at every prompt with a certain word, as llama.cpp does: what runs is stuck until it is ended."""

    def __init__(self, script: Script, word: str) -> None:
        super().__init__(script)
        self.word = word

    def step(self) -> Sequence[Output]:
        prompts = ("".join(part.text for part in request.prompt) for _, request in self._waiting[:1])
        if self._finish != "cancelled" and any(self.word in prompt for prompt in prompts):
            raise EngineFailed("llama.cpp failed while reading (code -3)")
        return super().step()


def run(
    path: Path,
    script: Script = readers.perfect,
    *,
    items: Sequence[Item] = ITEMS,
    methods: str = "memread",
    engine: ScriptedEngine | None = None,
    width: int = 1,
    abreast: bool = False,
    window: int = 4096,
    sweeps: Sequence[str] = (),
) -> list[Told]:
    told: list[Told] = []
    with ResultFile(path) as file:
        made = engine or ScriptedEngine(script)
        runner = Runner(
            made,
            file,
            window=window,
            trained=8192,
            width=width,
            abreast=abreast,
            tell=told.append,
            command="test",
        )
        runner.run(items, arms(chosen(methods), readers.PROFILE, sweeps))
        file.close(complete=True)
    return told


def lines(path: Path) -> list[dict[str, Any]]:
    """The file without what may differ."""
    found = [json.loads(line) for line in path.read_bytes().splitlines()]
    for line in found:
        del line["timing"]
    return found


def test_a_perfect_reader_scores_all(tmp_path: Path) -> None:
    path = tmp_path / "out" / "results.jsonl"
    told = run(path, methods="all", width=3)
    results, notices = read(path)
    assert not notices and len(results) == len(ITEMS) * len(METHODS)
    assert {result.score for result in results} == {1.0}
    assert {result.diagnosis.cause for result in results if result.diagnosis} == {"right"}
    assert sum(event.kind == "result" for event in told) == len(results)
    assert sorted(child.name for child in path.parent.iterdir()) == ["results.jsonl"]


def test_questions_about_one_text_go_through_it_side_by_side(tmp_path: Path) -> None:
    """Nobody is at the next section before the others: so an engine can read each once."""
    same = [
        msgspec.structs.replace(readers.item(0, needles={"rome": "4711", "oslo": "12"}, at=(3, 9)), id=str(n))
        for n in range(5)
    ]
    apart, together = ScriptedEngine(readers.perfect), ScriptedEngine(readers.perfect)
    run(tmp_path / "apart", items=same, engine=apart, width=2)
    run(tmp_path / "together", items=same, engine=together, width=2, abreast=True)
    assert {line["score"] for line in lines(tmp_path / "together")} == {1.0}
    assert sorted(map(str, lines(tmp_path / "together"))) == sorted(map(str, lines(tmp_path / "apart")))
    sections = [
        readers.part("".join(part.text for part in request.prompt), "section")
        for request in together.requests
        if request.kind == "update"
    ]
    many = len(set(sections))
    # Two questions, two, and the one that is left.
    pairs, rest = sections[: 4 * many], sections[4 * many :]
    assert pairs[::2] == pairs[1::2] and len(rest) == many


def test_a_line_has_all_that_is_needed_to_make_it_again(tmp_path: Path) -> None:
    run(tmp_path / "r", items=ITEMS[:1])
    ((result,), _) = read(tmp_path / "r")
    assert (result.item, result.seed, result.question) == (ITEMS[0].id, 7, ITEMS[0].question)
    assert result.answers == ("4711",) and result.prediction == "4711" and result.raw == "\\boxed{4711}"
    assert result.settings["budget"]["segment"] == 60 and result.settings["profile"] == "test"
    assert result.weights == "sha256:scripted" and result.build == "scripted 1"
    assert {"memread", "python", "llama-cpp-python"} <= set(result.versions)
    assert result.command == "test" and result.tokens > 300 and result.segments > 5
    assert result.prompt_tokens > result.tokens and result.timing.finished
    (at, memory), *rest = result.memories
    assert not rest or "4711" in rest[-1][1]
    assert at >= 0 and memory


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("lives", [1, 8])
def test_killed_anywhere_and_gone_on_with_it_is_as_if_nothing_had_been(
    tmp_path: Path, method: str, lives: int
) -> None:
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    run(whole, readers.forgetful(20), methods=method)
    with pytest.raises(Dies):
        while True:  # killed again and again
            run(torn, methods=method, engine=Mortal(readers.forgetful(20), lives))
            if lines(torn) == lines(whole):
                raise Dies
    engine = ScriptedEngine(readers.forgetful(20))
    run(torn, methods=method, engine=engine)
    assert lines(torn) == lines(whole)


def test_what_was_read_is_not_read_again(tmp_path: Path) -> None:
    first, second = Mortal(readers.perfect, 11), ScriptedEngine(readers.perfect)
    with pytest.raises(Dies):
        run(tmp_path / "r", engine=first, width=2)
    run(tmp_path / "r", engine=second, width=2)
    undisturbed = ScriptedEngine(readers.perfect)
    run(tmp_path / "other", engine=undisturbed, width=2)
    # A reply that was on its way when it was killed is asked for again: two at a time at most.
    assert len(first.requests) + len(second.requests) <= len(undisturbed.requests) + 2
    assert sorted(map(str, lines(tmp_path / "r"))) == sorted(map(str, lines(tmp_path / "other")))


def test_done_items_are_skipped_and_other_settings_are_other_measurements(tmp_path: Path) -> None:
    run(tmp_path / "r")
    assert {event.kind for event in run(tmp_path / "r")} == {"skipped"}
    run(tmp_path / "r", sweeps=["memory=16,32"])
    results, _ = read(tmp_path / "r")
    assert [result.variant for result in results] == [""] * 4 + ["memory=16", "memory=32"] * 4
    assert {result.settings["budget"]["memory"] for result in results} == {40, 16, 32}


def test_a_text_that_changed_is_read_from_there_on(tmp_path: Path) -> None:
    with pytest.raises(Dies):
        run(tmp_path / "r", items=ITEMS[:1], engine=Mortal(readers.perfect, 6))
    before = "".join(passage.text for passage in ITEMS[0].text())
    after = before.replace("Paragraph 20 tells nothing new.", "Paragraph 20 tells something else.")

    def text() -> Iterator[Passage]:
        for passage in ITEMS[0].text():
            yield msgspec.structs.replace(
                passage, text=passage.text.replace("20 tells nothing new", "20 is new")
            )

    changed = msgspec.structs.replace(ITEMS[0], text=text)
    assert after != before
    run(tmp_path / "r", items=[changed])
    run(tmp_path / "fresh", items=[changed])
    assert lines(tmp_path / "r") == lines(tmp_path / "fresh")


@pytest.mark.parametrize("cut", [1, 40, 2000])
def test_a_torn_last_line_is_dropped_and_done_again(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "r"
    run(path)
    whole = lines(path)
    content = path.read_bytes()
    path.write_bytes(content[:-cut])
    results, notices = read(path)
    assert len(results) == 3 - (cut > 1900 and len(results) < 3) and "not complete" in notices[0]
    run(path)
    assert sorted(map(str, lines(path))) == sorted(map(str, whole))


def test_torn_steps_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "r"
    with pytest.raises(Dies):
        run(path, items=ITEMS[:1], engine=Mortal(readers.perfect, 6))
    (steps,) = Path(f"{path}.steps").iterdir()
    steps.write_bytes(steps.read_bytes()[:-9])
    run(path, items=ITEMS[:1])
    run(tmp_path / "fresh", items=ITEMS[:1])
    assert lines(path) == lines(tmp_path / "fresh")


def test_a_fault_is_its_own_outcome_and_is_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "r"
    bad = readers.item(9, needles={"poison": "13"})
    run(path, items=[*ITEMS[:2], bad, *ITEMS[2:]], engine=Fragile(readers.perfect, "poison"), width=3)
    results, _ = read(path)
    by_item = {result.item: result for result in results}
    assert by_item[bad.id].outcome == "fault" and by_item[bad.id].score is None
    assert "EngineFailed" in by_item[bad.id].reason and by_item[bad.id].diagnosis is None
    assert all(by_item[item.id].score == 1 for item in ITEMS)
    run(path, items=[bad])
    results, _ = read(path)
    assert {result.outcome for result in results} == {"answered"} and len(results) == 5


def test_an_engine_that_fails_at_everything_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(EngineFailed):
        run(tmp_path / "r", engine=Fragile(readers.perfect, "code"), width=4)
    results, _ = read(tmp_path / "r")
    assert {result.outcome for result in results} == {"fault"}


def test_what_does_not_fit_is_no_wrong_answer_and_costs_nothing(tmp_path: Path) -> None:
    def never() -> Iterator[Passage]:
        raise AssertionError("the text was made")
        yield

    long = msgspec.structs.replace(ITEMS[0], length=100_000, text=never)
    run(tmp_path / "r", items=[long], methods="full")
    ((result,), _) = read(tmp_path / "r")
    assert result.outcome == "does-not-fit" and result.score is None and "100000" in result.reason
    # A text longer than it was said to be is found out while it is read.
    run(tmp_path / "s", items=[readers.item(lines=1000)], methods="full", window=2000)
    ((result,), _) = read(tmp_path / "s")
    assert result.outcome == "does-not-fit"
    question = msgspec.structs.replace(ITEMS[0], question="why " * 200)
    run(tmp_path / "t", items=[question])
    ((result,), _) = read(tmp_path / "t")
    assert result.outcome == "does-not-fit" and "question" in result.reason


def test_lone_surrogates_of_a_data_set_survive(tmp_path: Path) -> None:
    odd = msgspec.structs.replace(ITEMS[0], question="What is \ud800 the code of rome?")
    run(tmp_path / "r", items=[odd])
    ((result,), _) = read(tmp_path / "r")
    assert result.question == odd.question and result.score == 1


def test_two_writers_and_places_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    with ResultFile(tmp_path / "r"), pytest.raises(UsageError, match="another"):
        ResultFile(tmp_path / "r")
    (tmp_path / "file").write_text("x")
    with pytest.raises((FileUnreadable, DamagedDocument)):
        ResultFile(tmp_path / "file" / "r")
    with pytest.raises(FileMissing):
        read(tmp_path / "nothing")


@pytest.mark.parametrize("line", [b"{}\n", b"not json\n", b"[1]\n", b"\xff\n", b'{"key": 1}\n'])
def test_a_file_of_something_else_is_named_by_line_and_left_alone(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "r"
    run(path, items=ITEMS[:1])
    content = path.read_bytes() + line
    path.write_bytes(content)
    for use in (lambda: read(path), lambda: ResultFile(path)):
        with pytest.raises(DamagedDocument, match=":2:"):
            use()
    assert path.read_bytes() == content


def test_results_round_trip(tmp_path: Path) -> None:
    run(tmp_path / "r", readers.forgetful(20), items=ITEMS[:1])
    ((result,), _) = read(tmp_path / "r")
    assert msgspec.convert(json.loads(json.dumps(msgspec.to_builtins(result))), Result) == result


def test_sweeps() -> None:
    assert swept([]) == [{}]
    assert swept(["memory=128,256"]) == [{"memory": 128}, {"memory": 256}]
    assert len(swept(["memory=128,256", "segment=500,1000"])) == 4
    for bad in ("memory", "memory=", "memory=x", "colour=1", "memory=1"):
        with pytest.raises(UsageError):
            swept([bad])
    with pytest.raises(UsageError):
        swept(["memory=128", "memory=256"])
    assert swept(["lanes=1,4"]) == [{"lanes": 1}, {"lanes": 4}]


def test_lanes_are_swept_for_memread_alone(tmp_path: Path) -> None:
    made = arms(chosen("memread,bm25"), readers.PROFILE, ["lanes=1,3"])
    assert [(arm.name, arm.lanes) for arm in made] == [
        ("memread lanes=1", 1),
        ("memread lanes=3", 3),
        ("bm25", 1),
    ]
    run(tmp_path / "r", items=ITEMS[:1], sweeps=["lanes=1,3"])
    results, _ = read(tmp_path / "r")
    run(tmp_path / "plain", items=ITEMS[:1])
    ((plain,), _) = read(tmp_path / "plain")
    one, three = results
    assert (one.variant, three.variant) == ("lanes=1", "lanes=3")
    assert one.key == plain.key != three.key, "one lane is what it has always been"
    assert one.score == three.score == 1.0
    assert one.segments == three.segments and one.tokens == three.tokens
    again = run(tmp_path / "r", items=ITEMS[:1], sweeps=["lanes=1,3"])
    assert [told.kind for told in again] == ["skipped", "skipped"]
