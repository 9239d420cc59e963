"""What the core needs from the outside, as protocols that adapters implement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from memread.types import ChatFrame, DocumentInfo, EngineInfo, Finish, Passage, Reply, Request, Skipped


class Tokenizer(Protocol):
    def count(self, text: str) -> int:
        """How many tokens `text` is, special-token parsing off, nothing added."""
        ...


class Prefill(msgspec.Struct, frozen=True, tag="prefill"):
    """`done` of `total` prompt tokens of a request are in the KV cache."""

    ticket: int
    done: int
    total: int


class Decoded(msgspec.Struct, frozen=True, tag="decoded"):
    """More text of a reply."""

    ticket: int
    text: str


class Done(msgspec.Struct, frozen=True, tag="done"):
    """A reply is complete; nothing more comes for this ticket."""

    ticket: int
    reply: Reply


class Restarted(msgspec.Struct, frozen=True, tag="restarted"):
    """The engine broke down and was started again; the reply goes on as if nothing had happened."""

    ticket: int
    message: str
    """One line: what happened."""


Output = Prefill | Decoded | Done | Restarted


class Engine(Protocol):
    """Answers requests, many at a time. One thread owns it; only `interrupt` may come from others."""

    @property
    def info(self) -> EngineInfo: ...

    @property
    def tokenizer(self) -> Tokenizer: ...

    @property
    def frame(self) -> ChatFrame: ...

    def submit(self, ticket: int, request: Request) -> None:
        """Take a request. Raises ContextTooSmall when its prompt and reply cannot fit."""
        ...

    def step(self) -> Sequence[Output]:
        """Do one batch of work; what came of it. Nothing when no request is waiting.

        Raises OutOfMemory, EngineFailed.
        """
        ...

    def stop(self, ticket: int, finish: Finish) -> None:
        """End a reply now; its Done comes with the next step, with this finish."""
        ...

    def interrupt(self) -> None:
        """End every reply as "cancelled", the running batch included. Safe from any thread."""
        ...

    def close(self) -> None: ...


class Document(Protocol):
    """An open input. `close` ends a read from another thread."""

    @property
    def info(self) -> DocumentInfo: ...

    def passages(self) -> Iterator[Passage | Skipped]:
        """The text, once, in order. Raises an InputError when it cannot go on."""
        ...

    def close(self) -> None: ...
