"""A server with a model, and a download from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.registry.fetching import CONTENT, Fetch
from tests.registry.server import Server


@pytest.fixture
def server() -> Iterator[Server]:
    with Server().running() as found:
        found.files["/m.gguf"] = CONTENT
        yield found


@pytest.fixture
def client() -> Iterator[httpx2.Client]:
    with httpx2.Client(
        follow_redirects=True, timeout=0.5, headers={"Accept-Encoding": "identity"}, trust_env=False
    ) as found:
        yield found


@pytest.fixture
def fetch(server: Server, client: httpx2.Client, tmp_path: Path) -> Fetch:
    return Fetch(server, client, tmp_path)
