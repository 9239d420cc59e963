"""The questions that ship beside the example book."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memread.ingest import open_document
from memread.types import Passage

EXAMPLES = Path(__file__).parents[1] / "examples"


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


def test_every_sentence_stands_in_alice() -> None:
    parts = open_document(str(EXAMPLES / "alice.epub")).passages()
    text = " ".join("".join(part.text for part in parts if isinstance(part, Passage)).split())
    for one in questions("alice"):
        assert str(one["sentence"]) in text, one["question"]
        assert one["path"] == "alice.epub"
