"""Several documents as one reading."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import msgspec

from memread.errors import EmptyInput, InputError, MemreadError, UsageError
from memread.ingest.opening import PipeDocument, is_pipe, open_document
from memread.ingest.resolve import Input
from memread.ingest.selection import Selection
from memread.protocols import Document
from memread.text import one_line
from memread.types import LIMITS, NOWHERE, DocumentInfo, Limits, Locator, Passage, Skipped

_Open = Callable[..., Document]
"""open_document, with what it was told about all of them."""
_AT_ONCE = 4
"""Documents that are looked into at the same time, each by a child."""


def open_documents(
    inputs: Sequence[Input],
    *,
    password: str | None = None,
    selection: Selection | None = None,
    limits: Limits = LIMITS,
) -> tuple[list[Document], list[Skipped]]:
    """Look into all inputs, so that what cannot be read is known before hours of reading.

    An error in a file that was named is raised; one in a file that a folder or pattern brought along leaves
    that file out, as an empty file among several is left out. Pipes are not waited for.
    selection: the part that is read, of the only input. limits: what one page may cost.
    Returns the documents in order, and what was left out, by name and reason.
    Raises InputError, UsageError; EmptyInput when all are empty.
    """
    if selection is not None:
        if len(inputs) > 1:
            raise UsageError(
                f"--{selection.kind} chooses a part of one document, and there are {len(inputs):,}",
                "Name one file.",
            )
        document = open_document(inputs[0].name, password=password, selection=selection, limits=limits)
        try:
            if not is_pipe(inputs[0].name):
                _ = document.info  # its errors, before a model is loaded
        except MemreadError:
            document.close()
            raise
        return [document], []
    open_ = partial(open_document, password=password, limits=limits)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        tried = list(pool.map(lambda each: _look_into(each.name, open_, each is inputs[0]), inputs))
    documents: list[Document] = []
    left_out: list[Skipped] = []
    problem: MemreadError = EmptyInput("there is nothing to read")
    for each, found in zip(inputs, tried, strict=True):
        if isinstance(found, MemreadError):
            if len(inputs) == 1 or (each.named and not isinstance(found, EmptyInput)):
                raise found
            problem = found
            left_out.append(Skipped(NOWHERE, one_line(found.message, 400)))
        elif isinstance(found, DocumentInfo):
            documents.append(_Later(each.name, len(documents), open_, found))
        else:
            documents.append(found or open_(each.name, len(documents)))
    if not documents:
        raise problem
    return documents, left_out


def _look_into(name: str, open_: _Open, first: bool) -> Document | DocumentInfo | MemreadError | None:
    """What a document is, or why it cannot be read; None for a pipe, which can be looked into only once.

    The first stays open, and its reader runs ahead while a model is loaded.
    """
    try:
        if is_pipe(name):
            return None
        document = open_(name)
        try:
            info = document.info
        except MemreadError:
            document.close()
            raise
        if first:
            return document
        document.close()
        return info
    except MemreadError as error:
        return error


class _Later:
    """A document that was looked into, and is opened when its turn comes: not a thousand files at once."""

    def __init__(self, name: str, index: int, open_: _Open, info: DocumentInfo) -> None:
        self.info = info
        self._name, self._index, self._open = name, index, open_
        self._document: Document | None = None
        self._closed = False

    def passages(self) -> Iterator[Passage | Skipped]:
        self._document = self._open(self._name, self._index)
        if self._closed:
            self._document.close()
        yield from self._document.passages()

    def close(self) -> None:
        self._closed = True
        document = self._document
        if document is not None:
            document.close()


def read_all(documents: Sequence[Document]) -> Iterator[Passage | Skipped]:
    """The passages of all documents, in order, numbered by their places in `documents`.

    Of several, each begins with a line that names it, and one that turns out to be unreadable is skipped,
    with its reason. `fraction` is of all bytes; None if a size is not known.
    Raises what the only document raises; of several, the first error if no document has any text.
    """
    if len(documents) == 1:
        yield from (_numbered(part, 0) for part in documents[0].passages())
        return
    weigh = _weights(documents)
    problems: list[InputError] = []
    tail = ""
    anything = False
    for index, document in enumerate(documents):
        begun = False
        try:
            for part in document.passages():
                if isinstance(part, Passage):
                    if not begun:
                        begun = anything = True
                        yield Passage(
                            f"{_blank_line(tail)}[File: {_title(document)}]\n\n",
                            msgspec.structs.replace(part.locator, document=index),
                            weigh(index, 0.0),
                        )
                    tail = (tail + part.text)[-2:]
                    part = Passage(part.text, part.locator, weigh(index, part.fraction))
                yield _numbered(part, index)
        except InputError as error:
            problems.append(error)
            yield Skipped(Locator(document=index), one_line(error.message, 400))
    if not anything and problems:
        raise next((error for error in problems if not isinstance(error, EmptyInput)), problems[0])


def _blank_line(tail: str) -> str:
    """What is missing of an empty line after a text that ends with `tail`."""
    return "" if not tail or tail.endswith("\n\n") else "\n" if tail.endswith("\n") else "\n\n"


def _title(document: Document) -> str:
    name = document.info.name
    return "standard input" if name == "-" else one_line(name)


def _numbered(part: Passage | Skipped, index: int) -> Passage | Skipped:
    if part.locator.document == index:
        return part
    return msgspec.structs.replace(part, locator=msgspec.structs.replace(part.locator, document=index))


def _weights(documents: Sequence[Document]) -> Callable[[int, float | None], float | None]:
    """From (document, fraction of it) to the fraction of all, by bytes."""
    sizes: list[int] = []
    for document in documents:
        # Asking a pipe for more than that would wait for it.
        size = document.size if isinstance(document, PipeDocument) else document.info.size
        if size is None:
            return lambda index, fraction: None
        sizes.append(size)
    total = max(1, sum(sizes))

    def weigh(index: int, fraction: float | None) -> float | None:
        return None if fraction is None else min(1.0, (sum(sizes[:index]) + fraction * sizes[index]) / total)

    return weigh
