"""The benchmarks run, and say what was measured. Of speed, what they measure here says nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from benchmarks import curves
from benchmarks.measure import Clock, Row, paired, ratio
from benchmarks.models import Bare, KnownReplies, answer
from benchmarks.shape import Shape, write
from benchmarks.sides import compared
from memread.engine.llamacpp.engine import Settings
from memread.engine.llamacpp.model import Model
from memread.train.episode import Episode
from memread.types import Part, Request, Sampling

ROOT = Path(__file__).parent.parent


def test_pairs_are_taken_in_turn_and_their_order_changes() -> None:
    order: list[str] = []

    def a() -> float:
        order.append("a")
        return 3.0

    def b() -> float:
        order.append("b")
        return 2.0

    pairs = paired(a, b, 3, Clock(60))
    assert order == ["a", "b", "b", "a", "a", "b"] and pairs == [(3.0, 2.0)] * 3
    row = ratio("part", "a ÷ b", "≤ 2", pairs)
    assert (row.value, row.least, row.most, row.runs) == (1.5, 1.5, 1.5, 3)
    assert len(paired(a, b, 3, Clock(0))) == 1, "one pair, also when there is no time"


def test_known_replies_cost_what_real_ones_do(tiny_gguf: Path) -> None:
    """Every token is computed and drawn: as many batches, whatever is said."""
    memory = "Alice follows the White Rabbit."
    request = Request("update", (Part("Go on."),), 64, Sampling(), rewrites=memory)
    with Model(tiny_gguf) as model:
        for copy_ahead in (0, 63):
            settings = Settings(context=256, threads=1, copy_ahead=copy_ahead)
            engine = KnownReplies(model, settings, memory=memory)
            try:
                reply, batches, _ = answer(engine, request)
            finally:
                engine.close()
            tokens = len(model.vocabulary.encode(memory))
            assert reply.text == memory and reply.finish == "stop"
            assert reply.counts.reply_tokens == tokens
            assert batches == (1 if copy_ahead else tokens)


def test_bare_prefill_takes_any_prompt(tiny_gguf: Path) -> None:
    with Model(tiny_gguf) as model:
        bare = Bare(model, context=512, batch=64, threads=1)
        try:
            assert bare.prefill(model.vocabulary.encode("Call me Ishmael. " * 20)) > 0
            assert bare.prefill(model.vocabulary.encode("Call me Ishmael.")) > 0
        finally:
            bare.close()


def test_the_command_writes_a_table(tiny_gguf: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "rewrite", "--model", str(tiny_gguf), "--types", ""]
    command += ["--runs", "1", "--threads", "1", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads((tmp_path / "results.json").read_text())
    assert row["part"] == "rewrite" and row["value"] > 0
    table = (tmp_path / "results.md").read_text()
    assert row["what"] in table and row["what"] in done.stdout and "python -m benchmarks rewrite" in table


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing"], "no part 'nothing'"),
        (["--types", "f17"], "no GGUF type 'f17'"),
        (["rewrite", "box", "--clock", "cpu"], "box: other programs"),
    ],
)
def test_what_it_cannot_do_it_says(arguments: list[str], said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2 and said in done.stderr


def test_curves_are_drawn_from_the_results(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    rows = [
        Row("context", f"reading ÷ one context: {what}", "", 0.5, 0.5, 0.5, 1, figures=(length, 2.0, 4.0))
        for what in ("time", "peak memory")
        for length in (8192, 4096)
    ]
    (tmp_path / "results.json").write_bytes(msgspec.json.encode(rows))
    curves.main(tmp_path / "results.json", tmp_path / "curves.svg")
    drawn = (tmp_path / "curves.svg").read_text()
    assert all(word in drawn for word in ("memread", "one context", "4K", "8K", "peak memory, MiB"))
    (tmp_path / "results.json").write_bytes(msgspec.json.encode([Row("rewrite", "", "", 1, 1, 1, 1)]))
    with pytest.raises(SystemExit, match="no curves"):
        curves.main(tmp_path / "results.json", tmp_path / "curves.svg")


def test_a_random_model_of_a_real_shape_is_one_that_llama_cpp_reads(tiny_gguf: Path, tmp_path: Path) -> None:
    shape = Shape(layers=2, width=64, inner=128, heads=4, kv_heads=2, vocabulary=60_000, context=512)
    path = write(tmp_path / "shape.gguf", shape, tiny_gguf)
    with Model(path) as model:
        assert model.vocabulary.size == 60_000 and model.trained_context == 512
        bare = Bare(model, context=256, threads=1)
        try:
            assert bare.prefill(model.vocabulary.encode("Call me Ishmael. " * 20)) > 0
        finally:
            bare.close()


def test_answers_are_compared_by_kind_and_in_pairs() -> None:
    episodes = [
        Episode(str(number), "dev", "story", "Who?", ("she",) if number < 3 else (), (), (), "")
        for number in range(4)
    ]
    said = compared(["old", "new"], episodes, [[1, 0, 0, 1], [1, 1, 0, 1]])
    assert "| story | 3 | 33% | 67% |" in said
    assert "| story, not held | 1 | 100% | 100% |" in said
    assert "| all | 4 | 50.0% (15.0% to 85.0%) | 75.0% (30.1% to 95.4%) |" in said
    assert "new − old: 25.0%" in said
