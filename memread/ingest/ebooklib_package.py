"""The package of an EPUB as EbookLib reads it. The only file that knows EbookLib.

EbookLib is under the AGPL-3.0: who cannot have that uninstalls it, and package.py reads the same (tested on
seven books). Its reader is fed with the package alone, repaired, since it dies of several things that occur.
"""

from __future__ import annotations

import posixpath
from typing import Any

from ebooklib import epub
from lxml import etree

from memread.ingest.markup import parse_xml
from memread.ingest.package import Archive, Item, Package, Unreadable, package_path

_OPF = "{http://www.idpf.org/2007/opf}"
_DC = "{http://purl.org/dc/elements/1.1/}"


class _Reader(epub.EpubReader):  # type: ignore[misc]
    """EbookLib's reader, fed with a repaired package and nothing else."""

    def __init__(self, archive: Archive) -> None:
        super().__init__(archive.name, {"ignore_ncx": True})
        self._archive = archive

    def load_package(self) -> epub.EpubBook:
        self.opf_file = package_path(self._archive)
        self.opf_dir = posixpath.dirname(self.opf_file)
        self._load_opf_file()
        return self.book

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
    copy = etree.SubElement(target, _DC + etree.QName(element).localname)
    copy.text = "".join(element.itertext())


def read_package(archive: Archive) -> Package:
    """Raises whatever EbookLib raises."""
    reader = _Reader(archive)
    book = reader.load_package()
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
