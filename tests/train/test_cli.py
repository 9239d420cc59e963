"""`memread train` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memread.cli.app import main
from memread.errors import ConfigError
from memread.train.metrics import number
from memread.train.recipe import Run, read_run

pytest.importorskip("torch", reason="torch is not installed (pip install 'memread[train]')")
pytest.importorskip("transformers", reason="transformers is not installed (pip install 'memread[train]')")
pytest.importorskip("peft", reason="peft is not installed (pip install 'memread[train]')")


def _run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(["train", *arguments])
    return int(left.value.code or 0)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_smoke(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two steps of each stage with a random model, exported and read by llama.cpp."""
    assert _run("--smoke", "--folder", str(tmp_path)) == 0
    out = capsys.readouterr().out
    assert "adapter.gguf" in out and "llama.cpp: 2 rollouts" in out
    for stage in ("supervise", "reinforce"):
        rows = [json.loads(line) for line in (tmp_path / stage / "metrics.jsonl").read_text().splitlines()]
        assert [row["step"] for row in rows] == [1, 2]
        facts = json.loads((tmp_path / stage / f"{stage}.json").read_text())
        assert facts["settings"]["reinforce"]["rollouts"] == 2 and facts["packages"]["torch"]
    assert (tmp_path / "reinforce" / "metrics.png").exists()


def test_a_run_goes_on_with_its_own_settings_only(tiny_gguf: Path, tmp_path: Path) -> None:
    from memread import profile
    from memread.train.stages import Bench

    own = profile.load(Path(profile.__file__).parent / "train" / "data" / "section-first.toml")

    def begin(*changes: str) -> None:
        run = read_run(None, ("lora.rank=2", *changes))
        Bench(run, tiny_gguf, own).record(tmp_path, "supervise")

    begin()
    begin("supervise.learning_rate=0.5")  # nothing is learned yet
    (tmp_path / "checkpoint.safetensors").touch()
    begin("supervise.learning_rate=0.5", "supervise.steps=9", "threads=1")
    with pytest.raises(ConfigError, match=r"other settings: lora, supervise$"):
        begin("lora.rank=4")
    begin("supervise.learning_rate=0.5")
    (tmp_path / "supervise.json").write_text('{"settings": 3}')
    with pytest.raises(ConfigError, match="cannot be read"):
        begin()


def test_what_full_fine_tuning_cannot_be(
    tiny_gguf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from memread.train import weights

    learned = tmp_path / "lora.safetensors"
    weights.save_lora(learned, weights.with_lora(weights.load(tiny_gguf), weights.Lora(0)))
    base = ("--set", f"model={tiny_gguf}", "--set", "device=cpu")

    def said(*arguments: str) -> str:
        assert _run(*arguments, *base) == 20
        return capsys.readouterr().err

    out = str(tmp_path / "out.gguf")
    assert "whole weights" in said("export", str(learned), out)
    assert "--rank" in said("export", str(learned), out, "--merged", "--rank", "2")
    assert not Path(out).exists()
    assert "lora.rank" in said("reinforce", str(tmp_path), "--from", str(learned))
    half = ("--set", "dtype=bfloat16", "--set", "lora.rank=0")
    assert "autocast" in said("supervise", str(tmp_path), *half)
    assert _run("export", str(learned), out, "--rank", "2", *base) == 0 and Path(out).exists()


def test_a_supervised_run_has_a_figure(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    metrics = tmp_path / "metrics.jsonl"
    rows = [
        {"step": 1, "loss": 1.5, "learning_rate": 1e-3},
        {"step": 2, "loss": 1.25, "dev": {"loss": 1.0, "right": {"new": "4/30", "kept": "0/2"}}},
    ]
    metrics.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    assert _run("figure", str(metrics), str(tmp_path / "figure.svg")) == 0
    drawn = (tmp_path / "figure.svg").read_text(encoding="utf-8")
    assert drawn.startswith("<?xml") and "a fact is new" in drawn
    assert number(rows[1], "dev.right.new") == 4 / 30 and number(rows[0], "dev.loss") is None
    second = tmp_path / "higher.jsonl"
    second.write_text(json.dumps(rows[0]) + "\n", encoding="utf-8")
    assert _run("figure", str(metrics), str(second), str(tmp_path / "both.svg")) == 0
    assert (tmp_path / "both.svg").stat().st_size > (tmp_path / "figure.svg").stat().st_size
    assert _run("figure", str(metrics), str(tmp_path / "none"), str(tmp_path / "figure.svg")) == 20
    assert _run("figure", str(tmp_path / "none"), str(tmp_path / "figure.svg")) == 20
    assert _run("figure", str(metrics), str(tmp_path / "figure.gif")) == 2


def test_settings_are_one_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "recipe.toml"
    file.write_text('data = "texts"\n[reinforce]\nsteps = 7\nclip_high = 0.28\n[lora]\nrank = 8\n')
    changes = ("--set", "reinforce.steps=9", "--set", "reinforce.reward=substring")
    assert _run("settings", "--config", str(file), *changes) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {
        "reinforce.steps=9",
        "reinforce.clip_high=0.28",
        'reinforce.reward="substring"',
        "lora.rank=8",
        'data="texts"',
        "reinforce.kl=0.001",
    } <= set(lines)


def test_published_defaults() -> None:
    settings = read_run(None).reinforce
    assert (settings.clip_low, settings.clip_high, settings.kl) == (0.20, 0.20, 0.001)
    assert (settings.rollouts, settings.temperature, settings.learning_rate) == (16, 1.0, 1e-6)
    assert (settings.divide_by_deviation, settings.dynamic_sampling, settings.overlong) == (False, False, 0)
    assert (settings.average, settings.information, settings.reward) == ("tokens", 0.0, "exact")
    assert read_run(None) == Run()


@pytest.mark.parametrize(
    "change",
    [
        "reinforce.stepps=9",
        "reinforce.steps=many",
        "steps",
        "reinforce.reward=best",
        "model.x=1",
        "=1",
        "reinforce.sections=-1",
        "reinforce.rollouts=0",
        "reinforce.temperature=0",
        "supervise.warmup=0",
        "supervise.choice.new=1.5",
        "engine.rows=0",
        "lora.rank=-1",
        "texts.segment_tokens=[900, 300]",
        "texts.segments=[0, 3]",
        "texts.often={needle = -1}",
    ],
)
def test_wrong_settings_are_named(change: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read_run(None, [change])
    assert "--set" in str(raised.value)


def test_errors_have_their_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("reinforce", str(tmp_path), "--config", str(tmp_path / "none.toml")) == 20
    assert _run("reinforce", str(tmp_path), "--from", str(tmp_path / "none")) == 20
    assert _run("rollout", str(tmp_path), "--split", "test") == 2
    assert _run() == 2
    assert "Traceback" not in capsys.readouterr().err
