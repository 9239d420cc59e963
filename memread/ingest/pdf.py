"""PDF files, a page at a time."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

from msgspec.structs import replace
from pypdf import PasswordType, PdfReader, overwrite_configuration
from pypdf.errors import WrongPasswordError

from memread.errors import DamagedDocument, DrmProtected, InputError, NoTextLayer, PasswordNeeded
from memread.ingest.printed import unbroken
from memread.ingest.selection import Selection
from memread.ingest.selection import page as _shown_page
from memread.ingest.units import Begun, held_back, why
from memread.types import NO_TEXT_LAYER, DocumentInfo, Locator, Passage, Skipped

_OCR = "It is scanned and needs OCR: have its text recognised (ocrmypdf does it), and read the result."
CAPS: Final[dict[str, Any]] = {
    # Bytes that a stream may have, unpacked: a page of text has thousands.
    "maximum_declared_stream_length": 75_000_000,
    "array_based_stream_maximum_output_length": 75_000_000,
    "zlib_maximum_output_length": 75_000_000,
    "lzw_maximum_output_length": 75_000_000,
    "run_length_maximum_output_length": 75_000_000,
    "brotli_maximum_output_length": 75_000_000,
    "zlib_maximum_recovery_input_length": 5_000_000,
    "stream_decoding_work_maximum_length": 300_000_000,
    "stream_filters_maximum_length": 16,
    # Operators and operands of a page: maps have some hundred thousand.
    "stream_parsing_work_maximum_count": 2_000_000,
    "xform_maximum_invocations_per_extraction": 5_000,
    # Elements, entries, depths: of more than any file that was made to be read.
    "array_maximum_element_count": 100_000,
    "dictionary_maximum_element_count": 100_000,
    "page_tree_maximum_entries": 100_000,
    "page_tree_maximum_page_entries": 2_000_000,
    "page_tree_maximum_depth": 100,
    "outline_maximum_entries": 100_000,
    "outline_maximum_depth": 100,
    "named_destinations_maximum_entries": 100_000,
    "named_destinations_maximum_depth": 100,
    "xmp_maximum_input_length": 5_000_000,
    "xmp_maximum_element_count": 100_000,
    # No picture is decoded, and no program called for one.
    "image_maximum_buffer_size": 0,
    "jbig2_maximum_output_length": 0,
    "jbig2dec_binary": None,
}
"""What pypdf may do for one file, whatever its own defaults are. Beyond them a page is lost, or the file."""
_ROOT_TRIES: Final = 10_000
"""Objects that are looked at to find the root of a damaged file."""
_XREFS: Final = 2_000_000
"""Entries of a compressed table of objects."""
_MENDED: Final = 256 << 20
"""Bytes of a file whose missing end is made up for, since that takes memory for it all."""
_CATALOG: Final = re.compile(rb"(\d{1,10})\s{1,9}(\d{1,5})\s{1,9}obj\b[^>]{0,999}?/Type\s{0,9}/Catalog\b")
_FAILED = "reading this page failed"
_BROKEN = "Open it in a viewer and print it to a new PDF, or get it again."
_UNTEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
_GARBLED = re.compile("[\ufffd\ue000-\uf8ff\x00-\x08\x0e-\x1f]")


class PdfReading:
    """An open PDF. Text is as pypdf finds it on the page, its lines stay lines; but words are whole."""

    def __init__(
        self,
        file: BinaryIO,
        name: str,
        index: int = 0,
        password: str | None = None,
        selection: Selection | None = None,
    ) -> None:
        """file: read from until the passages end; not closed. selection: pages it does not hold are not
        extracted. Raises PasswordNeeded, DrmProtected, DamagedDocument, OSError; UsageError for no pages."""
        self._name, self._index, self._password = name, index, password
        self._file = file
        self._cut_off = False
        self._reader = self._open()
        try:
            self._count = len(self._reader.pages)
        except Exception as error:
            raise self._damaged(error) from error
        if not self._count:
            raise DamagedDocument(f"{name}: it has no pages", _BROKEN)
        # The reader is opened anew every so many pages, since it keeps every object it has read; less often
        # the longer the file, since opening walks through all pages (0.1 ms each).
        self._full = False
        """A page took all memory: what the reader keeps of it has to go."""
        self._renew = min(400, max(50, self._count // 8))
        self._labels = self._page_labels()
        self._numbers = self._chosen(selection)
        self._chapters = self._outline()
        title, author = self._metadata()
        self.info = DocumentInfo(
            name=name,
            format="pdf",
            title=title,
            author=author,
            pages=self._count,
            chapters=len(self._chapters) or None,
            size=os.fstat(file.fileno()).st_size,
        )

    def passages(self) -> Iterator[Passage | Skipped]:
        """A passage a page. Raises NoTextLayer or DamagedDocument after the last page if none had text."""
        return held_back(self.units())

    def units(self, start: Begun | None = None) -> Iterator[Passage | Skipped | Begun]:
        """As passages(), and a Begun before each page. start: go on with that page, or after it."""
        first = start.number + start.lost if start else 0
        written, failed = (start.written, start.failed) if start else (False, "")
        for done, number in enumerate(self._numbers[first:], first):
            place = self._place(number)
            yield Begun(done, place, written, failed)
            part = self._page(number, place, done + 1)
            if isinstance(part, Passage):
                if not written:
                    written = True
                    yield Begun(done, place, written, failed)
            elif _FAILED in part.reason:
                failed = failed or part.reason
            yield part
        if not written:
            if failed:
                raise DamagedDocument(f"{self._name}: none of its pages can be read ({failed})", _BROKEN)
            raise NoTextLayer(f"{self._name}: {_all(len(self._numbers))} text layer, only pictures", _OCR)

        if self._cut_off:
            place = Locator(document=self._index)
            yield Skipped(place, "the end of the file is missing, and maybe pages of it")

    def _page(self, number: int, place: Locator, done: int) -> Passage | Skipped:
        try:
            if self._full or (done > 1 and done % self._renew == 1):
                self._full = False
                self._reader.close()
                self._reader = self._open()
            page = self._reader.pages[number - 1]
            text = unbroken(_clean(page.extract_text()))
            if text and not _readable(text):
                return Skipped(place, "its text is garbled: a font does not say which letters it draws")
            if text:
                return Passage(text + "\n\n", place, done / len(self._numbers))
            return Skipped(place, _why_silent(page))
        except (
            Exception
        ) as error:  # a page may raise anything: pypdf's errors, but also KeyError, RecursionError
            self._full = isinstance(error, MemoryError)
            return Skipped(place, f"{_FAILED} ({_line(why(error))})")

    def _open(self) -> PdfReader:
        overwrite_configuration(**CAPS)
        try:
            source = self._file
            if self._cut_off:
                self._file.seek(0)
                source = io.BytesIO(_with_an_end(self._file.read()))
            source.seek(0)
            reader = PdfReader(
                source, root_object_recovery_limit=_ROOT_TRIES, xref_stream_maximum_entries=_XREFS
            )
            encryption = reader.trailer.get("/Encrypt")
        except NotImplementedError as error:
            raise self._foreign(error) from error
        except (OSError, InputError):
            raise
        except Exception as error:
            if self._cut_off or not self._lacks_end():
                raise self._damaged(error) from error
            self._cut_off = True
            return self._open()
        if encryption is not None:
            self._unlock(reader)
        return reader

    def _lacks_end(self) -> bool:
        """As of a download that broke off."""
        size = self._file.seek(0, os.SEEK_END)
        self._file.seek(max(0, size - 1024))
        return size <= _MENDED and b"%%EOF" not in self._file.read()

    def _unlock(self, reader: PdfReader) -> None:
        """The empty password first: many files are only locked against printing."""
        try:
            for password in ("", self._password or ""):
                if reader.decrypt(password) != PasswordType.NOT_DECRYPTED:
                    return
        except WrongPasswordError:
            pass
        except NotImplementedError as error:
            raise self._foreign(error) from error
        except Exception as error:
            raise self._damaged(error) from error
        if self._password:
            raise PasswordNeeded(
                f"{self._name}: the password is wrong", "Give the right one with --password."
            )
        raise PasswordNeeded(f"{self._name}: a password is needed to open it", "Give it with --password.")

    def _foreign(self, error: Exception) -> DrmProtected:
        return DrmProtected(
            f"{self._name}: protected by a scheme other than a password ({_brief(error)})",
            "memread reads documents without copy protection only.",
        )

    def _damaged(self, error: Exception) -> DamagedDocument:
        return DamagedDocument(f"{self._name}: it cannot be read as a PDF ({_brief(error)})", _BROKEN)

    def _chosen(self, selection: Selection | None) -> list[int]:
        """The pages to read, from 1."""
        numbers = range(1, self._count + 1)
        if selection is None or selection.kind != "pages":
            return list(numbers)
        found = [number for number in numbers if selection.holds_page(self._locate(number))]
        if not found:
            shown = [_shown_page(self._locate(number)) for number in (1, self._count)]
            raise selection.nothing(self._name, shown)
        return found

    def _locate(self, number: int) -> Locator:
        label = self._labels[number - 1] if number <= len(self._labels) else None
        return Locator(document=self._index, page=label or None, page_number=number)

    def _place(self, number: int) -> Locator:
        return replace(self._locate(number), chapter=self._chapter(number))

    def _chapter(self, number: int) -> str | None:
        """The first that begins on the page, since pages are as long as they are; else the last before it."""
        before = None
        for page, title in self._chapters:
            if page == number:
                return title
            if page > number:
                break
            before = title
        return before

    def _page_labels(self) -> list[str]:
        """What the pages call themselves; nothing if the file has no such numbers."""
        try:
            if "/PageLabels" not in self._reader.root_object:
                return []
            return [_line(label) for label in self._reader.page_labels]
        except Exception:  # labels are a convenience: physical numbers remain
            return []

    def _outline(self) -> list[tuple[int, str]]:
        """(page, title) of each entry that points into the document, by page."""
        found: list[tuple[int, str]] = []
        try:
            entries: list[Any] = list(reversed(self._reader.outline))
        except Exception:  # a broken outline is no reason not to read the text
            return []
        while entries:
            entry = entries.pop()
            if isinstance(entry, list):
                entries.extend(reversed(entry))
                continue
            try:
                page, title = self._reader.get_destination_page_number(entry), _line(entry.title or "")
            except Exception:  # nosec: this entry leads nowhere, the next one may not
                continue
            if page is not None and page >= 0 and title:
                found.append((page + 1, title))
        return sorted(found, key=lambda chapter: chapter[0])

    def _metadata(self) -> tuple[str, str]:
        try:
            data = self._reader.metadata
            return (_line(data.title or ""), _line(data.author or "")) if data else ("", "")
        except Exception:  # an unreadable title stops nobody from reading
            return "", ""


def _with_an_end(data: bytes) -> bytes:
    """A file whose end is missing, with one that has pypdf look for its objects itself."""
    trailer = b""
    if b"trailer" not in data[-2048:] and b"/Encrypt" not in data:
        for found in _CATALOG.finditer(data):
            trailer = b"\ntrailer\n<< /Root %s %s R >>" % found.groups()
    return data + trailer + b"\nstartxref\n0\n%%EOF\n"


def _clean(text: str) -> str:
    """Without control characters and lone surrogates (they cannot be UTF-8), and white space around it."""
    lines = (
        line.rstrip() for line in _UNTEXT.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).split("\n")
    )
    return "\n".join(lines).strip("\n ")


def _readable(text: str) -> bool:
    """Whether most letters are letters: a subset font without a Unicode map gives anything else."""
    return len(_GARBLED.findall(text)) <= len(text) // 4


def _why_silent(page: Any) -> str:
    """A picture of text and an empty page are different losses."""
    try:
        resources = page.get("/Resources", {}).get_object()
        objects = resources.get("/XObject", {}).get_object()
        if any(objects[key].get_object().get("/Subtype") in ("/Image", "/Form") for key in objects):
            return NO_TEXT_LAYER
        contents = page.get_contents()
        data = contents.get_data() if contents is not None else b""
        if re.search(rb"\bBI\b.*?\bID\b", data, re.S):
            return NO_TEXT_LAYER
        return "no text on this page" if data.strip() else "an empty page"
    except Exception:
        return "no text on this page"


def _all(count: int) -> str:
    return "its only page has no" if count == 1 else f"none of its {count:,} pages has a"


def _line(text: Any) -> str:
    return " ".join(_UNTEXT.sub("", str(text)).split())


def _brief(error: Exception) -> str:
    return _line(error)[:200] or type(error).__name__
