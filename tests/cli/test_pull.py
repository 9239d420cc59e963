"""`memread models pull` as a user runs it: killed, interrupted, offline, on a terminal."""

from __future__ import annotations

import hashlib
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from memread import config
from tests.cli.conftest import Memread, log
from tests.registry.server import Hub, Server, stall, status

TOKEN = "hf_do-not-print-me"


@pytest.fixture
def api() -> Iterator[Server]:
    with Server().running() as found:
        yield found


@pytest.fixture
def repository(api: Server, memread: Memread) -> Iterator[Hub]:
    with Server().running() as cdn:
        hub = Hub(api, cdn)
        # What follows the tensors is not looked at by llama.cpp; it makes the file worth interrupting.
        hub.add("m-Q4_0.gguf", memread.model.read_bytes() + bytes(40 << 20))
        yield hub


@pytest.fixture
def env(api: Server) -> dict[str, str]:
    return {"HF_ENDPOINT": api.url, "HF_TOKEN": TOKEN, "MEMREAD_MODEL": "", "NO_PROXY": "127.0.0.1"}


def place() -> Path:
    return config.load().models_dir / "owner" / "name-GGUF" / "m-Q4_0.gguf"


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("how", ["SIGKILL", "SIGINT"])
def test_killed_in_the_middle_it_goes_on(
    memread: Memread, repository: Hub, env: dict[str, str], how: str
) -> None:
    sent = 30 << 20
    cdn = repository.files
    cdn.faults = [stall(sent)]
    running = memread.start("models", "pull", "hf:owner/name-GGUF", env=env, plain=True)
    assert cdn.reached.wait(60)
    part = place().with_name("m-Q4_0.gguf.part")
    while part.stat().st_size < 20 << 20:  # what was sent is on its way to the file
        assert running.process.poll() is None
    running.signal(getattr(signal, how))
    code = running.end()
    assert code == (130 if how == "SIGINT" else -getattr(signal, how))
    assert not place().exists()
    assert "Unfinished" in memread("models", env=env).err
    ended = memread("models", "pull", "hf:owner/name-GGUF", env=env)
    assert ended.code == 0, ended.err
    assert ended.out == f"{place()}\n" and "SHA-256 verified" in ended.err
    begun = int(cdn.ranges()[-1].removeprefix("bytes=").removesuffix("-"))
    assert 20 << 20 <= begun <= sent
    expected = hashlib.sha256(cdn.files["/blobs/m-Q4_0.gguf"]).hexdigest()
    assert hashlib.sha256(place().read_bytes()).hexdigest() == expected
    assert TOKEN not in running.stderr + ended.err + ended.out
    assert "Unfinished" not in memread("models", env=env).err
    if how == "SIGINT":
        assert "the same command goes on with it" in running.stderr
    if how == "SIGKILL":
        memread.write("a.txt", log(2))
        asked = memread("ask", "a.txt", "why?", "--model", "m-q4_0", env=env)
        assert asked.code == 0, asked.err


def test_what_it_says_where_there_is_no_terminal(
    memread: Memread, repository: Hub, env: dict[str, str]
) -> None:
    dry = memread("models", "pull", "hf:owner/name-GGUF:Q4_0", "--dry-run", env=env)
    assert dry.code == 0 and dry.out == f"{place()}\n" and not place().exists()
    assert "0.04 GB" in dry.err and "licence: apache-2.0" in dry.err
    ended = memread("models", "pull", "hf:owner/name-GGUF:Q4_0", env=env)
    assert ended.code == 0
    assert "m-Q4_0.gguf: 0 of 43 MB\n" in ended.err and "\x1b" not in ended.err
    again = memread("models", "pull", "hf:owner/name-GGUF:Q4_0", env=env)
    assert again.code == 0 and "m-Q4_0 was here" in again.err and len(repository.files.seen) == 1


def test_offline_and_out_of_reach(memread: Memread, repository: Hub, env: dict[str, str]) -> None:
    ended = memread("models", "pull", "hf:owner/name-GGUF", env={**env, "HF_HUB_OFFLINE": "1"})
    assert ended.code == 30 and "HF_HUB_OFFLINE is set" in ended.err and "scan" in ended.err
    assert repository.api.seen == []
    repository.files.faults = [status(403)]
    ended = memread("models", "pull", "hf:owner/name-GGUF", env=env)
    assert ended.code == 30 and "status 403" in ended.err and TOKEN not in ended.err
    ended = memread("models", "pull", "hf:owner/nothing", env=env)
    assert ended.code == 13 and ended.err.count("\n") <= 2
    for words in (("nobody-knows-this",), ("https://127.0.0.1/page.html",), ("hf:x",)):
        ended = memread("models", "pull", *words, env=env)
        assert ended.code in (2, 13) and "Traceback" not in ended.err


def test_a_certificate_nobody_knows(memread: Memread, repository: Hub, env: dict[str, str]) -> None:
    """A server that speaks no TLS at all, and one line that says so."""
    address = repository.files.url.replace("http://", "https://")
    ended = memread("models", "pull", f"{address}/m.gguf", env=env)
    assert ended.code == 30 and "127.0.0.1" in ended.err and ended.err.count("Traceback") == 0
