"""`memread ask`: read, and answer."""

from __future__ import annotations

import signal
import sys
import textwrap
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memread import interrupts
from memread.cli.errors import complain, note
from memread.cli.inputs import Chapters, Lines, NoIgnore, Null, Pages, gather
from memread.cli.options import (
    AnswerOption,
    LayersOption,
    MemoryOption,
    ModelOption,
    PasswordOption,
    ProfileOption,
    SegmentOption,
)
from memread.cli.preparing import Preparing
from memread.errors import INTERRUPTED, FileMissing, FileUnreadable, JournalError, UsageError, by_name

if TYPE_CHECKING:
    from memread.config import Config
    from memread.events import Event
    from memread.journal import Journal
    from memread.reading import Reading
    from memread.types import Answer, DocumentInfo
    from memread.views.base import Routed


def ask(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FILE... [QUESTION]",
            help="Files, folders, globs, or - for standard input, read in this order as one; then the "
            "question. Without a question: a summary.",
            show_default=False,
        ),
    ] = None,
    question: Annotated[
        list[str] | None,
        typer.Option(
            "-q",
            "--question",
            help="A question; every argument is then a file. Several are answered from one reading.",
            show_default=False,
        ),
    ] = None,
    questions: Annotated[
        Path | None,
        typer.Option("--questions", help="A file of questions, one a line.", show_default=False),
    ] = None,
    pages: Pages = None,
    chapters: Chapters = None,
    lines: Lines = None,
    null: Null = False,
    no_ignore: NoIgnore = False,
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
    no_evidence: Annotated[
        bool, typer.Option("--no-evidence", help="Do not print what in the text speaks for the answer.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", "--reread", help="Read all of it, even if it was read in part before.")
    ] = False,
    no_journal: Annotated[bool, typer.Option("--no-journal", help="Do not record this reading.")] = False,
    password: PasswordOption = None,
    model: ModelOption = None,
    engine: Annotated[
        str | None,
        typer.Option(
            "--engine",
            metavar="URL",
            help="An OpenAI-compatible server that runs the model, such as http://localhost:8080/v1.",
            show_default=False,
        ),
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            "--tokenizer",
            help="With --engine: a local model with the same vocabulary, to count exactly.",
            show_default=False,
        ),
    ] = None,
    profile: ProfileOption = None,
    segment: SegmentOption = None,
    memory: MemoryOption = None,
    answer: AnswerOption = None,
    temperature: Annotated[
        float | None, typer.Option("--temperature", help="0: always the likeliest token.", show_default=False)
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option("--top-p", help="Take from the likeliest tokens of this share.", show_default=False),
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Of the drawing of tokens.", show_default=False)
    ] = None,
    lanes: Annotated[
        int | None,
        typer.Option(
            "--lanes",
            metavar="N",
            help="Read N parts side by side and merge their memories: for GPUs and servers. Quality changes.",
            show_default=False,
        ),
    ] = None,
    skim: Annotated[
        bool,
        typer.Option(
            "--skim",
            help="A quick look, in seconds: the model sees only the sentences nearest to the question.",
        ),
    ] = False,
    threads: Annotated[int | None, typer.Option("--threads", help="Of the CPU.", show_default=False)] = None,
    gpu_layers: LayersOption = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Show llama.cpp's own log.")] = False,
) -> None:
    """Read documents of any length and answer a question about them, or summarize them.

    The answer goes to standard output, everything else to standard error. Ctrl-C once: stop reading and
    answer from what was read so far. Twice: stop at once. The same command goes on where an interrupted
    one stopped.
    """
    from memread import config as configuration
    from memread.api import prepared
    from memread.ingest import select_part
    from memread.sidebyside import reading_for
    from memread.text import one_line
    from memread.views import choose_view

    config = configuration.load(
        {
            "model": model,
            "profile": profile,
            "engine.url": engine,
            "engine.tokenizer": tokenizer,
            "engine.threads": threads,
            "engine.gpu_layers": gpu_layers,
            "budget.segment": segment,
            "budget.memory": memory,
            "budget.answer": answer,
            "lanes": lanes,
            "skim": skim or None,
            "sampling.temperature": temperature,
            "sampling.top_p": top_p,
            "sampling.seed": seed,
            "journal": False if no_journal else None,
            "evidence": False if no_evidence else None,
        }
    )
    for warning in config.warnings:
        note(f"memread: {one_line(warning)}")
    with ExitStack() as stack:
        given = _questions(question, questions)
        selection = select_part(pages, chapters, lines)
        resolved = gather(arguments or (), question_given=given is not None, null=null, no_ignore=no_ignore)
        asked = given or ([resolved.question] if resolved.question is not None else [])
        if not all(each.strip() for each in asked):  # such as "$QUESTION" that was never set
            raise UsageError("the question is empty", "Leave it out for a summary.")
        task, reader = stack.enter_context(
            prepared(
                config,
                resolved,
                asked,
                selection=selection,
                password=password,
                verbose=verbose,
                say=Preparing(quiet),
            )
        )
        journal = _journal(config, stack)
        reading = reading_for(task, reader, journal, fresh=fresh)
        view = choose_view(
            quiet=quiet,
            json=json,
            events=events,
            show_memory=show_memory,
            questions=len(task.questions),
            lanes=task.lanes,
        )
        last = stack.enter_context(_Watched(reading, view)).run()
        ended = [last.get(number) for number in range(len(task.questions))]
    plain = not (json or events)
    show = (
        partial(show_evidence, documents=task.documents) if plain and config.evidence and not quiet else None
    )
    _end(ended, asked or [""], plain=plain, evidence=show)


def _questions(given: list[str] | None, file: Path | None) -> list[str] | None:
    """The questions of both options, each once; None when neither was used.

    Raises FileMissing, FileUnreadable, UsageError.
    """
    from memread.text import one_line

    if given is None and file is None:
        return None
    found = list(given or ())
    if file is not None:
        try:
            lines = file.read_text(encoding="utf-8-sig").splitlines()
        except FileNotFoundError as error:
            raise FileMissing(f"{one_line(str(file))}: no such file of questions") from error
        except (OSError, UnicodeDecodeError) as error:
            raise FileUnreadable(f"{one_line(str(file))}: the questions cannot be read ({error})") from error
        found += [line.strip() for line in lines if line.strip()]
        if not found:
            raise UsageError(f"{one_line(str(file))}: there is no question in it", "One line, one question.")
    return list(dict.fromkeys(found))


class _Watched:
    """A reading with its views, and signals: the first Ctrl-C stops the reading, the second everything."""

    def __init__(self, reading: Reading, view: Routed) -> None:
        self._reading, self._view = reading, view
        self._interrupts = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _Watched:
        self._before[signal.SIGINT] = signal.signal(signal.SIGINT, self._on_interrupt)
        for name in ("SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            # What is ignored stays so: nohup is for readings that outlive their terminal.
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._on_terminate)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def run(self) -> dict[int, Event]:
        """The last event of each question and lane, by its number: Answered or Failed. Lanes come after."""
        interrupts.check()
        last: dict[int, Event] = {}
        with self._view as view, closing(self._reading.numbered_events()) as events:
            for number, event in events:
                last[number] = event
                view.show(event, number)
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


def _end(
    ended: Sequence[Event | None],
    questions: Sequence[str],
    *,
    plain: bool,
    evidence: Callable[[Sequence[Answer], Sequence[str]], None] | None,
) -> None:
    """Print the answers, and exit with the code of how it ended.

    ended: how each of the `questions` ended; some may have failed before others. evidence: prints
    what there is for answers and their questions.
    """
    from memread.events import Answered, Failed
    from memread.text import printable

    pairs = zip(questions, ended, strict=True)
    told = [(question, event.answer) for question, event in pairs if isinstance(event, Answered)]
    answers = [answer for _, answer in told]
    if plain and len(ended) == 1:
        sys.stdout.writelines(printable(answer.text) + "\n" for answer in answers if answer.text)
    elif plain and answers:
        sys.stdout.write("\n".join(_answered(*each) for each in told))
    if evidence is not None:
        evidence(answers, [question for question, _ in told])
    for event in ended:
        if isinstance(event, Failed):
            raise by_name(event.error, event.message, event.hint)
    if not all(answer.whole for answer in answers):
        raise typer.Exit(INTERRUPTED)


def show_evidence(
    answers: Sequence[Answer], questions: Sequence[str], documents: Sequence[DocumentInfo]
) -> None:
    """Under the answers, but on standard error: a file that they are written to holds them alone."""
    from memread.text import one_line
    from memread.views import evidence

    sys.stdout.flush()  # the answer is to stand above it on a terminal
    for at, answer in enumerate(answers):
        of = f"{one_line(questions[at])}\n" if len(answers) > 1 else ""
        more = "memread runs show ID --evidence"
        found = evidence.lines(answer.evidence, documents, more=more)
        if found:
            note("\n" + of + "\n".join(found))


def _answered(question: str, answer: Answer) -> str:
    """A question and, below it and indented, its answer."""
    from memread.text import one_line, printable

    text = printable(answer.text).strip() or "(no answer)"
    return one_line(question) + "\n" + textwrap.indent(text, "    ", lambda line: True) + "\n"
