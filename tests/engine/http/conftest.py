"""What the tests on a hostile server share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from memread.engine.http.client import Client
from memread.engine.http.engine import HttpEngine
from tests.engine.http.asking import ENVIRON, QUICK, engine_of
from tests.engine.http.hostile import (
    Hostile,
    hostile,
)


@pytest.fixture
def server() -> Iterator[Hostile]:
    with hostile() as made:
        yield made


@pytest.fixture
def engine(server: Hostile) -> Iterator[HttpEngine]:
    made = engine_of(Client(server.url, ENVIRON, pauses=QUICK))
    yield made
    made.close()
