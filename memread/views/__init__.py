"""What a reading looks like: consumers of events, and of nothing else.

A view is driven from the main thread with the events of `memread.events`, in their order. It never
touches an engine, a journal or a reader, so any of them can be replayed from recorded events.
"""

from __future__ import annotations

from memread.views.base import Clock, Tee, View
from memread.views.choose import choose_view

__all__ = ["Clock", "Tee", "View", "choose_view"]
