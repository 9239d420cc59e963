"""What servers refuse, and that nothing said of it holds a secret."""

from __future__ import annotations

import json

import pytest

from memread.errors import DownloadFailed, NotGguf
from memread.registry import faults
from memread.registry.local import part_of
from tests.registry import server as serving
from tests.registry.fetching import CONTENT, SHA, Fetch
from tests.registry.server import Server, drop, reset, status


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (401, "without permission"),
        (403, "HF_TOKEN"),
        (404, "no such file"),
        (410, "no such file"),
        (418, "418"),
    ],
)
def test_what_is_not_worth_another_try(fetch: Fetch, server: Server, code: int, said: str) -> None:
    server.faults = [status(code)]
    with pytest.raises(DownloadFailed) as raised:
        fetch()
    assert said in raised.value.message + raised.value.hint and len(server.seen) == 1
    assert not part_of(fetch.target).exists()


def test_a_server_that_asks_for_an_hour(fetch: Fetch, server: Server) -> None:
    server.faults = [status(429, Retry_After="3600")]
    with pytest.raises(DownloadFailed, match="asks to wait 3,600 seconds"):
        fetch()
    assert fetch.waits == []


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("5", 5.0),
        ("-5", 0.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("soon", None),
        ("", None),
        ("9e9", None),
        ("9" * 400, None),
    ],
)
def test_retry_after(header: str, expected: float | None) -> None:
    assert faults.seconds(header) == expected


def test_pages_and_empty_files_are_no_models(fetch: Fetch, server: Server) -> None:
    for content in (b"<!DOCTYPE html><html>please log in</html>", b""):
        server.files["/m.gguf"] = content
        with pytest.raises(NotGguf):
            fetch()
        assert not part_of(fetch.target).exists()


def test_an_answer_that_is_compressed(fetch: Fetch, server: Server) -> None:
    server.faults = [serving.compressed]
    with pytest.raises(DownloadFailed, match="compressed"):
        fetch()
    assert server.seen[0][1]["accept-encoding"] == "identity"


def test_the_token_stays_with_the_host_it_is_for(fetch: Fetch, server: Server) -> None:
    with Server().running() as cdn:
        cdn.files["/blob"] = CONTENT
        cdn.faults = [drop(100_000)]
        server.redirects["/m.gguf"] = f"{cdn.url}/blob?Signature=secret"
        assert fetch(SHA, Authorization="Bearer hf_secret") == SHA
        assert {headers.get("authorization") for _, headers in server.seen} == {"Bearer hf_secret"}
        assert [headers.get("authorization") for _, headers in cdn.seen] == [None, None]
        assert [headers.get("range") for _, headers in cdn.seen] == [None, "bytes=100000-"]
        assert len(server.seen) == 2, "a signed address may have expired: it is asked for again"


def test_redirects_in_circles(fetch: Fetch, server: Server) -> None:
    server.redirects["/m.gguf"] = "/m.gguf"
    with pytest.raises(DownloadFailed, match="redirected in circles"):
        fetch()


def test_nobody_there(fetch: Fetch, server: Server) -> None:
    with Server().running() as gone:
        address = gone.url
    with pytest.raises(DownloadFailed, match="cannot be reached") as raised:
        fetch(url=f"{address}/m.gguf?token=secret")
    assert len(fetch.waits) == 2
    assert "secret" not in raised.value.message + raised.value.hint + "".join(fetch.told.lines)


def test_no_line_holds_a_secret(fetch: Fetch, server: Server) -> None:
    secret = f"{server.url.replace('//', '//user:hunter2@')}/m.gguf?token=hunter2"
    for fault in (status(403), status(500), reset, serving.compressed):
        server.faults = [fault] * 6
        with pytest.raises(DownloadFailed) as raised:
            fetch(url=secret, Authorization="Bearer hunter2")
        assert "hunter2" not in raised.value.message + raised.value.hint + "".join(fetch.told.lines)
    server.faults = [drop(100_000), *[status(500)] * 5]
    with pytest.raises(DownloadFailed):
        fetch(url=secret)
    kept = fetch.target.with_name("m.gguf.part.json").read_text()
    assert "hunter2" not in kept and json.loads(kept)["synced"] == 100_000
    assert faults.plain(secret) == f"{server.url}/m.gguf"
