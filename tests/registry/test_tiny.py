"""The weights that ship: whole, small enough, and read the way they were trained."""

from __future__ import annotations

import hashlib
from pathlib import Path

from memread import profile
from memread.gguf import read_header
from memread.registry import recipes
from memread.train.recipe import read_run, recipe_file

FOLDER = Path(__file__).parents[2] / "models" / "tiny"


def test_the_adapter_is_the_one_that_is_named() -> None:
    recipe = recipes.load(FOLDER / "model.toml", 98_362_432)
    assert recipe is not None and recipe.adapter is not None
    content = recipe.adapter.read_bytes()
    assert len(content) <= 20_000_000
    assert recipe.adapter_digest == "sha256:" + hashlib.sha256(content).hexdigest()
    metadata = read_header(recipe.adapter).metadata
    assert metadata["general.type"] == "adapter" and metadata["adapter.type"] == "lora"
    assert "Apache License" in (FOLDER / "LICENSE").read_text("utf-8")


def test_it_is_read_the_way_it_was_trained() -> None:
    recipe = recipes.load(FOLDER / "model.toml", 98_362_432)
    assert recipe is not None and recipe.profile is not None
    shipped = profile.load(recipe.profile)
    run = read_run(recipe_file("tiny-plain"))
    assert run.profile is not None
    trained = profile.load(Path(run.profile))
    assert shipped.wording == trained.wording
    longest = max(stage.data.segment_tokens[1] for stage in run.supervise.stages)
    assert shipped.budget.segment <= longest
    assert shipped.budget.memory > max(stage.data.memory_tokens for stage in run.supervise.stages)
