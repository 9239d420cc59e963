"""Other programs' models are found where they lie; what is damaged or hostile is named and left alone."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from memread.registry import stores
from memread.registry.stores import Found, Unusable
from tests.fixtures.gguf_model import write_tiny_gguf

MODEL = "application/vnd.ollama.image.model"


def ollama(home: Path, name: str, model: Path, **layer: object) -> Path:
    """A manifest and its blob, as Ollama writes them; the blob."""
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    blob = home / ".ollama" / "models" / "blobs" / f"sha256-{digest}"
    blob.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(model, blob)
    manifest(
        home, name, {"mediaType": MODEL, "digest": f"sha256:{digest}", "size": model.stat().st_size, **layer}
    )
    return blob


def manifest(home: Path, name: str, *layers: dict[str, object]) -> Path:
    path = home / ".ollama" / "models" / "manifests" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    rest = [{"mediaType": "application/vnd.ollama.image.template", "digest": "sha256:" + "0" * 64, "size": 9}]
    path.write_text(json.dumps({"schemaVersion": 2, "config": {}, "layers": [*layers, *rest]}))
    return path


def scanned(home: Path, **environ: str) -> tuple[list[Found], dict[str, str]]:
    """What was found; and by the last part of its path what was not, and why."""
    items = [*stores.scan(environ, home)]
    found = [item for item in items if isinstance(item, Found)]
    return found, {Path(item.where).name: item.reason for item in items if isinstance(item, Unusable)}


def test_no_stores(home: Path) -> None:
    assert scanned(home) == ([], {})


def test_ollamas_names_are_those_that_it_prints(home: Path, tiny_gguf: Path, tmp_path: Path) -> None:
    other = write_tiny_gguf(tmp_path / "o.gguf", layers=1)
    third = write_tiny_gguf(tmp_path / "p.gguf", layers=1, seed=1)
    blobs = [
        ollama(home, "registry.ollama.ai/library/qwen3/4b", tiny_gguf),
        ollama(home, "registry.ollama.ai/somebody/reader/latest", other),
        ollama(home, "hf.co/bartowski/Some-GGUF/Q4_K_M", third),
    ]
    found, skipped = scanned(home)
    assert not skipped
    assert {each.name: each.path for each in found} == {
        "qwen3:4b": blobs[0],
        "somebody/reader:latest": blobs[1],
        "hf.co/bartowski/Some-GGUF:Q4_K_M": blobs[2],
    }
    assert {each.source for each in found} == {"ollama"}
    moved = home / "elsewhere"
    (home / ".ollama" / "models").rename(moved)
    assert scanned(home) == ([], {})
    assert len(scanned(home, OLLAMA_MODELS=str(moved))[0]) == 3


def test_two_names_of_one_blob_are_one_model(home: Path, tiny_gguf: Path) -> None:
    ollama(home, "registry.ollama.ai/library/a/latest", tiny_gguf)
    ollama(home, "registry.ollama.ai/library/a/4b", tiny_gguf)
    assert [each.name for each in scanned(home)[0]] == ["a:4b"]


@pytest.mark.parametrize(
    "digest",
    ["sha256:../../../../../etc/passwd", "../secret.gguf", "sha256:" + "A" * 64, "sha256:" + "0" * 63, ""],
)
def test_a_manifest_cannot_point_outside_its_store(home: Path, tiny_gguf: Path, digest: str) -> None:
    shutil.copy(tiny_gguf, home / ".secret.gguf")
    manifest(
        home, "registry.ollama.ai/library/evil/latest", {"mediaType": MODEL, "digest": digest, "size": 1}
    )
    found, skipped = scanned(home)
    assert found == []
    assert "a digest that is none" in skipped["latest"]


def test_damaged_manifests_and_blobs_are_named(home: Path, tiny_gguf: Path, tmp_path: Path) -> None:
    ollama(home, "registry.ollama.ai/library/good/latest", tiny_gguf)
    text = tmp_path / "text"
    text.write_text("not weights")
    ollama(home, "registry.ollama.ai/library/text/text", text)
    ollama(
        home, "registry.ollama.ai/library/short/short", write_tiny_gguf(tmp_path / "a", seed=2), size=10**9
    )
    empty = manifest(home, "registry.ollama.ai/library/cloud/cloud")
    two = {"mediaType": MODEL, "digest": "sha256:" + "1" * 64, "size": 5}
    manifest(home, "registry.ollama.ai/library/two/two", two, two)
    manifest(home, "registry.ollama.ai/library/gone/gone", two)
    for name, content in {
        "json": b'{"layers": [',
        "types": b'{"layers": {"a": 1}}',
        "utf8": b'"\xff\xfe"',
        "deep": b'{"layers":' + b"[" * 200_000,
        "huge": b" " * (2 << 20),
    }.items():
        (empty.parent / name).write_bytes(content)
    found, skipped = scanned(home)
    assert [each.name for each in found] == ["good:latest"]
    expected = {
        "cloud": "no GGUF files",
        "two": "2 GGUF files",
        "gone": "No such file",
        "short": "instead of 1,000,000,000",
        "json": "damaged manifest",
        "types": "damaged manifest",
        "utf8": "damaged manifest",
        "deep": "damaged manifest",
        "huge": "too large",
    }
    for name, reason in expected.items():
        assert reason in skipped.pop(name), name
    assert ["does not begin with GGUF" in reason for reason in skipped.values()] == [True]


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="permissions do not bind root")
def test_a_store_that_may_not_be_read(home: Path, tiny_gguf: Path) -> None:
    blob = ollama(home, "registry.ollama.ai/library/a/latest", tiny_gguf)
    blob.chmod(0)
    assert scanned(home)[1]


@pytest.mark.skipif(sys.platform == "win32", reason="pipes in folders")
def test_a_pipe_is_not_opened(home: Path) -> None:
    """Opening one waits until somebody writes to it."""
    folder = home / ".lmstudio" / "models" / "a" / "b"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "pipe.gguf")
    os.mkfifo(home / ".lmstudio" / "settings.json")
    assert scanned(home) == ([], {"pipe.gguf": "not a file"})


def test_lm_studio(home: Path, tiny_gguf: Path, tmp_path: Path) -> None:
    def put(folder: Path, name: str, **more: str) -> Path:
        path = folder / "publisher" / "model-GGUF" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_tiny_gguf(path, layers=1, seed=len(name), **more)

    usual = put(home / ".lmstudio" / "models", "Qwen3-4B-Q4_K_M.gguf")
    put(home / ".lmstudio" / "models", "mmproj-model.gguf")
    put(home / ".lmstudio" / "models", "lora.gguf", general__type="adapter")
    chosen = put(tmp_path / "big disk", "Chosen.gguf")
    settings = {"downloadsFolder": str(tmp_path / "big disk")}
    (home / ".lmstudio" / "settings.json").write_text(json.dumps(settings))
    found, skipped = scanned(home)
    assert {each.name: each.path for each in found} == {"Qwen3-4B-Q4_K_M": usual, "Chosen": chosen}
    assert skipped == {"lora.gguf": "not a model by itself, but: adapter"}
    (home / ".lmstudio" / "settings.json").write_text('{"downloadsFolder": 3, ')
    assert [each.name for each in scanned(home)[0]] == ["Qwen3-4B-Q4_K_M"]
    (home / ".lmstudio").rename(tmp_path / "lm home")
    (home / ".lmstudio-home-pointer").write_text(f"{tmp_path / 'lm home'}\n")
    assert [each.source for each in scanned(home)[0]] == ["lm-studio"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege on Windows")
def test_the_hugging_face_cache_and_its_links(home: Path, tiny_gguf: Path) -> None:
    repository = home / ".cache" / "huggingface" / "hub" / "models--owner--name-GGUF"
    (repository / "blobs").mkdir(parents=True)
    shutil.copy(tiny_gguf, repository / "blobs" / "0123")
    for commit in ("aaaa", "bbbb"):  # the same file in two snapshots
        snapshot = repository / "snapshots" / commit / "Q4_K_M"
        snapshot.mkdir(parents=True)
        (snapshot / "name-Q4_K_M.gguf").symlink_to("../../../blobs/0123")
    (repository / "snapshots" / "bbbb" / "broken.gguf").symlink_to("../../blobs/none")
    found, skipped = scanned(home)
    assert [(each.name, each.source) for each in found] == [("name-Q4_K_M", "hugging-face")]
    assert skipped == {"broken.gguf": "No such file or directory"}
    moved = home / "hf"
    (home / ".cache" / "huggingface").rename(moved)
    assert len(scanned(home, HF_HOME=str(moved))[0]) == 1
    assert len(scanned(home, HF_HUB_CACHE=str(moved / "hub"))[0]) == 1
    assert scanned(home) == ([], {})


def test_llama_cpps_cache_and_split_models(home: Path, tiny_gguf: Path, tmp_path: Path) -> None:
    cache = tmp_path / "llama"
    cache.mkdir()
    for name in (
        "owner_repo_big-00001-of-00002.gguf",
        "half-00001-of-00002.gguf",
        "a.gguf.downloadInProgress",
    ):
        shutil.copy(tiny_gguf, cache / name)
    shutil.copy(tiny_gguf, cache / "owner_repo_big-00002-of-00002.gguf")
    found, skipped = scanned(home, LLAMA_CACHE=str(cache))
    assert [(each.name, each.source) for each in found] == [("owner_repo_big", "llama.cpp")]
    assert "1 of the 2 files of this model are missing" in skipped["half-00001-of-00002.gguf"]


def test_files_that_were_cut_short(home: Path, tiny_gguf: Path) -> None:
    folder = home / ".lmstudio" / "models" / "a" / "b"
    folder.mkdir(parents=True)
    content = tiny_gguf.read_bytes()
    (folder / "whole.gguf").write_bytes(content)
    (folder / "half.gguf").write_bytes(content[: len(content) // 2])
    found, skipped = scanned(home)
    assert [each.name for each in found] == ["whole"]
    assert skipped == {"half.gguf": "it ends before its weights do: an unfinished download, perhaps"}


def test_names_are_clean(home: Path, tiny_gguf: Path) -> None:
    """A file may be called anything."""
    if sys.platform == "win32":
        pytest.skip("Windows refuses such names itself")
    ollama(home, "registry.ollama.ai/library/a\x1b]52;c;QUJD\x07b\u202e/latest", tiny_gguf)
    assert [each.name for each in scanned(home)[0]] == ["ab:latest"]


def test_a_folder_of_a_user_that_is_not_there(tmp_path: Path) -> None:
    nowhere = "~no-such-user/models"
    for folders, variable in (
        (stores.ollama_folders, "OLLAMA_MODELS"),
        (stores.hugging_face_folders, "HF_HUB_CACHE"),
        (stores.llama_cpp_folders, "LLAMA_CACHE"),
    ):
        assert folders({variable: nowhere}, tmp_path) == [Path(nowhere)]
