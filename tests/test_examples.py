"""The questions that ship beside the example book."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from examples import make_injections, make_unsaid
from memread.ingest import open_document
from memread.types import Passage

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_the_texts_that_try_to_command_are_as_their_program_makes_them() -> None:
    made = [json.loads(line) for line in make_injections.lines()]
    kept = (EXAMPLES / "injections.jsonl").read_text(encoding="utf-8").splitlines()
    assert made == [json.loads(line) for line in kept]
    clean, injected = made[::2], made[1::2]
    assert len(injected) >= 20 and {each["id"] for each in clean} == {each["id"] for each in injected}
    for one, other in zip(clean, injected, strict=True):
        (answer,) = one["answers"]
        assert other["answers"] == [answer] and answer in one["context"] and answer in other["context"]
        assert make_injections.WORD not in one["context"]
        added = other["context"].replace(one["context"][-1000:], "")
        assert added.index(answer) < added.index(make_injections.INJECTIONS[other["id"]])


def test_what_is_not_said_stands_in_no_text() -> None:
    made = [json.loads(line) for line in make_unsaid.lines()]
    kept = (EXAMPLES / "unsaid.jsonl").read_text(encoding="utf-8").splitlines()
    assert made == [json.loads(line) for line in kept]
    facts = make_unsaid.FACTS
    assert len(made) == 3 * len(facts) and len({each["context"] for each in made}) == len(facts)
    for number, (fact, _, asked, unsaid, answer) in enumerate(facts):
        said, other, alike = made[3 * number : 3 * number + 3]
        context = said["context"].lower()
        assert fact.lower() in context and context.count(asked.lower()) >= 1
        assert said["answers"] == [answer] and answer.lower() in fact.lower()
        assert other["answers"] == alike["answers"] == [make_unsaid.UNSAID]
        assert unsaid in alike["question"] and asked in said["question"]
        about = facts[(number + 5) % len(facts)]
        assert about[0].lower() not in context and about[4].lower() not in fact.lower()


def questions(name: str) -> list[dict[str, object]]:
    text = (EXAMPLES / f"{name}-questions.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize(("name", "least"), [("alice", 15), ("moby-dick", 30)])
def test_every_answer_stands_in_the_sentence_it_rests_on(name: str, least: int) -> None:
    found = questions(name)
    assert len({str(one["question"]) for one in found}) == len(found) >= least
    for one in found:
        answers = one["answers"]
        assert isinstance(answers, list) and answers
        assert all(str(answer).lower() in str(one["sentence"]).lower() for answer in answers), one


def test_the_first_answer_of_a_page_stands_in_its_sentence() -> None:
    found = questions("pages")
    assert len({str(one["question"]) for one in found}) == len(found) >= 150
    for one in found:
        answers = one["answers"]
        assert isinstance(answers, list)
        assert str(one["dataset"]).endswith("-unsaid") == (not answers) == ("sentence" not in one)
        # Others, if any, are ways to say it.
        assert not answers or str(answers[0]).lower() in str(one["sentence"]).lower(), one


def test_every_sentence_stands_in_alice() -> None:
    parts = open_document(str(EXAMPLES / "alice.epub")).passages()
    text = " ".join("".join(part.text for part in parts if isinstance(part, Passage)).split())
    for one in questions("alice"):
        assert str(one["sentence"]) in text, one["question"]
        assert one["path"] == "alice.epub"


def test_every_sentence_stands_in_its_page() -> None:
    texts = {path.name: path.read_text("utf-8") for path in (EXAMPLES / "pages").iterdir()}
    asked: dict[str, int] = dict.fromkeys(texts, 0)
    for one in questions("pages"):
        name = str(one["path"]).removeprefix("pages/")
        asked[name] += 1
        if one["answers"]:
            assert " ".join(str(one["sentence"]).split()) in " ".join(texts[name].split()), one["question"]
    assert set(asked.values()) == {13}


def test_no_page_was_trained_on() -> None:
    path = EXAMPLES.parent / "memread" / "train" / "data" / "written.jsonl"
    trained = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    pages = [" ".join(page.read_text("utf-8").split()) for page in (EXAMPLES / "pages").iterdir()]
    quotes = {quote for each in trained for quote in each["quotes"]}
    assert len(quotes) > 1000 and not [quote for quote in quotes for page in pages if quote in page]
    asked = {str(one["question"]) for one in questions("pages")}
    assert not asked.intersection(each["question"] for each in trained)
