"""HTTP from any thread: one event loop in a thread of its own, one pool of connections.

Whatever goes wrong becomes a `Fault` (faults.py): an error of memread's, and whether one more try may help.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import ipaddress
import os
import re
import threading
from collections.abc import AsyncGenerator, Coroutine, Mapping
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from memread import __version__
from memread.engine.http.faults import CONNECT_SECONDS, Fault, Faults, pause
from memread.errors import ConfigError, EngineFailed, ServerFailed, UsageError
from memread.text import without_credentials

_WRITE_SECONDS = 60.0
_BODY = 64 << 20
"""Bytes of an answer that is not a stream, at most."""
_EVENT = 4 << 20
"""Bytes of one event of a stream, at most."""
_KEYS = ("MEMREAD_API_KEY", "OPENAI_API_KEY")

T = TypeVar("T")


class Client:
    """A server by its URL. `close` ends what is still running."""

    def __init__(self, url: str, environ: Mapping[str, str] | None = None) -> None:
        """url: "http(s)://[user:password@]host[:port]/path". Raises UsageError, ConfigError."""
        try:
            import httpx2
        except ImportError as error:
            raise UsageError(
                "--engine needs the package httpx2", 'Install it: pip install "memread[server]"'
            ) from error
        self._httpx = httpx2
        self.url = without_credentials(url).rstrip("/")
        parts = urlsplit(url)
        self.root = re.sub(r"/v\d+$", "", self.url)
        """Where a server's own endpoints are, beside the OpenAI ones."""
        key, withheld = _key(self.url, os.environ if environ is None else environ)
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        secrets = [secret for secret in (key, password, parts.password) if secret]
        self.faults = Faults(self.url, secrets, withheld=withheld)
        headers = {"User-Agent": f"memread/{__version__}", "Accept-Encoding": "identity"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        local = _is_loopback(parts.hostname or "")
        try:
            self._client = httpx2.AsyncClient(
                headers=headers,
                auth=(user, password) if user and not key else None,
                timeout=httpx2.Timeout(60.0, connect=CONNECT_SECONDS, write=_WRITE_SECONDS, pool=None),
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=32),
                # A proxy for the outside cannot reach a server on this machine.
                mounts={"all://": None} if local else None,
                follow_redirects=False,
                # Certificates take time to load, and plain http has no use for them.
                verify=parts.scheme == "https",
            )
        except (OSError, ValueError) as error:  # such as an SSL_CERT_FILE that is none
            raise ConfigError(f"no HTTP client can be made: {self.faults.clean(error)}") from error
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="memread-http", daemon=True)
        self._thread.start()
        self._closing = threading.RLock()  # a signal may come while its thread holds it
        self._closed = False

    # ── from any thread ──

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` comes to in the event loop. Raises EngineFailed once the client is closed."""
        with self._closing:
            if self._closed:
                work.close()
                raise EngineFailed("the connection to the server was closed")
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except concurrent.futures.CancelledError as error:
            raise EngineFailed("the connection to the server was closed") from error
        except KeyboardInterrupt:
            future.cancel()
            raise

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin `work` in the event loop."""

        async def begin() -> asyncio.Task[None]:
            return asyncio.get_running_loop().create_task(work)

        return self.run(begin())

    def soon(self, task: asyncio.Task[None]) -> None:
        """Cancel a task of `start`."""
        with self._closing:
            if not self._closed:
                self._loop.call_soon_threadsafe(task.cancel)

    def close(self) -> None:
        """Safe to call twice, and from any thread but the loop's."""
        with self._closing:
            if self._closed:
                return
            self._closed = True

        async def end() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await self._client.aclose()

        # A connection that will not close is left to the end of the process.
        with contextlib.suppress(concurrent.futures.TimeoutError, concurrent.futures.CancelledError):
            asyncio.run_coroutine_threadsafe(end(), self._loop).result(CONNECT_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CONNECT_SECONDS)
        if not self._thread.is_alive():
            self._loop.close()

    def ask(self, path: str, body: object = None, *, root: bool = False, tries: int = 1) -> Any:
        """The JSON that a GET, or with a body a POST, of `path` brings.

        path: below the URL; with `root`, beside it. Raises what `Fault`s hold, the last of `tries`.
        """
        return self.run(self._ask((self.root if root else self.url) + path, body, tries))

    # ── in the loop ──

    async def stream(
        self, path: str, body: object, first: float, between: float
    ) -> AsyncGenerator[Any, None]:
        """The JSON of each event that a POST brings; ends with the stream's own end, "[DONE]".

        first, between: seconds to wait for the first event and for each other. Raises Fault.
        """
        # Between events comments may come, which keep a connection but are no progress: hence our own clock.
        timeout = self._httpx.Timeout(None, connect=CONNECT_SECONDS, write=_WRITE_SECONDS)
        wait = first
        try:
            sending = self._client.stream("POST", self.url + path, json=body, timeout=timeout)
            async with _bounded(sending, first) as response:
                if response.status_code != 200:
                    raise self.faults.refusal(response, await self._body(response))
                if response.headers.get("content-type", "").partition(";")[0].strip() == "application/json":
                    yield self.faults.decoded(
                        await self._body(response)
                    )  # it does not stream: all of it at once
                    return
                events = aiter(self._httpx.EventSource(response, max_event_size=_EVENT))
                while True:
                    try:
                        event = await asyncio.wait_for(anext(events), wait)
                    except StopAsyncIteration:
                        raise Fault(ServerFailed("the server's reply broke off"), retry=True) from None
                    if event.data.strip() == "[DONE]":
                        return
                    if event.data.strip():
                        yield self.faults.decoded(event.data)
                        wait = between
        except (asyncio.TimeoutError, TimeoutError) as error:  # one class from Python 3.11 on
            raise Fault(
                ServerFailed(
                    f"the server sent nothing for {wait:g} s",
                    "Is it overloaded? engine.timeout sets how long memread waits.",
                ),
                retry=True,
            ) from error
        except self._httpx.HTTPError as error:
            raise self.faults.transport(error) from error

    async def _ask(self, url: str, body: object, tries: int) -> Any:
        for attempt in range(tries):
            try:
                return await self._try(url, body)
            except Fault as fault:
                if not fault.retry or attempt + 1 == tries:
                    raise fault.error from fault
                await asyncio.sleep(pause(attempt, fault))
        raise AssertionError

    async def _try(self, url: str, body: object) -> Any:
        method = "GET" if body is None else "POST"
        try:
            async with self._client.stream(method, url, json=body) as response:
                content = await self._body(response)
                if response.status_code != 200:
                    raise self.faults.refusal(response, content)
                return self.faults.decoded(content)
        except self._httpx.HTTPError as error:
            raise self.faults.transport(error) from error

    async def _body(self, response: Any) -> bytes:
        content = bytearray()
        async for chunk in response.aiter_bytes():
            content += chunk
            if len(content) > _BODY:
                raise Fault(ServerFailed(f"the server's answer is longer than {_BODY >> 20} MiB"))
        return bytes(content)


class _bounded:
    """An async context manager whose entry may take only so long."""

    def __init__(self, inner: Any, seconds: float) -> None:
        self._inner, self._seconds = inner, seconds

    async def __aenter__(self) -> Any:
        return await asyncio.wait_for(self._inner.__aenter__(), self._seconds)

    async def __aexit__(self, *details: Any) -> Any:
        return await self._inner.__aexit__(*details)


def _key(url: str, environ: Mapping[str, str]) -> tuple[str, bool]:
    """The key to send, and whether one was held back. Raises ConfigError for one that no header can hold."""
    parts = urlsplit(url)
    safe = parts.scheme == "https" or _is_loopback(parts.hostname or "")
    for name in _KEYS:
        key = environ.get(name, "").strip()
        if not key:
            continue
        if not (key.isascii() and key.isprintable()):
            raise ConfigError(f"{name} holds characters that no key has")
        # Whoever set OPENAI_API_KEY meant it for OpenAI: not for any machine, in the clear.
        return (key, False) if safe or name == _KEYS[0] else ("", True)
    return "", False


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost" or host.lower().endswith(".localhost")
