"""Questions of one's own: a JSONL file whose records have a text, a question and its answers.

    {"context": "…" | "path": "book.epub", "question": "…", "answers": ["…"], "metric": "f1"}

The text of records that have neither a context nor a path is given once for all of them: questions about a
book that is not handed on with them. `input` may stand for `question`, as in LongBench, and `answer` for
`answers`; one answer need not be in a list. An empty list says that the text does not answer the question. A
path is relative to the file; how many parts of a document could not be read is in Item.details["skipped"]. A
JSON list of such records is read too, but held in memory; of JSONL only places are held, and a text is read
when it is asked for.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast, get_args

import msgspec

from memread.errors import InputError, UsageError
from memread.eval.item import Item, Metric
from memread.eval.records import Malformed, Placed, Record, record_at, records
from memread.ingest import open_document
from memread.protocols import Tokenizer
from memread.text import one_line
from memread.types import LIMITS, Limits, Locator, Passage, Skipped

_SLICE = 8_000
"""Characters of a context given out at once."""


class Loaded(msgspec.Struct, frozen=True):
    items: tuple[Item, ...]
    malformed: tuple[Malformed, ...]
    """What was skipped, and why: to be shown and counted."""


def load(
    path: str,
    tokenizer: Tokenizer,
    metric: Metric | None = None,
    limit: int | None = None,
    document: str | None = None,
    limits: Limits = LIMITS,
) -> Loaded:
    """The questions of `path`, the first `limit` of them, each text's length counted.

    metric: how to score them, unless a record says it itself; by default f1 for LongBench's records (as its
    question answering is scored), else substring. document: the text of records that name none. Documents are
    opened and read to be counted: minutes for large PDFs; limits: what a page of them may cost. Raises
    FileMissing, FileUnreadable, DamagedDocument, EmptyInput for the file as a whole.
    """
    items: list[Item] = []
    malformed: list[Malformed] = []
    counted = functools.cache(
        functools.partial(_counted, tokenizer=tokenizer, limits=limits)
    )  # once for many questions
    for placed in records(path):
        if limit is not None and len(items) >= limit:
            break
        if isinstance(placed, Malformed):
            malformed.append(placed)
            continue
        try:
            items.append(_item(path, placed, counted, tokenizer, metric, document, limits))
        except (ValueError, InputError, UsageError) as error:
            malformed.append(Malformed(path, placed.place, str(error)))
    return Loaded(tuple(items), tuple(malformed))


def _item(
    path: str,
    placed: Placed,
    counted: Callable[[str], tuple[int, int]],
    tokenizer: Tokenizer,
    metric: Metric | None,
    document: str | None,
    limits: Limits,
) -> Item:
    record = placed.record
    question = _question(record)
    answers = _answers(record)
    details: dict[str, str | int | float] = {"source": f"{path}, {placed.place}"}
    text: Callable[[], Iterator[Passage]]
    name = ""
    if "context" in record:
        context = _context(record)
        length = tokenizer.count(context)
        if not length:
            raise ValueError("its context is empty")
        if placed.offset is None:
            text = functools.partial(_slices, context)
        else:
            text = functools.partial(_from_line, path, placed.offset)
    else:
        named = document is None or "path" in record
        name = str(Path(path).parent / _path(record)) if named else cast(str, document)
        text = functools.partial(_from_document, name, limits)
        length, skipped = counted(name)
        if skipped:
            details["skipped"] = skipped
    number = record.get("_id", record.get("id"))
    if isinstance(number, str | int):
        details["question_id"] = number
    source = record.get("dataset")
    task = one_line(source, 60) if isinstance(source, str) else ""
    return Item(
        id=f"{Path(path).name}/{placed.place.split()[-1]}",
        task=task or "file",
        length=length,
        seed=0,
        question=question,
        answers=answers,
        metric=_metric(record, metric),
        text=text,
        document=name,
        details=details,
    )


def _question(record: Record) -> str:
    question = record.get("question", record.get("input"))
    if not isinstance(question, str):
        raise ValueError("the field question (or input) is missing or no text")
    if not question.strip():
        raise ValueError("its question is empty")
    return question


def _answers(record: Record) -> tuple[str, ...]:
    if "answers" not in record and "answer" not in record:
        raise ValueError("the field answers is missing")
    given = record.get("answers", record.get("answer"))
    found = [given] if isinstance(given, str) else given
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise ValueError("its answers are not texts")
    if found and not all(each.strip() for each in found):
        raise ValueError("one of its answers is empty")
    return tuple(dict.fromkeys(found))


def _context(record: Record) -> str:
    context = record["context"]
    if not isinstance(context, str):
        raise ValueError("its context is no text")
    return context


def _path(record: Record) -> str:
    path = record.get("path")
    if not isinstance(path, str) or not path:
        raise ValueError("it has neither a context nor a path, and no --document was given")
    return path


def _metric(record: Record, asked: Metric | None) -> Metric:
    own = record.get("metric")
    if own is None:
        return asked or ("f1" if "dataset" in record else "substring")
    if own not in get_args(Metric):
        raise ValueError(f"its metric is none of {', '.join(get_args(Metric))}")
    return cast("Metric", own)


def _from_line(path: str, offset: int) -> Iterator[Passage]:
    yield from _slices(_context(record_at(path, offset)))


def _from_document(name: str, limits: Limits) -> Iterator[Passage]:
    return (part for part in _parts(name, limits) if isinstance(part, Passage))


def _counted(name: str, tokenizer: Tokenizer, limits: Limits) -> tuple[int, int]:
    """A document's tokens, and how many of its parts could not be read."""
    tokens = skipped = 0
    for part in _parts(name, limits):
        if isinstance(part, Passage):
            tokens += tokenizer.count(part.text)
        else:
            skipped += 1
    return tokens, skipped


def _parts(name: str, limits: Limits) -> Iterator[Passage | Skipped]:
    document = open_document(name, limits=limits)
    try:
        yield from document.passages()
    finally:
        document.close()


def _slices(text: str) -> Iterator[Passage]:
    line = 1
    for start in range(0, len(text), _SLICE):
        part = text[start : start + _SLICE]
        yield Passage(part, Locator(line=line), min((start + _SLICE) / len(text), 1.0))
        line += part.count("\n")
