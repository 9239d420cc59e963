"""Every command and option in words: docs/commands.md and the man page are written by this.

python -m memread.cli.describe markdown > docs/commands.md
python -m memread.cli.describe man > docs/memread.1
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import typer

from memread.cli.app import app


class Option(NamedTuple):
    names: str
    """Such as "-m, --model TEXT"."""
    help: str


class Description(NamedTuple):
    """A command."""

    name: str
    """With the commands it belongs to: "memread runs show"."""
    usage: str
    help: str
    """Paragraphs, an empty line between them."""
    arguments: list[Option]
    options: list[Option]


def commands() -> list[Description]:
    """Every command, in the order of `memread --help`, each before those that belong to it."""
    return list(_walk(typer.main.get_command(app), "memread"))


def _walk(command: Any, name: str) -> Iterator[Description]:
    params = [param for param in command.params if not getattr(param, "hidden", False)]
    arguments = [param for param in params if param.param_type_name == "argument"]
    options = [param for param in params if param.param_type_name == "option"]
    children = {key: child for key, child in getattr(command, "commands", {}).items() if not child.hidden}
    usage = [name, *(["[OPTIONS]"] if options else []), *map(_argument, arguments)]
    yield Description(
        name,
        " ".join([*usage, *(["COMMAND ..."] if children else [])]),
        re.sub(r"(?<!\n)\n(?!\n)", " ", _clean(command.help)),
        [Option(_argument(each), _clean(each.help)) for each in arguments],
        [Option(_names(each), _help(each)) for each in options],
    )
    for key, child in children.items():
        yield from _walk(child, f"{name} {key}")


def _argument(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _names(option: Any) -> str:
    names = ", ".join(sorted(option.opts, key=len))
    if option.secondary_opts:
        names += " / " + ", ".join(option.secondary_opts)
    # The name of its value does not come from typer, whose versions differ in it.
    value = option.metavar or max(option.opts, key=len).lstrip("-").upper().replace("-", "_")
    return names if option.is_flag else f"{names} {value}"


def _help(option: Any) -> str:
    default = option.default
    given = option.show_default and not callable(default) and default not in (None, False, (), [])
    return _clean(option.help) + (f" [default: {default}]" if given else "")


def _clean(text: str | None) -> str:
    lines = [line.strip() for line in (text or "").strip().split("\n")]
    return "\n".join(lines)


def markdown() -> str:
    """The reference as a page of Markdown."""
    found = [
        "# Commands",
        "Written by `make docs` from the program itself; `memread COMMAND --help` says the same.",
    ]
    for each in commands():
        found += [f"## {each.name}", f"```\n{each.usage}\n```", each.help]
        rows = [f"| `{_cell(name)}` | {_cell(said)} |" for name, said in (*each.arguments, *each.options)]
        if rows:
            found.append("\n".join(["| | |", "| --- | --- |", *rows]))
    return "\n\n".join(part for part in found if part) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def man() -> str:
    """The manual page, in roff. Without a date: it changes when the program does."""
    lines = [
        '.TH MEMREAD 1 "" "memread" "User Commands"',
        ".SH NAME",
        "memread \\- read texts longer than a model's window with a local model and a small memory",
    ]
    first, *others = commands()
    lines += [".SH SYNOPSIS", f".B {_roff(first.usage)}", ".SH DESCRIPTION", *_paragraphs(first.help)]
    lines += _entries(first)
    lines.append(".SH COMMANDS")
    for each in others:
        lines += [f".SS {_roff(each.usage)}", *_paragraphs(each.help), *_entries(each)]
    lines += [".SH EXIT STATUS", *_paragraphs(_clean(app.info.epilog))]
    lines += [".SH ENVIRONMENT", "Every setting has a variable; see", ".BR memread\\~config ."]
    return "\n".join(lines) + "\n"


def _entries(each: Description) -> list[str]:
    return [
        line
        for name, said in (*each.arguments, *each.options)
        for line in (".TP", f"\\fB{_roff(name)}\\fR", _roff(" ".join(said.split())) or "\\&")
    ]


def _paragraphs(text: str) -> list[str]:
    return [line for part in text.split("\n\n") if part for line in (".PP", _roff(part))]


def _roff(text: str) -> str:
    text = text.replace("\\", "\\e").replace("-", "\\-")
    for letter, name in (("·", "\\(bu"), ("–", "\\(en"), ("…", "..."), ("→", "\\(->")):
        text = text.replace(letter, name)
    return "\\&" + text if text.startswith((".", "'")) else text


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    sys.stdout.write(man() if sys.argv[1:] == ["man"] else markdown())
