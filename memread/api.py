"""The Python interface: `memread.ask` for an answer, `memread.read` for everything that happens.

The command line, the plugin for llm and the MCP server are built on it.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain
from types import TracebackType
from typing import TYPE_CHECKING, overload

from memread.asking import Task, input_name
from memread.config import load
from memread.errors import MemreadError, UsageError, by_name
from memread.events import Answered, Event, Failed
from memread.types import Answer

if TYPE_CHECKING:
    from memread.config import Config
    from memread.ingest import Resolved, Selection
    from memread.journal import Journal
    from memread.protocols import Engine
    from memread.reading import Reading
    from memread.weights import Say

Documents = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""One or several: files, folders, patterns, or "-" for standard input; read in this order as one."""

SLOTS = 4
"""Requests at a time for several questions: each slot takes memory for a whole context."""


class OpenReading:
    """A reading, made by `read()`: a context manager, in which it is iterated.

    Iterating gives every event of the first question as it happens (memread.events); the last is Answered or
    Failed. Iterating once more goes on after the last event. Entering opens the documents and loads the
    model. Leaving ends the reading and frees the model. `stop` may be called from any thread; everything else
    belongs to the thread that entered.
    """

    def __init__(
        self, config: Config, resolved: Resolved, questions: Sequence[str], options: _Options
    ) -> None:
        self._config, self._resolved, self._questions = config, resolved, questions
        self._options = options
        self._stack = ExitStack()
        self._reading: Reading | None = None
        self._events: Generator[tuple[int, Event], None, None] | None = None
        self._last: dict[int, Event] = {}

    def __enter__(self) -> OpenReading:
        """Raises InputError, UsageError, ModelError, QuestionTooLong, OutOfMemory, JournalError."""
        from memread.journal import Journal
        from memread.sidebyside import reading_for

        options = self._options
        with ExitStack() as stack:
            task, engine = stack.enter_context(
                prepared(
                    self._config,
                    self._resolved,
                    self._questions,
                    selection=options.selection,
                    password=options.password,
                )
            )
            journal: Journal | None = None
            if options.record:
                journal = stack.enter_context(Journal.open(self._config.journal_path))
            self._reading = reading_for(task, engine, journal, fresh=options.fresh)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A Ctrl-C meanwhile must leave neither a thread nor the model's process behind.
        with ExitStack() as last:
            last.callback(self._stack.close)
            if self._reading is not None:
                last.callback(self._reading.close)
            if self._events is not None:
                last.callback(self._events.close)
            self._reading = None

    def __iter__(self) -> Iterator[Event]:
        return (event for number, event in self.numbered() if number == 0)

    def numbered(self) -> Iterator[tuple[int, Event]]:
        """Every event of every question, each with the number of its question, from 0.

        With lanes those of the parts too, from 1; 0 is then what they are merged in.
        """
        if self._reading is None:
            raise RuntimeError("a reading is iterated inside its `with` block")
        if self._events is None:
            self._events = self._reading.numbered_events()
        for number, event in self._events:
            self._last[number] = event
            yield number, event

    @property
    def lanes(self) -> int:
        """How many parts of the text are read side by side, at most."""
        return self._config.lanes

    @property
    def inputs(self) -> tuple[str, ...]:
        """The documents, folders and patterns expanded, as they are known before they are opened."""
        return self._resolved.names

    def stop(self) -> None:
        """End the reading and answer from what was read so far; while it answers, end the answer."""
        if self._reading is not None:
            self._reading.stop()

    @property
    def answer(self) -> Answer:
        """Of the first question. Reads what nobody has read yet. Raises the error that ended the reading."""
        return self.answers[0]

    @property
    def answers(self) -> list[Answer]:
        """Of all questions, in their order. As `answer`."""
        if self._reading is not None:
            for _ in self.numbered():
                pass
        found: list[Answer] = []
        for number in range(min(len(self._last), len(self._questions) or 1)):
            event = self._last[number]
            if isinstance(event, Failed):
                raise by_name(event.error, event.message, event.hint)
            if not isinstance(event, Answered):
                raise RuntimeError("the reading has not come to its end")
            found.append(event.answer)
        return found


class _Options:
    """What read() was given for opening the documents."""

    def __init__(self, selection: Selection | None, password: str | None, fresh: bool, record: bool) -> None:
        self.selection, self.password, self.fresh, self.record = selection, password, fresh, record


def read(
    documents: Documents,
    question: str | Sequence[str] | None = None,
    *,
    model: str | os.PathLike[str] | None = None,
    profile: str | os.PathLike[str] | None = None,
    pages: str | None = None,
    chapters: str | None = None,
    lines: str | None = None,
    password: str | None = None,
    gitignore: bool = True,
    record: bool = False,
    fresh: bool = False,
    lanes: int | None = None,
    skim: bool | None = None,
    settings: Mapping[str, object] | None = None,
) -> OpenReading:
    """A reading of `documents`, to be entered with `with` and iterated; see OpenReading.

    question: one, several that are answered from one reading, or None for a summary.
    model: a model's name or a .gguf file. profile: a profile's name or a .toml file.
    pages, chapters, lines: such as "10-80", of the only document; one of them at most.
    password: of an encrypted PDF. gitignore: folders leave out what .gitignore says.
    record: keep the reading in the journal; an unfinished one with the same documents, question and settings
    is then gone on with, unless `fresh`.
    lanes: so many parts of the text are read side by side, and their memories merged; with one question only.
    skim: the model answers from the sentences nearest to the question, without reading the text itself.
    settings: any others by name, as `memread config` lists them: {"budget.segment": 4000}. Tokens, all
    budgets. What is not given comes from MEMREAD_* variables, config.toml, and the profile.

    Raises UsageError, ConfigError, FileMissing, FileUnreadable, NothingToRead.
    """
    from memread.ingest import resolve, select_part

    given = {**(settings or {}), "model": _name(model), "profile": _name(profile)}
    given |= {name: value for name, value in {"lanes": lanes, "skim": skim}.items() if value is not None}
    names = [documents] if isinstance(documents, str | os.PathLike) else documents
    questions = [question] if isinstance(question, str) else list(question or ())
    if not all(each.strip() for each in questions):
        raise UsageError("the question is empty", "Leave it out for a summary.")
    config = load({name: value for name, value in given.items() if value is not None})
    options = _Options(select_part(pages, chapters, lines), password, fresh, record)
    resolved = resolve([os.fspath(name) for name in names], question_given=True, gitignore=gitignore)
    return OpenReading(config, resolved, list(dict.fromkeys(questions)), options)


@overload
def ask(
    documents: Documents,
    question: str | None = None,
    *,
    model: str | os.PathLike[str] | None = ...,
    profile: str | os.PathLike[str] | None = ...,
    pages: str | None = ...,
    chapters: str | None = ...,
    lines: str | None = ...,
    password: str | None = ...,
    gitignore: bool = ...,
    record: bool = ...,
    fresh: bool = ...,
    lanes: int | None = ...,
    skim: bool | None = ...,
    settings: Mapping[str, object] | None = ...,
) -> Answer: ...
@overload
def ask(
    documents: Documents,
    question: list[str] | tuple[str, ...],
    *,
    model: str | os.PathLike[str] | None = ...,
    profile: str | os.PathLike[str] | None = ...,
    pages: str | None = ...,
    chapters: str | None = ...,
    lines: str | None = ...,
    password: str | None = ...,
    gitignore: bool = ...,
    record: bool = ...,
    fresh: bool = ...,
    lanes: int | None = ...,
    skim: bool | None = ...,
    settings: Mapping[str, object] | None = ...,
) -> list[Answer]: ...
def ask(
    documents: Documents,
    question: str | list[str] | tuple[str, ...] | None = None,
    *,
    model: str | os.PathLike[str] | None = None,
    profile: str | os.PathLike[str] | None = None,
    pages: str | None = None,
    chapters: str | None = None,
    lines: str | None = None,
    password: str | None = None,
    gitignore: bool = True,
    record: bool = False,
    fresh: bool = False,
    lanes: int | None = None,
    skim: bool | None = None,
    settings: Mapping[str, object] | None = None,
) -> Answer | list[Answer]:
    """Read `documents` to their end and answer: an Answer, or for a list of questions a list of them.

    The arguments are those of read(). Raises every MemreadError that ends a reading.
    """
    with read(
        documents,
        question,
        model=model,
        profile=profile,
        pages=pages,
        chapters=chapters,
        lines=lines,
        password=password,
        gitignore=gitignore,
        record=record,
        fresh=fresh,
        lanes=lanes,
        skim=skim,
        settings=settings,
    ) as reading:
        return reading.answer if question is None or isinstance(question, str) else reading.answers


@contextmanager
def prepared(
    config: Config,
    resolved: Resolved,
    questions: Sequence[str],
    *,
    selection: Selection | None = None,
    password: str | None = None,
    verbose: bool = False,
    say: Say = lambda text, share: None,
) -> Iterator[tuple[Task, Engine]]:
    """What a Reading is made of: documents looked into, model loaded. questions: none, a summary.

    Raises UsageError for lanes with several questions or a skim, and for a skim without a question; and what
    opening and loading raise.
    """
    from memread.compose import engine_for
    from memread.ingest import open_documents, read_all

    if config.lanes > 1 and len(questions) > 1:
        raise UsageError(
            f"lanes are for one question, and there are {len(questions)}", "Leave out --lanes, or ask one."
        )
    _check_skim(config.skim, config.lanes, questions)
    with ExitStack() as stack:
        documents, left_out = open_documents(
            resolved.inputs, password=password, selection=selection, limits=config.limits
        )
        for document in documents:
            stack.callback(document.close)
        slots = config.lanes if config.lanes > 1 else min(len(questions), SLOTS) or 1
        ready = stack.enter_context(
            engine_for(
                config,
                *questions,
                slots=slots,
                verbose=verbose,
                skim=config.skim,
                apart=config.worker,
                say=say,
            )
        )
        # A profile may be for skims by itself.
        _check_skim(ready.profile.skim, config.lanes, questions)
        infos = tuple(document.info for document in documents)
        task = Task(
            documents=infos,
            inputs=tuple(map(input_name, infos)),
            passages=chain(resolved.left_out, left_out, read_all(documents)),
            questions=tuple(questions) or (ready.profile.wording.summary,),
            profile=ready.profile,
            summary=not questions,
            notices=(*resolved.notices, *ready.notices),
            lanes=config.lanes,
        )
        yield task, ready.engine


def _check_skim(skim: bool, lanes: int, questions: Sequence[str]) -> None:
    """Raises UsageError."""
    if skim and not questions:
        raise UsageError("a summary needs all of the text", "Ask a question, or leave out --skim.")
    if skim and lanes > 1:
        raise UsageError("lanes are for a text that the model reads, not for a skim", "Leave out --lanes.")


def _name(value: str | os.PathLike[str] | None) -> str | None:
    return None if value is None else os.fspath(value)


__all__ = ["Answer", "Documents", "MemreadError", "OpenReading", "ask", "read"]
