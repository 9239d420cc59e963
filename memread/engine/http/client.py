"""HTTP from any thread: one event loop in a thread of its own, one pool of connections.

Whatever goes wrong becomes a `Fault` (faults.py): an error of memread's, and whether one more try may help.
"""

from __future__ import annotations

import asyncio
import base64
import concurrent.futures
import contextlib
import ipaddress
import os
import re
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from memread import __version__
from memread.engine.http.faults import CONNECT_SECONDS, Fault, Faults
from memread.errors import ConfigError, EngineFailed, ServerFailed
from memread.text import one_line, without_credentials

PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between the tries of one request, where the server does not ask for others."""
_WRITE_SECONDS = 60.0
_BODY = 64 << 20
"""Bytes of an answer that is not a stream, at most."""
_EVENT = 4 << 20
"""Bytes of one event of a stream, at most."""
_SETTINGS = "Are SSL_CERT_FILE, HTTP_PROXY, HTTPS_PROXY and ALL_PROXY right?"
_KEYS = ("MEMREAD_API_KEY", "OPENAI_API_KEY")

T = TypeVar("T")


class Interrupted(Exception):
    """`Client.interrupt` ended what was waited for."""


class Client:
    """A server by its URL. `close` ends what is still running."""

    def __init__(
        self, url: str, environ: Mapping[str, str] | None = None, *, pauses: Sequence[float] = PAUSES
    ) -> None:
        """url: "http(s)://[user:password@]host[:port]/path". Raises ConfigError."""
        self._pauses = pauses
        import httpx2

        self._httpx = httpx2
        self.url = without_credentials(url).rstrip("/")
        parts = urlsplit(url)
        self.root = re.sub(r"/v\d+$", "", self.url)
        """Where a server's own endpoints are, beside the OpenAI ones."""
        key, withheld = _key(self.url, os.environ if environ is None else environ)
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        basic = base64.b64encode(f"{user}:{password}".encode(errors="replace")).decode() if user else ""
        secrets = [secret for secret in (basic, key, password, parts.password) if secret]
        self.faults = Faults(self.url, secrets, withheld=withheld)
        headers = {"User-Agent": f"memread/{__version__}", "Accept-Encoding": "identity"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        local = _is_loopback(parts.hostname or "")
        try:
            httpx2.URL(self.url)  # else the first request would find out
        except (httpx2.InvalidURL, ValueError) as error:
            said = self.faults.clean(error)
            raise ConfigError(f"{one_line(self.url)}: no server has this address: {said}") from error
        try:
            self._client = httpx2.AsyncClient(
                headers=headers,
                auth=(user, password) if user and not key else None,
                timeout=httpx2.Timeout(60.0, connect=CONNECT_SECONDS, write=_WRITE_SECONDS, pool=None),
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=32),
                # A proxy for the outside cannot reach a server on this machine.
                mounts=dict.fromkeys(("all://", "http://", "https://")) if local else None,
                follow_redirects=False,
                # Certificates take time to load, and plain http has no use for them.
                verify=parts.scheme == "https",
            )
        # Such as an SSL_CERT_FILE or an HTTP_PROXY that is none, or a proxy that needs a package (socks5://).
        except (OSError, ValueError, ImportError, httpx2.InvalidURL) as error:
            # What is no address is not quoted: it may be a part of a password.
            invalid = isinstance(error, httpx2.InvalidURL)
            said = "a proxy's address is not valid" if invalid else self.faults.clean(error)
            raise ConfigError(f"no HTTP client can be made: {said}", _SETTINGS) from error
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="memread-http", daemon=True)
        self._thread.start()
        self._closing = threading.RLock()  # a signal may come while its thread holds it
        self._closed = False
        self._waiting: dict[int, concurrent.futures.Future[Any]] = {}
        """What a thread waits for."""
        self._interruptible: set[int] = set()
        self._interrupted: set[int] = set()
        """Threads in an `interruptible` block, and those of them that are to leave it."""

    # ── from any thread ──

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` comes to in the event loop. Raises EngineFailed after `close`, Interrupted."""
        me = threading.get_ident()
        with self._closing:
            if self._closed or me in self._interrupted:
                work.close()
                raise self._left(me)
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
            self._waiting[me] = future
        try:
            return future.result()
        except concurrent.futures.CancelledError as error:
            raise self._left(me) from error
        except KeyboardInterrupt:
            future.cancel()
            raise
        finally:
            self._waiting.pop(me, None)

    def _left(self, thread: int) -> Exception:
        if thread in self._interrupted:
            return Interrupted()
        return EngineFailed("the connection to the server was closed")

    @contextlib.contextmanager
    def interruptible(self) -> Iterator[None]:
        """In the block, what this thread waits for ends with `interrupt`.

        Raises Interrupted, at the end of the block at the latest.
        """
        me = threading.get_ident()
        with self._closing:
            self._interruptible.add(me)
        try:
            yield
            if me in self._interrupted:
                raise Interrupted
        finally:
            with self._closing:
                self._interruptible.discard(me)
                self._interrupted.discard(me)

    def interrupt(self) -> None:
        """End the waits of all `interruptible` blocks. From any thread."""
        with self._closing:
            self._interrupted |= self._interruptible
            for thread in self._interrupted:
                if thread in self._waiting:
                    self._waiting[thread].cancel()

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

    def ask(self, path: str, body: object = None, *, root: bool = False, patient: bool = False) -> Any:
        """The JSON that a GET, or with a body a POST, of `path` brings.

        path: below the URL; with `root`, beside it. patient: try again. Raises ServerError, ContextTooSmall.
        """
        url = (self.root if root else self.url) + path
        return self.run(self.retried(lambda: self._ask(url, body), patient=patient))

    # ── in the loop ──

    async def stream(
        self, path: str, body: object, first: float, between: float
    ) -> AsyncGenerator[Any, None]:
        """The JSON of each event that a POST brings, up to "[DONE]" or the end of the answer.

        first, between: seconds to wait for the first event and for each other. Raises Fault.
        """
        # Between events come comments and events without data, which keep a connection but are no progress:
        # hence our own clock, which only data sets back.
        import anyio

        timeout = self._httpx.Timeout(None, connect=CONNECT_SECONDS, write=_WRITE_SECONDS)
        wait = first
        end = anyio.current_time() + wait
        try:
            async with contextlib.AsyncExitStack() as stack:
                sending = self._client.stream("POST", self.url + path, json=body, timeout=timeout)
                # Not asyncio.wait_for, which up to Python 3.11 can lose a cancellation.
                with anyio.fail_after(end - anyio.current_time()):
                    response = await stack.enter_async_context(sending)
                if response.status_code != 200:
                    with anyio.fail_after(end - anyio.current_time()):
                        content = await self._body(response)
                    raise self.faults.refusal(response, content)
                kind = response.headers.get("content-type", "").partition(";")[0].strip()
                if kind == "application/json":  # it does not stream: all of it comes at once
                    with anyio.fail_after(end - anyio.current_time()):
                        content = await self._body(response)
                    yield self.faults.decoded(content)
                    return
                events = aiter(self._httpx.EventSource(response, max_event_size=_EVENT))
                while True:
                    with anyio.fail_after(end - anyio.current_time()):
                        event = await anext(events, None)
                    # Not every server says "[DONE]": whether the reply is complete is for the reader to tell.
                    if event is None or event.data.strip() == "[DONE]":
                        return
                    if event.data.strip():
                        yield self.faults.decoded(event.data)
                        wait = between
                        end = anyio.current_time() + wait
        except TimeoutError as error:
            raise Fault(
                ServerFailed(
                    f"the server sent nothing for {wait:g} s",
                    "Is it overloaded? engine.timeout sets how long memread waits.",
                ),
                retry=True,
            ) from error
        except self._httpx.HTTPError as error:
            raise self.faults.transport(error) from error

    async def retried(self, work: Callable[[], Awaitable[T]], *, patient: bool = True) -> T:
        """What `work` comes to, in some tries if need be. Raises what the Fault of the last one holds."""
        pauses = list(self._pauses) if patient else []
        while True:
            try:
                return await work()
            except Fault as fault:
                if not fault.retry or not pauses:
                    raise fault.error from fault
                usual = pauses.pop(0)
                await asyncio.sleep(usual if fault.after is None else fault.after)

    async def _ask(self, url: str, body: object) -> Any:
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
