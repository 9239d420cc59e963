"""Jupyter notebooks (.ipynb): text, code and what it printed, cell by cell."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from memread.errors import DamagedDocument, EmptyInput
from memread.ingest.decoding import Decoder, sound, undecodable
from memread.ingest.html import page_passages
from memread.types import DocumentInfo, Locator, Passage, Skipped

_LIMIT = 512 << 20
"""Bytes of a notebook: it is decoded as a whole."""
_HEADING = re.compile(r" {0,3}#{1,2}[ \t](.*)")
_FENCE = re.compile(r" {0,3}(```|~~~)")
_ESCAPE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


class NotebookReading:
    """An open notebook. Places are its cells, from 1; the headings of its Markdown are the chapters.

    Of an output the text is read; pictures and widgets are not.
    """

    def __init__(self, file: BinaryIO, name: str, index: int = 0) -> None:
        """file: read now; not closed. Raises DamagedDocument, OSError."""
        self._name, self._index = name, index
        size = os.fstat(file.fileno()).st_size
        if size > _LIMIT:
            raise DamagedDocument(f"{name}: it is larger than {_LIMIT >> 20} MiB")
        decoder = Decoder()
        try:
            # Python's own: Jupyter writes NaN, and halves of characters, which no other takes.
            content = json.loads(decoder.decode(file.read(), final=True))
        except (ValueError, RecursionError) as error:
            raise DamagedDocument(f"{name}: it cannot be read as a notebook ({error})") from error
        self._lost = decoder.lost
        self._cells = _cells(content)
        self._language = _language(content)
        self.info = DocumentInfo(name=name, format="notebook", title=_title(content), size=size)

    def passages(self) -> Iterator[Passage | Skipped]:
        """A passage a cell. Raises EmptyInput after a notebook without text."""
        chapter: str | None = None
        letters = False
        for number, cell in enumerate(self._cells, 1):
            source = _joined(cell.get("source", cell.get("input", "")))
            kind = cell.get("cell_type")
            headings = _headings(source) if kind == "markdown" else []
            chapter = headings[0] if headings else chapter
            text = source
            if kind == "code":
                outputs = [_output(output) for output in _list(cell.get("outputs"))]
                text = f"```{self._language}\n{source}\n```" if source.strip() else ""
                text = "\n\n".join(part for part in (text, *outputs) if part.strip())
            if text.strip():
                letters = True
                place = Locator(document=self._index, chapter=chapter, at=f"cell {number}")
                yield Passage(text.strip("\n") + "\n\n", place, number / len(self._cells))
            chapter = headings[-1] if headings else chapter
        if not letters:
            raise EmptyInput(f"{self._name}: there is no text in this notebook")
        if self._lost:
            yield Skipped(Locator(document=self._index), undecodable(self._lost))


def _headings(source: str) -> list[str]:
    """The headings of Markdown, of the first two levels; lines of fenced code are none."""
    found: list[str] = []
    fence = ""
    for line in source.split("\n"):
        if marked := _FENCE.match(line):
            fence = "" if fence == marked[1] else fence or marked[1]
        elif not fence and (heading := _HEADING.match(line)):
            found.append(" ".join(heading[1].rstrip("# \t\r").split()))
    return [heading for heading in found if heading]


def _cells(content: Any) -> list[dict[str, Any]]:
    """Of format 4, or of 3 with its worksheets."""
    content = content if isinstance(content, dict) else {}
    sheets = [content, *(sheet for sheet in _list(content.get("worksheets")) if isinstance(sheet, dict))]
    return [cell for sheet in sheets for cell in _list(sheet.get("cells")) if isinstance(cell, dict)]


def _metadata(content: Any, *keys: str) -> Any:
    for key in ("metadata", *keys):
        content = content.get(key) if isinstance(content, dict) else None
    return content


def _language(content: Any) -> str:
    found = _metadata(content, "language_info", "name") or _metadata(content, "kernelspec", "language")
    return found if isinstance(found, str) and re.fullmatch(r"[\w+#-]{1,20}", found) else ""


def _title(content: Any) -> str:
    found = _metadata(content, "title")
    return " ".join(found.split()) if isinstance(found, str) else ""


def _output(output: Any) -> str:
    if not isinstance(output, dict):
        return ""
    if output.get("output_type") == "error" or "ename" in output:
        return f"{_joined(output.get('ename'))}: {_joined(output.get('evalue'))}"
    found = output.get("data")
    data = found if isinstance(found, dict) else {}
    # Markdown and HTML that code shows have a name of an object for their plain text, or none.
    text = _joined(output.get("text", data.get("text/markdown", data.get("text/plain"))))
    if not text.strip():
        text = "".join(passage.text for passage in page_passages(_joined(data.get("text/html")), 0))
    return _ESCAPE.sub("", text).rstrip()


def _joined(text: Any) -> str:
    """A text, which notebooks also write as a list of lines."""
    if isinstance(text, list):
        text = "".join(line for line in text if isinstance(line, str))
    return sound(text) if isinstance(text, str) else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
