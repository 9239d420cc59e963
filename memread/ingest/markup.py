"""XHTML and HTML, parsed into a `Flow`. Nothing is fetched and no entity of a document is expanded."""

from __future__ import annotations

import re
from collections.abc import Container
from html.entities import html5
from itertools import islice

from lxml import etree

from memread.ingest.decoding import Decoder
from memread.ingest.flow import Flow

_DECLARATION = re.compile(rb"""^\s*<\?xml[^>]*?encoding\s*=\s*["']([\w.:-]+)""")
_META = re.compile(rb"""<meta[^>]+charset\s*=\s*["']?\s*([\w.:-]+)""", re.I)
_PROLOGUE = re.compile(r"<\?xml\b")
_DOCTYPE = re.compile(r"<!DOCTYPE\b[^\[>]*(?:\[.*?\]\s*)?>", re.I | re.S)
_DOCTYPE_START = re.compile(r"<!DOCTYPE\b", re.I)
_DOCTYPES = 8
"""Beginnings of one that are looked at: each may cost a look through the whole text."""
_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]*);")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")
_SELF_CLOSED = re.compile(
    r"<((?!(?:br|hr|img|meta|link|input|col|area|base|param|wbr)\b)[A-Za-z][\w:-]*)([^<>]*?)/>"
)
_BEGIN, _END = re.compile(r"<(?:\w+:)?(?:html|body)\b", re.I), re.compile(r"</(?:\w+:)?(?:html|body)\b", re.I)
_XML_ENTITIES = frozenset(("amp", "lt", "gt", "quot", "apos"))


def decode(data: bytes) -> tuple[str, int]:
    """The text of a document by its mark, its own word, or UTF-8; and how many bytes were not that."""
    decoder = Decoder(claimed_encoding(data))
    return decoder.decode(data, final=True), decoder.lost


def claimed_encoding(head: bytes) -> str | None:
    """What an XML declaration or a meta element says."""
    found = _DECLARATION.search(head[:1024]) or _META.search(head[:4096])
    return found.group(1).decode("ascii") if found else None


def parse_xhtml(text: str, anchors: Container[str] = ()) -> Flow:
    """The text of an XHTML document, however broken it is.

    Well-formed XML is read as such. What is not is read as a browser reads HTML, unless XML's rules for
    broken documents find much more text: they stop at some errors and take attributes for text, but know
    that an element may close itself. One that breaks off is not well-formed: `Flow.breaks_off`.
    """
    clean = without_entities(text)
    try:
        return _parse(clean, etree.XMLParser, Flow(anchors), recover=False)
    except etree.LxmlError:
        page = _parse(_SELF_CLOSED.sub(r"<\1\2></\1>", clean), etree.HTMLParser, Flow(anchors), recover=True)
        xml = _parse(clean, etree.XMLParser, Flow(anchors), recover=True)
        flow = xml if xml.letters > 1.2 * page.letters + 20 else page
        flow.breaks_off = bool(_BEGIN.search(clean)) and not _END.search(clean)
        return flow


def parse_xml(data: bytes) -> etree._Element | None:
    """The root of a small XML file (package, contents); None when there is nothing in it."""
    text = without_entities(decode(data)[0])
    parser = etree.XMLParser(
        recover=True,
        resolve_entities=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        return etree.fromstring(text, parser)
    except (etree.LxmlError, ValueError):
        return None


def html_parser(flow: Flow) -> etree.HTMLParser:
    """A parser to feed with pieces of a page; close() it at the end."""
    return etree.HTMLParser(
        target=flow, no_network=True, huge_tree=False, remove_comments=True, remove_pis=True
    )


def _parse(text: str, parser_class: type, flow: Flow, *, recover: bool) -> Flow:
    options = {} if parser_class is etree.HTMLParser else {"resolve_entities": False}
    parser = parser_class(
        target=flow,
        recover=recover,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
        **options,
    )
    try:
        if text.strip():
            parser.feed(text)
            parser.close()
    except (etree.LxmlError, AssertionError):
        if not recover:
            raise
    return flow.close()


def without_entities(text: str) -> str:
    """Neither declarations of entities nor, but for XML's own five, references: so none can be expanded."""
    text = _CONTROL.sub("", text)
    text = _without_doctype(_without_prologue(text)).lstrip()

    def character(found: re.Match[str]) -> str:
        name = found.group(1)
        if name in _XML_ENTITIES:
            return found.group()
        return html5.get(name + ";", f"&amp;{name};")

    return _ENTITY.sub(character, text)


# Not one pattern each: where a hostile text begins many of these and ends none, that would look through the
# rest of the text at every beginning.


def _without_prologue(text: str) -> str:
    start = _PROLOGUE.search(text)
    end = text.find("?>", start.end()) if start else -1
    return text[: start.start()] + text[end + 2 :] if start and end >= 0 else text


def _without_doctype(text: str) -> str:
    for start in islice(_DOCTYPE_START.finditer(text), _DOCTYPES):
        if found := _DOCTYPE.match(text, start.start()):
            return text[: found.start()] + text[found.end() :]
    return text
