"""`memread ask --skim`: the model sees the sentences nearest to the question, and no others."""

from __future__ import annotations

import json
import os
import signal

import pytest

from memread.events import Answered, MemoryUpdated, RunStarted
from tests.cli.conftest import Memread, log
from tests.cli.test_servers import served
from tests.engine.http.hostile import hostile, say

QUESTION = "How far did the ship sail in line 37?"
NEAR = "Line 37: the ship sailed 56 miles to the west that day."


def test_what_a_skim_says_of_itself(memread: Memread) -> None:
    name = memread.write("a.txt", log(60))
    ended = memread("ask", name, QUESTION, "--skim", "--show-memory")
    assert ended.code == 0, ended.err
    assert "Skimming " in ended.err and NEAR in ended.err
    assert "Skimmed " in ended.err and "to the end" in ended.err and "Read " not in ended.err
    assert "The model saw only the sentences nearest to the question." in ended.err
    run = next(line.split()[1] for line in ended.err.splitlines() if line.startswith("Run "))
    shown = memread("runs", "show", run)
    assert "Skimmed    " in shown.out and "only the sentences nearest" in shown.out
    page = memread.folder / "report.html"
    assert memread("report", run, "-o", str(page)).code == 0
    assert "only the sentences nearest" in page.read_text("utf-8")


def test_json_and_events_tell_a_skim_from_a_reading(memread: Memread) -> None:
    name = memread.write("a.txt", log(60))
    skimmed = memread("ask", name, QUESTION, "--skim", "--json").json
    read = memread("ask", name, QUESTION, "--json", "--lines", "1-4").json
    assert (skimmed["skim"], read["skim"]) == (True, False)
    assert NEAR in str(skimmed["memory"]) and skimmed["partial"] is False
    assert skimmed["coverage"]["complete"] is True  # type: ignore[index]
    again = memread("ask", name, QUESTION, "--events", env={"MEMREAD_SKIM": "1"}).events
    assert isinstance(again[0], RunStarted) and again[0].skim


def test_several_questions_have_a_memory_each(memread: Memread) -> None:
    name = memread.write("a.txt", log(60))
    other = QUESTION.replace("37", "11")
    ended = memread("ask", name, "-q", QUESTION, "-q", other, "--skim", "--json")
    first, second = map(json.loads, ended.out.splitlines())
    assert "Line 37" in first["memory"] and "Line 11" in second["memory"]


def test_what_a_skim_is_not_for(memread: Memread) -> None:
    name = memread.write("a.txt", log(4))
    summary = memread("ask", name, "--skim")
    assert summary.code == 2 and summary.out == "" and "a summary needs all of the text" in summary.err
    lanes = memread("ask", name, QUESTION, "--skim", "--lanes", "2")
    assert lanes.code == 2 and "Leave out --lanes" in lanes.err
    nothing = memread("ask", "-", QUESTION, "--skim", stdin=" \n")
    assert nothing.code == 11
    far = memread("ask", name, "Wer war Ismael?", "--skim", "--quiet")
    assert far.code == 0 and "the answer rests on nothing" in far.err


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT for a child there")
def test_an_interrupted_skim_answers_and_is_gone_on_with(memread: Memread) -> None:
    """From a pipe that is not at its end."""
    running = memread.start("ask", "-", QUESTION, "--skim")
    running.write(log(40))
    running.wait_for(lambda event: isinstance(event, MemoryUpdated) and event.segment.index == 5)
    running.signal(signal.SIGINT)
    assert running.end() == 130
    last = running.events[-1]
    assert isinstance(last, Answered) and not last.answer.coverage.complete
    assert last.answer.coverage.segments >= 6
    again = memread("ask", "-", QUESTION, "--skim", "--events", stdin=log(60)).events
    assert isinstance(again[0], RunStarted) and again[0].resumed >= 6
    assert isinstance(again[-1], Answered) and NEAR in again[-1].answer.memory


def test_a_server_is_sent_the_nearest_sentences_and_nothing_else(memread: Memread) -> None:
    name = memread.write("a.txt", log(60))
    with hostile() as server:
        server.acts[:] = [say("probe"), say("\\boxed{56 miles}")]
        ended = memread("ask", name, QUESTION, "--skim", env=served(server.url))
        assert (ended.code, ended.out) == (0, "56 miles\n"), ended.err
        assert server.asked == 2
        body = next(body for _, _, body in reversed(server.seen) if body)
    (message,) = body["messages"]
    assert NEAR in message["content"] and "Line 11:" not in message["content"]
