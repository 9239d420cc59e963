"""memread from Python, and every example of docs/python.md."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Generator
from pathlib import Path

import pytest

import memread
from memread.errors import ConfigError, EmptyInput, FileMissing, UsageError
from memread.events import Answered, Event, Failed, MemoryUpdated, RunStarted, Stopping
from tests.cli.conftest import log

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text("utf-8"), re.S)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    small = {"MODEL": str(tiny_gguf), "BUDGET_SEGMENT": "64", "BUDGET_MEMORY": "24", "BUDGET_ANSWER": "16"}
    for name, value in {**small, "ENGINE_THREADS": "1"}.items():
        monkeypatch.setenv(f"MEMREAD_{name}", value)
    (tmp_path / "book.txt").write_text(log(12))
    (tmp_path / "notes.txt").write_text(log(4, 100))
    return tmp_path


def test_an_answer() -> None:
    answer = memread.ask("book.txt", "how far?", lines="2-5")
    assert isinstance(answer, memread.Answer)
    assert answer.coverage.complete and answer.coverage.last
    assert (answer.coverage.last.end.line, answer.memory != "") == (5, True)
    assert memread.ask(Path("book.txt"), "how far?", lines="2-5").text == answer.text
    several = memread.ask(["book.txt", "notes.txt"], ["how far?", "where?"])
    assert len(several) == 2 and several[0].coverage.tokens > answer.coverage.tokens


def test_a_skim() -> None:
    answer = memread.ask("book.txt", "What of line 7?", skim=True)
    assert answer.coverage.complete and "Line 7:" in answer.memory
    with pytest.raises(UsageError, match="a summary needs all of the text"):
        memread.ask("book.txt", skim=True)


def test_events_and_the_answer_after_them() -> None:
    seen: list[Event] = []
    with memread.read("book.txt", settings={"budget.segment": 48}) as reading:
        seen.extend(reading)
        assert reading.answer == seen[-1].answer  # type: ignore[union-attr]
    assert isinstance(seen[0], RunStarted) and seen[0].summary and not seen[0].recorded
    assert seen[0].budget.segment == 48
    assert sum(isinstance(event, MemoryUpdated) for event in seen) >= 4
    with memread.read("book.txt", ["a?", "b?"]) as reading:
        numbers = [number for number, event in reading.numbered() if isinstance(event, Answered)]
    assert sorted(numbers) == [0, 1]


def test_a_reading_that_is_never_iterated_leaves_no_thread(folder: Path) -> None:
    (folder / "long.txt").write_text(log(2000))
    before = set(threading.enumerate())
    with memread.read("long.txt", "how far?"):
        started = [each for each in threading.enumerate() if each.name == "memread-ahead"]
    for each in set(started) - before:
        each.join(60)
        assert not each.is_alive()
    assert started


def test_lanes() -> None:
    answer = memread.ask("book.txt", "how far?", lanes=2)
    assert isinstance(answer, memread.Answer)
    assert answer.coverage.complete and len(answer.coverage.parts) == 2
    with memread.read("book.txt", "how far?", lanes=2) as reading:
        assert reading.lanes == 2
        ends = [(number, event.answer) for number, event in reading.numbered() if isinstance(event, Answered)]
        assert [number for number, _ in ends][-1] == 0 and {number for number, _ in ends} == {0, 1, 2}
        assert ends[-1][1].text == answer.text == reading.answer.text and reading.answers == [reading.answer]
    with pytest.raises(UsageError, match="lanes are for one question"):
        memread.ask("book.txt", ["how far?", "where?"], lanes=2)


def test_stopping_answers_from_what_was_read() -> None:
    with memread.read("book.txt", "how far?") as reading:
        for event in reading:
            if isinstance(event, MemoryUpdated) and event.segment.index == 1:
                thread = threading.Thread(target=reading.stop)
                thread.start()
                thread.join()
        assert not reading.answer.coverage.complete


def test_leaving_in_the_middle_ends_it() -> None:
    with memread.read("book.txt", "how far?") as reading:
        next(iter(reading))
    for thread in threading.enumerate():
        if thread.name.startswith("memread"):
            thread.join(30)
            assert not thread.is_alive()
    with pytest.raises(RuntimeError, match="with"):
        list(reading)


def test_leaving_frees_the_model_even_when_it_is_interrupted() -> None:
    def events() -> Generator[tuple[int, Event], None, None]:
        try:
            yield 0, Stopping()
        finally:
            raise KeyboardInterrupt

    freed: list[bool] = []
    with pytest.raises(KeyboardInterrupt), memread.read("book.txt", "how far?") as reading:
        reading._stack.callback(freed.append, True)
        reading._events = events()
        next(reading._events)
    assert freed


def test_a_recorded_reading_is_gone_on_with() -> None:
    with memread.read("book.txt", "how far?", record=True) as reading:
        for event in reading:
            if isinstance(event, MemoryUpdated) and event.segment.index == 2:
                break
    with memread.read("book.txt", "how far?", record=True) as reading:
        started = next(event for event in reading if isinstance(event, RunStarted))
        assert started.recorded and started.resumed >= 2
        answer = reading.answer
    assert answer.coverage == memread.ask("book.txt", "how far?").coverage


def test_errors_are_raised() -> None:
    with pytest.raises(FileMissing):
        memread.ask("nothing.txt", "?")
    with pytest.raises(UsageError, match="question is empty"):
        memread.ask("book.txt", " ")
    with pytest.raises(ConfigError, match="temperature"):
        memread.ask("book.txt", "?", settings={"sampling.temperature": -1})
    with pytest.raises(ConfigError, match="no setting"):
        memread.ask("book.txt", "?", settings={"sampling.heat": 1})
    Path("blank.txt").write_text(" \n \n")
    with pytest.raises(EmptyInput):
        memread.ask("blank.txt", "?")
    with memread.read("blank.txt", "?") as reading:
        assert isinstance([*reading][-1], Failed)


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
def test_the_examples_of_the_documentation(
    example: str, tiny_gguf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exec(compile(example.replace('"default"', repr(str(tiny_gguf))), "docs/python.md", "exec"), {})
    assert capsys.readouterr().out.strip() or "print" not in example
    assert len(EXAMPLES) == 4


def test_importing_it_is_cheap() -> None:
    code = (
        "import sys, memread; memread.__version__; print(*sorted(m for m in sys.modules if 'memread' in m))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["memread"]
    assert set(memread.__all__) <= set(dir(memread))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = memread.nonsense
