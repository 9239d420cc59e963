"""What can go wrong with a server, and the errors of ours that it becomes."""

from __future__ import annotations

import email.utils
import json
import os
import re
import socket
import ssl
import time
from collections.abc import Sequence
from typing import Any

from memread.errors import (
    ContextTooSmall,
    MemreadError,
    ServerFailed,
    ServerRefused,
    ServerUnreachable,
)
from memread.text import one_line, without_credentials

CONNECT_SECONDS = 10.0
_RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529})
_CONTEXT = re.compile(r"context|too long|maximum.{0,20}length|max_model_len|n_ctx", re.IGNORECASE)


class Fault(Exception):
    """A try that failed. retry: another may succeed; after: seconds the server asks to wait."""

    def __init__(self, error: MemreadError, *, retry: bool = False, after: float | None = None) -> None:
        super().__init__(error.message)
        self.error, self.retry, self.after = error, retry, after


class Faults:
    """Tells what went wrong with one server, without telling its secrets."""

    def __init__(self, url: str, secrets: Sequence[str], *, withheld: bool) -> None:
        """withheld: a key was there, and was not sent."""
        self._url, self._secrets, self._withheld = url, secrets, withheld

    def clean(self, said: object) -> str:
        """What somebody said, without secrets, on one line."""
        text = str(said)
        for secret in self._secrets:
            text = text.replace(secret, "…")
        return one_line(without_credentials(text), 300)

    def decoded(self, content: str | bytes) -> Any:
        """The JSON in `content`. Raises Fault."""
        try:
            return json.loads(content)
        except (ValueError, RecursionError) as error:
            start = content[:4096]
            start = start.decode("utf-8", "replace") if isinstance(start, bytes) else start
            raise Fault(
                ServerFailed(
                    f"the server's answer is not JSON: {self.clean(start)[:80]!r}",
                    f"Is {self._url} the address of an OpenAI-compatible API? Most end in /v1.",
                ),
                retry=True,
            ) from error

    def refusal(self, response: Any, content: bytes) -> Fault:
        """Of an answer with a status that is not 200."""
        status: int = response.status_code
        said = self._said(content)
        told = f": {said}" if said else ""
        if 300 <= status < 400:
            place = self.clean(response.headers.get("location", "")) or "nowhere"
            return Fault(
                ServerRefused(
                    f"the server sends us on to {place}",
                    "Nothing is sent there unasked. If it is right, give that address to --engine.",
                )
            )
        if status in (401, 403):
            hint = "Put its key into the variable MEMREAD_API_KEY."
            if self._withheld:
                hint += " OPENAI_API_KEY is not sent over plain http to another machine."
            return Fault(ServerRefused(f"the server refuses us ({status}){told}", hint))
        if status in _RETRIED:
            return Fault(
                ServerFailed(f"the server failed ({status}){told}"), retry=True, after=_retry_after(response)
            )
        if status in (400, 413, 422) and _CONTEXT.search(said):
            return Fault(
                ContextTooSmall(
                    f"the server says that the prompt is too long{told}",
                    "Give the server a larger context, or use smaller segments (--segment).",
                )
            )
        if status == 404:
            path = self.clean(response.url.path)
            return Fault(
                ServerRefused(
                    f"the server has no {path} (404){told}",
                    f"Is {self._url} right? Most OpenAI-compatible APIs end in /v1.",
                )
            )
        return Fault(ServerRefused(f"the server refuses the request ({status}){told}"))

    def _said(self, content: bytes) -> str:
        """A server's own words for an error."""
        try:
            found = json.loads(content)
        except (ValueError, RecursionError):
            text = content[:4096].decode("utf-8", "replace")
            return "" if "<html" in text.lower() else self.clean(text)
        return self.clean(message(found))

    def transport(self, error: Exception) -> Fault:
        """Of an exception of the HTTP library."""
        import httpx2 as httpx

        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, ssl.SSLError):
            cause = cause.__cause__ or cause.__context__
        reason = self.clean(cause or _system(error) or error) or type(error).__name__
        if cause is not None:
            return Fault(
                ServerUnreachable(
                    f"{self._url}: no trusted connection: {reason}",
                    "SSL_CERT_FILE can name a file with the certificate of a private authority. "
                    "A server without TLS is http://, not https://.",
                )
            )
        match error:
            case httpx.ConnectTimeout():
                reason = f"no connection within {CONNECT_SECONDS:g} s"
            case httpx.ConnectError() | httpx.ProxyError():
                pass
            case httpx.SSEError():
                return Fault(ServerFailed(f"the server's stream cannot be read: {reason}"))
            case httpx.UnsupportedProtocol() | httpx.LocalProtocolError():
                return Fault(ServerRefused(f"the server cannot be asked: {reason}"))
            case httpx.TimeoutException():
                return Fault(ServerFailed("the server did not answer in time"), retry=True)
            case _:
                return Fault(ServerFailed(f"the connection to the server broke: {reason}"), retry=True)
        return Fault(
            ServerUnreachable(
                f"{self._url}: no server answers: {reason}", "Is it running, and the address right?"
            ),
            retry=True,
        )


def _system(error: BaseException) -> str:
    """What the operating system says of a failed connection, such as "Connection refused"; "" for nothing."""
    found = ""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, socket.gaierror):
            found = cause.strerror or ""
        elif isinstance(cause, OSError) and cause.errno:
            found = os.strerror(cause.errno)
        cause = cause.__cause__ or cause.__context__
    return found


def message(found: Any) -> str:
    """The words in an error that a server sent as JSON; servers differ in where they put them."""
    for key in ("error", "message", "detail"):
        if isinstance(found, dict) and found.get(key):
            found = found[key]
    return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)


def _retry_after(response: Any) -> float | None:
    """Seconds a server asks to wait, at most 10 minutes; None where it does not say."""
    text = response.headers.get("retry-after", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - time.time()
        except (TypeError, ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), 600.0) if seconds == seconds else None
