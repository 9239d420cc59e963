"""What was measured is remembered, for this machine alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from memread import tuning
from memread.errors import ConfigError
from memread.tuning import Choice, choice_for, fingerprint, remember

CHOICE = Choice(fingerprint(), kind="F16", threads=2, reading=9.5)


def test_it_is_remembered_by_model(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "data"
    assert choice_for(folder, "sha256:a") is None
    remember(folder, "sha256:a", CHOICE)
    remember(folder, "sha256:b", Choice(fingerprint()))
    assert choice_for(folder, "sha256:a") == CHOICE
    remember(folder, "sha256:a", None)
    assert choice_for(folder, "sha256:a") is None and choice_for(folder, "sha256:b") is not None


def test_another_machine_s_is_not_used(tmp_path: Path) -> None:
    remember(tmp_path, "sha256:a", Choice("another machine", kind="Q4_0"))
    assert choice_for(tmp_path, "sha256:a") is None
    assert tuning.load(tmp_path)["sha256:a"].kind == "Q4_0"


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 1}', b"\xff\xfe"])
def test_a_damaged_file_is_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tuning.json").write_bytes(content)
    assert choice_for(tmp_path, "a") is None
    remember(tmp_path, "sha256:a", CHOICE)
    assert choice_for(tmp_path, "sha256:a") == CHOICE


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        remember(tmp_path / "file", "sha256:a", CHOICE)
