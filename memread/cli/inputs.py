"""The options of every command that reads documents."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from memread.cli.errors import note
from memread.errors import UsageError

if TYPE_CHECKING:
    from memread.ingest import Resolved, Selection
    from memread.protocols import Document
    from memread.types import Limits, Passage, Skipped


class Command(TyperCommand):
    """A command whose usage line has its arguments as their metavars say them."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        arguments = [param for param in self.params if param.param_type_name == "argument"]
        return ["[OPTIONS]", *(str(param.metavar) for param in arguments)]


Pages = Annotated[
    str | None,
    typer.Option(
        "--pages",
        help="Only these pages, such as 10-80 or iv-xii,3: as the document labels them, else counted from 1.",
        show_default=False,
    ),
]
Chapters = Annotated[
    str | None,
    typer.Option(
        "--chapters",
        help="Only these chapters, such as 3-7; `memread text --contents` numbers them.",
        show_default=False,
    ),
]
Lines = Annotated[
    str | None, typer.Option("--lines", help="Only these lines, such as 100-200.", show_default=False)
]
Null = Annotated[
    bool,
    typer.Option(
        "-0", "--null", help="Standard input is a list of files, separated by NULs: find … -print0 writes it."
    ),
]
NoIgnore = Annotated[
    bool, typer.Option("--no-ignore", help="Of folders, also read what .gitignore leaves out.")
]


def gather(arguments: Sequence[str], *, question_given: bool, null: bool, no_ignore: bool) -> Resolved:
    """Documents and question from the arguments, and with `null` from standard input.

    Raises what resolve() does.
    """
    from memread.ingest import resolve, split_list

    listed: list[str] | None = None
    if null:
        if "-" in arguments:
            raise UsageError("with -0, standard input is a list of files and cannot be a document too")
        listed = split_list(sys.stdin.buffer.read())
        if not listed and not (arguments and question_given):
            raise UsageError("the list of files on standard input is empty")
    return resolve(arguments, question_given=question_given, listed=listed, gitignore=not no_ignore)


@contextmanager
def opened(
    resolved: Resolved, limits: Limits, *, selection: Selection | None = None, password: str | None = None
) -> Iterator[tuple[Sequence[Document], Iterator[Passage | Skipped]]]:
    """The documents, open, and all that is in them and was left out; what is to be said of them is said.

    Raises what open_documents() does, and iterating what reading does.
    """
    from memread.ingest import open_documents, read_all
    from memread.text import one_line

    for notice in resolved.notices:
        note(f"memread: {one_line(notice, 400)}")
    with ExitStack() as stack:
        documents, left_out = open_documents(
            resolved.inputs, password=password, selection=selection, limits=limits
        )
        for document in documents:
            stack.callback(document.close)
        yield documents, chain(resolved.left_out, left_out, read_all(documents))
