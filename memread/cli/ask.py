"""`memread ask`: read, and answer."""

from __future__ import annotations

import signal
import sys
from contextlib import ExitStack, closing
from itertools import chain
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memread.cli.errors import complain, note
from memread.errors import INTERRUPTED, JournalError, UsageError, by_name

if TYPE_CHECKING:
    from memread.config import Config
    from memread.events import Event
    from memread.journal import Journal
    from memread.reading import Reading
    from memread.views import View


def ask(
    arguments: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE... [QUESTION]",
            help="Files, folders, globs, or - for standard input, read in this order as one; then the "
            "question. Without a question: a summary.",
            show_default=False,
        ),
    ],
    question: Annotated[
        str | None,
        typer.Option(
            "-q", "--question", help="The question; every argument is then a file.", show_default=False
        ),
    ] = None,
    show_memory: Annotated[
        bool, typer.Option("--show-memory", help="Print each memory, and where in the text it was.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object instead of the answer.")
    ] = False,
    events: Annotated[
        bool, typer.Option("--events", help="Print every event as a line of JSON, as it happens.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress; warnings only.")] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start over, even if the same reading was interrupted before.")
    ] = False,
    no_journal: Annotated[bool, typer.Option("--no-journal", help="Do not record this reading.")] = False,
    password: Annotated[
        str | None, typer.Option("--password", help="Of an encrypted PDF.", show_default=False)
    ] = None,
    model: Annotated[
        str | None, typer.Option("-m", "--model", help="A model's name or a .gguf file.", show_default=False)
    ] = None,
    profile: Annotated[
        str | None, typer.Option("--profile", help="A profile's name or a .toml file.", show_default=False)
    ] = None,
    segment: Annotated[
        int | None, typer.Option("--segment", help="Tokens of a segment.", show_default=False)
    ] = None,
    memory: Annotated[
        int | None, typer.Option("--memory", help="Tokens of the memory.", show_default=False)
    ] = None,
    answer: Annotated[
        int | None, typer.Option("--answer", help="Tokens of the answer.", show_default=False)
    ] = None,
    temperature: Annotated[
        float | None, typer.Option("--temperature", help="0: always the likeliest token.", show_default=False)
    ] = None,
    top_p: Annotated[float | None, typer.Option("--top-p", show_default=False)] = None,
    seed: Annotated[int | None, typer.Option("--seed", show_default=False)] = None,
    threads: Annotated[int | None, typer.Option("--threads", help="Of the CPU.", show_default=False)] = None,
    gpu_layers: Annotated[
        str | None, typer.Option("--gpu-layers", help="A number, or auto.", show_default=False)
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show llama.cpp's own log.")] = False,
) -> None:
    """Read documents of any length and answer a question about them, or summarize them.

    The answer goes to standard output, everything else to standard error. Ctrl-C once: stop reading and
    answer from what was read so far. Twice: stop at once. The same command goes on where an interrupted
    one stopped.
    """
    from memread import config as configuration
    from memread.compose import engine_for
    from memread.ingest import open_documents, read_all, resolve
    from memread.reading import Reading, Task
    from memread.text import one_line
    from memread.views import choose_view

    config = configuration.load(
        {
            "model": model,
            "profile": profile,
            "engine.threads": threads,
            "engine.gpu_layers": gpu_layers,
            "budget.segment": segment,
            "budget.memory": memory,
            "budget.answer": answer,
            "sampling.temperature": temperature,
            "sampling.top_p": top_p,
            "sampling.seed": seed,
            "journal": False if no_journal else None,
        }
    )
    for warning in config.warnings:
        note(f"memread: {one_line(warning)}")
    with ExitStack() as stack:
        resolved = resolve(arguments, question_given=question is not None)
        asked = question if question is not None else resolved.question
        if asked is not None and not asked.strip():  # such as "$QUESTION" that was never set
            raise UsageError("the question is empty", "Leave it out for a summary.")
        documents, left_out = open_documents(resolved.inputs, password=password)
        for document in documents:
            stack.callback(document.close)
        ready = stack.enter_context(engine_for(config, asked or "", verbose=verbose))
        infos = tuple(document.info for document in documents)
        task = Task(
            documents=infos,
            inputs=tuple(
                info.name if info.name == "-" else str(Path(info.name).absolute()) for info in infos
            ),
            passages=chain(resolved.left_out, left_out, read_all(documents)),
            question=asked or ready.profile.wording.summary,
            profile=ready.profile,
            summary=not asked,
            notices=ready.notices,
        )
        journal = _journal(config, stack)
        reading = Reading(task, ready.engine, journal, fresh=fresh)
        view = choose_view(quiet=quiet, json=json, events=events, show_memory=show_memory)
        last = stack.enter_context(_Watched(reading, view)).run()
    _end(last, plain=not (json or events))


class _Watched:
    """A reading with its view, and signals: the first Ctrl-C stops the reading, the second everything."""

    def __init__(self, reading: Reading, view: View) -> None:
        self._reading, self._view = reading, view
        self._interrupts = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _Watched:
        self._before[signal.SIGINT] = signal.signal(signal.SIGINT, self._on_interrupt)
        for name in ("SIGTERM", "SIGHUP"):
            if (number := getattr(signal, name, None)) is not None:
                self._before[number] = signal.signal(number, self._on_terminate)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def run(self) -> Event:
        """The last event: Answered or Failed."""
        last: Event | None = None
        with self._view as view, closing(self._reading.events()) as events:
            for last in events:
                view.show(last)
        assert last is not None
        return last

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        self._interrupts += 1
        if self._interrupts == 1:
            self._reading.stop()
        elif self._interrupts == 2:  # a third finds the reading ending; it must not end half-way
            raise KeyboardInterrupt

    def _on_terminate(self, number: int, frame: FrameType | None) -> None:
        raise typer.Exit(128 + number)  # unwinds: the terminal is put back, the journal closed


def _journal(config: Config, stack: ExitStack) -> Journal | None:
    """The journal; None when it is not wanted, or cannot be written: then the reading goes on and says so."""
    from memread.journal import Journal

    if not config.journal:
        return None
    try:
        return stack.enter_context(Journal.open(config.journal_path))
    except JournalError as error:
        complain(error)
        note("  This reading is not recorded, and cannot be gone on with later.")
        return None


def _end(last: Event, *, plain: bool) -> None:
    """Print the answer, and exit with the code of how it ended."""
    from memread.events import Answered, Failed
    from memread.text import printable

    if isinstance(last, Failed):
        raise by_name(last.error, last.message, last.hint)
    assert isinstance(last, Answered)
    answer = last.answer
    if plain and answer.text:
        sys.stdout.write(printable(answer.text) + "\n")
    if not answer.coverage.complete:
        raise typer.Exit(INTERRUPTED)
