"""A real tokenizer, and reading items whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from memread import bpe
from memread.eval.tasks import Sources
from memread.gguf import read_header


@pytest.fixture(scope="session")
def tokenizer(tiny_gguf: Path) -> bpe.BpeTokenizer:
    found = bpe.tokenizer(read_header(tiny_gguf))
    assert found is not None
    return found


@pytest.fixture(scope="session")
def sources() -> Sources:
    """What ships. One for all tests, as one run has: tokens are counted once."""
    return Sources()
