"""What is registered is found by its name; nothing that is not memread's own is ever deleted."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from memread import registry
from memread.errors import ConfigError, ModelMissing, UsageError
from memread.registry import catalogue, registering
from memread.registry.stores import Found
from tests.fixtures.gguf_model import write_tiny_gguf


@pytest.fixture(autouse=True)
def without_tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the package of the embedded model were not installed."""
    monkeypatch.setattr("memread.registry.local._TINY_PACKAGE", "no_such_package_at_all")


@pytest.fixture
def folders(tmp_path: Path, tiny_gguf: Path) -> list[Path]:
    """memread's own folder, with one model in it."""
    own = tmp_path / "models"
    (own / "owner" / "repo").mkdir(parents=True)
    shutil.copy(tiny_gguf, own / "owner" / "repo" / "own.gguf")
    return [own]


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    (tmp_path / "else").mkdir()
    return write_tiny_gguf(tmp_path / "else" / "sha256-abc", layers=1)


def names(folders: list[Path]) -> list[str]:
    return [model.name for model in registry.installed(folders)]


def test_what_was_scanned_is_found_by_name(folders: list[Path], elsewhere: Path) -> None:
    found = [Found("qwen3:4b", elsewhere, "ollama")]
    assert registering.register(found, folders, forget_missing=True, dry_run=True) == [
        ("qwen3:4b", "new", str(elsewhere))
    ]
    assert names(folders) == ["own"]
    registering.register(found, folders, forget_missing=True)
    assert names(folders) == ["own", "qwen3:4b"]
    model = registry.find("QWEN3:4B", folders)
    assert (model.path, model.source, model.size) == (elsewhere, "ollama", elsewhere.stat().st_size)
    again = registering.register(found, folders, forget_missing=True)
    assert again == [("qwen3:4b", "known", str(elsewhere))]


def test_a_name_with_a_slash_is_no_path(folders: list[Path], elsewhere: Path) -> None:
    found = [Found("hf.co/owner/repo:Q4_K_M", elsewhere, "ollama")]
    registering.register(found, folders, forget_missing=True)
    assert registry.find("hf.co/owner/repo:Q4_K_M", folders).path == elsewhere


def test_the_same_name_elsewhere_is_told_apart(folders: list[Path], elsewhere: Path) -> None:
    found = [Found("own", elsewhere, "lm-studio")]
    assert registering.register(found, folders, forget_missing=True)[0][0] == "own@lm-studio"
    assert names(folders) == ["own", "own@lm-studio"]


def test_what_is_gone_is_forgotten_and_what_moved_is_followed(folders: list[Path], elsewhere: Path) -> None:
    registering.register([Found("a", elsewhere, "ollama")], folders, forget_missing=True)
    registering.set_default("a", folders)
    newer = elsewhere.rename(elsewhere.with_name("sha256-def"))
    assert names(folders) == ["own"]
    outcomes = registering.register([Found("a", newer, "ollama")], folders, forget_missing=True)
    assert outcomes == [("a", "moved", str(newer))]
    assert registry.find(None, folders).path == newer
    newer.unlink()
    with pytest.raises(ModelMissing, match="the default model 'a' is no longer there"):
        registry.find(None, folders)
    assert registering.register([], folders, forget_missing=True) == [("a", "gone", str(newer))]
    assert registry.find(None, folders).name == "own"


def test_add_default_and_alias(folders: list[Path], elsewhere: Path) -> None:
    model = registry.find(str(elsewhere), folders)
    assert registering.add(model, "reader", folders) == "reader"
    assert registering.set_default("reader", folders) == "reader"
    assert registering.set_alias("best", "reader", folders) == "reader"
    assert registry.find(None, folders).name == "reader"
    assert registry.find("Best", folders).name == "reader"
    for taken in ("own", "best"):
        with pytest.raises(UsageError, match="name of another model"):
            registering.add(model, taken, folders)
    with pytest.raises(UsageError, match="name of a model"):
        registering.set_alias("own", "reader", folders)
    for bad in ("", "a b", "../up", "/abs", "-x", "a\x1b[2J"):
        with pytest.raises(UsageError, match="cannot be a model's name"):
            registering.set_alias(bad, "reader", folders)
    with pytest.raises(ModelMissing):
        registering.set_alias("x", "nobody", folders)
    registering.remove("reader", folders)
    assert catalogue.load(folders) == catalogue.Catalogue()
    assert elsewhere.exists()


def test_the_default_may_be_a_path(folders: list[Path], elsewhere: Path) -> None:
    assert registering.set_default(str(elsewhere), folders) == elsewhere.name
    assert registry.find(None, folders).path == elsewhere


def test_only_own_files_are_deleted(folders: list[Path], elsewhere: Path, tmp_path: Path) -> None:
    shutil.copy(elsewhere, tmp_path / "else" / "other.gguf")
    both = [*folders, tmp_path / "else"]
    own = folders[0] / "owner" / "repo" / "own.gguf"
    assert registering.own_files("own", both) == [own]
    assert registering.own_files("other", both) == []
    with pytest.raises(UsageError, match="not memread's to remove"):
        registering.remove("other", both)
    registering.set_default("own", both)
    assert registering.remove("own", both) == "deleted own"
    assert not own.exists() and not (folders[0] / "owner").exists() and folders[0].exists()
    assert registry.find(None, both).name == "other"
    registering.add(registry.find(str(elsewhere), both), "e", both)
    elsewhere.unlink()
    assert "forgot e" in registering.remove("e", both)
    with pytest.raises(ModelMissing):
        registering.remove("e", both)


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_no_file_outside_is_deleted_through_a_path_or_a_link(
    folders: list[Path], elsewhere: Path, tiny_gguf: Path
) -> None:
    mine = shutil.copy(elsewhere, elsewhere.parent / "mine.gguf")
    around = folders[0] / ".." / "else" / "mine.gguf"
    registering.add(registry.find(str(around), folders), "mine", folders)
    assert registering.own_files("mine", folders) == []
    assert "stays where it is" in registering.remove("mine", folders)
    (folders[0] / "linked").symlink_to(elsewhere.parent)
    registering.add(registry.find(str(folders[0] / "linked" / "mine.gguf"), folders), "far", folders)
    assert registering.own_files("far", folders) == []
    assert "stays where it is" in registering.remove("far", folders)
    assert mine.exists() and (folders[0] / "linked").is_symlink()


def test_an_alias_in_other_letters_is_not_its_model(folders: list[Path]) -> None:
    registering.set_alias("Fast", "own", folders)
    assert registering.own_files("fast", folders) == []
    assert registering.remove("FAST", folders) == "removed the alias Fast"
    assert registry.find("own", folders).path.exists() and not catalogue.load(folders).aliases


def test_a_name_that_ends_like_a_file_is_found(folders: list[Path], elsewhere: Path) -> None:
    registering.add(registry.find(str(elsewhere), folders), "reader.gguf", folders)
    assert registry.find("Reader.gguf", folders).path == elsewhere
    assert registry.find("own.gguf", folders).name == "own"


def test_a_damaged_catalogue_is_named_and_a_path_still_works(folders: list[Path], elsewhere: Path) -> None:
    for content in (
        b"{",
        b"[]",
        b'{"models": {"a": {"path": 3}}}',
        b'{"models": {"a": {"path": "/", "source": "?"}}}',
    ):
        (folders[0] / "catalogue.json").write_bytes(content)
        with pytest.raises(ConfigError, match=r"catalogue\.json") as raised:
            registry.find("own", folders)
        assert "Remove it" in raised.value.hint
        assert registry.find(str(elsewhere), folders).path == elsewhere
        with pytest.raises(ConfigError):
            registering.set_default(str(elsewhere), folders)
    (folders[0] / "catalogue.json").unlink()
    assert names(folders) == ["own"]


def test_a_folder_that_cannot_be_written(tmp_path: Path, elsewhere: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"):
        registering.set_default(str(elsewhere), [tmp_path / "file" / "models"])
