"""Runs an iterator ahead of its consumer, in a thread of its own, a bounded number of items."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Ahead(Iterator[T], Generic[T]):
    """The items of `items`, in order; what it raises is raised here, after the items before it."""

    def __init__(self, items: Iterator[T], size: int = 4) -> None:
        self._items = items
        self._size = size
        self._ready: deque[T] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._error: BaseException | None = None
        # A daemon: it may be blocked for ever in a read of a pipe nobody writes to.
        threading.Thread(target=self._run, name="memread-ahead", daemon=True).start()

    def __next__(self) -> T:
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._ended)
            if self._ready:
                item = self._ready.popleft()
                self._changed.notify_all()
                return item
            error, self._error = self._error, None
        if error is not None:
            raise error
        raise StopIteration

    def stop(self) -> None:
        """End the iteration now, from any thread: what is ready is dropped, a waiting consumer wakes up."""
        with self._changed:
            self._ended = True
            self._ready.clear()
            self._changed.notify_all()

    def _run(self) -> None:
        try:
            for item in self._items:
                with self._changed:
                    self._changed.wait_for(lambda: len(self._ready) < self._size or self._ended)
                    if self._ended:
                        return
                    self._ready.append(item)
                    self._changed.notify_all()
        except BaseException as error:  # handed over, whatever it is
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()
