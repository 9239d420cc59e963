"""What a server does wrong: each is one clear error, or one more try; no secret is told."""

from __future__ import annotations

import datetime
import ssl
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import format_datetime
from pathlib import Path

import pytest
import trustme

from memread.engine.http.client import Client
from memread.engine.http.engine import HttpEngine, Settings
from memread.engine.http.prompts import TextPrompts
from memread.engine.http.server import Server
from memread.engine.http.tokens import ServerTokenizer
from memread.errors import (
    ConfigError,
    ContextTooSmall,
    EngineFailed,
    MemreadError,
    ServerFailed,
    ServerRefused,
    ServerUnreachable,
)
from memread.protocols import Done
from memread.types import Part, Reply, Request, Sampling
from tests.engine.http.asking import ENVIRON, KEY, QUICK, SENT, asked, engine_of
from tests.engine.http.hostile import (
    Act,
    Handler,
    Hostile,
    events,
    hostile,
    piece,
    reset,
    say,
    silent,
    stalled,
    status,
    usage,
)
from tests.engine.http.servers import free_port

# ── faults after which one more try helps ──


@pytest.mark.parametrize(
    "fault",
    [
        reset(),
        reset(piece("a b")),
        events(piece("a b")),
        events(piece("a"), done=True),
        events(piece("a"), b'{"choices": [{"del'),
        events(b"[]"),
        events({"error": {"message": "CUDA error"}}),
        status(429, {"error": "slow down"}),
        status(503),
        status(500, b"<html>oops</html>"),
        status(200, b"not json at all"),
    ],
)
def test_one_more_try(engine: HttpEngine, server: Hostile, fault: Act) -> None:
    server.acts[:] = [fault, fault, say("a b c")]
    reply, shown = asked(engine)
    assert (reply.text, reply.finish, shown) == ("a b c", "stop", "a b c")
    assert server.asked == 3


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (reset(), "broke"),
        (events(piece("a b")), "no end"),
        (events(piece("half"), piece(finish="error"), usage(300), done=True), "broke its reply off"),
        (events(piece("half"), piece(finish="ABORT"), usage(300), done=True), "finish_reason abort"),
        (events(piece("half"), piece(finish="cancelled"), usage(300), done=True), "cancelled"),
        (events(b"{"), "not JSON"),
        (events(b"[" * 100_000), "not JSON"),
        (events({"error": {"message": "CUDA error"}}), "CUDA error"),
        (status(502, {"message": "upstream"}), "502.*upstream"),
        (status(429, {"detail": "slow down"}), "429.*slow down"),
    ],
)
def test_tries_have_an_end(engine: HttpEngine, server: Hostile, fault: Act, told: str) -> None:
    server.acts[:] = [fault] * 9
    with pytest.raises(ServerFailed, match=told):
        asked(engine)
    assert server.asked == 1 + len(QUICK)


def test_a_try_that_says_something_else_wins(engine: HttpEngine, server: Hostile) -> None:
    server.acts[:] = [events(piece("one two")), say("eins zwei drei")]
    reply, shown = asked(engine)
    assert reply.text == "eins zwei drei"
    assert len(shown) == len(reply.text)


def test_a_server_says_how_long_to_wait(server: Hostile) -> None:
    engine = engine_of(Client(server.url, {}, pauses=[3600.0] * 3))
    past = format_datetime(datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1))
    server.acts[:] = [
        status(429, Retry_After="0"),
        status(503, Retry_After="0.01"),
        status(503, Retry_After=past),
    ]
    assert asked(engine)[0].text == "fine"
    engine.close()


def test_counting_can_be_interrupted(server: Hostile) -> None:
    """A prompt's tokens, by the server, in the thread that submits it; not what other threads count."""
    server.pages["/tokenize"] = {"count": 5}
    client = Client(server.url, {}, pauses=[])
    tokenizer = ServerTokenizer(client, Server("vLLM", "m"))
    settings = Settings(context=8192, timeout=30)
    engine = HttpEngine(
        client, Server("vLLM", "m"), TextPrompts(tokenizer), tokenizer, settings, counted="server"
    )
    begun, release = threading.Semaphore(0), threading.Event()

    def stall(handler: Handler) -> None:
        begun.release()
        release.wait(60)
        handler.answer({"count": 5})

    server.pages["/tokenize"] = stall
    request = Request("update", (Part(SENT),), 50, Sampling())
    with ThreadPoolExecutor() as threads:
        try:
            submitted, counted = (
                threads.submit(engine.submit, 0, request),
                threads.submit(tokenizer.count, "a"),
            )
            assert begun.acquire(timeout=30) and begun.acquire(timeout=30)
            engine.interrupt()
            submitted.result(timeout=30)
            (output,) = engine.step()
            assert output == Done(0, Reply("", "cancelled")) and engine.step() == []
            assert not counted.done()
        finally:
            release.set()
        assert counted.result(timeout=30) == 5
    assert asked(engine)[0].text == "fine"
    engine.close()


def test_a_fault_does_not_take_finished_replies_with_it(server: Hostile) -> None:
    engine = engine_of(Client(server.url, {}, pauses=[]))
    request = Request("update", (Part(SENT),), 50, Sampling())
    server.acts[:] = [say("fine"), status(400, {"error": "no"})]
    for ticket, waiting in ((0, 3), (1, 4)):  # its prefill, its one word, its end; the other's error
        engine.submit(ticket, request)
        while engine._outputs.qsize() < waiting:
            time.sleep(0.01)
    outputs = engine.step()
    assert isinstance(outputs[-1], Done) and outputs[-1].reply.text == "fine"
    with pytest.raises(ServerRefused):
        engine.step()
    engine.close()


def test_a_wait_can_be_interrupted(server: Hostile) -> None:
    engine = engine_of(Client(server.url, {}, pauses=[3600.0]))
    server.acts[:] = [status(503)]
    engine.submit(0, Request("update", (Part(SENT),), 50, Sampling()))
    while not server.asked:
        pass
    engine.interrupt()
    (output,) = engine.step()
    assert isinstance(output, Done) and output.reply.finish == "cancelled"
    engine.close()


@pytest.mark.parametrize("wrong", ["soon", "nan", ""])
def test_a_wait_that_makes_no_sense_is_the_usual_one(server: Hostile, wrong: str) -> None:
    client = Client(server.url, {}, pauses=QUICK)
    engine = engine_of(client)
    server.acts[:] = [status(503, Retry_After=wrong)]
    assert asked(engine)[0].text == "fine"
    engine.close()


@pytest.mark.parametrize(
    "silence",
    [
        silent(),
        silent(alive=b": still here\n\n"),
        silent(piece("a")),
        silent(alive=b"id: 1\n\n"),
        stalled(200),
        stalled(503),
    ],
)
def test_silence_has_an_end(server: Hostile, silence: Act) -> None:
    engine = engine_of(Client(server.url, {}, pauses=[]), timeout=0.2)
    server.acts[:] = [silence]
    with pytest.raises(ServerFailed, match=r"nothing for 0\.2 s") as caught:
        asked(engine)
    assert "engine.timeout" in caught.value.hint
    engine.close()


# ── faults that no second try mends ──


@pytest.mark.parametrize(
    ("fault", "error", "told"),
    [
        (status(400, {"error": {"message": "maximum context length is 2048"}}), ContextTooSmall, "2048"),
        (status(400, {"error": "no such field: seed"}), ServerRefused, "no such field"),
        (status(404, {"detail": "Not Found"}), ServerRefused, "/v1/chat/completions"),
        (status(422, b"\x00\x1b]0;owned\x07junk"), ServerRefused, "junk"),
        (status(403, b""), ServerRefused, "403"),
        (lambda handler: handler.begin("text/html"), ServerFailed, "text/html"),
        (events(b'"' + b"x" * (5 << 20) + b'"'), ServerFailed, "limit"),
    ],
)
def test_no_second_try(
    engine: HttpEngine, server: Hostile, fault: Act, error: type[MemreadError], told: str
) -> None:
    server.acts[:] = [fault]
    with pytest.raises(error, match=told) as caught:
        asked(engine)
    assert server.asked == 1
    assert "\x1b" not in caught.value.message and len(caught.value.message) < 500


def test_nothing_is_sent_to_where_a_server_points(engine: HttpEngine, server: Hostile) -> None:
    with hostile() as other:
        server.acts[:] = [status(307, Location=other.url.replace("//", "//me:pw@") + "/chat/completions")]
        with pytest.raises(ServerRefused, match="sends us on to http://127") as caught:
            asked(engine)
        assert other.seen == [] and "pw" not in caught.value.message


def test_a_key_is_sent_and_never_told(engine: HttpEngine, server: Hostile) -> None:
    server.acts[:] = [status(401, {"error": {"message": f"Incorrect API key provided: {KEY}."}})]
    with pytest.raises(ServerRefused) as caught:
        asked(engine)
    assert server.seen[-1][1]["Authorization"] == f"Bearer {KEY}"
    assert "Incorrect API key" in caught.value.message and KEY not in caught.value.message
    server.acts[:] = [status(200, b"{" + KEY.encode() * 50)] * 3
    with pytest.raises(ServerFailed) as failed:
        asked(engine)
    assert KEY[:8] not in failed.value.message


def test_a_password_in_the_address_is_sent_and_never_told(server: Hostile) -> None:
    client = Client(server.url.replace("//", "//me:p%40ss@"), {})
    client.ask("/models")
    assert server.seen[-1][1]["Authorization"] == "Basic bWU6cEBzcw=="
    assert client.url == server.url and engine_of(client).info.path == server.url
    told = client.faults.clean(f"what is Basic bWU6cEBzcw==? The key of http://me:p%40ss@{server.url[7:]}")
    assert told == f"what is Basic …? The key of {server.url}"
    client.close()


def test_openai_s_key_is_not_for_any_machine(server: Hostile) -> None:
    """Over plain http it goes to this machine alone; MEMREAD_API_KEY was set for this very server."""
    client = Client(server.url, {"OPENAI_API_KEY": KEY})
    client.ask("/models")
    assert server.seen[-1][1]["Authorization"] == f"Bearer {KEY}"
    client.close()
    for environ, sent in (({"OPENAI_API_KEY": KEY}, None), (ENVIRON, f"Bearer {KEY}")):
        away = Client("http://models.example/v1", environ)
        assert away._client.headers.get("Authorization") == sent
        away.close()
    with pytest.raises(ConfigError) as caught:
        Client(server.url, {"MEMREAD_API_KEY": "two\nlines"})
    assert "two" not in caught.value.message


def test_a_proxy_is_not_asked_for_this_machine(server: Hostile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    client = Client(server.url, {})
    assert client.ask("/models")
    client.close()


# ── no connection ──


@pytest.mark.parametrize(
    "url", ["http://192.168.1.300/v1", "http://‘localhost’/v1", "http://h/v1\x07", "http://h/\ud800"]
)
def test_an_address_that_no_server_has(url: str) -> None:
    with pytest.raises(ConfigError, match="no server has this address"):
        Client(url, {})


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "http://me:pass@[::1", "http://p:notaport"])
def test_a_proxy_that_cannot_be_used(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(ConfigError, match="no HTTP client") as caught:
        Client("http://models.example/v1", {})
    assert "ALL_PROXY" in caught.value.hint and "pass" not in caught.value.message


def test_nobody_there() -> None:
    client = Client(f"http://127.0.0.1:{free_port()}/v1", {}, pauses=QUICK)
    with pytest.raises(ServerUnreachable, match=r"no server answers: .*refused"):
        client.ask("/models", patient=True)
    client.close()


def test_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with hostile(context) as server:
        client = Client(server.url, {})
        with pytest.raises(ServerUnreachable, match="certificate") as caught:
            client.ask("/models")
        assert "SSL_CERT_FILE" in caught.value.hint
        client.close()
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        client = Client(server.url, {})
        assert client.ask("/models") == {"data": [{"id": "m"}]}
        client.close()
        client = Client(server.url.replace("https", "http"), {})
        with pytest.raises(ServerFailed, match="broke"):
            client.ask("/models")
        client.close()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "no.pem"))
    with pytest.raises(ConfigError, match="HTTP client"):
        Client("https://127.0.0.1/v1", {})


def test_plain_http_where_tls_is_expected(server: Hostile) -> None:
    client = Client(server.url.replace("http", "https"), {})
    with pytest.raises(ServerUnreachable, match="no trusted connection"):
        client.ask("/models")
    client.close()


def test_a_closed_client_says_so(server: Hostile) -> None:
    client = Client(server.url, {})
    client.close()
    client.close()
    with pytest.raises(EngineFailed, match="closed"):
        client.ask("/models")
