"""Word documents (.docx), through mammoth: styles become headings, lists, tables and notes."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from typing import BinaryIO

from memread.errors import DamagedDocument, EmptyInput, FileUnreadable
from memread.ingest.html import page_passages
from memread.ingest.markup import parse_xml
from memread.types import DocumentInfo, Passage, Skipped

_LIMIT = 512 << 20
"""Bytes of all that is read, unpacked: more is not a document but an attack."""
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
        import mammoth

        try:
            result = mammoth.convert_to_html(
                self._file,
                # Descriptions of pictures are kept, pictures are not.
                convert_image=mammoth.images.img_element(lambda image: {"src": ""}),
                include_embedded_style_map=False,
                style_map=_STYLES,
            )
        except Exception as error:
            raise self._damaged(error) from error
        letters = False
        for passage in page_passages(result.value, self._index):
            letters = letters or bool(passage.text.strip())
            yield passage
        if not letters:
            raise EmptyInput(f"{self._name}: there is no text in this document")

    def _damaged(self, error: Exception) -> DamagedDocument:
        why = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        return DamagedDocument(
            f"{self._name}: it cannot be read as a Word document ({why})",
            "Open it in a word processor and save it anew, or as PDF.",
        )
