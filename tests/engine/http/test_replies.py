"""What a server replies and says of itself: taken as it is meant, and never on trust."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memread.engine.http.client import Client
from memread.engine.http.connect import connect
from memread.engine.http.engine import HttpEngine, _Conversation
from memread.engine.http.faults import Fault, Faults
from memread.engine.http.server import Server, look
from memread.errors import (
    MemreadError,
    ModelMissing,
    PromptCut,
    ServerRefused,
)
from memread.types import Part, Sampling
from tests.engine.http.asking import QUICK, asked, engine_of
from tests.engine.http.hostile import (
    Handler,
    Hostile,
    events,
    piece,
    say,
    silent,
    status,
    usage,
)

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
        ("MAX_TOKENS", "length", "a b"),
        ("model_length", "length", "a b"),
        ("something new", "stop", "a b"),
        ("content_filter", "stop", ""),
    ],
)
def test_why_a_reply_ended(engine: HttpEngine, server: Hostile, reason: str, finish: str, text: str) -> None:
    server.acts[:] = [say("a b", finish=reason)]
    reply, _ = asked(engine)
    assert (reply.finish, reply.text) == (finish, text)


def test_a_complete_reply_needs_no_done(engine: HttpEngine, server: Hostile) -> None:
    server.acts[:] = [events(piece("a b"), piece(finish="stop"), usage(300, 2))]
    assert asked(engine)[0].text == "a b" and server.asked == 1


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
        engine = engine_of(Client(server.url, {}, pauses=QUICK), kind)
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
    engine = engine_of(Client(server.url, {}))

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
    client.faults = Faults(client.url, ["sk-key"], withheld=False)
    server.pages["/v1/models"] = {"data": [{"id": "one"}, {"id": "of sk-key\x1b[31m"}]}
    with pytest.raises(ModelMissing) as caught:
        connect(client, None, None, timeout=5)
    assert caught.value.hint.endswith("one, of …")
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


def test_a_server_is_asked_until_it_has_loaded(server: Hostile) -> None:
    """llama-server lists its model at once, and tells the rest once it is there."""
    card: dict[str, Any] = {"id": "q", "owned_by": "llamacpp"}
    server.pages["/v1/models"] = {"data": [{**card, "meta": None}]}

    def props(handler: Handler) -> None:
        if sum(path == "/props" for path, _, _ in server.seen) < 3:
            handler.answer({"error": {"code": 503, "message": "Loading model"}}, 503)
            return
        server.pages["/v1/models"] = {"data": [{**card, "meta": {"n_params": 5, "size": 9}}]}
        settings = {"n_ctx": 8192}
        handler.answer({"default_generation_settings": settings, "build_info": "b1", "total_slots": 2})

    server.pages["/props"] = props
    client = Client(server.url, {}, pauses=QUICK)
    facts: dict[str, str | int] = {"n_params": 5, "size": 9}
    assert look(client, None) == Server("llama.cpp", "q", "b1", context=8192, slots=2, facts=facts)
    for code in (500, 501):  # a gateway that does not know it is worked with all the same
        server.pages["/props"] = status(code, {"error": {"message": "not here"}})
        assert look(client, None) == Server("llama.cpp", "q")
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
