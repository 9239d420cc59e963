"""The package of an EPUB, read by EbookLib: what is in it, in what order, and what it is called.

EbookLib's reader is made to read only the package itself. Chapters are read later, one at a time; a missing
file is then a gap in the book rather than its end. Contents and page lists are parsed here, since EbookLib
dies of a navigation without a table of contents, and of several other things that occur.
"""

from __future__ import annotations

import posixpath
import zipfile
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import unquote

from ebooklib import epub

from memread.errors import DamagedDocument, DrmProtected
from memread.ingest.markup import parse_xml

_OPF = "{http://www.idpf.org/2007/opf}"
_DC = "{http://purl.org/dc/elements/1.1/}"
_CONTAINER = "META-INF/container.xml"
_ENTRY_LIMIT = 256 << 20
"""Bytes of one unpacked entry: more is not a chapter but an attack."""
# Scrambled fonts hinder no reading.
_FONT_ALGORITHMS = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")
_CHAPTER_TYPES = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml", "text/x-oeb1-document")
_CHAPTER_ENDINGS = (".xhtml", ".html", ".htm", ".xml")


class Item(NamedTuple):
    """A file of the book. `path` is its name in the archive."""

    path: str
    media_type: str

    @property
    def is_text(self) -> bool:
        """By its type, or, where that is odd, by its name."""
        if self.media_type.startswith(("image/", "font/", "audio/", "video/", "text/css")):
            return False
        return self.media_type in _CHAPTER_TYPES or self.path.lower().endswith(_CHAPTER_ENDINGS)


class Unreadable(Exception):
    """An entry of the archive that cannot be read; its text says why, in the middle of a sentence."""


class Package(NamedTuple):
    title: str
    author: str
    spine: list[Item]
    nav: str | None
    """The path of the navigation document (EPUB 3)."""
    ncx: str | None
    """The path of the older table of contents."""


class Archive:
    """The zip file. Reading is forgiving about names: percent-escapes, case, leading slashes."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        """Raises DamagedDocument, OSError."""
        self.name = name
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, zipfile.LargeZipFile, ValueError, NotImplementedError) as error:
            raise damaged(name, f"its zip archive cannot be opened ({error})") from error
        self.names = self._zip.namelist()
        self._by_name = {entry.lower(): entry for entry in reversed(self.names)}

    def find(self, path: str) -> str | None:
        """The entry that `path` means, or None."""
        for candidate in (path, unquote(path)):
            entry = self._by_name.get(posixpath.normpath(candidate).lstrip("/").lower())
            if entry is not None:
                return entry
        return None

    def size(self, path: str) -> int:
        """Bytes, unpacked; 0 when it is not there."""
        entry = self.find(path)
        return self._zip.getinfo(entry).file_size if entry else 0

    def read(self, path: str) -> bytes:
        """Raises Unreadable."""
        entry = self.find(path)
        if entry is None:
            raise Unreadable("it is listed but missing")
        if self.size(path) > _ENTRY_LIMIT:
            raise Unreadable(f"unpacked it is larger than {_ENTRY_LIMIT >> 20} MiB")
        try:
            return self._zip.read(entry)
        except RuntimeError as error:
            raise Unreadable("it is encrypted") from error
        except Exception as error:  # zlib.error, BadZipFile, EOFError, LZMAError, NotImplementedError…
            raise Unreadable(f"it is damaged ({error})") from error


def damaged(name: str, why: str) -> DamagedDocument:
    return DamagedDocument(f"{name}: {why}", "Get the book again; this copy is damaged.")


def refuse_drm(archive: Archive) -> None:
    """Raises DrmProtected for a book whose text is encrypted."""
    hint = "memread reads books without copy protection (DRM) only."
    licence = archive.find("META-INF/license.lcpl")
    if licence or archive.find("license.lcpl"):
        raise DrmProtected(f"{archive.name}: protected by Readium LCP", hint)
    scrambled = _encrypted(archive)
    if archive.find("META-INF/rights.xml") and scrambled:
        raise DrmProtected(f"{archive.name}: protected by Adobe ADEPT", hint)
    if archive.find("META-INF/sinf.xml"):
        raise DrmProtected(f"{archive.name}: protected by Apple FairPlay", hint)
    if scrambled:
        raise DrmProtected(f"{archive.name}: its text is encrypted ({scrambled})", hint)


def _encrypted(archive: Archive) -> str:
    """The first algorithm that something other than a font is encrypted with, or ""."""
    if not archive.find("META-INF/encryption.xml"):
        return ""
    try:
        root = parse_xml(archive.read("META-INF/encryption.xml"))
    except Unreadable:
        return ""
    for data in [] if root is None else root.iter("{*}EncryptedData"):
        method = data.find("{*}EncryptionMethod")
        algorithm = "" if method is None else method.get("Algorithm", "")
        if not algorithm.startswith(_FONT_ALGORITHMS):
            return algorithm.rpartition("#")[2] or "an unknown algorithm"
    return ""


class _Reader(epub.EpubReader):  # type: ignore[misc]
    """EbookLib's reader, fed with a repaired package and nothing else."""

    def __init__(self, archive: Archive) -> None:
        super().__init__(archive.name, {"ignore_ncx": True})
        self._archive = archive

    def load_package(self) -> epub.EpubBook:
        self.opf_file = self._package_path()
        self.opf_dir = posixpath.dirname(self.opf_file)
        self._load_opf_file()
        return self.book

    def _package_path(self) -> str:
        root = parse_xml(self._archive.read(_CONTAINER)) if self._archive.find(_CONTAINER) else None
        named = [] if root is None else [file.get("full-path") or "" for file in root.iter("{*}rootfile")]
        fallback = [entry for entry in self._archive.names if entry.lower().endswith(".opf")]
        for path in (*named, *fallback):
            if path and self._archive.find(path):
                return str(self._archive.find(path))
        raise Unreadable("it has no package file")

    def read_file(self, name: str) -> bytes:
        """The package, repaired; of everything else, nothing."""
        if posixpath.normpath(name) == posixpath.normpath(self.opf_file):
            return _repaired(self._archive.read(name))
        return b""

    def _parse_nav(self, *_: Any, **__: Any) -> None:
        pass

    def _parse_ncx(self, _: bytes) -> None:
        pass

    def _load_spine(self) -> None:
        # The original dies of a spine whose toc names an item that is not there.
        spine = self.container.find(f"{_OPF}spine")
        self.book.spine = [
            (item.get("idref"), item.get("linear", "yes")) for item in spine.iter(f"{_OPF}itemref")
        ]


def _repaired(data: bytes) -> bytes:
    """The package file as EbookLib expects it: in its namespace, with all sections, items with names."""
    from lxml import etree

    root = parse_xml(data)
    if root is None:
        raise Unreadable("its package file is empty")
    whole = etree.Element(f"{_OPF}package", dict(root.attrib), nsmap={None: _OPF[1:-1], "dc": _DC[1:-1]})
    for section in ("metadata", "manifest", "spine"):
        found = next(root.iter("{*}" + section), None)
        target = etree.SubElement(whole, _OPF + section, {} if found is None else dict(found.attrib))
        for element in [] if found is None else found.iterdescendants():
            if not isinstance(element.tag, str):
                continue
            if section == "metadata":
                if "}" not in element.tag or element.tag.startswith("{http://purl.org/dc/"):
                    _copy_metadata(target, element)
            elif section == "spine" or (element.get("id") and element.get("href")):
                etree.SubElement(target, _OPF + etree.QName(element).localname, dict(element.attrib))
    return bytes(etree.tostring(whole))


def _copy_metadata(target: Any, element: Any) -> None:
    from lxml import etree

    copy = etree.SubElement(target, _DC + etree.QName(element).localname)
    copy.text = "".join(element.itertext())


def read_package(archive: Archive) -> Package:
    """Raises DamagedDocument when there is no telling what the book consists of."""
    try:
        reader = _Reader(archive)
        book = reader.load_package()
    except Unreadable as error:
        raise damaged(archive.name, str(error)) from error
    except Exception as error:  # EbookLib lets through whatever lxml, zipfile and its own code raise
        raise damaged(
            archive.name, f"its package cannot be read ({type(error).__name__}: {error})"
        ) from error
    items: dict[str, Item] = {}
    nav = ncx = None
    for entry in book.get_items():
        path = posixpath.normpath(posixpath.join(reader.opf_dir, entry.file_name))
        item = Item(path, entry.media_type or "")
        items.setdefault(entry.id, item)
        if isinstance(entry, epub.EpubNav):
            nav = nav or path
        elif isinstance(entry, epub.EpubNcx):
            ncx = ncx or path
    spine = [items.get(idref or "", Item(idref or "?", "missing")) for idref, _ in book.spine]
    if not spine:  # better in the order of the manifest than not at all
        spine = [item for item in items.values() if item.is_text and item.path != nav]
    return Package(_metadata(book, "title"), _metadata(book, "creator"), spine, nav, ncx)


def _metadata(book: epub.EpubBook, name: str) -> str:
    values = (" ".join((value or "").split()) for value, _ in book.get_metadata("DC", name))
    return ", ".join(value for value in values if value)
