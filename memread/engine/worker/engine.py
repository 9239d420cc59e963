"""A model in a process of its own, used like one in this process. See llamacpp.model and llamacpp.engine."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final

import msgspec

from memread.engine.llamacpp.engine import Settings
from memread.engine.worker import wire
from memread.engine.worker.process import Died, Process
from memread.errors import EngineFailed, MemreadError, ModelUnloadable, OutOfMemory
from memread.protocols import Decoded, Done, Output, Prefill, Restarted, Tokenizer
from memread.types import ChatFrame, EngineInfo, Finish, Part, Reply, Request

_TEMPLATE_SECONDS: Final = 20.0
"""A chat template is a program of the model file's: one that takes longer than this does not end."""


class WorkerModel:
    """A GGUF that a process of its own loads: it begins at once, and the first question waits for it."""

    def __init__(
        self,
        path: Path,
        *,
        adapter: Path | None = None,
        gpu_layers: int | None = None,
        context: int = 8192,
        verbose: bool = False,
    ) -> None:
        """See llamacpp.model.Model. Raises EngineFailed; what it raises too comes with the first question."""
        self.path = path
        self._load = wire.Load(str(path.absolute()), gpu_layers, context, verbose=verbose)
        if adapter is not None:
            self._load = msgspec.structs.replace(self._load, adapter=str(adapter.absolute()))
        self.flag = wire.Flag()
        """Set: the batch that is computed is to end. One for all processes, so that no interrupt is lost."""
        self._vocabulary: _ChildVocabulary | None = None
        self._facts: tuple[int, ChatFrame] | None = None
        self.process = self._begin()

    @property
    def trained_context(self) -> int:
        """Tokens the model was trained to attend to."""
        return self._loaded()[0]

    @property
    def frame(self) -> ChatFrame:
        """The chat frame of the template in the file."""
        return self._loaded()[1]

    @property
    def vocabulary(self) -> Tokenizer:
        """Counts in a second process that has the vocabulary alone: the first is busy reading."""
        if self._vocabulary is None:
            self._vocabulary = _ChildVocabulary(self.path)
        return self._vocabulary

    def restart(self) -> None:
        """Load it again, after the process has died. Raises what loading raises."""
        self.process.close()
        self._facts = None
        self.process = self._begin()
        self._loaded()

    def close(self) -> None:
        """End the processes. Safe to call twice."""
        self.process.close()
        self.flag.close()
        if self._vocabulary is not None:
            self._vocabulary.close()

    def crashed(self, died: Died) -> ModelUnloadable | OutOfMemory:
        """The error of a process that died before it could read anything."""
        if died.killed:
            return OutOfMemory(
                f"llama.cpp was killed while it loaded {self.path.name}: memory has most likely run out",
                "Use a smaller or more quantised model, or smaller segments (--segment).",
            )
        return ModelUnloadable(
            f"{self.path.name} makes llama.cpp crash ({died})",
            "Is the file complete, and this llama.cpp new enough for the model? --verbose shows its log.",
        )

    def _begin(self) -> Process:
        process = spawned(self.flag, verbose=self._load.verbose)
        process.tell(self._load)
        return process

    def _loaded(self) -> tuple[int, ChatFrame]:
        if self._facts is None:
            try:
                loaded = self.process.take(wire.Loaded)
            except Died as died:
                raise self.crashed(died) from None
            # Where its layers are is settled: a model that is loaded again must compute the same.
            self._load = msgspec.structs.replace(self._load, gpu_layers=loaded.gpu_layers)
            try:
                framed = self.process.take(wire.Framed, seconds=_TEMPLATE_SECONDS)
            except Died:
                raise ModelUnloadable(
                    f"{self.path.name}: its chat template does not end, or takes all memory",
                    "The template is a program in the model file; take the model from another source.",
                ) from None
            self._facts = loaded.trained_context, framed.frame
        return self._facts

    def __enter__(self) -> WorkerModel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class WorkerEngine:
    """Implements protocols.Engine. One thread owns it; `interrupt` may come from any.

    When the process dies, it is started again and the requests are computed once more: they come out the same
    (see llamacpp.engine), so what was told of them already is not told again. A request that the process dies
    of twice is given up.
    """

    def __init__(
        self,
        model: WorkerModel,
        settings: Settings,
        *,
        name: str,
        digest: str,
        tokenizer: Tokenizer | None = None,
    ) -> None:
        """Make the context. tokenizer: one of this process, with the ids of the model's own.

        Raises ContextTooSmall, OutOfMemory, EngineFailed, ModelUnloadable.
        """
        self._model = model
        self._create = wire.Create(settings, name, digest)
        self._tokenizer = tokenizer
        self._frame = model.frame
        self._pending: dict[int, _Pending] = {}
        self._spent = False
        """It was started again, and has answered nothing since."""
        self._starting = False
        self._dead = False
        self._how = ""
        self._info = self._created()

    @property
    def info(self) -> EngineInfo:
        return self._info

    @property
    def tokenizer(self) -> Tokenizer:
        return self._tokenizer or self._model.vocabulary

    @property
    def frame(self) -> ChatFrame:
        return self._frame

    @property
    def pid(self) -> int:
        """Of the process with the model."""
        return self._model.process.pid

    def submit(self, ticket: int, request: Request) -> None:
        request = _encodable(request)
        if not self._pending:
            self._model.flag.data[0] = 0  # as LlamaEngine does: it was meant for what was waiting then
        if not self._dead:
            try:
                self._model.process.ask(wire.Submit(ticket, request), wire.Accepted)
            except Died as died:
                self._died(died)
        self._pending[ticket] = _Pending(request)  # if it is dead, the next step starts it again

    def step(self) -> Sequence[Output]:
        notices: list[Output] = []
        while True:
            try:
                if self._dead and self._interrupted:
                    return notices + self._cancelled()
                if self._dead:
                    notices += self._resume()
                stepped = self._model.process.ask(wire.Step(), wire.Stepped)
            except Died as died:
                self._dead = True
                if not self._interrupted:
                    self._died(died)
                continue
            return notices + self._taken(stepped.outputs)

    def stop(self, ticket: int, finish: Finish) -> None:
        if (pending := self._pending.get(ticket)) is not None:
            pending.stopped = finish
        self._model.process.tell(wire.Stop(ticket, finish))

    def interrupt(self) -> None:
        self._model.flag.data[0] = 1
        if self._starting:  # which may take minutes
            self._model.process.kill()

    def close(self) -> None:
        self._model.close()

    def _created(self) -> EngineInfo:
        try:
            return self._model.process.ask(self._create, wire.Created).info
        except Died as died:
            raise self._model.crashed(died) from None

    @property
    def _interrupted(self) -> bool:
        return bool(self._model.flag.data[0])

    def _died(self, died: Died) -> None:
        """Raises EngineFailed when starting it again has not helped."""
        self._dead = True
        how = f"{died}, most likely for want of memory" if died.killed else str(died)
        if self._spent:
            raise EngineFailed(
                f"llama.cpp crashed, was started again, and crashed again ({how})",
                "What was read is kept; the same command goes on from there. Smaller segments (--segment) "
                "need less memory; --verbose shows llama.cpp's log.",
            )
        self._spent, self._how = True, how

    def _restart(self) -> None:
        """Raises Died when it was interrupted, and what loading raises."""
        self._starting = True
        try:
            self._model.restart()
            self._created()
        except MemreadError as error:
            if self._interrupted:
                raise Died(error.message, killed=True) from None
            raise
        finally:
            self._starting = False
        self._dead = False

    def _resume(self) -> list[Output]:
        """Start the process again and give it the requests that wait. Raises Died, EngineFailed, …"""
        self._restart()
        process = self._model.process
        for ticket, pending in self._pending.items():
            pending.owed = len(pending.text)
            process.ask(wire.Submit(ticket, pending.request), wire.Accepted)
            if pending.stopped and not pending.owed:
                process.tell(wire.Stop(ticket, pending.stopped))
        message = f"llama.cpp crashed ({self._how}). It was started again, and nothing is lost."
        return [Restarted(next(iter(self._pending)), message)] if self._pending else []

    def _taken(self, outputs: Sequence[Output]) -> list[Output]:
        """`outputs` without what was told before the process died."""
        told: list[Output] = []
        for output in outputs:
            pending = self._pending[output.ticket]
            if isinstance(output, Done):
                del self._pending[output.ticket]
                self._spent = self._spent and output.reply.finish == "cancelled"
                told.append(output)
            elif isinstance(output, Prefill):
                if output.done > pending.prefilled:
                    pending.prefilled = output.done
                    told.append(output)
            elif isinstance(output, Decoded):
                new = output.text[pending.owed :]
                pending.owed = max(0, pending.owed - len(output.text))
                if new:
                    pending.text += new
                    told.append(Decoded(output.ticket, new))
                elif pending.stopped and not pending.owed:
                    self._model.process.tell(wire.Stop(output.ticket, pending.stopped))
        return told

    def _cancelled(self) -> list[Output]:
        """As LlamaEngine ends everything when it is interrupted, for a process that is no more."""
        self._model.flag.data[0] = 0
        outputs: list[Output] = [
            Done(ticket, Reply(pending.text, "cancelled")) for ticket, pending in self._pending.items()
        ]
        self._pending.clear()
        return outputs


class _Pending:
    """A request that is not answered yet, and what was told of its reply."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.text = ""
        self.prefilled = -1
        self.stopped: Finish | None = None
        self.owed = 0
        """Characters that a process which was started again has yet to repeat."""


class _ChildVocabulary:
    """Implements protocols.Tokenizer, for vocabularies that only llama.cpp knows. Safe from any thread."""

    def __init__(self, path: Path) -> None:
        """Raises what loading raises."""
        self._lock = threading.Lock()
        self._flag = wire.Flag()
        self._process = spawned(self._flag)
        try:
            self._process.tell(wire.Load(str(path.absolute()), 0, 0, vocabulary_only=True))
            self._process.take(wire.Loaded)
        except BaseException as error:  # a file that cannot be loaded leaves the process alive
            self.close()
            if not isinstance(error, Died):
                raise
            raise ModelUnloadable(f"{path.name}: its vocabulary makes llama.cpp crash ({error})") from None

    def count(self, text: str) -> int:
        try:
            with self._lock:
                return self._process.ask(wire.Count(wire.encodable(text)), wire.Counted).tokens
        except Died as died:
            raise EngineFailed(f"the model's vocabulary made llama.cpp crash ({died})") from None

    def close(self) -> None:
        self._process.close()
        self._flag.close()


def _encodable(request: Request) -> Request:
    return msgspec.structs.replace(
        request,
        prompt=tuple(Part(wire.encodable(part.text), part.marker) for part in request.prompt),
        rewrites=wire.encodable(request.rewrites),
        quotes=tuple(map(wire.encodable, request.quotes)),
        verbatim=tuple(map(wire.encodable, request.verbatim)),
        refusal=request.refusal and (wire.encodable(request.refusal[0]), wire.encodable(request.refusal[1])),
    )


def spawned(flag: wire.Flag, *, verbose: bool = False) -> Process:
    try:
        return Process(flag, verbose=verbose)
    except OSError as error:
        raise EngineFailed(f"no process can be started for llama.cpp ({error.strerror or error})") from error
