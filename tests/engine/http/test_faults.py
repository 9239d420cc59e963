"""What a server does wrong: each is one clear error, or one more try; no secret is told."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Iterator
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from memread.engine.http.client import Client
from memread.engine.http.connect import connect
from memread.engine.http.engine import HttpEngine, Settings, _Conversation
from memread.engine.http.faults import Fault
from memread.engine.http.prompts import TextPrompts
from memread.engine.http.server import Server
from memread.engine.http.tokens import Estimate
from memread.errors import (
    ConfigError,
    ContextTooSmall,
    EngineFailed,
    MemreadError,
    ModelMissing,
    PromptCut,
    ServerFailed,
    ServerRefused,
    ServerUnreachable,
)
from memread.protocols import Decoded, Done
from memread.types import Part, Reply, Request, Sampling
from tests.engine.http.hostile import (
    Act,
    Hostile,
    events,
    hostile,
    piece,
    reset,
    say,
    silent,
    status,
    usage,
)
from tests.engine.http.servers import free_port

KEY = "sk-not-for-your-eyes"
ENVIRON = {"MEMREAD_API_KEY": KEY}
QUICK = (0.01, 0.01)
SENT = "Call me Ishmael. " * 40


@pytest.fixture
def server() -> Iterator[Hostile]:
    with hostile() as made:
        yield made


@pytest.fixture
def engine(server: Hostile) -> Iterator[HttpEngine]:
    made = _engine(Client(server.url, ENVIRON, pauses=QUICK))
    yield made
    made.close()


def _engine(client: Client, kind: Any = "", timeout: float = 30.0) -> HttpEngine:
    tokenizer = Estimate()
    settings = Settings(context=8192, slots=4, timeout=timeout)
    return HttpEngine(
        client, Server(kind, "m"), TextPrompts(tokenizer), tokenizer, settings, counted="estimate"
    )


def asked(engine: HttpEngine, text: str = SENT) -> tuple[Reply, str]:
    """The reply to `text`, and what of it was shown while it came."""
    engine.submit(0, Request("update", (Part(text),), 50, Sampling()))
    shown = ""
    while True:
        for output in engine.step():
            if isinstance(output, Decoded):
                shown += output.text
            elif isinstance(output, Done):
                return output.reply, shown


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
        (events(piece("a b")), "broke off"),
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
    engine = _engine(Client(server.url, {}, pauses=[3600.0] * 3))
    past = format_datetime(datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=1))
    server.acts[:] = [
        status(429, Retry_After="0"),
        status(503, Retry_After="0.01"),
        status(503, Retry_After=past),
    ]
    assert asked(engine)[0].text == "fine"
    engine.close()


def test_a_wait_can_be_interrupted(server: Hostile) -> None:
    engine = _engine(Client(server.url, {}, pauses=[3600.0]))
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
    engine = _engine(client)
    server.acts[:] = [status(503, Retry_After=wrong)]
    assert asked(engine)[0].text == "fine"
    engine.close()


@pytest.mark.parametrize("silence", [silent(), silent(alive=b": still here\n\n"), silent(piece("a"))])
def test_silence_has_an_end(server: Hostile, silence: Act) -> None:
    engine = _engine(Client(server.url, {}, pauses=[]), timeout=0.2)
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
    assert client.url == server.url and _engine(client).info.path == server.url
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


# ── replies ──


def test_what_a_model_thinks_is_no_reply(engine: HttpEngine, server: Hostile) -> None:
    thoughts = [piece(reasoning_content="hm, "), piece(reasoning="let me see")]
    server.acts[:] = [events(*thoughts, piece("so: 7"), piece(finish="stop"), usage(99_999, 9), done=True)]
    reply, shown = asked(engine)
    assert reply.text == shown == "so: 7"
    assert reply.counts.reply_tokens == 9


@pytest.mark.parametrize(
    ("reason", "finish", "text"),
    [
        ("length", "length", "a b"),
        ("eos", "stop", "a b"),
        ("something new", "stop", "a b"),
        ("content_filter", "stop", ""),
    ],
)
def test_why_a_reply_ended(engine: HttpEngine, server: Hostile, reason: str, finish: str, text: str) -> None:
    server.acts[:] = [say("a b", finish=reason)]
    reply, _ = asked(engine)
    assert (reply.finish, reply.text) == (finish, text)


def test_a_server_that_does_not_stream(engine: HttpEngine, server: Hostile) -> None:
    whole = {
        "choices": [{"index": 0, "message": {"content": "all at once"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9_999, "completion_tokens": 3},
    }
    server.acts[:] = [status(200, whole)]
    reply, shown = asked(engine)
    assert reply.text == shown == "all at once" and reply.counts.prompt_tokens == 9_999


def test_a_cut_prompt_is_an_error_that_names_the_cure(server: Hostile) -> None:
    for kind, cure in (("Ollama", "OLLAMA_CONTEXT_LENGTH=8192"), ("", "larger context")):
        engine = _engine(Client(server.url, {}, pauses=QUICK), kind)
        server.acts[:] = [say("an answer made up", prompt=40)]
        with pytest.raises(PromptCut, match="read 40 tokens") as caught:
            asked(engine)
        assert cure in caught.value.hint
        engine.close()
    assert server.asked == 2


def test_a_cut_is_noticed_before_the_reply_where_progress_is_told(
    engine: HttpEngine, server: Hostile
) -> None:
    progress = {"choices": [], "prompt_progress": {"total": 40, "processed": 0}}
    server.acts[:] = [silent(progress)]
    with pytest.raises(PromptCut, match="read 40 tokens"):
        asked(engine)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "delta",
                    "message",
                    "text",
                    "content",
                    "index",
                    "finish_reason",
                    "usage",
                    "prompt_tokens",
                    "completion_tokens",
                    "prompt_tokens_details",
                    "cached_tokens",
                    "prompt_progress",
                    "total",
                    "processed",
                    "object",
                    "detail",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


def test_no_event_is_taken_on_trust(server: Hostile) -> None:
    """Whatever JSON a stream holds, it is a piece of a reply, nothing, or a Fault."""
    engine = _engine(Client(server.url, {}))

    @given(st.lists(_json | _json.map(lambda inner: {"choices": [inner], "usage": inner}), max_size=4))
    def feed(made: list[Any]) -> None:
        talk = _Conversation(0, engine._prompts.prepare((Part("x"),)), 5, Sampling())
        try:
            for event in made:
                engine._take(talk, event)
        except Fault:
            pass
        reply = talk.reply()
        assert isinstance(reply.text, str) and reply.counts.prompt_tokens >= 0

    feed()
    engine.close()


# ── what it says of itself ──


def test_what_is_there_is_asked_for(server: Hostile) -> None:
    client = Client(server.url, {})
    found = connect(client, None, None, timeout=5)
    assert found.server == Server("", "m")
    assert [notice.partition(":")[0] for notice in found.notices] == [
        "This server does not count tokens",
        "This server does not tell how large its context is.",
    ]
    server.pages["/v1/models"] = {"data": [{"id": "one", "max_model_len": 4000}, {"id": "two"}]}
    with pytest.raises(ModelMissing) as caught:
        connect(client, None, None, timeout=5)
    assert "one, two" in caught.value.hint
    assert connect(client, "one", None, timeout=5).server.context == 4000
    server.pages["/v1/models"] = {"data": []}
    with pytest.raises(ModelMissing, match="offers no model"):
        connect(client, None, None, timeout=5)
    server.pages["/v1/models"] = [{"data": 3}]
    with pytest.raises(MemreadError):
        connect(client, None, None, timeout=5)
    del server.pages["/v1/models"]  # a gateway without a list
    with pytest.raises(ServerRefused, match="404"):
        connect(client, None, None, timeout=5)
    assert connect(client, "any", None, timeout=5).server.model == "any"
    client.close()


def test_ollama(server: Hostile) -> None:
    """As its documentation describes it; the program itself was not run."""
    server.pages.update(
        {
            "/v1/models": {"data": [{"id": name, "owned_by": "library"} for name in ("q:4b", "x:latest")]},
            "/api/version": {"version": "0.30.1"},
            "/api/tags": {"models": [{"name": "x:latest", "digest": "ab12"}, 7]},
            "/api/ps": {"models": [{"name": "x:latest", "context_length": 4096}]},
        }
    )
    client = Client(server.url, {})
    found = connect(client, "x", None, timeout=5).server
    assert found == Server("Ollama", "x:latest", "0.30.1", "sha256:ab12", 4096)
    client.close()


def test_vllm_counts_for_us(server: Hostile) -> None:
    """As its documentation describes it; the program itself was not run."""
    server.pages.update(
        {
            "/v1/models": {"data": [{"id": "q", "owned_by": "vllm", "max_model_len": 32768}]},
            "/version": {"version": "0.20.0"},
            "/tokenize": {"count": 5, "max_model_len": 32768, "tokens": [1, 2, 3, 4, 5]},
        }
    )
    client = Client(server.url, {})
    found = connect(client, None, None, timeout=5)
    assert found.server == Server("vLLM", "q", "0.20.0", context=32768)
    assert found.counted == "server" and found.tokenizer.count("anything") == 5
    body = server.seen[-2][2]
    assert body["repetition_penalty"] == 1.0 and body["top_k"] == -1
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    client.close()
