"""The replies of an engine."""

from __future__ import annotations

import time

from memread.protocols import Decoded, Done, Engine
from memread.types import Reply


def finish(engine: Engine, *tickets: int) -> dict[int, Reply]:
    """Steps until all have come, whose text is what was streamed."""
    replies: dict[int, Reply] = {}
    streamed: dict[int, str] = dict.fromkeys(tickets, "")
    deadline = time.monotonic() + 60
    while len(replies) < len(tickets):
        assert time.monotonic() < deadline
        for output in engine.step():
            if isinstance(output, Decoded):
                streamed[output.ticket] += output.text
            elif isinstance(output, Done):
                replies[output.ticket] = output.reply
    assert {ticket: reply.text for ticket, reply in replies.items()} == streamed
    return replies
