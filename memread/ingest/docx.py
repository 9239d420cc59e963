"""Word documents (.docx), through mammoth: styles become headings, lists, tables and notes."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO, BinaryIO

from memread.errors import DamagedDocument, EmptyInput, FileUnreadable
from memread.ingest.html import page_passages
from memread.ingest.markup import parse_xml
from memread.ingest.word import simplified
from memread.text import one_line
from memread.types import DocumentInfo, Locator, Passage, Skipped

_LIMIT = 512 << 20
"""Bytes of all that is read, unpacked: more is not a document but an attack."""
_ROUNDS = 4
"""What is in an element that was not known may not be known either."""
_UNKNOWN = re.compile(r"unrecognised element was ignored: .*?([\w.-]+)$")
_WITH_TEXT = frozenset(("altChunk", "subDoc"))
"""Elements that stand for text which is elsewhere."""
_STYLES = "p[style-name='Title'] => h1:fresh\np[style-name='Subtitle'] => h2:fresh"


class DocxReading:
    """An open document. Its headings of the first two levels are the chapters; it has no fixed pages.

    Deleted text of tracked changes and comments are not read.
    """

    def __init__(self, file: BinaryIO, name: str, index: int = 0) -> None:
        """file: read from until the passages end; not closed. Raises DamagedDocument, FileUnreadable (mammoth
        is missing)."""
        self._file, self._name, self._index = file, name, index
        try:
            import mammoth  # noqa: F401 - better now than after the model is loaded
        except ImportError as error:
            raise FileUnreadable(
                f"{name}: Word documents need a package that is not installed (mammoth)",
                'Install it with: pip install "memread[formats]"',
            ) from error
        try:
            with zipfile.ZipFile(file) as archive:
                size = sum(entry.file_size for entry in archive.infolist() if entry.filename.endswith(".xml"))
                core = archive.read("docProps/core.xml") if "docProps/core.xml" in archive.namelist() else b""
        except Exception as error:  # BadZipFile, zlib.error, NotImplementedError, RuntimeError…
            raise self._damaged(error) from error
        if size > _LIMIT:
            raise DamagedDocument(f"{name}: unpacked it is larger than {_LIMIT >> 20} MiB")
        root = parse_xml(core) if core else None
        self.info = DocumentInfo(
            name=name,
            format="docx",
            title="" if root is None else " ".join((root.findtext("{*}title") or "").split()),
            author="" if root is None else " ".join((root.findtext("{*}creator") or "").split()),
            size=os.fstat(file.fileno()).st_size,
        )

    def passages(self) -> Iterator[Passage | Skipped]:
        """Raises DamagedDocument; EmptyInput after a document without text."""
        try:
            page, left_out = self._page()
        except Exception as error:
            raise self._damaged(error) from error
        letters = False
        place = Locator(document=self._index)
        for passage in page_passages(page, self._index):
            letters = letters or bool(passage.text.strip())
            place = passage.locator
            yield passage
        for name in left_out:
            yield Skipped(place, f"what is in its elements “{one_line(name)}” is not read")
        if not letters:
            raise EmptyInput(f"{self._name}: there is no text in this document")

    def _page(self) -> tuple[str, list[str]]:
        """As a page of HTML; and the elements whose text is not in it."""
        file: IO[bytes] = self._file
        page, unknown = "", set[str]()
        with ExitStack() as opened:
            for turn in range(_ROUNDS):
                simpler = simplified(file, unknown)
                if turn and simpler is None:
                    unknown &= _WITH_TEXT
                    break
                if simpler is not None:
                    file = opened.enter_context(simpler)
                page, unknown = _converted(file)
                if not unknown:
                    break
        return page, sorted(unknown)

    def _damaged(self, error: Exception) -> DamagedDocument:
        why = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        return DamagedDocument(
            f"{self._name}: it cannot be read as a Word document ({why})",
            "Open it in a word processor and save it anew, or as PDF.",
        )


def _converted(file: IO[bytes]) -> tuple[str, set[str]]:
    """A page of HTML; and the names of the elements that mammoth does not know."""
    import mammoth

    result = mammoth.convert_to_html(
        file,
        # Descriptions of pictures are kept, pictures are not.
        convert_image=mammoth.images.img_element(lambda image: {"src": ""}),
        include_embedded_style_map=False,
        style_map=_STYLES,
    )
    found = (_UNKNOWN.search(message.message) for message in result.messages)
    return result.value, {match.group(1) for match in found if match}
