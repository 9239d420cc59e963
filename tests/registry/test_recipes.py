"""Recipes of models that are made ready on the user's machine."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from memread import profile, registry
from memread.errors import ConfigError
from memread.registry import InstalledModel
from memread.registry.recipes import load

TEXT = 'base = "sha256:0"\nbase_bytes = 7\nadapter = "lora.gguf"\nprofile = "profile.toml"\n'
PROFILE = 'name = "trained"\n[wording]\nupdate = "{prompt} {memory} {chunk}"\nanswer = "{prompt} {memory}"\n'


def test_its_files_lie_beside_it(tmp_path: Path) -> None:
    (tmp_path / "model.toml").write_text(TEXT)
    found = load(tmp_path / "model.toml", 7)
    assert found is not None and found.kind == "F16"
    assert (found.adapter, found.profile) == (tmp_path / "lora.gguf", tmp_path / "profile.toml")
    assert load(tmp_path / "model.toml", 8) is None, "it is for a base of another size"
    assert load(tmp_path / "none.toml", 7) is None


def test_what_is_no_recipe(tmp_path: Path) -> None:
    (tmp_path / "model.toml").write_text("base = 7\n")
    with pytest.raises(ConfigError, match="cannot be read as a recipe"):
        load(tmp_path / "model.toml", 7)


def test_a_trained_model_is_read_with_its_own_profile(tiny_gguf: Path, tmp_path: Path) -> None:
    (tmp_path / "model.toml").write_text(TEXT)
    (tmp_path / "profile.toml").write_text(PROFILE)
    model = InstalledModel("tiny", tiny_gguf, 7, "tiny", recipe=load(tmp_path / "model.toml", 7))
    own = tmp_path / "own"
    assert registry.profile_of(model, None, own).name == "trained"
    assert registry.profile_of(model, "default", own).name == "default"
    assert registry.profile_of(msgspec.structs.replace(model, recipe=None), None, own).name == "default"
    own.mkdir()
    mine = PROFILE.replace("trained", "mine") + '[match.metadata]\n"general.name" = "tiny"\n'
    (own / "mine.toml").write_text(mine)
    assert registry.profile_of(model, None, own).name == "mine", "the user's own comes first"


def test_every_recipe_that_ships_can_be_read() -> None:
    recipes = sorted(profile.shipped_dir().glob("*/model.toml"))
    assert recipes
    for path in recipes:
        size = int(msgspec.toml.decode(path.read_bytes())["base_bytes"])
        found = load(path, size)
        assert found is not None and found.base.startswith("sha256:")
        for file, digest in ((found.adapter, found.adapter_digest), (found.profile, "")):
            assert file is None or file.is_file()
            assert not digest or file is None or registry.weights_digest(file) == digest
        if found.profile is not None:
            profile.load(found.profile)
