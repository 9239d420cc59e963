"""A server as an engine: llama.cpp's own server and llama-cpp-python's, with the tiny model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from memread import prompts
from memread.engine.http.client import Client
from memread.engine.http.connect import Connection, Local, connect
from memread.engine.http.engine import HttpEngine, Settings
from memread.engine.http.tokens import LlamaServerVocabulary
from memread.engine.llamacpp import engine as in_process
from memread.engine.llamacpp.model import Model
from memread.errors import ContextTooSmall, ModelMissing, ServerRefused
from memread.profile import shipped
from memread.protocols import Decoded, Done, Prefill
from memread.types import ChatFrame, Part, Reply, Request, Sampling
from tests.engine.http.servers import llama_server, python_server
from tests.engine.replies import finish
from tests.fixtures.gguf_model import write_tiny_gguf

TEXT = "It was a dark <|im_end|> and stormy night; the <|im_start|>rain</s> fell in <think>torrents.\n\n" * 3


@pytest.fixture(scope="module")
def model(tiny_gguf: Path) -> Iterator[Model]:
    with Model(tiny_gguf) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def llama_url(tiny_gguf: Path) -> Iterator[str]:
    with llama_server(tiny_gguf) as url:
        yield url


@pytest.fixture(scope="module")
def python_url(tiny_gguf: Path) -> Iterator[str]:
    with python_server(tiny_gguf, "a-secret-key") as url:
        yield url


@pytest.fixture
def connection(llama_url: str) -> Iterator[Connection]:
    client = Client(llama_url)
    yield connect(client, None, None, timeout=60)
    client.close()


@pytest.fixture
def engine(connection: Connection) -> HttpEngine:
    return connection.engine(Settings(context=4096, slots=2, timeout=60))


def request(frame: ChatFrame, section: str = TEXT, tokens: int = 24, **sampling: float) -> Request:
    profile = next(found for found in shipped() if found.name == "default")
    parts = prompts.update(profile, frame, question="why?", memory="nothing <|im_end|>", section=section)
    return Request("update", parts, tokens, Sampling(**sampling))  # type: ignore[arg-type]


def whole(text: str) -> str:
    """A server keeps the first bytes of a character to itself that its model never ended."""
    return text.rstrip("\ufffd")


def endless(engine: HttpEngine, ticket: int) -> None:
    """Submit a request whose reply takes a while, and wait for its first words."""
    engine.submit(ticket, request(engine.frame, tokens=3000, temperature=8.0, seed=ticket))
    while not any(isinstance(output, Decoded) for output in engine.step()):
        pass


def test_what_a_llama_server_says_of_itself(connection: Connection) -> None:
    info = connection.engine(Settings(context=4096)).info
    assert connection.server.kind == "llama.cpp"
    assert (connection.context, connection.server.slots, connection.notices) == (4096, 2, ())
    assert info.model == "tiny"
    assert info.settings["prompts"] == "tokens" and info.settings["counted_by"] == "server"
    assert info.settings["n_vocab"] == 2000


def test_ids_are_those_of_this_process(connection: Connection, model: Model) -> None:
    own = LlamaServerVocabulary(connection.client)
    assert own.frame == model.frame
    for section in (TEXT, "", "\n\n \n", "a\ud800b \U0001f600 <|im_end|>", "x" * 70_000):
        parts = request(model.frame, section).prompt
        assert own.encode_prompt(parts) == model.vocabulary.encode_prompt(parts)
        assert connection.tokenizer.count(section) == model.vocabulary.count(section)


def test_user_defined_tokens_stay_letters(tmp_path: Path) -> None:
    """llama.cpp finds these in any text."""
    path = write_tiny_gguf(tmp_path / "thinks.gguf", user_defined=(12, 13))
    with Model(path) as model, llama_server(path) as url:
        (one, two) = (model.vocabulary.spelling(token) for token in (12, 13))
        client = Client(url)
        own = LlamaServerVocabulary(client)
        parts = request(model.frame, f"say {one} and {two}{one}, or [{two}]").prompt
        ids = own.encode_prompt(parts)
        client.close()
        assert ids == model.vocabulary.encode_prompt(parts)
        assert not {12, 13} & set(ids)


def test_greedy_replies_are_those_of_this_process(engine: HttpEngine, model: Model) -> None:
    local = in_process.LlamaEngine(model, in_process.Settings(context=2048), name="tiny", digest="")
    for ticket, section in enumerate((TEXT, "The ship sailed west. " * 9)):
        asked = request(model.frame, section)
        engine.submit(ticket, asked)
        local.submit(ticket, asked)
        (served,), (own,) = finish(engine, ticket).values(), finish(local, ticket).values()
        assert whole(served.text) == whole(own.text) and served.finish == own.finish
        assert served.counts.prompt_tokens == own.counts.prompt_tokens
        assert served.counts.defused == 0
    local.close()


def test_many_requests_at_a_time(engine: HttpEngine) -> None:
    sections = [f"The ship {n} sailed {n * n} miles. " * 5 * n for n in range(6)]
    for ticket, section in enumerate(sections):
        engine.submit(ticket, request(engine.frame, section))
    together = finish(engine, *range(6))
    counted = [together[ticket].counts.prompt_tokens for ticket in range(6)]
    assert counted == sorted(set(counted))  # none was given another's
    assert engine.step() == []


def test_progress_of_the_prefill_is_told(engine: HttpEngine) -> None:
    engine.submit(0, request(engine.frame, "So it goes on. " * 200))
    seen: list[object] = []
    while not any(isinstance(output, Done) for output in seen):
        seen += engine.step()
    told = [output for output in seen if isinstance(output, Prefill)]
    assert told[-1].done == told[-1].total > 500
    assert [output.done for output in told] == sorted(output.done for output in told)


def test_sampling_follows_its_seed(engine: HttpEngine) -> None:
    texts = []
    for seed in (1, 1, 2):
        engine.submit(0, request(engine.frame, temperature=2.0, seed=seed))
        texts.append(finish(engine, 0)[0].text)
    assert texts[0] == texts[1] != texts[2]


def test_a_limit_ends_a_reply(engine: HttpEngine) -> None:
    engine.submit(0, request(engine.frame, tokens=2))
    reply = finish(engine, 0)[0]
    assert reply.finish == "length" and reply.counts.reply_tokens == 2


def test_a_reply_can_be_stopped(tmp_path: Path) -> None:
    with llama_server(write_tiny_gguf(tmp_path / "endless.gguf", ends=-99.0)) as url:
        client = Client(url)
        engine = connect(client, None, None, timeout=60).engine(Settings(context=4096, slots=2))
        endless(engine, 0)
        engine.stop(0, "loop")
        stopped = finish_one(engine)
        assert stopped.finish == "loop" and stopped.text and stopped.counts.reply_tokens > 0

        endless(engine, 1)
        engine.submit(2, request(engine.frame, tokens=3000))
        engine.submit(3, request(engine.frame, tokens=3000))  # waits for a slot
        engine.interrupt()
        replies: dict[int, Reply] = {}
        while len(replies) < 3:
            replies |= {out.ticket: out.reply for out in engine.step() if isinstance(out, Done)}
        assert {reply.finish for reply in replies.values()} == {"cancelled"}

        engine.submit(4, request(engine.frame, tokens=3))
        assert finish_one(engine).finish == "length"
        engine.close()
        engine.close()


def finish_one(engine: HttpEngine) -> Reply:
    while True:
        for output in engine.step():
            if isinstance(output, Done):
                return output.reply


def test_what_cannot_fit_is_refused_before_it_is_sent(engine: HttpEngine) -> None:
    with pytest.raises(ContextTooSmall, match="4096"):
        engine.submit(0, request(engine.frame, "word " * 4000))
    engine.submit(1, request(engine.frame))
    assert finish(engine, 1)[1].text


def test_a_model_that_is_not_there(llama_url: str) -> None:
    client = Client(llama_url)
    with pytest.raises(ModelMissing, match="'tinny'") as caught:
        connect(client, "tinny", None, timeout=60)
    assert "tiny" in caught.value.hint
    client.close()


# ── a server that takes text only ──


def test_a_server_that_takes_text_gets_no_special_tokens(python_url: str, model: Model) -> None:
    client = Client(python_url, {"MEMREAD_API_KEY": "a-secret-key"})
    found = connect(client, None, None, timeout=60)
    assert found.server.kind == "llama-cpp-python" and found.counted == "server"
    assert not found.prompts.exact and found.server.context == 0
    assert [notice for notice in found.notices if "how large its context is" in notice]
    engine = found.engine(Settings(context=2048))
    engine.submit(0, request(engine.frame))
    reply = finish(engine, 0)[0]
    assert reply.finish == "stop"
    # three of each in the section, one in the memory; <think> is no token of this model's, but of others
    assert reply.counts.defused == 3 * 4 + 1
    assert engine.info.settings["prompts"] == "text"
    assert found.tokenizer.count("It was a dark night") == model.vocabulary.count("It was a dark night")

    # without anything to defuse, this is the prompt that this process makes: so is the reply
    text = Part("The ship sailed west for many days. " * 9 + "Where did it go?")
    local = in_process.LlamaEngine(model, in_process.Settings(context=2048), name="tiny", digest="")
    framed = (Part(model.frame.before, True), text, Part(model.frame.after, True))
    local.submit(0, Request("update", framed, 24, Sampling()))
    engine.submit(1, Request("update", (text,), 24, Sampling()))
    own = finish(local, 0)[0].text
    assert own and whole(finish(engine, 1)[1].text) == whole(own)
    local.close()
    engine.close()


def test_a_local_vocabulary_counts_and_defuses(python_url: str, model: Model) -> None:
    client = Client(python_url, {"MEMREAD_API_KEY": "a-secret-key"})
    local = Local(model.vocabulary, model.frame, model.vocabulary, {})
    found = connect(client, "tiny", local, timeout=60)
    assert found.counted == "local vocabulary"
    prepared = found.prompts.prepare((Part("a <|im_end|> b <repo_name> c"),))
    (message,) = prepared.body["messages"]
    assert message["content"] == "a < |im_end|> b < repo_name> c"
    assert prepared.defused == 2
    client.close()


def test_a_wrong_key_is_refused_and_told_nowhere(python_url: str) -> None:
    for environ in ({}, {"MEMREAD_API_KEY": "wrong-key-123"}):
        client = Client(python_url, environ)
        with pytest.raises(ServerRefused, match="401") as caught:
            connect(client, None, None, timeout=60)
        assert "MEMREAD_API_KEY" in caught.value.hint
        assert "wrong-key" not in caught.value.message + caught.value.hint
        client.close()
