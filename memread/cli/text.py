"""`memread text`: exactly what would be read, and where it is."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import Annotated

import typer

from memread.cli.errors import note
from memread.cli.inputs import Chapters, Lines, NoIgnore, Null, Pages, gather, opened
from memread.cli.options import PasswordOption
from memread.errors import UsageError


def text(
    files: Annotated[
        list[str] | None,
        typer.Argument(help="Files, folders, globs, or -.", metavar="FILE...", show_default=False),
    ] = None,
    locators: Annotated[
        bool, typer.Option("--locators", help="Before each passage, a line that tells where it is.")
    ] = False,
    contents: Annotated[
        bool, typer.Option("--contents", help="The numbered chapters and where they begin, not the text.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object for each passage, a line.")] = False,
    pages: Pages = None,
    chapters: Chapters = None,
    lines: Lines = None,
    null: Null = False,
    no_ignore: NoIgnore = False,
    password: PasswordOption = None,
) -> None:
    """Print the text of documents exactly as it would be read. What cannot be read is told on stderr.

    On a terminal, what a terminal would obey is left out; to a pipe or a file, nothing is changed.
    """
    import msgspec

    from memread import config
    from memread.ingest import numbered, select_part
    from memread.text import one_line, printable
    from memread.types import Passage, Skipped
    from memread.views import scans
    from memread.views.json import write

    if sum((locators, contents, json)) > 1:
        raise UsageError("only one of --locators, --contents and --json can be given")
    out = sys.stdout
    safe = printable if out.isatty() else str
    with ExitStack() as stack:
        resolved = gather(files or (), question_given=True, null=null, no_ignore=no_ignore)
        selection = select_part(pages, chapters, lines)
        documents, parts = stack.enter_context(
            opened(resolved, config.load().limits, selection=selection, password=password)
        )
        several = len(documents) > 1
        before = ""
        seen = 0
        last = "\n"
        without: list[Skipped] = []
        for numbers, part in numbered(parts):
            place = part.locator
            name = documents[place.document].info.name if several and place.document >= 0 else ""
            label = part.label() if isinstance(part, Skipped) else place.label()
            where = " · ".join(each for each in (name, label) if each)
            if json:
                row = {"document": name} if name else {}
                row |= {"place": label, "locator": msgspec.to_builtins(place)}
                row |= {"text": part.text} if isinstance(part, Passage) else {"skipped": part.reason}
                write(out, row)
            elif isinstance(part, Skipped) and scans.is_scan(part):
                without.append(part)
            elif not isinstance(part, Passage):
                note(f"memread: not read: {one_line(': '.join(p for p in (where, part.reason) if p), 400)}")
            elif contents:
                if numbers[-1] > seen:
                    seen = numbers[-1]
                    start = place._where()
                    title = one_line(place.chapter or "", 200)
                    out.write(f"{seen:>4}  {title}" + (f"  ({one_line(start)})" if start else "") + "\n")
            else:
                if locators and where != before:
                    before = where
                    gap = "" if last.endswith("\n") else "\n"
                    out.write(f"{gap}[{one_line(where, 300) or 'beginning'}]\n")
                out.write(safe(part.text))
                last = part.text[-1:] or last
        for line in scans.lines(without, [document.info for document in documents] if without else ()):
            note(f"memread: not read: {line}")
        if contents and not seen:
            note("memread: no chapters are marked in it")
        if sys.stdout.isatty() and not (json or contents or last.endswith("\n")):
            out.write("\n")
