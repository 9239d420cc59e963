"""An engine that follows a script, for the logic of loop, driver and views: no model is imitated.

Whatever concerns an engine, a tokenizer or an answer is tested with llama.cpp.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from memread.protocols import Decoded, Done, Output, Prefill
from memread.types import ChatFrame, Counts, EngineInfo, Finish, Reply, Request

Script = Callable[[Request, str], str]
"""(request, prompt as text) → the reply."""


class Words:
    """A tokenizer for which a run of word characters, and any other character, is a token."""

    def count(self, text: str) -> int:
        return len(re.findall(r"\w+|\W", text))


class ScriptedEngine:
    """Answers requests one after the other, a word a step. Implements protocols.Engine."""

    def __init__(self, script: Script, *, frame: ChatFrame | None = None) -> None:
        self._script = script
        self._frame = frame or ChatFrame("<user>", "<assistant>")
        self._waiting: list[tuple[int, Request]] = []
        self._words: list[str] | None = None
        self._text = ""
        self._finish: Finish | None = None
        self.requests: list[Request] = []
        self.closed = False

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("scripted", "", "sha256:scripted", "scripted 1", "none", 8192)

    @property
    def tokenizer(self) -> Words:
        return Words()

    @property
    def frame(self) -> ChatFrame:
        return self._frame

    def submit(self, ticket: int, request: Request) -> None:
        self.requests.append(request)
        if not self._waiting:
            self._finish = None  # as in LlamaEngine: an interrupt was meant for what was waiting when it came
        self._waiting.append((ticket, request))

    def step(self) -> Sequence[Output]:
        if not self._waiting:
            return []
        ticket, request = self._waiting[0]
        prompt = "".join(part.text for part in request.prompt)
        total = Words().count(prompt)
        if self._finish:
            return [self._done(ticket, total, self._finish)]
        if self._words is None:
            self._words = re.findall(r"\S+\s*|\s+", self._script(request, prompt))[::-1]
            return [Prefill(ticket, total, total)]
        if not self._words:
            return [self._done(ticket, total, "stop")]
        word = self._words.pop()
        self._text += word
        if len(self._text) > 8 * request.max_tokens:
            return [Decoded(ticket, word), self._done(ticket, total, "length")]
        return [Decoded(ticket, word)]

    def stop(self, ticket: int, finish: Finish) -> None:
        self._finish = finish

    def interrupt(self) -> None:
        self._finish = "cancelled"

    def close(self) -> None:
        self.closed = True

    def _done(self, ticket: int, prompt_tokens: int, finish: Finish) -> Done:
        reply = Reply(self._text, finish, Counts(prompt_tokens, 0, Words().count(self._text)))
        self._waiting.pop(0)
        self._words, self._text, self._finish = None, "", None
        return Done(ticket, reply)
