"""A model is read with the profile made for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from memread import gguf, registry
from memread.errors import ConfigError
from tests.fixtures.gguf_model import write_tiny_gguf


def metadata(path: Path, **more: str) -> dict[str, gguf.Value]:
    return gguf.read_header(write_tiny_gguf(path, layers=1, **more)).metadata


def test_the_profile_that_matches(tmp_path: Path, smollm2: Path) -> None:
    own = tmp_path / "none"
    assert registry.profile_for(gguf.read_header(smollm2).metadata, None, own).name == "smollm2-135m"
    assert registry.profile_for(metadata(tmp_path / "a.gguf"), None, own).name == "default"
    found = metadata(tmp_path / "b.gguf", name="RL MemoryAgent 7B")
    assert registry.profile_for(found, None, own).name == "rl-memoryagent-7b"


def test_the_users_profiles_come_first(tmp_path: Path) -> None:
    shipped = registry.profile_for({}, None, tmp_path)
    text = 'name = "mine"\n[match.metadata]\n"general.name" = "tiny"\n[wording]\n'
    text += 'update = "{prompt}{memory}{chunk}"\nanswer = "{prompt}{memory}"\n'
    (tmp_path / "mine.toml").write_text(text)
    model = metadata(tmp_path / "a.gguf")
    assert registry.profile_for(model, None, tmp_path).name == "mine"
    assert registry.profile_for({}, None, tmp_path) == shipped
    assert registry.profile_for(model, "default", tmp_path) == shipped
    assert registry.profile_for({}, str(tmp_path / "mine.toml"), tmp_path / "none").name == "mine"
    with pytest.raises(ConfigError, match="no profile 'defualt'") as raised:
        registry.profile_for(model, "defualt", tmp_path)
    assert raised.value.hint == "Did you mean default?"
    with pytest.raises(ConfigError, match="cannot be read as a profile"):
        registry.profile_for(model, "none.toml", tmp_path)
    with pytest.raises(ConfigError, match="cannot be read as a profile"):
        registry.profile_for(model, "~no-such-user/p.toml", tmp_path)
    (tmp_path / "bad.toml").write_text("name = 3")
    with pytest.raises(ConfigError, match=r"bad\.toml"):
        registry.profile_for(model, None, tmp_path)
