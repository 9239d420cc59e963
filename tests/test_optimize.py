"""What is measured and chosen. Which type wins depends on the machine; what may win does not."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from memread import bench, compose, config, optimize, registry, tuning, weights
from memread.config import Config
from memread.errors import ConfigError
from memread.optimize import LIMIT, Row
from memread.registry import InstalledModel
from memread.tuning import Choice, fingerprint


@pytest.fixture
def settings(tmp_path: Path) -> Config:
    return config.load({"data_dir": tmp_path / "data", "engine.threads": 1})


@pytest.fixture
def model(tiny_gguf: Path) -> InstalledModel:
    return InstalledModel("random", tiny_gguf, tiny_gguf.stat().st_size, "folder")


def run(settings: Config, model: InstalledModel, keep: bool) -> optimize.Outcome:
    told: list[Row] = []
    found = optimize.optimize(
        settings, model, seconds=0.2, keep=keep, say=lambda *words: None, tell=told.append
    )
    assert tuple(told) == found.rows
    return found


def test_only_what_predicts_the_same_can_be_chosen(settings: Config, model: InstalledModel) -> None:
    found = run(settings, model, keep=True)
    types = {row.value: row for row in found.rows if row.what == "type"}
    assert set(types) == {"F16", "BF16", "Q8_0", "Q4_0"}
    assert types["Q4_0"].verdict and types["F16"].divergence == 0.0
    taken = [row for row in types.values() if not row.verdict]
    assert all(row.divergence is not None and row.divergence <= LIMIT for row in taken)
    assert {row.what for row in found.rows} == {"type", "batch", "flash", "kv"}, "threads were set"
    (wrong,) = [row for row in found.rows if row.value == "q8_0"]
    assert "llama.cpp made no context" in wrong.verdict and found.choice.kv != "q8_0"
    read = weights.prepare(settings, model)
    assert read.kind == found.choice.kind and read.choice == found.choice and not read.notices
    made = [path.name for path in weights.folder_of(settings).glob("*.gguf")]
    assert made == ([read.path.name] if read.kind else [])
    ((digest, listed),) = tuning.load(settings.data_dir).items()
    assert listed.name == "random" and listed.segment == 0
    tuning.remember(settings.data_dir, digest, msgspec.structs.replace(listed, segment=1024))
    assert run(settings, model, keep=True).choice.segment == 1024, "memread bench --write chose it"
    assert optimize.undo(settings, model) and not optimize.undo(settings, model)
    assert weights.prepare(settings, model).path == model.path
    assert not [*weights.folder_of(settings).glob("*.gguf")]


def test_a_dry_run_changes_nothing(settings: Config, model: InstalledModel) -> None:
    run(settings, model, keep=False)
    assert tuning.load(settings.data_dir) == {}
    assert not [*weights.folder_of(settings).iterdir()]


def test_the_bench(settings: Config, model: InstalledModel) -> None:
    told: list[int] = []
    found = bench.bench(
        settings, model, seconds=2, say=lambda *words: None, tell=lambda length, rate: told.append(length)
    )
    assert told == list(found.rates.prefill) and told[0] == 256
    assert found.limit == max(found.rates.prefill.values()) >= found.reading > 0
    assert found.fastest_reading >= found.reading and not found.tied
    bench.remember(settings, model, found, write=False)
    digest = registry.weights_digest(model.path)
    assert tuning.load(settings.data_dir)[digest] == Choice(
        fingerprint(), name="random", reading=found.reading
    )
    assert compose.chosen_profile(settings, model).budget.segment == found.segment == 5000
    better = msgspec.structs.replace(found, fastest=1024, fastest_reading=99.0)
    bench.remember(settings, model, better, write=True)
    assert compose.chosen_profile(settings, model).budget.segment == 1024
    given = config.load({"data_dir": settings.data_dir, "budget.segment": 64})
    assert compose.chosen_profile(given, model).budget.segment == 64
    named = config.load({"data_dir": settings.data_dir, "profile": "default"})
    assert compose.chosen_profile(named, model).budget.segment == 5000


def test_a_trained_segment_size_stays(settings: Config, model: InstalledModel) -> None:
    trained = config.load({"data_dir": settings.data_dir, "profile": "rl-memoryagent-7b"})
    found = bench.bench(trained, model, seconds=0, say=lambda *words: None, tell=lambda *words: None)
    assert found.tied and found.fastest == 5000
    with pytest.raises(ConfigError, match="is for segments of 5000 tokens"):
        bench.remember(trained, model, found, write=True)
