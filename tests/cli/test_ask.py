"""`memread ask` on everything that can be read, and what it prints where."""

from __future__ import annotations

import gzip
import json
import os
import re
from pathlib import Path

import msgspec
import pytest

from memread import events
from memread.text import printable
from memread.types import Skipped
from tests.cli.conftest import ALICE, Memread, answer, log, memories
from tests.ingest.samples import epub, nav, pdf_bytes, write_pdf, xhtml

QUESTION = "how far did the ship sail?"


def book(path: Path) -> str:
    return epub(
        path,
        {
            "nav.xhtml": nav(("one.xhtml", "The First Day"), ("two.xhtml", "The Second Day")),
            "one.xhtml": xhtml(f"<h1>The First Day</h1><p>{log(8)}</p>"),
            "two.xhtml": xhtml(f"<h1>The Second Day</h1><p>{log(8, 20)}</p>"),
        },
    )


def test_the_answer_alone_is_on_standard_output(memread: Memread) -> None:
    ended = memread("ask", memread.write("a.txt", log(12)), QUESTION, "--no-evidence")
    assert ended.code == 0
    shown = memread("runs", "show", run_of(ended.err), "--json").json
    assert ended.out == printable(str(shown["answer"])) + "\n"
    assert shown["question"] == QUESTION
    assert "Reading " in ended.err and "Read " in ended.err
    assert ended.out.strip() not in ended.err


def test_the_evidence_is_on_standard_error_and_in_the_journal(memread: Memread) -> None:
    ended = memread("ask", memread.write("a.txt", log(12)), QUESTION)
    assert "Evidence for the answer: " in ended.err and "Evidence" not in ended.out
    run = run_of(ended.err)
    shown = memread("runs", "show", run, "--evidence")
    assert shown.code == 0 and shown.out.startswith("Evidence for the answer: ")
    found = memread("runs", "show", run, "--json").json["evidence"]
    assert isinstance(found, dict) and found["answer"]
    assert {"statement", "verified", "quote", "place", "segment"} <= set(found["answer"][0])


def run_of(err: str) -> str:
    found = re.search(r"memread runs show (\w+)", err)
    assert found, err
    return found[1]


def test_a_text_a_pdf_and_an_epub_in_order(memread: Memread) -> None:
    text = memread.write("notes.txt", log(6))
    write_pdf(memread.folder / "paper.pdf", [log(5), log(5, 40)])
    book(memread.folder / "book.epub")
    ended = memread("ask", text, "paper.pdf", "book.epub", QUESTION, "--json")
    assert ended.code == 0, ended.err
    result = msgspec.json.decode(ended.out)
    assert [(d["format"], d["pages"], d["chapters"]) for d in result["documents"]] == [
        ("text", None, None),
        ("pdf", 2, None),
        ("epub", None, 2),
    ]
    labels = [source["label"] for source in result["sources"]]
    assert labels[0].startswith("line")
    assert any("p. 2" in label or "–2" in label for label in labels)
    assert "The Second Day" in labels[-1]
    assert result["coverage"]["complete"] and not result["partial"]
    assert result["coverage"]["fraction"] == 1.0


def test_the_book_that_ships(memread: Memread) -> None:
    """Large segments: the whole book in seconds."""
    ended = memread(
        "ask",
        ALICE,
        "Who stole the tarts?",
        "--segment",
        "2000",
        "--json",
        env={"MEMREAD_PROFILE": "default"},
    )
    assert ended.code == 0, ended.err
    result = msgspec.json.decode(ended.out)
    assert "Alice" in result["documents"][0]["title"]
    assert "Lewis Carroll" in result["documents"][0]["author"]
    assert result["coverage"]["tokens"] > 30_000
    assert any("Mad Tea-Party" in source["label"] for source in result["sources"])


def test_one_json_object_with_everything_in_it(memread: Memread) -> None:
    ended = memread("ask", memread.write("a.txt", log(12)), "-q", QUESTION, "--json", "--seed", "7")
    assert ended.out.count("\n") == 1
    result = msgspec.json.decode(ended.out)
    assert {
        *("answer", "memory", "sources", "timings", "model", "settings", "coverage", "budget", "profile"),
        *("run", "question", "documents", "partial", "error", "version"),
    } <= result.keys()
    assert result["error"] is None
    assert result["memory"] and isinstance(result["answer"], str)
    assert result["budget"] == {"query": 1024, "segment": 64, "memory": 24, "answer": 16}
    assert result["model"]["name"] == "tiny" and Path(result["model"]["path"]) == memread.model
    assert result["model"]["digest"].startswith("sha256:")
    assert result["timings"]["seconds"] > 0 and result["timings"]["prompt_tokens"] > 0
    assert result["coverage"]["segments"] == len(result["sources"]) + result["coverage"]["kept"]
    assert result["recorded"] and result["run"]


def test_events_are_lines_that_can_be_read_back(memread: Memread) -> None:
    ended = memread("ask", memread.write("a.txt", log(12)), QUESTION, "--events")
    seen = ended.events
    assert isinstance(seen[0], events.RunStarted) and isinstance(seen[-1], events.Answered)
    kinds = {type(event) for event in seen}
    assert {events.SegmentStarted, events.Piece, events.Prefilled, events.AnswerStarted} <= kinds
    starts = [event.segment.index for event in seen if isinstance(event, events.SegmentStarted)]
    assert starts == list(range(len(starts))) == list(memories(seen))
    for line, event in zip(ended.out.splitlines(), seen, strict=True):
        assert json.loads(line) == json.loads(json.dumps(events.to_dict(event)))


def test_json_and_events_together_are_json_lines(memread: Memread) -> None:
    ended = memread("ask", memread.write("a.txt", log(6)), QUESTION, "--events", "--json")
    *lines, last = [msgspec.json.decode(line) for line in ended.out.splitlines()]
    assert last["type"] == "result" and lines[-1]["type"] == "answered"
    assert last["answer"] == lines[-1]["answer"]["text"]


def test_show_memory_tells_where_each_was(memread: Memread) -> None:
    path = memread.write("a.txt", log(8))
    ended = memread("ask", path, QUESTION, "--show-memory", "--quiet")
    seen = memread("ask", path, QUESTION, "--events", "--fresh").events
    assert ended.out == printable(answer(seen)) + "\n"
    for event in seen:
        if isinstance(event, events.MemoryUpdated):
            assert f"[{event.segment.index + 1}] {event.segment.span.label()}" in ended.err


def test_quiet_says_nothing_when_all_is_well(memread: Memread) -> None:
    ended = memread("ask", memread.write("a.txt", log(2)), QUESTION, "--quiet")
    assert (ended.code, ended.err) == (0, "") and ended.out


def test_two_readings_are_the_same(memread: Memread) -> None:
    path = memread.write("a.txt", log(20))
    first, second = (memread("ask", path, QUESTION, "--fresh", "--events").events for _ in range(2))
    assert memories(first) == memories(second) and len(memories(first)) > 5
    assert answer(first) == answer(second)


def test_a_finished_reading_is_read_again(memread: Memread) -> None:
    """Only an interrupted one is gone on with."""
    path = memread.write("a.txt", log(4))
    runs = [msgspec.json.decode(memread("ask", path, QUESTION, "--json").out) for _ in range(2)]
    assert runs[0]["run"] != runs[1]["run"] and [run["resumed"] for run in runs] == [0, 0]


def test_another_seed_draws_something_else(memread: Memread) -> None:
    path = memread.write("a.txt", log(4))
    drawn = [
        memread("ask", path, QUESTION, "--temperature", "1.5", "--seed", seed, "--events", "--no-journal")
        for seed in ("1", "1", "2")
    ]
    first, again, other = (memories(ended.events) for ended in drawn)
    assert first == again != other


# ── arguments ──


def test_a_folder_is_read_in_natural_order(memread: Memread) -> None:
    for n in (10, 2, 1):
        memread.write(f"logs/part {n}.txt", log(2, n * 100))
    memread.write("logs/picture.png", b"\x89PNG\r\n\x1a\n" + bytes(64))
    memread.write("logs/.hidden", "never")
    ended = memread("ask", "logs", QUESTION, "--events")
    first = ended.events[0]
    assert isinstance(first, events.RunStarted)
    assert [Path(d.name).name for d in first.documents] == ["part 1.txt", "part 2.txt", "part 10.txt"]
    (lost,) = [event for event in ended.events if isinstance(event, Skipped)]
    assert "picture.png" in lost.reason and "picture.png" in ended.err


def test_a_pattern_that_the_shell_did_not_expand(memread: Memread) -> None:
    for name in ("b 1.txt", "b 2.txt", "c.txt"):
        memread.write(name, log(2))
    seen = memread("ask", "b *.txt", QUESTION, "--events").events
    assert isinstance(seen[0], events.RunStarted)
    assert [document.name for document in seen[0].documents] == ["b 1.txt", "b 2.txt"]
    assert seen[0].question == QUESTION


def test_the_last_argument_is_a_document_if_it_exists(memread: Memread) -> None:
    memread.write("a.txt", log(2))
    memread.write("why", log(2))
    (seen, *_) = memread("ask", "a.txt", "why", "--events").events
    assert isinstance(seen, events.RunStarted)
    assert len(seen.documents) == 2 and seen.summary


@pytest.mark.parametrize("name", ["b.tx", "notes.pdf", "folder/b"])
def test_a_missing_name_that_looks_like_a_file_is_no_question(memread: Memread, name: str) -> None:
    memread.write("a.txt", log(2))
    ended = memread("ask", "a.txt", name)
    assert (ended.code, ended.out) == (3, "")
    assert f"{name}: there is no such file" in ended.err


def test_q_makes_every_argument_a_document(memread: Memread) -> None:
    memread.write("a.txt", log(2))
    assert memread("ask", "a.txt", "what now", "-q", QUESTION).code == 3
    (seen, *_) = memread("ask", "a.txt", "-q", "b.tx", "--events").events
    assert isinstance(seen, events.RunStarted) and seen.question == "b.tx"


def test_names_that_begin_with_a_dash_or_are_not_latin(memread: Memread) -> None:
    memread.write("-rf.txt", log(2))
    memread.write("Ιλιάδα 🏺.txt", log(2))
    ended = memread("ask", "--events", "--", "-rf.txt", "Ιλιάδα 🏺.txt", QUESTION)
    assert ended.code == 0, ended.err
    assert isinstance(ended.events[0], events.RunStarted)
    assert [document.name for document in ended.events[0].documents] == ["-rf.txt", "Ιλιάδα 🏺.txt"]


# ── standard input ──


def test_standard_input_and_a_question(memread: Memread) -> None:
    ended = memread("ask", "-", QUESTION, "--json", stdin=log(10))
    result = msgspec.json.decode(ended.out)
    assert result["question"] == QUESTION and not result["summary"]
    assert result["documents"][0]["name"] == "-" and result["coverage"]["complete"]
    assert result["sources"][0]["label"].startswith("line")


def test_standard_input_without_a_question_is_summarized(memread: Memread) -> None:
    result = msgspec.json.decode(memread("ask", "-", "--json", stdin=log(4)).out)
    assert result["summary"] and "ummar" in result["question"]


def test_a_pdf_through_a_pipe(memread: Memread) -> None:
    result = msgspec.json.decode(memread("ask", "-", QUESTION, "--json", stdin=pdf_bytes([log(6)] * 2)).out)
    assert (result["documents"][0]["format"], result["documents"][0]["pages"]) == ("pdf", 2)
    assert "p. 1" in result["sources"][0]["label"]


def test_an_epub_through_a_pipe_is_spooled_and_leaves_nothing(memread: Memread) -> None:
    book(memread.folder / "b.epub")
    data = (memread.folder / "b.epub").read_bytes()
    place = memread.folder / "tmp"
    place.mkdir()
    temporary = {name: str(place) for name in ("TMPDIR", "TEMP", "TMP")}
    result = msgspec.json.decode(memread("ask", "-", QUESTION, "--json", stdin=data, env=temporary).out)
    assert result["documents"][0]["format"] == "epub"
    assert "The First Day" in result["sources"][0]["label"]
    assert not [*place.iterdir()]


def test_gzip_and_a_pipe_among_files(memread: Memread) -> None:
    memread.write("old.log.gz", gzip.compress(log(4).encode()))
    ended = memread("ask", "old.log.gz", "-", QUESTION, "--json", stdin=log(4, 50))
    result = msgspec.json.decode(ended.out)
    assert [document["name"] for document in result["documents"]] == ["old.log.gz", "-"]
    assert result["coverage"]["complete"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_named_pipe(memread: Memread) -> None:
    os.mkfifo(memread.folder / "pipe")
    running = memread.start("ask", "pipe", QUESTION)
    with (memread.folder / "pipe").open("w", encoding="utf-8") as pipe:
        pipe.write(log(8))
    assert running.end() == 0
    assert len(memories(running.events)) >= 3


# ── the embedded model ──


@pytest.mark.tiny
def test_smollm2_reads_and_answers(memread: Memread, smollm2: Path) -> None:
    memread.write("a.txt", "The captain of the ship was called Maria Kerr. She came from Orkney.\n")
    ended = memread("ask", "a.txt", "Who was the captain?", "--json", env={"MEMREAD_MODEL": str(smollm2)})
    assert ended.code == 0, ended.err
    result = msgspec.json.decode(ended.out)
    assert result["profile"] == "smollm2-135m"
    assert "Kerr" in result["memory"] + result["answer"]
