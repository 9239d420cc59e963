"""The package of an EPUB: what is in it, in what order, and what it is called.

Chapters are read later, one at a time; a missing file is then a gap in the book rather than its end.
"""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import unquote

from memread.errors import DamagedDocument, DrmProtected
from memread.ingest.markup import parse_xml

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
        except MemoryError:
            raise
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


def read_package(archive: Archive) -> Package:
    """Raises DamagedDocument when there is no telling what the book consists of."""
    try:
        path = package_path(archive)
        root = parse_xml(archive.read(path))
    except Unreadable as error:
        raise damaged(archive.name, str(error)) from error
    if root is None:
        raise damaged(archive.name, "its package file is empty")
    items: dict[str, Item] = {}
    nav = ncx = None
    for entry in _children(root, "manifest", "item"):
        name, href = entry.get("id"), entry.get("href")
        if not name or not href:
            continue
        item = Item(
            posixpath.normpath(posixpath.join(posixpath.dirname(path), unquote(href))),
            entry.get("media-type", ""),
        )
        items.setdefault(name, item)
        if "nav" in entry.get("properties", "").split() and nav is None:
            nav = item.path
        if item.media_type == "application/x-dtbncx+xml" and ncx is None:
            ncx = item.path
    wanted = [reference.get("idref", "") for reference in _children(root, "spine", "itemref")]
    spine = [items.get(name, Item(name or "?", "missing")) for name in wanted]
    if not spine:  # better in the order of the manifest than not at all
        spine = [item for item in items.values() if item.is_text and item.path != nav]
    return Package(_metadata(root, "title"), _metadata(root, "creator"), spine, nav, ncx)


def package_path(archive: Archive) -> str:
    """The package file: the one that the container names, else any. Raises Unreadable."""
    root = parse_xml(archive.read(_CONTAINER)) if archive.find(_CONTAINER) else None
    named = [] if root is None else [file.get("full-path") or "" for file in root.iter("{*}rootfile")]
    fallback = [entry for entry in archive.names if entry.lower().endswith(".opf")]
    for path in (*named, *fallback):
        if path and (found := archive.find(path)):
            return found
    raise Unreadable("it has no package file")


def _children(root: Any, section: str, name: str) -> Iterator[Any]:
    """The elements called `name` in the first section of the package, in whatever namespace."""
    found = next(root.iter("{*}" + section), None)
    return iter(()) if found is None else found.iter("{*}" + name)


def _metadata(root: Any, name: str) -> str:
    """The values of a Dublin Core element, whose namespace is forgotten in some books."""
    values = (
        " ".join("".join(element.itertext()).split())
        for element in _children(root, "metadata", name)
        if "}" not in element.tag or element.tag.startswith("{http://purl.org/dc/")
    )
    return ", ".join(value for value in values if value)
