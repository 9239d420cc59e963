"""The hash of weights is computed once, and never wrong."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from memread import registry
from memread.errors import ModelMissing


def test_the_digest_is_remembered_until_the_file_changes(tmp_path: Path, tiny_gguf: Path) -> None:
    path, cache = tmp_path / "m.gguf", tmp_path / "cache" / "digests.json"
    shutil.copy(tiny_gguf, path)
    expected = "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    assert registry.weights_digest(path) == expected
    assert not cache.exists()
    assert registry.weights_digest(path, cache) == expected
    (key,) = json.loads(cache.read_text())
    cache.write_text(json.dumps({key: "sha256:remembered"}))
    assert registry.weights_digest(path, cache) == "sha256:remembered"
    os.utime(path, ns=(1, 1))
    assert registry.weights_digest(path, cache) == expected
    assert len(json.loads(cache.read_text())) == 2
    assert [file.name for file in cache.parent.iterdir()] == ["digests.json"]


def test_the_digest_without_a_usable_cache(tmp_path: Path, tiny_gguf: Path) -> None:
    expected = registry.weights_digest(tiny_gguf)
    broken = tmp_path / "broken.json"
    broken.write_text("[1, 2")
    assert registry.weights_digest(tiny_gguf, broken) == expected
    assert registry.weights_digest(tiny_gguf, broken) == expected
    (tmp_path / "file").touch()
    assert registry.weights_digest(tiny_gguf, tmp_path / "file" / "digests.json") == expected
    with pytest.raises(ModelMissing):
        registry.weights_digest(tmp_path / "none.gguf", broken)


def test_the_digest_of_a_split_model_covers_every_file(tmp_path: Path) -> None:
    files = [tmp_path / f"big-{n:05d}-of-00002.gguf" for n in (1, 2)]
    for file in files:
        file.write_bytes(b"weights")
    first = registry.weights_digest(files[0])
    assert first == registry.weights_digest(files[1])
    files[1].write_bytes(b"others!")
    assert first != registry.weights_digest(files[0])
