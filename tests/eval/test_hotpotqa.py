"""Question sets as published, and RULER-HotpotQA made of them."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from memread.bpe import BpeTokenizer
from memread.errors import DamagedDocument, EmptyInput, FileMissing, UsageError
from memread.eval import hotpotqa
from memread.eval.item import Item
from memread.eval.qa import (
    Dataset,
    Fact,
    Paragraph,
    Pool,
    Question,
    distractors,
    load_pool,
    load_questions,
    shipped,
)
from memread.eval.tasks import Sources, make, make_hotpotqa


def read(item: Item) -> str:
    return "".join(passage.text for passage in item.text())


def documents(item: Item) -> list[tuple[int, str, str]]:
    """(number, first line, rest) of each."""
    found = re.split(r"(?:^|\n\n)Document (\d+):\n", read(item))
    assert found[0] == ""
    return [
        (int(number), *body.partition("\n")[::2])
        for number, body in zip(found[1::2], found[2::2], strict=True)
    ]


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return load_questions(shipped("hotpotqa"))


@pytest.fixture(scope="module")
def pool(dataset: Dataset) -> Pool:
    return distractors(dataset)


BRIDGE: dict[str, Any] = {
    "_id": "b1",
    "question": "Where was the director of Night Train born?",
    "answer": "Lodz",
    "type": "bridge",
    "level": "hard",
    "supporting_facts": [["Night Train (film)", 1], ["Ada Kowal (director)", 0], ["Ada Kowal (director)", 7]],
    "context": [
        ["Trains", ["A train moves.", " It has wheels."]],
        ["Night Train (film)", ["Night Train is a film.", " It was directed by Ada Kowal.", " It is long."]],
        ["Ada Kowal (director)", ["Ada Kowal was born in Lodz."]],
    ],
}
COMPARISON = BRIDGE | {
    "_id": "c1",
    "question": "Are both trains?",
    "answer": "yes",
    "type": "comparison",
    "supporting_facts": [["Trains", 0], ["Night Train (film)", 0]],
}
MUSIQUE: dict[str, Any] = {
    "id": "2hop__1_2",
    "question": "Where was the director of Night Train born?",
    "answer": "Lodz",
    "answer_aliases": ["Łódź"],
    "answerable": True,
    "question_decomposition": [
        {"id": 1, "question": "Night Train >> director", "answer": "Ada Kowal", "paragraph_support_idx": 1},
        {"id": 2, "question": "#1 >> place of birth", "answer": "Lodz", "paragraph_support_idx": 0},
    ],
    "paragraphs": [
        {"idx": 0, "title": "Ada Kowal", "paragraph_text": "Born in Lodz.", "is_supporting": True},
        {"idx": 1, "title": "Night Train", "paragraph_text": "By Ada Kowal.", "is_supporting": True},
        {"idx": 2, "title": "Trains", "paragraph_text": "A train moves.", "is_supporting": False},
    ],
}


def write(path: Path, content: object) -> str:
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return str(path)


def test_hotpotqa_as_published(tmp_path: Path) -> None:
    found = load_questions(write(tmp_path / "dev.json", [BRIDGE, COMPARISON]))
    bridge, comparison = found.questions
    assert (bridge.id, bridge.answers, bridge.kind) == ("b1", ("Lodz",), "bridge")
    assert bridge.paragraphs[0] == Paragraph("Trains", "A train moves. It has wheels.")
    film, director = bridge.facts
    # The film's paragraph leads on to the director, hers has the answer; sentence 7 does not exist.
    assert (film.paragraph, film.text, film.keys) == (1, "It was directed by Ada Kowal.", ("Ada Kowal",))
    assert (director.paragraph, director.text, director.keys) == (2, "Ada Kowal was born in Lodz.", ("Lodz",))
    assert [fact.keys for fact in comparison.facts] == [("Trains",), ("Night Train",)]
    assert not found.malformed


def test_hotpotqa_in_columns(tmp_path: Path) -> None:
    columns = BRIDGE | {
        "context": {
            "title": [title for title, _ in BRIDGE["context"]],
            "sentences": [sentences for _, sentences in BRIDGE["context"]],
        },
        "supporting_facts": {
            "title": [title for title, _ in BRIDGE["supporting_facts"]],
            "sent_id": [number for _, number in BRIDGE["supporting_facts"]],
        },
    }
    rows = load_questions(write(tmp_path / "rows.json", [BRIDGE]))
    lines = load_questions(write(tmp_path / "columns.jsonl.gz", json.dumps(columns) + "\n"))
    assert lines.questions == rows.questions


def test_2wikimultihopqa_has_sentences_without_spaces(tmp_path: Path) -> None:
    record = BRIDGE | {
        "evidences": [],
        "context": [["A", ["One.", "Two."]], ["B", ["Ada was born in Lodz."]]],
    }
    record["supporting_facts"] = [["A", 0], ["A", 1], ["B", 0]]
    (question,) = load_questions(write(tmp_path / "2wiki.json", [record])).questions
    assert question.paragraphs[0].text == "One. Two."
    assert question.facts[0].text == "One. Two."
    assert question.facts[0].keys == ("A",)  # nothing better: its own title


def test_musique_as_published(tmp_path: Path) -> None:
    unanswerable = MUSIQUE | {"id": "2hop__3_4", "answerable": False}
    path = write(tmp_path / "musique.jsonl", f"{json.dumps(MUSIQUE)}\n{json.dumps(unanswerable)}\n")
    first, second = load_questions(path).questions
    assert first.answers == ("Lodz", "Łódź")
    assert [fact.keys for fact in first.facts] == [("Lodz", "Łódź"), ("Ada Kowal",)]
    assert first.facts[1].text == "By Ada Kowal."
    assert second.answers == second.facts == ()


def test_squad_as_published() -> None:
    found = load_questions(shipped("squad"))
    assert len(found.questions) > 100
    for question in found.questions:
        (fact,) = question.facts
        assert fact.text in question.paragraphs[fact.paragraph].text
        assert any(answer in fact.text for answer in question.answers)
        assert len(set(question.paragraphs)) == len(question.paragraphs)


def test_malformed_questions_are_named(tmp_path: Path) -> None:
    lines = [json.dumps(BRIDGE), "{", '{"a": 1}', "[1]", json.dumps(BRIDGE | {"answer": 5}), ""]
    found = load_questions(write(tmp_path / "x.jsonl", "\n".join(lines)))
    assert len(found.questions) == 1
    assert [each.place for each in found.malformed] == ["line 2", "line 3", "line 4", "line 5"]
    assert str(found.malformed[3]) == f"{tmp_path / 'x.jsonl'}, line 5: text is expected, not 5"
    missing = {key: value for key, value in BRIDGE.items() if key != "answer"}
    found = load_questions(write(tmp_path / "x.json", [missing, BRIDGE, 7]))
    assert [str(each).partition(", ")[2] for each in found.malformed] == [
        "entry 1: the field 'answer' is missing",
        "entry 3: an object is expected, not 7",
    ]
    shapes = [BRIDGE | {"context": 7}, {"data": ["text"]}, MUSIQUE | {"paragraphs": [1]}, [[1]]]
    found = load_questions(write(tmp_path / "shapes.json", [BRIDGE, *shapes]))
    assert [each.place for each in found.malformed] == ["entry 2", "entry 3", "entry 4", "entry 5"]
    assert all("another shape" in each.reason for each in found.malformed[:3])
    with pytest.raises(EmptyInput, match="entry 1"):
        load_questions(write(tmp_path / "none.json", [missing]))
    with pytest.raises(EmptyInput):
        load_questions(write(tmp_path / "empty.json", " \n"))
    with pytest.raises(DamagedDocument):
        load_questions(write(tmp_path / "cut.json", "[" + json.dumps(BRIDGE)))
    with pytest.raises(FileMissing):
        load_questions(str(tmp_path / "nowhere.json"))
    (tmp_path / "cut.gz").write_bytes(gzip.compress(json.dumps([BRIDGE]).encode())[:-20])
    with pytest.raises(DamagedDocument, match="compressed"):
        load_questions(str(tmp_path / "cut.gz"))


def test_a_corpus_is_titles_and_texts_or_a_question_set(tmp_path: Path) -> None:
    texts = [
        {"title": "A", "text": "One."},
        {"title": "A", "text": "One."},
        {"title": "B", "text": "Two."},
        {"x": 1},
    ]
    found = load_pool(write(tmp_path / "corpus.json", texts))
    assert found.paragraphs == [Paragraph("A", "One."), Paragraph("B", "Two.")]
    assert [each.place for each in found.malformed] == ["entry 4"]
    assert len(load_pool(write(tmp_path / "set.json", [BRIDGE, COMPARISON])).paragraphs) == 3
    with pytest.raises(EmptyInput):
        load_pool(write(tmp_path / "none.json", [{"x": 1}]))


@pytest.mark.parametrize("number", [2, 50, 400])
def test_documents_are_the_gold_ones_and_others(
    number: int, dataset: Dataset, pool: Pool, tokenizer: BpeTokenizer
) -> None:
    for item in make_hotpotqa(dataset, pool, number, 3, 0, tokenizer):
        question = next(each for each in dataset.questions if each.text == item.question)
        found = documents(item)
        assert [each for each, _, _ in found] == list(range(1, number + 1))
        assert item.documents == number
        assert item.repeated == 0
        bodies = [Paragraph(title, text) for _, title, text in found]
        assert len(set(bodies)) == number
        for fact in question.facts:
            assert bodies.count(question.paragraphs[fact.paragraph]) == 1
        if number >= 10:
            assert set(question.paragraphs) <= set(bodies)
        text = read(item)
        assert item.length == tokenizer.count(text) or number == 400
        assert item.length == pytest.approx(tokenizer.count(text), rel=0.01)
        for gold in item.gold:
            assert text.index(gold.text) / len(text) == pytest.approx(
                gold.depth, abs=0.1 if number == 2 else 0.03
            )
        assert (item.metric, item.task) == ("substring", "hotpotqa")


def test_every_number_of_documents_has_the_same_questions(
    dataset: Dataset, pool: Pool, tokenizer: BpeTokenizer
) -> None:
    few = [item.question for item in make_hotpotqa(dataset, pool, 10, 5, 3, tokenizer)]
    assert few == [item.question for item in make_hotpotqa(dataset, pool, 60, 5, 3, tokenizer)]
    assert few != [item.question for item in make_hotpotqa(dataset, pool, 10, 5, 4, tokenizer)]
    places = {item.gold[0].depth for item in make_hotpotqa(dataset, pool, 60, 5, 3, tokenizer)}
    assert len(places) == 5


def test_what_repeats_is_counted(dataset: Dataset, tokenizer: BpeTokenizer) -> None:
    question = dataset.questions[0]
    others = Pool([*question.paragraphs, *(Paragraph(f"T{n}", f"Text {n}.") for n in range(20))])
    item = hotpotqa.by_documents("x", question, 100, 0, others, tokenizer)
    found = [title for _, title, _ in documents(item)]
    assert item.repeated == 100 - len(question.paragraphs) - 20
    assert len(found) - len(set(found)) == item.repeated
    for fact in question.facts:
        assert found.count(question.paragraphs[fact.paragraph].title) == 1
    # Each turn has all of them once, in another order.
    titles = [title for title in found if title.startswith("T") and title[1:].isdigit()]
    assert set(titles[:20]) == set(titles[20:40]) == {f"T{n}" for n in range(20)}
    assert titles[:20] != titles[20:40]


def test_the_texts_never_change(dataset: Dataset, pool: Pool, tokenizer: BpeTokenizer) -> None:
    (item,) = make_hotpotqa(dataset, pool, 50, 1, 1, tokenizer)
    assert hashlib.sha256(read(item).encode()).hexdigest()[:16] == "01cb8730650d7ebe"
    assert item.id == "hotpotqa/50/0"


def test_what_cannot_be_made_is_refused(dataset: Dataset, pool: Pool, tokenizer: BpeTokenizer) -> None:
    with pytest.raises(UsageError, match="needs 2"):
        make_hotpotqa(dataset, pool, 1, 1, 0, tokenizer)
    with pytest.raises(UsageError, match="198 samples"):
        make_hotpotqa(dataset, pool, 50, 198, 0, tokenizer)
    with pytest.raises(UsageError, match="no documents"):
        make_hotpotqa(dataset, Pool(()), 50, 1, 0, tokenizer)
    fact = Fact(0, "word word", ("word",))
    long = Question("q", "?", ("a",), (Paragraph("T", "word " * 3000),), (fact,))
    with pytest.raises(UsageError, match="too few for the documents"):
        hotpotqa.by_length("qa_2", "x", long, 1024, 0, pool, tokenizer)
    with pytest.raises(UsageError, match="too few documents"):
        hotpotqa.by_length("qa_2", "x", dataset.questions[0], 8192, 0, Pool(()), tokenizer)


def test_rulers_qa_has_whole_documents_and_a_cut_last_one(tokenizer: BpeTokenizer, sources: Sources) -> None:
    for task in ("qa_1", "qa_2"):
        for item in make(task, 8192, 2, 0, tokenizer, sources):
            whole = {paragraph.body for paragraph in sources.questions[task].paragraphs()}
            bodies = re.split(r"(?:^|\n\n)Document \d+:\n", read(item))[1:]
            assert all(body in whole for body in bodies[:-1])
            assert any(body.startswith(bodies[-1]) for body in whole)
            assert item.documents == len(bodies)
            assert item.metric == "part"
            for gold in item.gold:
                assert sum(gold.text in body for body in bodies) == 1
