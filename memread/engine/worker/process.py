"""The process with the model, as its parent sees it."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
from collections import deque
from typing import IO, Final, TypeVar

from memread.engine.worker import wire
from memread.errors import by_name
from memread.spawn import end, how_it_ended, spawn
from memread.text import one_line

T = TypeVar("T", bound=wire.Reply)

_LINES: Final = 60
"""Of the child's standard error that are kept: the reason of a crash is among the last."""
_REASON: Final = re.compile(
    r"GGML_(?:ASSERT|ABORT)|GGML_.*failed|what\(\):|terminate called|Assertion|fatal error", re.I
)


class Died(Exception):
    """The process ended without an answer. str(): how, in a few words."""

    def __init__(self, how: str, *, killed: bool) -> None:
        """killed: by SIGKILL, as a system does that has run out of memory."""
        super().__init__(how)
        self.killed = killed


class Process:
    """Starts at once. One thread asks; `kill` may come from any, and from a signal handler."""

    def __init__(self, flag: wire.Flag, *, verbose: bool = False) -> None:
        """flag: what interrupts it. verbose: pass on what it writes to standard error. Raises OSError."""
        self._child = spawn(
            "memread.engine.worker.child",
            [flag.name],
            stderr=subprocess.PIPE,
            keep=flag.descriptors,
            # An assertion of ggml would start a debugger to print where it happened.
            environment={**os.environ, "GGML_NO_BACKTRACE": "1"},
        )
        self._lines: deque[str] = deque(maxlen=_LINES)
        assert self._child.stderr is not None
        self._errors = threading.Thread(
            target=self._take_errors, args=(self._child.stderr, verbose), name="memread-log", daemon=True
        )
        self._errors.start()

    @property
    def pid(self) -> int:
        return self._child.pid

    def tell(self, question: wire.Question) -> None:
        """Send a question. That the process is gone is noticed when its answer is taken."""
        assert self._child.stdin is not None
        with contextlib.suppress(OSError, ValueError):
            self._child.stdin.write(wire.frame(question))
            self._child.stdin.flush()

    def take(self, kind: type[T], *, seconds: float | None = None) -> T:
        """The next answer. After `seconds` without it the process is killed.

        Raises Died, and the error that the process answered with.
        """
        timer = threading.Timer(seconds, self.kill) if seconds is not None else None
        if timer is not None:
            timer.daemon = True
            timer.start()
        try:
            assert self._child.stdout is not None
            try:
                data = wire.receive(self._child.stdout)  # type: ignore[arg-type]
            except (OSError, ValueError):  # closed under us
                data = None
        finally:
            if timer is not None:
                timer.cancel()
        if data is None:
            raise self._died()
        reply = wire.REPLIES.decode(data)
        if isinstance(reply, wire.Failed):
            raise by_name(reply.error, reply.message, reply.hint)
        assert isinstance(reply, kind)
        return reply

    def ask(self, question: wire.Question, kind: type[T]) -> T:
        """See `tell` and `take`."""
        self.tell(question)
        return self.take(kind)

    def kill(self) -> None:
        with contextlib.suppress(OSError):
            self._child.kill()

    def close(self) -> None:
        """End it, whatever it is doing. Safe to call twice."""
        end(self._child)
        self._errors.join(1)
        if self._child.stdout is not None:
            with contextlib.suppress(OSError):
                self._child.stdout.close()

    def _died(self) -> Died:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(5)
        self._errors.join(1)
        how = how_it_ended(self._child)
        reasons = [line for line in self._lines if _REASON.search(line)]
        if reasons:
            # Such as "/home/somebody/llama.cpp/ggml/src/ggml.c:12: GGML_ASSERT(…) failed".
            how += ": " + re.sub(r"^\S*[/\\](?=[^/\\\s]+:\d+:)", "", reasons[0])
        return Died(one_line(how, 200), killed="SIGKILL" in how)

    def _take_errors(self, stream: IO[bytes], verbose: bool) -> None:
        with stream:
            for line in stream:
                text = line.decode("utf-8", "replace")
                self._lines.append(text.strip())
                if verbose:
                    sys.stderr.write(text)
