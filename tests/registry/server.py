"""A real HTTP server on loopback that fails on purpose, and a small imitation of the Hub on it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, unquote, urlsplit

Fault = Callable[["Handler", bytes], None]
"""Answers one request for a file whose content is given; instead of the orderly answer."""


class Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that leave early are what is tested."""


class Server:
    """Serves `files` with ETags and ranges. `faults` are used up first, one a request for a file."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.pages: dict[str, tuple[int, dict[str, str], Any]] = {}
        """Path → status, headers and JSON: for the Hub's API."""
        self.redirects: dict[str, str] = {}
        self.faults: list[Fault] = []
        self.seen: list[tuple[str, dict[str, str]]] = []
        """Path (with query) and headers of each request."""
        self.validators = True
        self.reached = threading.Event()
        """A stalling request has sent what it sends."""
        self.closing = threading.Event()
        self.http = Quiet(("127.0.0.1", 0), Handler)
        self.http.owner = self  # type: ignore[attr-defined]
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_address[1]}"

    def ranges(self) -> list[str]:
        """The Range header of each request for a file, "" where there was none."""
        return [headers.get("range", "") for path, headers in self.seen if not path.startswith("/api/")]

    @contextmanager
    def running(self) -> Iterator[Server]:
        self.thread.start()
        try:
            yield self
        finally:
            self.closing.set()
            self.http.shutdown()
            self.http.server_close()
            self.thread.join()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    @property
    def owner(self) -> Server:
        return self.server.owner  # type: ignore[attr-defined, no-any-return]

    def do_GET(self) -> None:
        owner = self.owner
        owner.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        path = unquote(urlsplit(self.path).path)
        with contextlib.suppress(ConnectionError, TimeoutError):
            if path in owner.redirects:
                return self.head(302, {"Location": owner.redirects[path], "Content-Length": "0"})
            if path in owner.pages:
                status, headers, page = owner.pages[path]
                body = json.dumps(page).encode()
                self.head(
                    status, {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
                )
                self.wfile.write(body)
                return None
            if path not in owner.files:
                return self.head(404, {"Content-Length": "0"})
            content = owner.files[path]
            if owner.faults:
                owner.faults.pop(0)(self, content)
            else:
                self.orderly(content)
        return None

    def head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def asked(self, content: bytes) -> int:
        """Where the range that was asked for begins; 0 without one, or if If-Range does not hold."""
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range", etag(content))
        return int(match[1]) if match and condition == etag(content) else 0

    def begin(self, content: bytes, **more: str) -> int:
        """Status and headers of an orderly answer; where its body begins."""
        start = self.asked(content)
        if start and start >= len(content):
            self.head(416, {"Content-Range": f"bytes */{len(content)}", "Content-Length": "0"})
            return len(content)
        headers = {"Content-Length": str(len(content) - start)}
        if self.owner.validators:
            headers["ETag"] = etag(content)
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self.head(206 if start else 200, {**headers, **{k.replace("_", "-"): v for k, v in more.items()}})
        return start

    def orderly(self, content: bytes) -> None:
        self.wfile.write(content[self.begin(content) :])


def etag(content: bytes) -> str:
    return f'"{hashlib.md5(content).hexdigest()}"'


def drop(after: int) -> Fault:
    """Close the connection after so many bytes of the body."""

    def fault(self: Handler, content: bytes) -> None:
        start = self.begin(content)
        self.wfile.write(content[start : start + after])
        self.close_connection = True

    return fault


def stall(after: int) -> Fault:
    """Send so many bytes of the body, then nothing, and keep the connection."""

    def fault(self: Handler, content: bytes) -> None:
        start = self.begin(content)
        self.wfile.write(content[start : start + after])
        self.wfile.flush()
        self.owner.reached.set()
        self.owner.closing.wait(60)
        self.close_connection = True

    return fault


def status(code: int, **headers: str) -> Fault:
    def fault(self: Handler, content: bytes) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.head(code, {"Content-Length": "0", **named})

    return fault


def whole(self: Handler, content: bytes) -> None:
    """Ignore ranges."""
    self.head(200, {"Content-Length": str(len(content)), "ETag": etag(content)})
    self.wfile.write(content)


def elsewhere(self: Handler, content: bytes) -> None:
    """Send another range than was asked for."""
    at = len(content) // 2
    headers = {"Content-Range": f"bytes {at}-{len(content) - 1}/{len(content)}", "ETag": etag(content)}
    self.head(206, {"Content-Length": str(len(content) - at), **headers})
    self.wfile.write(content[at:])


def longer(by: int) -> Fault:
    """Promise more bytes than there are."""

    def fault(self: Handler, content: bytes) -> None:
        self.head(200, {"Content-Length": str(len(content) + by), "ETag": etag(content)})
        self.wfile.write(content)
        self.close_connection = True

    return fault


def shorter(by: int) -> Fault:
    """Promise fewer bytes than there are."""

    def fault(self: Handler, content: bytes) -> None:
        self.head(200, {"Content-Length": str(len(content) - by), "ETag": etag(content)})
        self.wfile.write(content[: len(content) - by])

    return fault


def unmeasured(self: Handler, content: bytes) -> None:
    """No length: the body ends with the connection, whatever ends that."""
    self.head(200, {"Connection": "close"})
    self.wfile.write(content)
    self.close_connection = True


def compressed(self: Handler, content: bytes) -> None:
    self.begin(content, Content_Encoding="gzip")


def reset(self: Handler, content: bytes) -> None:
    """Close without a word."""
    self.close_connection = True


class Hub:
    """The Hub's API for one repository, its files on another host, and a token that opens it."""

    COMMIT = "c" * 40

    def __init__(self, api: Server, files: Server, repository: str = "owner/name-GGUF") -> None:
        self.api, self.files, self.repository = api, files, repository
        self.siblings: list[dict[str, Any]] = []
        self.publish()

    def add(self, name: str, content: bytes, sha256: str = "") -> None:
        """A file in the repository. sha256: what the record says, if it is not true."""
        digest = sha256 or hashlib.sha256(content).hexdigest()
        self.siblings.append(
            {
                "rfilename": name,
                "size": len(content),
                "blobId": "0" * 40,
                "lfs": {"sha256": digest, "size": len(content), "pointerSize": 134},
            }
        )
        place = f"/{self.repository}/resolve/{self.COMMIT}/{name}"
        self.api.redirects[place] = f"{self.files.url}/blobs/{quote(name)}?Signature=secret-of-the-cdn"
        self.files.files[f"/blobs/{name}"] = content
        self.publish()

    def publish(self) -> None:
        page = {
            "id": self.repository,
            "modelId": self.repository,
            "sha": self.COMMIT,
            "tags": [],
            "cardData": {"license": "apache-2.0"},
            "siblings": [{"rfilename": "README.md", "size": 9, "blobId": "1" * 40}, *self.siblings],
        }
        self.answer(200, page)

    def answer(self, code: int, page: Any, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        for path in ("", "/revision/main", f"/revision/{self.COMMIT}"):
            self.api.pages[f"/api/models/{self.repository}{path}"] = (code, named, page)
