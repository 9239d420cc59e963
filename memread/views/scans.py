"""Pages without a text layer: how many, of how many, and which."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from memread.types import NO_TEXT_LAYER, DocumentInfo, Locator, Skipped
from memread.views import words

_RANGES = 12
"""Runs of pages that are named one by one."""


class Scanned(NamedTuple):
    """The pages of one document."""

    number: int
    name: str
    """Of the document."""
    pages: int
    of: int | None
    """Pages of the document; None where it does not say, or where only a part of it is read."""
    runs: list[str]
    """Such as "3-200", "205": by the labels that the pages bear."""


def is_scan(part: Skipped) -> bool:
    return part.reason == NO_TEXT_LAYER


def scanned(parts: Iterable[Skipped], documents: Sequence[DocumentInfo]) -> list[Scanned]:
    """By document, in the order in which they are read."""
    places: dict[int, dict[Locator, None]] = {}
    for part in parts:
        if is_scan(part):
            places.setdefault(part.locator.document, {})[part.locator] = None
    found = []
    for index, pages in places.items():
        document = documents[index] if 0 <= index < len(documents) else None
        of = document.pages if document is not None and not document.part else None
        found.append(Scanned(index, document.name if document else "", len(pages), of, _runs(list(pages))))
    return found


def lines(parts: Iterable[Skipped], documents: Sequence[DocumentInfo]) -> list[str]:
    """Such as "198 of 311 pages have no text layer: pages 3–200". Safe to print."""
    said = []
    for each in scanned(parts, documents):
        name = f"{words.title(documents, each.number)}: " if len(documents) > 1 else ""
        count = words.count(each.pages)
        pages = f"{count} of {words.plural(each.of, 'page')}" if each.of else words.plural(each.pages, "page")
        has = "has" if each.pages == 1 else "have"
        named = ", ".join(words.line(run, 40).replace("-", "–") for run in each.runs[:_RANGES])
        more = len(each.runs) - _RANGES
        named += f" and {words.count(more)} more" if more > 0 else ""
        noun = "page" if each.pages == 1 else "pages"
        said.append(f"{name}{pages} {has} no text layer: {noun} {named}")
    return said


def rows(parts: Iterable[Skipped], documents: Sequence[DocumentInfo]) -> list[dict[str, Any]]:
    """The same for JSON, complete."""
    return [
        {
            "document": each.name,
            "pages": each.pages,
            "of": each.of,
            "which": ",".join(each.runs),
        }
        for each in scanned(parts, documents)
    ]


def _runs(pages: list[Locator]) -> list[str]:
    """Pages that follow one another, as one."""
    runs: list[list[Locator]] = []
    for page in pages:
        before = runs[-1][-1].page_number if runs else None
        if before is not None and page.page_number == before + 1:
            runs[-1].append(page)
        else:
            runs.append([page])
    names = [(_name(run[0]), _name(run[-1])) for run in runs]
    return [first if first == last else f"{first}-{last}" for first, last in names]


def _name(page: Locator) -> str:
    return page.page if page.page is not None else str(page.page_number)
