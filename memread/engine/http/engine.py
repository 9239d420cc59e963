"""Requests → streams of a server, many at a time. Implements protocols.Engine."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Sequence
from typing import Any

import msgspec

from memread.engine.http.client import Client, Interrupted
from memread.engine.http.faults import Fault, message
from memread.engine.http.prompts import Prepared, TextPrompts, TokenPrompts, switches
from memread.engine.http.server import Server
from memread.errors import ContextTooSmall, PromptCut, ServerFailed
from memread.protocols import Decoded, Done, Output, Prefill, Tokenizer
from memread.types import ChatFrame, Counts, EngineInfo, Finish, Part, Reply, Request, Sampling

_BROKEN = frozenset({"error", "abort", "cancelled"})
"""Reasons of an end with which a reply is not complete."""
_LIMITS = frozenset({"length", "max_tokens", "model_length"})


class Settings(msgspec.Struct, frozen=True):
    """How a server is used."""

    context: int
    """Prompt and reply of one request, at most. Tokens."""
    slots: int = 1
    """Requests that are under way at a time."""
    timeout: float = 600.0
    """Seconds to wait for the first token, and for each other."""


class HttpEngine:
    """See protocols.Engine. One thread owns it; `interrupt` may come from any."""

    def __init__(
        self,
        client: Client,
        server: Server,
        prompts: TokenPrompts | TextPrompts,
        tokenizer: Tokenizer,
        settings: Settings,
        *,
        counted: str,
    ) -> None:
        """counted: what counts tokens, in words. `close` closes the client too."""
        self._client, self._server, self._prompts = client, server, prompts
        self._tokenizer, self._settings = tokenizer, settings
        self._outputs: queue.Queue[Output | BaseException] = queue.Queue()
        self._lock = threading.RLock()  # a signal may come while its thread holds it
        self._running: dict[int, _Conversation] = {}
        self._error: BaseException | None = None
        """For the next step to raise."""
        self._gate = asyncio.Semaphore(settings.slots)
        self._info = EngineInfo(
            model=server.model,
            path=client.url,
            digest=server.digest,
            build=server.name,
            device="server",
            context=settings.context,
            settings={
                "server": client.url,
                "model": server.model,
                "prompts": "tokens" if prompts.exact else "text",
                "counted_by": counted,
                **server.facts,
            },
        )

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def tokenizer(self) -> Tokenizer:
        return self._tokenizer

    @property
    def frame(self) -> ChatFrame:
        return self._prompts.frame

    def probe(self) -> Counts | None:
        """Have it say one token; what it counted, or None when it does not tell in a stream.

        So a wrong key, a model that cannot be loaded or a server that does not stream is known before a
        document is read. Raises ServerError.
        """
        prepared = self._prompts.prepare(
            (Part(self.frame.before, True), Part("Hello."), Part(self.frame.after, True))
        )
        talk = _Conversation(-1, prepared, 1, Sampling())
        self._client.run(self._client.retried(lambda: self._try(talk), patient=False))
        if isinstance(self._prompts, TextPrompts) and talk.reported:
            self._prompts.template = max(talk.reported - prepared.tokens, 0)
        return Counts(talk.reported, 0, talk.said) if talk.reported else None

    def submit(self, ticket: int, request: Request) -> None:
        try:
            # A server may count the prompt's tokens, and take its time for that.
            with self._client.interruptible():
                talk = self._prepared(ticket, request)
        except Interrupted:
            with self._lock:
                self._running[ticket] = _Conversation(ticket, Prepared({}, 0, 0), 0, request.sampling)
            self._outputs.put(Done(ticket, Reply("", "cancelled")))
            return
        talk.task = self._client.start(self._converse(talk))
        if talk.ended:  # an interrupt came in between
            self._client.soon(talk.task)

    def _prepared(self, ticket: int, request: Request) -> _Conversation:
        """Raises ServerError, ContextTooSmall."""
        prepared = self._prompts.prepare(request.prompt)
        if prepared.tokens + request.max_tokens > self._settings.context:
            raise ContextTooSmall(
                f"a prompt of {prepared.tokens} tokens and a reply of up to {request.max_tokens} do not fit "
                f"into the server's context of {self._settings.context} tokens",
                "Use smaller segments (--segment) or a smaller memory (--memory), or give the server more.",
            )
        talk = _Conversation(ticket, prepared, request.max_tokens, request.sampling)
        with self._lock:
            self._running[ticket] = talk
        return talk

    def step(self) -> Sequence[Output]:
        """Wait for something to come from the server. Raises ServerError, ContextTooSmall."""
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        if not self._running:
            return []
        # Without a time limit Windows would not see Ctrl-C; what comes after it is no error.
        outputs: list[Output] = []
        item: Output | BaseException | None = None
        while item is None:
            with contextlib.suppress(queue.Empty):
                item = self._outputs.get(timeout=0.5)
        while item is not None:
            if isinstance(item, BaseException):
                if not outputs:
                    raise item
                self._error = item  # what has come before it is not lost
                return outputs
            outputs.append(item)
            if isinstance(item, Done):
                with self._lock:
                    del self._running[item.ticket]
            try:
                item = self._outputs.get_nowait()
            except queue.Empty:
                item = None
        return outputs

    def stop(self, ticket: int, finish: Finish) -> None:
        with self._lock:
            talk = self._running.get(ticket)
        if talk is not None:
            self._end(talk, finish)

    def interrupt(self) -> None:
        self._client.interrupt()
        with self._lock:
            talks = list(self._running.values())
        for talk in talks:
            self._end(talk, "cancelled")

    def close(self) -> None:
        """End what is under way, and the connections. Safe to call twice."""
        self._client.close()

    def _end(self, talk: _Conversation, finish: Finish) -> None:
        talk.ended = talk.ended or finish
        if talk.task is not None:
            self._client.soon(talk.task)

    # ── in the client's loop ──

    async def _converse(self, talk: _Conversation) -> None:
        try:
            async with self._gate:
                await self._client.retried(lambda: self._try(talk))
        except asyncio.CancelledError:
            talk.finish = talk.ended or "cancelled"
        except BaseException as error:  # raised again by the thread that owns the engine
            self._outputs.put(error)
            return
        self._outputs.put(Done(talk.ticket, talk.reply()))

    async def _try(self, talk: _Conversation) -> None:
        """One try of a reply. Raises Fault."""
        talk.begin()
        body = self._body(talk)
        timeout = self._settings.timeout
        async with contextlib.aclosing(
            self._client.stream(self._prompts.path, body, timeout, timeout)
        ) as events:
            async for event in events:
                self._take(talk, event)
        if talk.finish is None:
            raise Fault(ServerFailed("the server's reply has no end"), retry=True)
        self._check(talk)

    def _body(self, talk: _Conversation) -> dict[str, Any]:
        sampling = talk.sampling
        return {
            "model": self._server.model,
            **talk.prepared.body,
            "max_tokens": talk.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "seed": sampling.seed & 0x7FFFFFFF,  # some servers take 31 bits
            "stream": True,
            "stream_options": {"include_usage": True},
            **switches(self._server, sampling.top_k, chat=not self._prompts.exact),
        }

    def _take(self, talk: _Conversation, event: Any) -> None:
        """One event of a stream. Nothing in it is taken on trust. Raises Fault."""
        if not isinstance(event, dict):
            raise Fault(ServerFailed("the server's stream holds something that is no object"), retry=True)
        if event.get("error") or event.get("object") == "error":
            said = self._client.faults.clean(message(event))
            raise Fault(ServerFailed(f"the server failed in the middle of a reply: {said}"), retry=True)
        progress, usage, choices = (event.get(key) for key in ("prompt_progress", "usage", "choices"))
        if isinstance(progress, dict):
            done, total = _count(progress.get("processed")), _count(progress.get("total"))
            if total:
                talk.reported = total
                self._check(talk)
                self._say(talk, Prefill(talk.ticket, min(done, total), total))
        if isinstance(usage, dict):
            talk.reported = _count(usage.get("prompt_tokens")) or talk.reported
            talk.said = _count(usage.get("completion_tokens")) or talk.said
            details = usage.get("prompt_tokens_details")
            talk.cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else 0
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and not choice.get("index"):
                self._continue(talk, choice)

    def _continue(self, talk: _Conversation, choice: dict[str, Any]) -> None:
        """More of the reply, and perhaps its end."""
        told = choice.get("delta") or choice.get("message") or choice
        text = told.get("content", told.get("text")) if isinstance(told, dict) else None
        # What a model thinks (`reasoning_content`) is no part of its reply; that it does is a sign of life.
        if isinstance(text, str) and text:
            if talk.first is None:
                talk.first = time.monotonic()
                self._say(talk, Prefill(talk.ticket, talk.prepared.tokens, talk.prepared.tokens))
            if fresh := talk.add(text):
                self._say(talk, Decoded(talk.ticket, fresh))
        reason = choice.get("finish_reason")
        if reason == "content_filter":
            talk.text = ""  # half a reply is worse than none: an empty one is rejected, counted and said
        if isinstance(reason, str) and reason:
            if reason.lower() in _BROKEN:
                said = f"the server broke its reply off (finish_reason {reason.lower()})"
                raise Fault(ServerFailed(said), retry=True)
            talk.finish = "length" if reason.lower() in _LIMITS else "stop"

    def _say(self, talk: _Conversation, output: Output) -> None:
        if talk.ticket >= 0:
            self._outputs.put(output)

    def _check(self, talk: _Conversation) -> None:
        """That the server read all it was sent, by its own count. Raises Fault."""
        if not talk.reported or talk.reported >= talk.prepared.least:
            return
        cure = {
            "Ollama": "Ollama cuts prompts to num_ctx, silently: start it with OLLAMA_CONTEXT_LENGTH="
            f"{self._settings.context}, or set num_ctx in the model's Modelfile.",
            "LM Studio": "Load the model with a larger context there, and set its overflow policy to stop.",
        }.get(self._server.kind, "Give the server a larger context, or use smaller segments (--segment).")
        least = f"at least {talk.prepared.least}"
        said = f"the server read {talk.reported} tokens of a prompt of {least}: it cut the text"
        raise Fault(PromptCut(said, cure))


class _Conversation:
    """A request under way. The loop's thread writes; `ended` is set by the owner's before it cancels."""

    def __init__(self, ticket: int, prepared: Prepared, max_tokens: int, sampling: Sampling) -> None:
        self.ticket, self.prepared, self.max_tokens, self.sampling = ticket, prepared, max_tokens, sampling
        self.task: asyncio.Task[None] | None = None
        self.ended: Finish | None = None
        self._shown = ""
        self._began = time.monotonic()
        self.begin()

    def begin(self) -> None:
        """A first try, or one more."""
        self.text, self.pieces = "", 0
        self.finish: Finish | None = None
        self.reported = self.cached = self.said = 0
        """Tokens by the server's count; 0 while it has not told."""
        self.first: float | None = None
        self._began = time.monotonic()

    def add(self, text: str) -> str:
        """Take more of the reply; what of it is longer than what has been shown."""
        self.text += text
        self.pieces += 1
        fresh = self.text[len(self._shown) :]
        self._shown += fresh
        return fresh

    def reply(self) -> Reply:
        now = time.monotonic()
        first = self.first or now
        counts = Counts(
            prompt_tokens=self.reported or self.prepared.tokens,
            cached_tokens=self.cached,
            reply_tokens=self.said or self.pieces,
            prefill_seconds=first - self._began,
            decode_seconds=now - first,
            defused=self.prepared.defused,
        )
        return Reply(self.text, self.finish or "cancelled", counts)


def _count(value: Any) -> int:
    return value if isinstance(value, int) and 0 < value < 1 << 31 else 0
