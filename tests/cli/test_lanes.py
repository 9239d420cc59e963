"""`memread ask --lanes`: parts side by side as users run it; with a server, requests at the same time."""

from __future__ import annotations

import json
import os
import signal
import threading

import pytest

from memread.events import Answered, MemoryUpdated
from tests.cli.conftest import Memread, log
from tests.cli.test_servers import QUESTION, by_prompt, served
from tests.engine.http.hostile import Handler, hostile, say


def test_lanes_are_told_apart_and_one_answer_is_printed(memread: Memread) -> None:
    name = memread.write("a.txt", log(24))
    ended = memread("ask", name, QUESTION, "--lanes", "3", "--show-memory")
    assert ended.code == 0, ended.err
    assert ended.err.count("Reading ") == 1 and "up to 3 parts side by side" in ended.err
    for lane in (1, 2, 3):
        assert f"[lane {lane}, " in ended.err and f"Lane {lane}: [1] lines" in ended.err
    assert "Read 3 parts side by side, " in ended.err and "to the end in" in ended.err
    runs = memread("runs").out
    assert [f"lane {lane} of 3: {QUESTION}" in runs for lane in (1, 2, 3)] == [True] * 3
    assert runs.count("done") == 4
    whole = next(line.split()[1] for line in ended.err.splitlines() if line.startswith("Run "))
    shown = memread("runs", "show", whole).out
    assert "3 parts side by side" in shown


def test_json_is_one_object_and_events_say_which_lane(memread: Memread) -> None:
    name = memread.write("a.txt", log(24))
    found = memread("ask", name, QUESTION, "--lanes", "3", "--json").json
    assert found["lanes"] == 3 and found["partial"] is False
    coverage = found["coverage"]
    assert isinstance(coverage, dict) and coverage["complete"] and len(coverage["parts"]) == 3
    assert coverage["parts"][0]["label"].startswith("lines 1–")
    lines = [
        json.loads(line)
        for line in memread("ask", name, QUESTION, "--lanes", "3", "--events").out.splitlines()
    ]
    assert {line["lane"] for line in lines} == {0, 1, 2, 3}
    assert lines[-1]["type"] == "answered" and lines[-1]["lane"] == 0
    one = memread("ask", name, QUESTION, "--lanes", "1", "--json").json
    assert one["lanes"] == 1 and one["coverage"]["parts"] == []  # type: ignore[index]


def test_what_lanes_are_not_for(memread: Memread) -> None:
    name = memread.write("a.txt", log(4))
    several = memread("ask", name, "-q", "how far?", "-q", "where to?", "--lanes", "2")
    assert several.code == 2 and several.out == ""
    assert "lanes are for one question, and there are 2" in several.err
    for bad in ("0", "65", "x"):
        ended = memread("ask", name, QUESTION, "--lanes", bad)
        assert ended.code != 0 and "--lanes" in ended.err and "Traceback" not in ended.err
    empty = memread("ask", "-", QUESTION, "--lanes", "2", stdin="")
    assert empty.code == 11


def test_a_pipe_is_read_to_its_end_and_then_in_parts(memread: Memread) -> None:
    ended = memread("ask", "-", QUESTION, "--lanes", "2", "--json", stdin=log(16))
    assert ended.code == 0 and len(ended.json["coverage"]["parts"]) == 2  # type: ignore[index]


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT for a child there")
def test_an_interrupt_answers_from_what_the_lanes_read(memread: Memread, slow_gguf: object) -> None:
    name = memread.write("a.txt", log(60))
    running = memread.start("ask", name, QUESTION, "--lanes", "2", env={"MEMREAD_MODEL": str(slow_gguf)})
    running.wait_for(lambda event: isinstance(event, MemoryUpdated) and event.segment.index == 1)
    running.signal(signal.SIGINT)
    assert running.end() == 130
    whole = running.events[-1]
    assert isinstance(whole, Answered) and not whole.answer.coverage.complete
    assert 1 <= len(whole.answer.coverage.parts) <= 2 and whole.answer.coverage.segments >= 2
    fraction = whole.answer.coverage.fraction
    assert fraction is not None and 0 < fraction < 1


def test_killed_and_gone_on_with_it_ends_as_undisturbed(memread: Memread) -> None:
    arguments = ("ask", memread.write("a.txt", log(24)), QUESTION, "--lanes", "3")
    running = memread.start(*arguments)
    running.wait_for(lambda event: isinstance(event, MemoryUpdated) and event.segment.index == 1)
    running.process.kill()
    running.end()
    second = memread(*arguments, "--json").json
    whole = memread(*arguments, "--json", "--no-journal").json
    for key in ("answer", "memory", "coverage", "evidence", "sources"):
        assert second[key] == whole[key]
    assert memread("runs").out.count("done") == 4


class Together:
    """A server's replies, each given only when so many requests are waiting for theirs."""

    def __init__(self, parties: int) -> None:
        self._barrier = threading.Barrier(parties)
        self.alone = 0

    def __call__(self, handler: Handler) -> None:
        try:
            self._barrier.wait(timeout=20)
        except threading.BrokenBarrierError:
            self.alone += 1
        by_prompt(handler)


def test_a_server_gets_the_requests_of_all_lanes_at_once(memread: Memread) -> None:
    name = memread.write("a.txt", log(24))
    together = Together(3)
    with hostile() as server:
        # All lanes have two segments; a third one not all of them have.
        server.acts[:] = [say("probe"), *[together] * 6, *[by_prompt] * 60]
        ended = memread("ask", name, QUESTION, "--lanes", "3", "--json", env=served(server.url))
    assert ended.code == 0, ended.err
    assert together.alone == 0
    assert len(ended.json["coverage"]["parts"]) == 3  # type: ignore[index]
