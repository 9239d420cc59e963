"""`memread bench` and `memread models optimize`, as processes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.conftest import Memread, log

PLAIN = {"MEMREAD_BUDGET_SEGMENT": "", "MEMREAD_BUDGET_MEMORY": "", "MEMREAD_BUDGET_ANSWER": ""}


def test_bench_tells_how_long_a_text_takes_and_stat_knows_then(memread: Memread) -> None:
    memread.write("a.txt", log(40))
    before = memread("stat", "a.txt")
    assert "memread bench measures" in before.out
    found: Any = memread("bench", "a.txt", "--seconds", "1", "--json").json
    (text,) = found["texts"]
    assert text["seconds"] * found["reading"] == pytest.approx(text["tokens"])
    assert text["tokens"] > 500
    assert found["limit"] >= found["reading"] and "256" in found["rates"]["prefill"]
    assert "tokens/s of memread bench" in memread("stat", "a.txt").out
    plain = memread("bench", "--seconds", "1", env=PLAIN)
    assert plain.code == 0 and "a novel (120,000 tokens): about" in plain.out
    assert "% of it" in plain.out
    tied = memread("bench", "--seconds", "1", "--write", env=PLAIN | {"MEMREAD_PROFILE": "rl-memoryagent-7b"})
    assert tied.code == 20 and "--segment" in tied.err
    named = memread("bench", "--segment", "300", "--write", env=PLAIN)
    assert named.code == 2 and "--segment" in named.err and not named.out


def test_bench_says_that_it_measures_no_server(memread: Memread) -> None:
    refused = memread("bench", env={"MEMREAD_ENGINE_URL": "http://127.0.0.1:9/v1"})
    assert refused.code == 2 and "engine.url" in refused.err and not refused.out


def test_optimize(memread: Memread) -> None:
    shown = memread("models", "optimize", "--seconds", "1", "--dry-run")
    assert shown.code == 0 and "(--dry-run)" in shown.err
    assert "Q4_0" in shown.out and "at most 0.02 nats" in shown.err
    undone = memread("models", "optimize", "--undo")
    assert "nothing was measured" in undone.err
