"""What the arguments of a command name: files, folders, patterns, pipes, and the question."""

from __future__ import annotations

import glob
import os
import re
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from memread.errors import FileMissing, FileUnreadable, NothingToRead, UsageError
from memread.ingest.opening import STANDARD_INPUT, missing, unreadable
from memread.ingest.sniff import HEAD, look_into_zip, sniff
from memread.types import NOWHERE, Skipped

if TYPE_CHECKING:
    from memread.ingest.ignore import Rules

_ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,4}$")


class Input(msgspec.Struct, frozen=True):
    """A document to open."""

    name: str
    named: bool = True
    """Given by its own name, rather than found in a folder or by a pattern."""


class Resolved(msgspec.Struct, frozen=True):
    inputs: tuple[Input, ...]
    question: str | None = None
    left_out: tuple[Skipped, ...] = ()
    """Files of folders and patterns that cannot be read, each with its name and the reason."""
    notices: tuple[str, ...] = ()
    """What else the user should know: that a .gitignore left files out."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(each.name for each in self.inputs)


def resolve(
    arguments: Sequence[str],
    *,
    question_given: bool = False,
    listed: Sequence[str] | None = None,
    gitignore: bool = True,
) -> Resolved:
    """Tell documents from the question, and expand folders and patterns.

    Of several arguments the last is the question, unless it is "-" or names something that exists.
    A name that is missing but looks like a file's is an error, not a question. `question_given`: the
    question came another way, so that every argument is a document. listed: more names, from a list; then
    a single argument may be the question. gitignore: folders leave out what their .gitignore files say.
    Raises FileMissing, FileUnreadable, NothingToRead, UsageError.
    """
    names, question = list(arguments), None
    several = len(names) > (0 if listed else 1)
    if several and not question_given and not _is_document(names[-1]):
        if _looks_like_file(names[-1]):
            near = missing(names[-1])
            raise FileMissing(near.message, f"{near.hint} If it is the question, give it with -q.")
        question = names.pop()
    names.extend(listed or ())
    if not names:
        raise UsageError("nothing to read is named", "Name a file, a folder, or - for standard input.")
    if not all(names):  # such as "$FILE" that was never set
        raise UsageError("the name of a file is empty", "Name a file, a folder, or - for standard input.")
    if names.count(STANDARD_INPUT) > 1:
        raise UsageError("standard input (-) can be read only once")
    inputs: list[Input] = []
    left_out: list[Skipped] = []
    ignored: list[str] = []
    for name in names:
        found, lost = _expand(name, ignored if gitignore else None)
        inputs.extend(found)
        left_out.extend(lost)
    return Resolved(tuple(inputs), question, tuple(left_out), _ignored_notice(ignored))


def split_list(data: bytes) -> list[str]:
    """The names in a list separated by NULs, as `find -print0` and `git ls-files -z` write it.

    Raises UsageError for a list that is separated otherwise.
    """
    names = [os.fsdecode(name) for name in data.split(b"\0") if name]
    if len(names) == 1 and b"\0" not in data and "\n" in names[0].rstrip("\n"):
        raise UsageError(
            "the list of files on standard input is not separated by NULs", "Such as of: find . -print0"
        )
    return [name.rstrip("\n") if b"\0" not in data else name for name in names]


def _ignored_notice(ignored: Sequence[str]) -> tuple[str, ...]:
    if not ignored:
        return ()
    some = ", ".join(ignored[:3]) + (f" and {len(ignored) - 3:,} more" if len(ignored) > 3 else "")
    return (f"Left out because of .gitignore: {some} (--no-ignore reads them).",)


def _is_document(argument: str) -> bool:
    return argument == STANDARD_INPUT or os.path.lexists(argument) or bool(_matches(argument))


def _looks_like_file(argument: str) -> bool:
    """One word with a folder or an ending: "b.tx", "dir/x". Not "What did he do?"."""
    if re.search(r"\s", argument) or argument.endswith(("?", "!", ".")):
        return False
    return os.sep in argument or "/" in argument or bool(_ENDING.search(argument))


def _matches(pattern: str) -> list[str]:
    """The files that a quoted pattern means, hidden ones left out, in natural order."""
    if not re.search(r"[*?\[]", pattern):
        return []
    try:
        # Path.glob takes no absolute patterns.
        return sorted(glob.glob(pattern, recursive=True), key=natural)  # noqa: PTH207
    except (OSError, ValueError, re.error):
        return []


def _expand(name: str, ignored: list[str] | None) -> tuple[list[Input], list[Skipped]]:
    """ignored: takes what .gitignore leaves out; None: it leaves nothing out."""
    if name == STANDARD_INPUT:
        return [Input(name)], []
    try:
        status = Path(name).stat()
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        return _expand_pattern(name, error, ignored)
    except OSError as error:
        if getattr(error, "errno", None) in (36, 63, 206):  # a name too long: surely a question
            return _expand_pattern(name, error, ignored)
        raise unreadable(name, error) from error
    if not stat.S_ISDIR(status.st_mode):
        return [Input(name)], []
    return _some(_walk_folder(name, ignored), f"{name}: this folder holds nothing that can be read")


def _expand_pattern(
    name: str, error: Exception, ignored: list[str] | None
) -> tuple[list[Input], list[Skipped]]:
    matches = _matches(name)
    if not matches:
        near = missing(name)
        if re.search(r"\s|\?$", name) and not near.hint.startswith("Did you mean"):
            raise FileMissing(
                f"{name}: there is no such file",
                "If this is the question, name a document before it, or - for standard input.",
            ) from error
        if re.search(r"[*?\[]", name):
            raise NothingToRead(f"{name}: no file matches this pattern", "Check the folder and the pattern.")
        raise near from error
    parts: list[Input | Skipped] = []
    for match in matches:
        if Path(match).is_dir():
            # "**" names folders beside the files in them.
            parts.extend([] if "**" in name else _walk_folder(match, ignored))
        else:
            parts.append(_look(match))
    return _some(iter(parts), f"{name}: no file that matches this pattern can be read")


def _some(parts: Iterator[Input | Skipped], otherwise: str) -> tuple[list[Input], list[Skipped]]:
    inputs: list[Input] = []
    left_out: list[Skipped] = []
    for part in parts:
        if isinstance(part, Input):
            inputs.append(part)
        else:
            left_out.append(part)
    if not inputs:
        hint = f"Left out: {left_out[0].reason}" if left_out else "Hidden files are not read."
        if len(left_out) > 1:
            hint += f", and {len(left_out) - 1} more"
        raise NothingToRead(otherwise, hint)
    return inputs, left_out


def _walk_folder(folder: str, ignored: list[str] | None) -> Iterator[Input | Skipped]:
    if ignored is None:
        return _walk(folder, None, [])
    from memread.ingest.ignore import Rules

    return _walk(folder, Rules.above(Path(folder)), ignored)


def _walk(folder: str, rules: Rules | None, ignored: list[str]) -> Iterator[Input | Skipped]:
    """The files under a folder in natural order; links to folders are not followed, they may form a ring."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: natural(entry.name))
    except OSError as error:
        raise FileUnreadable(
            f"{folder}: {error.strerror or error}", "You may not look into it: check its permissions."
        ) from error
    rules = rules and rules.within(Path(folder))
    for entry in entries:
        if entry.name.startswith("."):
            continue
        is_folder = entry.is_dir(follow_symlinks=False)
        if rules is not None and rules.ignore(Path(entry.path), is_folder):
            ignored.append(entry.path)
        elif is_folder:
            try:
                yield from _walk(entry.path, rules, ignored)
            except FileUnreadable as error:
                yield Skipped(NOWHERE, error.message)
        elif entry.is_dir():
            yield Skipped(NOWHERE, f"{entry.path}: a link to a folder")
        else:
            yield _look(entry.path)


def _look(path: str) -> Input | Skipped:
    """A file, if by its first bytes it can be read."""
    try:
        if not stat.S_ISREG(Path(path).stat().st_mode):
            return Skipped(NOWHERE, f"{path}: not a regular file")
        with Path(path).open("rb") as file:
            found = sniff(file.read(HEAD), path)
            if found.kind == "zip":
                found = look_into_zip(file, path)
    except OSError as error:
        return Skipped(NOWHERE, f"{path}: {error.strerror or error}")
    if found.kind == "empty":
        return Skipped(NOWHERE, f"{path}: it is empty")
    if found.kind == "binary":
        return Skipped(NOWHERE, f"{path}: {found.what}")
    return Input(path, named=False)


def natural(name: str) -> list[tuple[int, int, str]]:
    """A key that sorts "chapter 2" before "chapter 10"."""
    return [
        (0, int(part), "") if part.isdecimal() and part.isascii() else (1, 0, part.casefold())
        for part in re.split(r"([0-9]+)", name)
        if part
    ]
