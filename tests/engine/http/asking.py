"""An engine on a hostile server, and one question to it."""

from __future__ import annotations

from typing import Any

from memread.engine.http.client import Client
from memread.engine.http.engine import HttpEngine, Settings
from memread.engine.http.prompts import TextPrompts
from memread.engine.http.server import Server
from memread.engine.http.tokens import Estimate
from memread.protocols import Decoded, Done
from memread.types import Part, Reply, Request, Sampling

KEY = "sk-not-for-your-eyes"
ENVIRON = {"MEMREAD_API_KEY": KEY}
QUICK = (0.01, 0.01)
SENT = "Call me Ishmael. " * 40


def engine_of(client: Client, kind: Any = "", timeout: float = 30.0) -> HttpEngine:
    tokenizer = Estimate()
    settings = Settings(context=8192, slots=4, timeout=timeout)
    return HttpEngine(
        client, Server(kind, "m"), TextPrompts(tokenizer), tokenizer, settings, counted="estimate"
    )


def asked(engine: HttpEngine, text: str = SENT) -> tuple[Reply, str]:
    """The reply to `text`, and what of it was shown while it came."""
    engine.submit(0, Request("update", (Part(text),), 50, Sampling()))
    shown = ""
    while True:
        for output in engine.step():
            if isinstance(output, Decoded):
                shown += output.text
            elif isinstance(output, Done):
                return output.reply, shown
