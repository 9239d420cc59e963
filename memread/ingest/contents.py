"""The table of contents and the page list of an EPUB: where chapters and printed pages begin."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import unquote

from memread.ingest.markup import parse_xml
from memread.ingest.package import Archive, Package, Unreadable

_Find = Callable[[str], str | None]


class Target(NamedTuple):
    """`title` begins at `fragment` ("" for the start) of the file `path`."""

    path: str
    fragment: str
    title: str


class Contents(NamedTuple):
    chapters: list[Target]
    pages: list[Target]
    unread: str
    """Where they would be, and why that cannot be read; "" when nothing stands in the way."""


def read_contents(archive: Archive, package: Package) -> Contents:
    """From the navigation document, and what that lacks from the NCX. Never raises: a book can do without."""
    spine = frozenset(item.path for item in package.spine)

    def find(path: str) -> str | None:
        """The entry that `path` means; also of one that is missing, since its place in the order is known."""
        name = posixpath.normpath(unquote(path))
        return archive.find(path) or (name if name in spine else None)

    chapters: list[Target] = []
    pages: list[Target] = []
    unread: list[str] = []
    if package.nav:
        root = _parse(archive, package.nav, unread)
        chapters = list(_nav(root, package.nav, "toc", find))
        pages = list(_nav(root, package.nav, "page-list", find))
    if package.ncx:
        root = _parse(archive, package.ncx, unread)
        chapters = chapters or list(_ncx(root, package.ncx, "navPoint", find))
        pages = pages or list(_ncx(root, package.ncx, "pageTarget", find))
    return Contents(chapters, pages, unread[0] if unread else "")


def _nav(root: Any, path: str, kind: str, find: _Find) -> Iterator[Target]:
    if root is None:
        return
    navs = list(root.iter("{*}nav"))
    chosen = [nav for nav in navs if kind in _kinds(nav)]
    if not chosen and kind == "toc":  # one that forgot to say what it is
        chosen = [nav for nav in navs if not _kinds(nav)][:1]
    for nav in chosen[:1]:
        for link in nav.iter("{*}a"):
            title = "".join(link.itertext()) or link.get("title") or ""
            yield from _target(path, link.get("href"), title, find)


def _kinds(nav: Any) -> list[str]:
    role = {"doc-toc": "toc", "doc-pagelist": "page-list"}.get(nav.get("role", ""), "")
    return f"{nav.get('{http://www.idpf.org/2007/ops}type') or nav.get('type') or ''} {role}".split()


def _ncx(root: Any, path: str, element: str, find: _Find) -> Iterator[Target]:
    for point in [] if root is None else root.iter("{*}" + element):
        content, label = point.find("{*}content"), point.find("{*}navLabel")
        if content is not None and label is not None:
            yield from _target(path, content.get("src"), "".join(label.itertext()), find)


def _parse(archive: Archive, path: str, unread: list[str]) -> Any:
    try:
        root = parse_xml(archive.read(path))
    except Unreadable as error:
        unread.append(f"{path}: {error}")
        return None
    if root is None:
        unread.append(f"{path}: there is nothing in it")
    return root


def _target(base: str, href: str | None, title: str, find: _Find) -> Iterator[Target]:
    path, _, fragment = (href or "").partition("#")
    title = " ".join(title.split())
    entry = find(posixpath.join(posixpath.dirname(base), path)) if path else base
    if entry and title:
        yield Target(entry, unquote(fragment), title)
