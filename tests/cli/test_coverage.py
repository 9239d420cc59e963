"""What an answer says of how much was read is true: tests/coverage_proof.py works it out anew."""

from __future__ import annotations

import json
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import llama_cpp
import pytest

from memread import events
from tests.cli.conftest import Memread, done, log
from tests.coverage_proof import Count, Text, Wrong, joined, of_epub, of_pdf, of_text, prove
from tests.ingest import samples

QUESTION = "how far did the ship sail?"


@pytest.fixture(scope="module")
def count(tiny_gguf: Path) -> Iterator[Count]:
    """llama.cpp's own tokenizer, special tokens off."""
    model = llama_cpp.Llama(str(tiny_gguf), vocab_only=True, verbose=False)
    yield lambda text: len(model.tokenize(text.encode(), add_bos=False, special=False))
    model.close()


@pytest.fixture
def journal(home: Path) -> Path:
    return home / ".local/share/memread/journal.sqlite3"


def asked(memread: Memread, *arguments: str | Path) -> list[dict[str, Any]]:
    ended = memread("ask", *arguments, "--json")
    assert ended.code == 0, ended.err
    return [json.loads(line) for line in ended.out.splitlines()]


def write_pdf(memread: Memread, name: str = "a.pdf") -> Path:
    pages = [log(4, 10 * page).strip() if page not in (2, 5) else None for page in range(7)]
    return Path(samples.write_pdf(memread.folder / name, pages))


def write_epub(memread: Memread) -> Path:
    names = ["One", "Two", "Three"]
    files: dict[str, str | bytes] = {
        f"{name}.xhtml": samples.xhtml(
            f"<h1>{name}</h1>" + "".join(f"<p>{line}</p>" for line in log(4, 10 * number).splitlines())
        )
        for number, name in enumerate(names)
    }
    files["nav.xhtml"] = samples.nav(*((f"{name}.xhtml", name) for name in names))
    return Path(samples.epub(memread.folder / "a.epub", files))


def test_a_text(memread: Memread, journal: Path, count: Count) -> None:
    path = memread.write("a.txt", log(30))
    (said,) = asked(memread, path, QUESTION)
    assert said["coverage"]["segments"] > 5
    prove(journal, said["run"], of_text(path), said["coverage"], count)


def test_a_pdf_with_pages_that_are_skipped(memread: Memread, journal: Path, count: Count) -> None:
    path = write_pdf(memread)
    (said,) = asked(memread, path, QUESTION)
    assert [each["locator"]["page_number"] for each in said["coverage"]["skipped"]] == [3, 6]
    prove(journal, said["run"], of_pdf(path), said["coverage"], count)


def test_a_book(memread: Memread, journal: Path, count: Count) -> None:
    path = write_epub(memread)
    (said,) = asked(memread, path, QUESTION)
    assert said["coverage"]["last"]["end"]["chapter"] == "Three"
    prove(journal, said["run"], of_epub(path), said["coverage"], count)


def test_several_files_and_several_questions(memread: Memread, journal: Path, count: Count) -> None:
    text, pdf = memread.write("a.txt", log(9)), write_pdf(memread)
    both = asked(memread, text, pdf, "-q", QUESTION, "-q", "where to?")
    assert len({said["run"] for said in both}) == 2
    whole = joined([(str(text), of_text(text)), (str(pdf), of_pdf(pdf))])
    for said in both:
        prove(journal, said["run"], whole, said["coverage"], count)


@pytest.mark.skipif(sys.platform == "win32", reason="needs Unix signals")
def test_an_interrupted_and_then_a_resumed_reading(memread: Memread, journal: Path, count: Count) -> None:
    path = memread.write("a.txt", log(60))
    running = memread.start("ask", path, QUESTION)
    running.wait_for(done(4))
    running.signal(signal.SIGINT)
    assert running.end() == 130
    partial = running.events[-1]
    assert isinstance(partial, events.Answered) and not partial.answer.coverage.complete
    prove(journal, run_id(running.events), of_text(path), stated(running.events), count)
    killed = memread.start("ask", path, QUESTION)
    killed.wait_for(done(partial.answer.coverage.segments + 3))
    killed.signal(signal.SIGKILL)
    killed.end()
    (said,) = asked(memread, path, QUESTION)
    assert said["resumed"] > partial.answer.coverage.segments and said["coverage"]["complete"]
    assert said["run"] == run_id(running.events)
    prove(journal, said["run"], of_text(path), said["coverage"], count)


def run_id(seen: list[events.Event]) -> str:
    assert isinstance(seen[0], events.RunStarted)
    return seen[0].run


def stated(seen: list[events.Event]) -> dict[str, Any]:
    """What the last event says, with the keys that --json adds."""
    found: dict[str, Any] = events.to_dict(seen[-1])["answer"]["coverage"]
    skipped = [events.to_dict(event) for event in seen if isinstance(event, events.Skipped)]
    assert len(skipped) == found["skipped"]
    return {**found, "skipped": skipped, "kept_segments": []}


# ── the proof can fail ──


def test_another_text_or_another_journal_is_noticed(
    memread: Memread, journal: Path, count: Count, tmp_path: Path
) -> None:
    path = memread.write("a.txt", log(20))
    (said,) = asked(memread, path, QUESTION)
    text = path.read_text()
    prove(journal, said["run"], of_text(path), said["coverage"], count)
    for changed in (text + "One more line.\n", text[:-40], text.replace("Line 11:", "Line XI:")):
        with pytest.raises(Wrong):
            prove(journal, said["run"], of_text(memread.write("b.txt", changed)), said["coverage"], count)
    for number, edit in enumerate(EDITS):
        copy = tmp_path / f"edited{number}.db"
        with closing(sqlite3.connect(journal)) as database, closing(sqlite3.connect(copy)) as edited:
            database.backup(edited)
            with edited:
                assert edited.execute(edit).rowcount
        with pytest.raises(Wrong):
            prove(copy, said["run"], of_text(path), said["coverage"], count)


EDITS = (
    "DELETE FROM records WHERE kind = 'memory_updated' AND segment = 2",
    "UPDATE records SET body = CAST(replace(body, '\"index\":2', '\"index\":3') AS BLOB)",
    "UPDATE runs SET tokens = tokens + 1",
    "UPDATE runs SET steps = steps - 1",
    "UPDATE runs SET status = 'partial'",
)


def test_false_statements_are_noticed(memread: Memread, journal: Path, count: Count) -> None:
    path = write_pdf(memread)
    (said,) = asked(memread, path, QUESTION)
    true, text = said["coverage"], of_pdf(path)
    prove(journal, said["run"], text, true, count)
    for change in (
        {"segments": true["segments"] - 1},
        {"tokens": true["tokens"] + 1},
        {"complete": False},
        {"fraction": 0.5},
        {"kept": true["kept"] + 1},
        {"skipped": true["skipped"][:1]},
        {"skipped": [*true["skipped"], true["skipped"][0]]},
        {"skipped": [{**each, "reason": ""} for each in true["skipped"]]},
        {"last": {**true["last"], "end": {**true["last"]["end"], "page_number": 6}}},
    ):
        with pytest.raises(Wrong):
            prove(journal, said["run"], text, {**true, **change}, count)
    with pytest.raises(Wrong, match="skipped"):
        prove(journal, said["run"], Text(text.pieces, [*text.silent, (0, 9)]), true, count)
    with pytest.raises(Wrong, match="tokens"):
        prove(journal, said["run"], text, true, lambda text: count(text) + 1)
    moved = [piece._replace(page=(piece.page or 0) + 1) for piece in text.pieces]
    with pytest.raises(Wrong, match="page"):
        prove(journal, said["run"], Text(moved, text.silent), true, count)
