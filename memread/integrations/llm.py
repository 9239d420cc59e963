"""A plugin for llm (https://llm.datasette.io): `llm memread ask`, and its readings in llm's own logs.

llm imports this at every start: nothing of memread is imported before the command runs.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

import click
import llm

from memread.errors import INTERRUPTED, MemreadError

if TYPE_CHECKING:
    from memread.api import OpenReading


@llm.hookimpl  # type: ignore[untyped-decorator]
def register_commands(cli: click.Group) -> None:
    @cli.group(name="memread")
    def memread() -> None:
        """Ask about texts that are longer than any model's window, read by a local model."""

    @memread.command(name="ask")
    @click.argument("arguments", nargs=-1, required=True, metavar="FILE... [QUESTION]")
    @click.option("-q", "--question", help="The question; every argument is then a file.")
    @click.option("-m", "--model", help="A model of memread (see: memread models), or a .gguf file.")
    @click.option("--profile", help="A profile's name or a .toml file.")
    @click.option("--pages", help="Only these pages, such as 10-80.")
    @click.option("--chapters", help="Only these chapters, such as 3-7.")
    @click.option("--lines", help="Only these lines, such as 100-200.")
    @click.option("--password", help="Of an encrypted PDF.")
    @click.option("--fresh", is_flag=True, help="Do not go on with an interrupted reading.")
    @click.option("--skim", is_flag=True, default=None, help="A quick look: only the nearest sentences.")
    @click.option("--quiet", is_flag=True, help="No progress; warnings only.")
    @click.option("-n", "--no-log", is_flag=True, help="Don't log to llm's database.")
    @click.option("--log", is_flag=True, help="Log, even if logging is off.")
    def ask(arguments: tuple[str, ...], no_log: bool, log: bool, quiet: bool, **options: Any) -> None:
        """Read documents of any length and answer a question about them, or summarize them.

        The answer goes to standard output. Ctrl-C once: answer from what was read so far.
        """
        try:
            complete = _ask(arguments, options, quiet=quiet, log=False if no_log else log or None)
        except MemreadError as error:
            from memread.text import one_line  # documents, files and servers are quoted in it

            hint = f"\n  {one_line(error.hint, 500)}" if error.hint else ""
            click.echo(f"Error: {one_line(error.message, 500)}{hint}", err=True)
            raise SystemExit(error.exit_code) from None
        if not complete:
            raise SystemExit(INTERRUPTED)


def _ask(arguments: tuple[str, ...], options: dict[str, Any], *, quiet: bool, log: bool | None) -> bool:
    """Whether all was read. log: None leaves it to llm's setting. Raises MemreadError."""
    from llm.cli import logs_on

    from memread import api
    from memread.events import Event, Piece, Prefilled
    from memread.ingest import resolve
    from memread.text import printable
    from memread.views import choose_view
    from memread.views.json import result

    question = options.pop("question")
    found = resolve(arguments, question_given=question is not None)
    if found.question is not None:
        arguments, question = arguments[:-1], found.question
    events: list[Event] = []
    with api.read(arguments, question, record=True, **options) as reading, _interrupts(reading):
        with choose_view(quiet=quiet, lanes=reading.lanes) as view:
            for number, event in reading.numbered():
                if number == 0 and not isinstance(event, Piece | Prefilled):
                    events.append(event)
                view.show(event, number)
        answer = reading.answer
    click.echo(printable(answer.text))
    if log or (log is None and logs_on()):
        _log(question, answer.text, result(events))
    return answer.whole


@contextmanager
def _interrupts(reading: OpenReading) -> Iterator[None]:
    """The first Ctrl-C stops the reading, the second everything."""
    pressed = 0

    def on_interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        pressed += 1
        if pressed > 1:
            raise KeyboardInterrupt
        reading.stop()

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _Answering(llm.Model):  # type: ignore[misc]
    """Stands for memread in llm's log: it gives an answer that is there already."""

    can_stream = False

    def __init__(self, model: str, answer: str, result: dict[str, Any]) -> None:
        self.model_id = f"memread/{model}"
        self._answer, self._result = answer, result

    def execute(
        self,
        prompt: llm.Prompt,
        stream: bool,
        response: llm.Response,
        conversation: llm.Conversation | None,
    ) -> Iterator[str]:
        timings = self._result["timings"]
        response.set_usage(input=timings["prompt_tokens"], output=timings["reply_tokens"])
        response.response_json = self._result
        yield self._answer


def _log(question: str | None, answer: str, result: dict[str, Any]) -> None:
    """A row in llm's logs; the object that `memread ask --json` prints is its JSON."""
    import sqlite_utils
    from llm.cli import logs_db_path
    from llm.migrations import migrate

    documents = ", ".join(document["name"] for document in result["documents"])
    response = _Answering(result["model"]["name"], answer, result).prompt(
        f"{question or 'Summarize.'}\n\n[memread: {documents}]", stream=False
    )
    response.text()
    path = logs_db_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite_utils.Database(path)
    migrate(database)
    response.log_to_db(database)
