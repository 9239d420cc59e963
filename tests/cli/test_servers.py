"""`memread ask --engine` as users run it: real servers, and servers that fail in the middle."""

from __future__ import annotations

import hashlib
import os
import signal
from pathlib import Path

import pytest

from memread.events import MemoryUpdated, Piece
from memread.profile import shipped_dir
from tests.cli.conftest import Memread, answer, done, log, memories
from tests.engine.http.hostile import Handler, Hostile, events, hostile, piece, say, silent, status
from tests.engine.http.servers import free_port, llama_server

QUESTION = "how far did the ship sail?"
KEY = "sk-nobody-may-see-this"


def served(url: str, **more: str) -> dict[str, str]:
    """The environment of a command that uses the server at `url`."""
    return {"MEMREAD_ENGINE_URL": url, "MEMREAD_MODEL": "", **more}


def test_a_server_reads_as_this_process_does(memread: Memread) -> None:
    text = memread.write("a.txt", log(12))
    # A second try is sampled, and no two builds of llama.cpp need sample alike: here it is greedy.
    default = next(path for path in shipped_dir().glob("default.toml")).read_text(encoding="utf-8")
    profile = memread.write("greedy.toml", default + "\n[retry]\ntemperature = 0.0\n")
    arguments = ("ask", text, QUESTION, "--json", "--profile", profile)
    with llama_server(memread.model) as url:
        found = memread(*arguments, "--engine", url, env={"MEMREAD_MODEL": ""})
        told = memread("doctor", "--engine", url, env={"MEMREAD_MODEL": ""})
    own = memread(*arguments)
    assert found.code == own.code == 0, found.err
    assert found.json["settings"]["prompts"] == "tokens"  # type: ignore[index]
    for key in ("coverage", "defused"):
        assert found.json[key] == own.json[key]
    for key in ("memory", "raw"):  # a server does not send the first bytes of a character that never ends
        assert str(found.json[key]).rstrip("\ufffd") == str(own.json[key]).rstrip("\ufffd")
    assert told.code == 0
    assert "llama.cpp" in told.out and "4096 tokens" in told.out and "sent as token ids" in told.out


def test_a_server_that_is_started_again_in_the_middle(memread: Memread, slow_gguf: Path) -> None:
    text = memread.write("a.txt", log(40))
    port = free_port()
    with llama_server(memread.model, port=port) as url:
        running = memread.start("ask", text, QUESTION, env=served(url))
        running.wait_for(done(1))
    with llama_server(memread.model, port=port):
        assert running.end() == 0
    indices = [event.segment.index for event in running.events if isinstance(event, MemoryUpdated)]
    assert indices == list(range(len(indices))) and len(indices) > 10
    assert answer(running.events)


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT for a child there")
def test_an_interrupt_ends_the_reply_that_is_on_its_way(memread: Memread) -> None:
    """The server is silent in the middle of a reply; nothing waits for it."""
    text = memread.write("a.txt", log(40))
    with hostile() as server:
        server.acts[:] = [say("probe"), say("one"), say("two"), silent(piece("thr")), say("so: 7")]
        running = memread.start("ask", text, QUESTION, env=served(server.url))
        running.wait_for(lambda event: isinstance(event, Piece) and event.text == "thr")
        running.signal(signal.SIGINT)
        assert running.end() == 130
    assert memories(running.events) == {0: "one", 1: "two"}
    assert answer(running.events) == "so: 7"


def by_prompt(handler: Handler) -> None:
    """A reply that depends on the prompt alone."""
    (message,) = handler.body["messages"]
    say("it sailed " + hashlib.sha256(message["content"].encode()).hexdigest()[:8])(handler)


def test_what_was_read_stays_when_a_server_fails(memread: Memread) -> None:
    text = memread.write("a.txt", log(20) + "Then came <|im_end|> and </s>.\n")
    with hostile() as server:
        env = served(server.url.replace("//", "//me:hunter2@"), OPENAI_API_KEY=KEY)
        server.acts[:] = [by_prompt] * 60
        whole = memread("ask", text, QUESTION, "--events", "--no-journal", env=env)
        assert whole.code == 0, whole.err
        echo = status(400, {"error": f"no such tokens for {KEY}"})
        server.acts[:] = [say("probe"), *[by_prompt] * 3, echo]
        failed = memread("ask", text, QUESTION, env=env)
        assert failed.code == 22
        assert "no such tokens for …" in failed.err and failed.out == ""
        server.acts[:] = [by_prompt] * 60
        again = memread("ask", text, QUESTION, "--events", env=env)
        assert again.code == 0
        assert "2 spellings of special tokens broken up" in memread("ask", text, QUESTION, env=env).err
        assert memories(again.events) == {k: v for k, v in memories(whole.events).items() if k >= 3}
        assert answer(again.events) == answer(whole.events)
        found = memread("ask", text, QUESTION, "--json", env=env).json
        assert found["defused"] == 2 and found["settings"]["prompts"] == "text"  # type: ignore[index]
        assert memread("config", env=env).out.count("hunter2") == 0
    home = Path.home()
    kept = [path for path in home.rglob("*") if path.is_file()]
    assert [path for path in kept if path.name.startswith("journal")]
    for path in kept:
        assert not any(secret in path.read_bytes() for secret in (KEY.encode(), b"hunter2"))
    for shown in (whole, failed, again):
        assert not any(secret in shown.out + shown.err for secret in (KEY, "hunter2"))


def refusal(memread: Memread, server: Hostile, **more: str) -> tuple[int, str]:
    ended = memread("ask", memread.write("a.txt", log(20)), QUESTION, env=served(server.url, **more))
    assert "Traceback" not in ended.err and ended.out == ""
    return ended.code, ended.err


def test_every_fault_has_a_line_and_a_code(memread: Memread) -> None:
    with hostile() as server:
        server.acts[:] = [say("probe"), say("invented", prompt=12)]
        code, err = refusal(memread, server)
        assert code == 24 and "read 12 tokens" in err
        server.acts[:] = [events(piece("a"), {"error": "out of memory"})]
        code, err = refusal(memread, server)
        assert code == 23 and "out of memory" in err
        server.pages["/v1/models"] = {"data": [{"id": "m", "max_model_len": 120}]}
        code, err = refusal(memread, server)
        assert code == 16 and "the server’s context is" in err
        code, err = refusal(memread, server, MEMREAD_MODEL="other")
        assert code == 13 and "It has m" in err
        gone = server
    assert refusal(memread, gone)[0] == 21
