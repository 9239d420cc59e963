"""`memread report` and `memread runs ask`, with a real reading."""

from __future__ import annotations

import re

import pytest

from tests.cli.conftest import Memread, log

QUESTION = "how far did the ship sail?"


@pytest.fixture
def run(memread: Memread) -> str:
    ended = memread("ask", memread.write("a.txt", log(12)), QUESTION)
    found = re.search(r"memread runs show (\w+)", ended.err)
    assert ended.code == 0 and found, ended.err
    return found[1]


def test_the_report_is_written_where_it_is_asked_for(memread: Memread, run: str) -> None:
    ended = memread("report", run)
    assert ended.code == 0 and ended.out == "" and f"wrote memread-{run}.html" in ended.err
    written = (memread.folder / f"memread-{run}.html").read_text(encoding="utf-8")
    assert QUESTION in written and run in written
    assert memread("report", run[:6], "-o", "-").out == written
    assert memread("report", run, "-o", "other.html").code == 0
    assert (memread.folder / "other.html").read_text(encoding="utf-8") == written
    assert not list(memread.folder.glob("*.part"))


def test_a_report_that_cannot_be_written_and_a_run_that_is_not_there(memread: Memread, run: str) -> None:
    ended = memread("report", run, "-o", "no/such/folder/x.html")
    assert ended.code == 2 and "cannot be written" in ended.err and "Traceback" not in ended.err
    assert memread("report", "zzzzzzzz").code == 19


def test_a_follow_up_is_answered_from_the_memory_and_says_so(memread: Memread, run: str) -> None:
    (memread.folder / "a.txt").unlink()  # nothing is read
    ended = memread("runs", "ask", run, "which way did it sail?")
    assert ended.code == 0, ended.err
    assert f"Answered from the memory that run {run} kept for “{QUESTION}”" in ended.err
    again = memread("runs", "ask", run, "which way did it sail?", "--json", "--quiet").json
    assert ended.out == str(again["answer"]) + "\n" or not str(again["answer"]).isprintable()
    assert again["question"] == "which way did it sail?" and again["recorded"] is False
    kept = memread("runs", "show", run, "--json").json
    assert again["memory"] == kept["memory"] and kept["question"] == QUESTION
    assert memread("runs", "ask", run, " ").code == 2


def test_a_follow_up_reads_with_the_profile_of_the_model_that_read(memread: Memread) -> None:
    """A model with weights of its own, made ready from a base, is known by its name and not by that file."""
    recipe = memread("models", "add", str(memread.model), "--name", "mine")
    assert recipe.code == 0, recipe.err
    own = {"MEMREAD_MODEL": "mine"}
    path = memread.write("a.txt", log(12))
    found = re.search(r"memread runs show (\w+)", memread("ask", path, QUESTION, env=own).err)
    assert found
    again = memread(
        "runs", "ask", found[1], "which way?", "--json", "--quiet", env={"MEMREAD_MODEL": "other"}
    ).json
    model = again["model"]
    assert isinstance(model, dict) and model["name"] == "mine"
