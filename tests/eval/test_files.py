"""Questions of one's own, and LongBench's."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from memread.bpe import BpeTokenizer
from memread.errors import DamagedDocument, EmptyInput, FileMissing
from memread.eval.files import load
from memread.eval.item import Item
from memread.types import Limits

LONGBENCH = {
    "input": "Who wrote it?",
    "context": "It was written\nby Ada.\n" * 1000,
    "answers": ["Ada", "Ada Kowal"],
    "length": 3000,
    "dataset": "hotpotqa",
    "language": "en",
    "all_classes": None,
    "_id": "f0a1",
}


def read(item: Item) -> str:
    return "".join(passage.text for passage in item.text())


def lines(path: Path, *records: object) -> str:
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in records), encoding="utf-8")
    return str(path)


def test_longbench_works_as_it_is(tmp_path: Path, tokenizer: BpeTokenizer) -> None:
    path = lines(tmp_path / "hotpotqa.jsonl", LONGBENCH, LONGBENCH | {"_id": "f0a2"})
    found = load(path, tokenizer)
    assert not found.malformed
    first, second = found.items
    assert first.question == "Who wrote it?"
    assert first.answers == ("Ada", "Ada Kowal")
    assert first.metric == "f1"
    assert read(first) == LONGBENCH["context"]
    assert first.length == tokenizer.count(str(LONGBENCH["context"]))
    assert (first.id, second.id) == ("hotpotqa.jsonl/1", "hotpotqa.jsonl/2")
    assert second.details == {"source": f"{path}, line 2", "question_id": "f0a2"}
    assert (first.task, second.task) == ("hotpotqa", "hotpotqa")
    passages = [*first.text()]
    assert passages[-1].fraction == 1
    before = ""
    for passage in passages:
        assert passage.locator.line == before.count("\n") + 1
        before += passage.text


def test_texts_may_be_documents(tmp_path: Path, tokenizer: BpeTokenizer) -> None:
    (tmp_path / "books").mkdir()
    (tmp_path / "books" / "a.txt").write_text("It was Ada.\n", encoding="utf-8")
    path = lines(
        tmp_path / "q.jsonl", {"path": "books/a.txt", "question": "Who?", "answer": "Ada", "metric": "exact"}
    )
    (item,) = load(path, tokenizer).items
    assert read(item) == "It was Ada.\n"
    assert item.length == tokenizer.count("It was Ada.\n")
    assert (item.metric, item.answers) == ("exact", ("Ada",))


def test_metrics(tmp_path: Path, tokenizer: BpeTokenizer) -> None:
    own = {"context": "x", "question": "?", "answers": ["x", "x"]}
    path = lines(tmp_path / "q.jsonl", own, LONGBENCH, own | {"metric": "part"}, own | {"answers": []})
    assert [item.metric for item in load(path, tokenizer).items] == ["substring", "f1", "part", "substring"]
    assert [item.metric for item in load(path, tokenizer, "all").items] == ["all", "all", "part", "all"]
    assert [item.answers for item in load(path, tokenizer).items][::3] == [("x",), ()]
    assert len(load(path, tokenizer, limit=2).items) == 2


def test_malformed_lines_are_named_and_skipped(tmp_path: Path, tokenizer: BpeTokenizer) -> None:
    good = {"context": "x", "question": "?", "answers": ["x"]}
    bad: list[tuple[object, str]] = [
        ('{"context": "x", ', "not JSON"),
        ("[1, 2]", "an object is expected"),
        ("[" * 5000 + "]" * 5000, "not JSON"),
        (good | {"question": " "}, "its question is empty"),
        ({"context": "x", "answers": []}, "question (or input) is missing"),
        ({"context": "x", "question": "?"}, "answers is missing"),
        (good | {"answers": [1]}, "answers are not texts"),
        (good | {"answers": None}, "answers are not texts"),
        (good | {"answers": [" "]}, "answers is empty"),
        (good | {"context": ""}, "context is empty"),
        (good | {"context": 7}, "context is no text"),
        ({"question": "?", "answers": []}, "neither a context nor a path"),
        ({"path": "nowhere.txt", "question": "?", "answers": []}, "there is no such file"),
        ({"path": ".", "question": "?", "answers": []}, "folder"),
        (good | {"metric": "bleu"}, "metric is none of"),
    ]
    path = lines(tmp_path / "q.jsonl", good, *(record for record, _ in bad), "", good)
    found = load(path, tokenizer)
    assert [item.id for item in found.items] == ["q.jsonl/1", f"q.jsonl/{len(bad) + 3}"]
    assert [each.place for each in found.malformed] == [f"line {number}" for number in range(2, len(bad) + 2)]
    for each, (_, reason) in zip(found.malformed, bad, strict=True):
        assert reason in each.reason
        assert str(each).startswith(f"{path}, {each.place}: ")


def test_bytes_that_are_no_text_spoil_one_line_only(tmp_path: Path, tokenizer: BpeTokenizer) -> None:
    good = json.dumps({"context": "x", "question": "?", "answers": ["x"]}).encode()
    (tmp_path / "q.jsonl").write_bytes(b"\xef\xbb\xbf" + good + b'\n{"context": "\xff"}\r\n' + good + b"\r\n")
    found = load(str(tmp_path / "q.jsonl"), tokenizer)
    assert [read(item) for item in found.items] == ["x", "x"]
    assert [each.place for each in found.malformed] == ["line 2"]


def test_other_forms_of_the_file(tmp_path: Path, tokenizer: BpeTokenizer) -> None:
    good = {"context": "x\ny", "question": "?", "answers": ["x"]}
    for name, content in {
        "list.json": json.dumps([good, 3]),
        "indented.json": json.dumps(good, indent=1),
        "first line bad.jsonl": f"{{\n{json.dumps(good)}",
    }.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
        assert [read(item) for item in load(str(tmp_path / name), tokenizer).items] == ["x\ny"]
    assert len(load(str(tmp_path / "first line bad.jsonl"), tokenizer).malformed) == 1
    packed = tmp_path / "q.jsonl.gz"
    packed.write_bytes(gzip.compress("\n".join([json.dumps(good)] * 2).encode()))
    assert [read(item) for item in load(str(packed), tokenizer).items] == ["x\ny"] * 2


def test_files_as_a_whole(tmp_path: Path, tokenizer: BpeTokenizer) -> None:
    with pytest.raises(FileMissing):
        load(str(tmp_path / "nowhere.jsonl"), tokenizer)
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(EmptyInput):
        load(str(tmp_path / "empty.jsonl"), tokenizer)
    path = lines(tmp_path / "q.jsonl", {"context": "x", "question": "?", "answers": ["x"]})
    (item,) = load(path, tokenizer).items
    Path(path).write_text("gone", encoding="utf-8")
    with pytest.raises(DamagedDocument, match="has changed"):
        read(item)


def test_one_text_for_all_that_name_none(tmp_path: Path, tokenizer: BpeTokenizer) -> None:
    book, own = tmp_path / "book.txt", tmp_path / "own.txt"
    book.write_text("The captain was Ada.\n", encoding="utf-8")
    own.write_text("The captain was Bo.\n", encoding="utf-8")
    asked = {"question": "Who?", "answers": ["Ada"]}
    path = lines(tmp_path / "q.jsonl", asked, asked | {"path": "own.txt"}, asked | {"context": "It was Cy."})
    found = load(path, tokenizer, document=str(book))
    assert [read(item) for item in found.items] == [
        "The captain was Ada.\n",
        "The captain was Bo.\n",
        "It was Cy.",
    ]
    assert not found.malformed
    assert "--document" in load(path, tokenizer).malformed[0].reason


def test_a_page_without_end_costs_what_it_may(tmp_path: Path, tokenizer: BpeTokenizer) -> None:
    broken = Path(__file__).parents[1] / "ingest" / "broken" / "operators.pdf"
    path = tmp_path / "q.jsonl"
    path.write_text(json.dumps({"path": str(broken), "question": "?", "answers": ["x"]}) + "\n")
    loaded = load(str(path), tokenizer, limits=Limits(seconds=2.0))
    assert not loaded.malformed and loaded.items[0].details["skipped"] == 1
