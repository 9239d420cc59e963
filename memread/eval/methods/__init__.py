"""Ways to answer an item: memread, and the baselines beside it. One driver runs any of them.

Each is a generator in the style of loop.flow: it yields requests and is sent replies, yields events, and
returns an Answer. All of them have the same engine, sampling, limits and scoring.
"""

from __future__ import annotations

import difflib

from memread import lanes, loop
from memread.errors import UsageError
from memread.eval.item import Item
from memread.eval.methods.base import Cost, Keeps, Method, Setup, Text
from memread.eval.methods.chunked import MAPREDUCE, MEMREAD_COST, NOTES, REFINE
from memread.eval.methods.context import BM25, FULL, TRUNCATE
from memread.eval.methods.skim import SKIM
from memread.loop import Flow


def _memread(item: Item, text: Text, setup: Setup) -> Flow:
    profile = setup.profile
    found = text.segments(profile.budget.segment)
    if setup.lanes > 1:
        return lanes.one_by_one(item.question, found, profile, setup.frame, setup.tokenizer, setup.lanes)
    return loop.flow(item.question, found, profile, setup.frame, setup.tokenizer)


MEMREAD = Method(
    name="memread",
    keeps="rewrites",
    summary="a memory, rewritten segment by segment (MemAgent)",
    flow=_memread,
    cost=MEMREAD_COST,
)
METHODS: dict[str, Method] = {
    method.name: method for method in (MEMREAD, SKIM, FULL, TRUNCATE, BM25, REFINE, MAPREDUCE, NOTES)
}
"""By name, in the order of tables and figures."""
VERSION = 1
"""Part of a result's identity: raise it when the same replies would lead to another answer."""


def chosen(names: str) -> list[Method]:
    """The methods of a list such as "memread,bm25"; "all" is all of them. Raises UsageError."""
    if names.strip() == "all":
        return list(METHODS.values())
    found = []
    for name in dict.fromkeys(part.strip() for part in names.split(",") if part.strip()):
        if name not in METHODS:
            close = difflib.get_close_matches(name, METHODS, n=1)
            raise UsageError(
                f"there is no method {name!r}" + (f" (did you mean {close[0]}?)" if close else ""),
                f"Methods: {', '.join(METHODS)}, or all",
            )
        found.append(METHODS[name])
    if not found:
        raise UsageError("no method is named", f"Methods: {', '.join(METHODS)}, or all")
    return found


__all__ = ["METHODS", "VERSION", "Cost", "Flow", "Keeps", "Method", "Setup", "Text", "chosen"]
