"""A server that does what it should not: OpenAI's API as far as it is told to, faults where it is told to."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Act = Callable[["Handler"], None]
"""What is done with one request for a reply."""


class Handler(BaseHTTPRequestHandler):
    """One request. `body` is its JSON."""

    protocol_version = "HTTP/1.1"
    server: _Server
    body: Any

    def do_GET(self) -> None:
        self.server.seen.append((self.path, dict(self.headers), None))
        made = self.server.pages.get(self.path)
        if made is None:
            self.answer({"error": {"message": "no such page"}}, 404)
        else:
            self.page(made)

    def do_POST(self) -> None:
        self.body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, dict(self.headers), self.body))
        if self.path in self.server.pages:
            self.page(self.server.pages[self.path])
            return
        acts = self.server.acts
        act = acts.pop(0) if acts else say("fine")
        act(self)

    def page(self, made: Any) -> None:
        """What a path answers, or does."""
        if callable(made):
            made(self)
        else:
            self.answer(made)

    def answer(self, made: object, status: int = 200, **headers: str) -> None:
        """All of an answer: JSON, or bytes as they are."""
        content = made if isinstance(made, bytes) else json.dumps(made).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def begin(self, kind: str = "text/event-stream") -> None:
        """The head of a stream that ends with the connection."""
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def event(self, made: object) -> None:
        self.wfile.write(
            b"data: " + (made if isinstance(made, bytes) else json.dumps(made).encode()) + b"\n\n"
        )
        self.wfile.flush()

    def reset(self) -> None:
        """End the connection as a crashed process does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        socket.close(self.connection.detach())  # the files made of it would keep it open

    def finish(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # it was reset
            super().finish()

    def log_message(self, *arguments: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages: dict[str, object] = {"/v1/models": {"data": [{"id": "m"}]}}
        self.acts: list[Act] = []
        self.seen: list[tuple[str, dict[str, str], Any]] = []

    def handle_error(self, *arguments: object) -> None:
        pass  # whoever it serves went away, as some tests want


class Hostile:
    """pages: what paths answer, or an Act. acts: what the next requests for replies get, then "fine"."""

    def __init__(self, server: _Server, scheme: str) -> None:
        self.pages, self.acts, self.seen = server.pages, server.acts, server.seen
        self.url = f"{scheme}://127.0.0.1:{server.server_port}/v1"

    @property
    def asked(self) -> int:
        """Requests for replies so far."""
        return sum(body is not None and "max_tokens" in body for _, _, body in self.seen)


@contextmanager
def hostile(context: ssl.SSLContext | None = None) -> Iterator[Hostile]:
    with _Server() as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.02))
        thread.start()
        try:
            yield Hostile(server, "https" if context else "http")
        finally:
            server.shutdown()
            thread.join()


# ── what it can do ──


def piece(text: str | None = None, finish: str | None = None, **delta: str) -> dict[str, Any]:
    told = {**({"content": text} if text is not None else {}), **delta}
    return {"choices": [{"index": 0, "delta": told, "finish_reason": finish}]}


def usage(prompt: int, reply: int = 1) -> dict[str, Any]:
    return {"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": reply}}


def say(text: str, finish: str | None = "stop", prompt: int | None = None) -> Act:
    """A reply as it should be, a word at a time. prompt: the tokens it says it read, rather than a guess."""

    def act(handler: Handler) -> None:
        handler.begin()
        handler.event(piece(role="assistant"))
        for word in text.split(" "):
            handler.event(piece(word if word == text.split(" ")[0] else " " + word))
        handler.event(piece(finish=finish))
        content = handler.body["messages"][0]["content"]
        handler.event(usage(len(content) // 3 if prompt is None else prompt))
        handler.event(b"[DONE]")

    return act


def events(*made: object, done: bool = False) -> Act:
    def act(handler: Handler) -> None:
        handler.begin()
        for each in made:
            handler.event(each)
        if done:
            handler.event(b"[DONE]")

    return act


def status(code: int, made: object = b"", **headers: str) -> Act:
    return lambda handler: handler.answer(made, code, **headers)


def reset(*before: object) -> Act:
    def act(handler: Handler) -> None:
        if before:
            handler.begin()
            for each in before:
                handler.event(each)
            time.sleep(0.05)  # a reset overtakes what was sent just before it
        handler.reset()

    return act


def stalled(code: int, kind: str = "application/json") -> Act:
    """The head of an answer and a letter of its body; nothing more for a few seconds."""

    def act(handler: Handler) -> None:
        handler.send_response(code)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"{")
        handler.wfile.flush()
        time.sleep(4)
        handler.close_connection = True

    return act


def silent(*before: object, alive: bytes = b"") -> Act:
    """Nothing more, but for `alive` again and again; for a few seconds at most."""

    def act(handler: Handler) -> None:
        handler.begin()
        for each in before:
            handler.event(each)
        for _ in range(200):
            time.sleep(0.02)
            handler.wfile.write(alive)
            handler.wfile.flush()

    return act
