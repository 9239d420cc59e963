"""memread: read texts longer than a model's window with a local model and a small memory.

    answer = memread.ask("book.epub", "Who betrayed whom?")

`memread.read` gives the events as they happen; `memread.events` and `memread.types` say what they are,
`memread.errors` what can go wrong. Nothing but this file is imported before it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memread.api import OpenReading, ask, read
    from memread.errors import MemreadError
    from memread.types import Answer

__version__ = "0.1.0"

__all__ = ["Answer", "MemreadError", "OpenReading", "ask", "read"]

_MODULES = ("errors", "events", "types")


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("memread.api"), name)
    if name in _MODULES:
        return importlib.import_module(f"memread.{name}")
    raise AttributeError(f"module 'memread' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, *_MODULES])
