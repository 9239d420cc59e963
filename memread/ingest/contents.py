"""The table of contents and the page list of an EPUB: where chapters and printed pages begin."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote

from memread.ingest.markup import parse_xml
from memread.ingest.package import Archive, Package, Unreadable


class Target(NamedTuple):
    """`title` begins at `fragment` ("" for the start) of the file `path`."""

    path: str
    fragment: str
    title: str


class Contents(NamedTuple):
    chapters: list[Target]
    pages: list[Target]


def read_contents(archive: Archive, package: Package) -> Contents:
    """From the navigation document, and what that lacks from the NCX. Never raises: a book can do without."""
    chapters: list[Target] = []
    pages: list[Target] = []
    if package.nav:
        chapters = list(_nav(archive, package.nav, "toc"))
        pages = list(_nav(archive, package.nav, "page-list"))
    if package.ncx:
        chapters = chapters or list(_ncx(archive, package.ncx, "navPoint"))
        pages = pages or list(_ncx(archive, package.ncx, "pageTarget"))
    return Contents(chapters, pages)


def _nav(archive: Archive, path: str, kind: str) -> Iterator[Target]:
    root = _parse(archive, path)
    if root is None:
        return
    navs = list(root.iter("{*}nav"))
    chosen = [nav for nav in navs if kind in _kinds(nav)]
    if not chosen and kind == "toc":  # one that forgot to say what it is
        chosen = [nav for nav in navs if not _kinds(nav)][:1]
    for nav in chosen[:1]:
        for link in nav.iter("{*}a"):
            yield from _target(
                archive, path, link.get("href"), "".join(link.itertext()) or link.get("title") or ""
            )


def _kinds(nav: Any) -> list[str]:
    role = {"doc-toc": "toc", "doc-pagelist": "page-list"}.get(nav.get("role", ""), "")
    return f"{nav.get('{http://www.idpf.org/2007/ops}type') or nav.get('type') or ''} {role}".split()


def _ncx(archive: Archive, path: str, element: str) -> Iterator[Target]:
    root = _parse(archive, path)
    for point in [] if root is None else root.iter("{*}" + element):
        content, label = point.find("{*}content"), point.find("{*}navLabel")
        if content is not None and label is not None:
            yield from _target(archive, path, content.get("src"), "".join(label.itertext()))


def _parse(archive: Archive, path: str) -> Any:
    try:
        return parse_xml(archive.read(path))
    except Unreadable:
        return None


def _target(archive: Archive, base: str, href: str | None, title: str) -> Iterator[Target]:
    path, _, fragment = (href or "").partition("#")
    title = " ".join(title.split())
    entry = archive.find(posixpath.join(posixpath.dirname(base), path)) if path else base
    if entry and title:
        yield Target(entry, unquote(fragment), title)
