"""The process that has the model: `python -m memread.engine.worker.child FLAG`.

It answers its parent's questions one after the other and ends when the parent does, also in the middle of a
batch. Whatever llama.cpp prints goes to standard error, where the parent looks for the reason of a crash.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import queue
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from memread.engine.llamacpp.engine import LlamaEngine
from memread.engine.llamacpp.library import library
from memread.engine.llamacpp.model import Model
from memread.engine.worker import wire
from memread.errors import EngineFailed, MemreadError

if sys.platform != "win32":
    import resource

_TEMPLATE_MEMORY: Final = 1 << 30
"""Bytes that a chat template may make the process grow by: it is a program of the model file's."""


def main() -> None:
    # Ctrl-C is for the parent, which decides what still has to be answered.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    questions: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, questions), daemon=True).start()
    server = _Server(out, wire.open_flag(sys.argv[1]))
    try:
        while True:
            server.answer(wire.QUESTIONS.decode(questions.get()))
    except BrokenPipeError:
        os._exit(0)


def _listen(stream: BinaryIO, questions: queue.SimpleQueue[bytes]) -> None:
    """Take questions as they come: the end of the parent is noticed even while a batch is computed."""
    while (data := wire.receive(stream)) is not None:
        questions.put(data)
    os._exit(0)  # without waiting for a batch, or for libraries to tidy up


class _Server:
    def __init__(self, out: BinaryIO, flag: mmap.mmap) -> None:
        self._out, self._flag = out, flag
        self._model: Model | None = None
        self._engine: LlamaEngine | None = None

    def answer(self, question: wire.Question) -> None:
        try:
            self._answer(question)
        except MemreadError as error:
            self._say(wire.Failed(type(error).__name__, error.message, error.hint))
        except BrokenPipeError:
            raise
        except Exception as error:
            why = " ".join(f"{type(error).__name__}: {error}".split())[:300]
            self._say(wire.Failed(EngineFailed.__name__, f"the engine failed ({why})", ""))

    def _answer(self, question: wire.Question) -> None:
        if isinstance(question, wire.Load):
            self._load(question)
            return
        assert self._model is not None
        if isinstance(question, wire.Count):
            self._say(wire.Counted(self._model.vocabulary.count(question.text)))
            return
        if isinstance(question, wire.Create):
            flag = (ctypes.c_char * len(self._flag)).from_buffer(self._flag)
            self._engine = LlamaEngine(
                self._model, question.settings, name=question.name, digest=question.digest, flag=flag
            )
            self._say(wire.Created(self._engine.info))
            return
        assert self._engine is not None
        if isinstance(question, wire.Submit):
            self._engine.submit(question.ticket, question.request)
            self._say(wire.Accepted())
        elif isinstance(question, wire.Step):
            self._say(wire.Stepped(tuple(self._engine.step())))
        else:
            self._engine.stop(question.ticket, question.finish)

    def _load(self, load: wire.Load) -> None:
        library().verbose = load.verbose
        self._model = model = Model(
            Path(load.path),
            gpu_layers=load.gpu_layers,
            context=load.context,
            vocabulary_only=load.vocabulary_only,
            adapter=Path(load.adapter) if load.adapter else None,
        )
        self._say(wire.Loaded(model.trained_context, model.gpu_layers))
        if not load.vocabulary_only:
            with _bounded_memory():
                frame = model.frame
            self._say(wire.Framed(frame))

    def _say(self, reply: wire.Reply) -> None:
        data = memoryview(wire.frame(reply))
        while data:
            data = data[self._out.write(data) :]


@contextlib.contextmanager
def _bounded_memory() -> Iterator[None]:
    """Let the process grow by no more than a gigabyte meanwhile, where the system can see to it."""
    if sys.platform != "linux":
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + _TEMPLATE_MEMORY, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


if __name__ == "__main__":
    main()
