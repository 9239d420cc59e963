"""`memread ask` with several questions: one reading, an answer to each."""

from __future__ import annotations

import json

import pytest

from memread.cli import ask
from memread.errors import ServerFailed
from memread.events import Answered, Failed
from memread.types import Answer, Coverage
from tests.cli.conftest import Memread, log

BOTH = ("-q", "how far did it sail?", "-q", "where to?")


def test_each_question_is_printed_with_its_answer(memread: Memread) -> None:
    ended = memread("ask", memread.write("a.txt", log(8)), *BOTH)
    assert ended.code == 0, ended.err
    blocks = ended.out.split("\n\n")
    assert [block.splitlines()[0] for block in blocks] == ["how far did it sail?", "where to?"]
    assert all(line.startswith("    ") for block in blocks for line in block.splitlines()[1:])
    assert ended.err.count("Reading ") == 1


def test_json_has_a_line_for_each_and_events_say_which(memread: Memread) -> None:
    name = memread.write("a.txt", log(8))
    results = [json.loads(line) for line in memread("ask", name, *BOTH, "--json").out.splitlines()]
    assert [result["question"] for result in results] == ["how far did it sail?", "where to?"]
    assert all(result["coverage"]["complete"] for result in results)
    assert len({result["run"] for result in results}) == 2
    lines = [json.loads(line) for line in memread("ask", name, *BOTH, "--events").out.splitlines()]
    assert {line["question_number"] for line in lines} == {0, 1}


def test_a_file_of_questions_each_once(memread: Memread) -> None:
    listed = memread.write("questions.txt", "\ufeffwhere to?\n\n  who sailed?\nwhere to?\n")
    ended = memread("ask", memread.write("a.txt", log(4)), "--questions", listed, "-q", "where to?", "--json")
    asked = [json.loads(line)["question"] for line in ended.out.splitlines()]
    assert asked == ["where to?", "who sailed?"]


def test_questions_that_cannot_be_had(memread: Memread) -> None:
    name = memread.write("a.txt", log(4))
    missing = memread("ask", name, "--questions", "none.txt")
    assert missing.code == 3 and "none.txt: no such file" in missing.err
    empty = memread("ask", name, "--questions", memread.write("empty.txt", " \n"))
    assert empty.code == 2 and "there is no question in it" in empty.err
    (memread.folder / "bytes.txt").write_bytes(b"\xff\xfe\x00\xd8")
    bytes_ = memread("ask", name, "--questions", "bytes.txt")
    assert bytes_.code == 4 and "cannot be read" in bytes_.err
    blank = memread("ask", name, "-q", "who?", "-q", " ")
    assert blank.code == 2 and "the question is empty" in blank.err


def test_an_answer_stands_under_its_own_question(capsys: pytest.CaptureFixture[str]) -> None:
    """Though another one failed before it."""
    answer = Answer("Blue.", True, "Blue.", "", Coverage(1, 9, True))
    shown: list[tuple[int, list[str]]] = []
    with pytest.raises(ServerFailed):
        ask._end(
            [Failed("ServerFailed", "gone", "", 30), Answered(answer), None],
            ["Who is the murderer?", "What colour is the sky?", "When?"],
            plain=True,
            evidence=lambda answers, questions: shown.append((len(answers), list(questions))),
        )
    assert capsys.readouterr().out == "What colour is the sky?\n    Blue.\n"
    assert shown == [(1, ["What colour is the sky?"])]
