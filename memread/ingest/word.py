"""Word's XML in elements that mammoth knows: what it does not know it leaves out, with the text in it."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Collection
from typing import IO, Any

from lxml import etree

from memread.ingest.formula import linear
from memread.ingest.numbering import Numbering

_IN_MEMORY = 64 << 20
"""Bytes of a document made anew; a larger one lies in a file meanwhile."""
_DOCUMENT, _NUMBERING, _STYLES = "word/document.xml", "word/numbering.xml", "word/styles.xml"
_SPACE = "{http://www.w3.org/XML/1998/namespace}space"


def simplified(file: IO[bytes], unknown: Collection[str] = ()) -> IO[bytes] | None:
    """The document `file` with its formulas and the numbers of its paragraphs as text, boxes that only newer
    versions show as paragraphs, and elements with one of the `unknown` names (without namespaces) replaced
    by what is in them. None where there is nothing of it. To be closed.

    Raises what zipfile raises.
    """
    changed: dict[str, bytes] = {}
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            if name.endswith(".xml"):
                numbering = _numbering(archive) if name == _DOCUMENT and not unknown else None
                if made := _part(archive.read(name), unknown, numbering):
                    changed[name] = made
        if not changed:
            return None
        target = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115
        with zipfile.ZipFile(target, "w") as written:
            for name in dict.fromkeys(archive.namelist()):
                written.writestr(name, changed.get(name) or archive.read(name))
    target.seek(0)
    return target


def _part(data: bytes, unknown: Collection[str], numbering: Numbering | None) -> bytes | None:
    wanted = (b"oMath", b"AlternateContent", *(name.encode() for name in unknown))
    if not numbering and not any(name in data for name in wanted):
        return None
    root = _root(data)
    if root is None:
        return None  # whoever reads it says what is wrong
    changed = [_simpler(element, root, unknown) for element in list(root.iter(etree.Element))]
    if numbering:
        changed.append(_numbered(root, numbering))
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True) if any(changed) else None


def _root(data: bytes) -> Any | None:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False)
    try:
        return etree.fromstring(data, parser)
    except (etree.LxmlError, ValueError):
        return None


def _numbering(archive: zipfile.ZipFile) -> Numbering | None:
    """What counts the paragraphs of a document; None where none is counted."""
    names = archive.namelist()
    numbering = _root(archive.read(_NUMBERING)) if _NUMBERING in names else None
    if numbering is None or numbering.find("{*}num") is None:
        return None
    return Numbering(numbering, _root(archive.read(_STYLES)) if _STYLES in names else None)


def _numbered(root: Any, numbering: Numbering) -> bool:
    """Whether any paragraph has its number as text now."""
    changed = False
    begins: Any = None
    for paragraph in root.iter(f"{{{etree.QName(root).namespace}}}p"):
        properties = paragraph.find("{*}pPr")
        begins = paragraph if begins is None else begins
        if properties is not None and properties.find("{*}rPr/{*}del") is not None:
            continue  # its end was deleted: the next one goes on in it
        first, begins = begins, None
        if any(_is(above, "Choice") for above in paragraph.iterancestors()):
            continue
        label = numbering.label(paragraph)
        if label is None:
            continue
        changed = True
        if properties is None:
            properties = _made(root, "pPr")
            paragraph.insert(0, properties)
        for own in properties.findall("{*}numPr"):
            properties.remove(own)
        # Of no list, whatever its style says.
        none = _made(root, "numPr", _made(root, "ilvl"), _made(root, "numId"))
        for child in none:
            child.set(f"{{{etree.QName(root).namespace}}}val", "0")
        properties.append(none)
        if label:
            place = 1 if len(first) and _is(first[0], "pPr") else 0
            first.insert(place, _run(root, f"{label} "))
    return changed


def _simpler(element: Any, root: Any, unknown: Collection[str]) -> bool:
    """Whether it was replaced."""
    name, parent = etree.QName(element).localname, element.getparent()
    if parent is None:
        return False
    if name == "oMath":
        _replace(element, [_run(root, linear(element))])
    elif name == "oMathPara":
        runs = [child for child in element if _is(child, "oMath", "r")]
        runs = [*runs[:1], *(each for run in runs[1:] for each in (_made(root, "r", _made(root, "br")), run))]
        if not _is(parent, "p"):
            runs = [_made(root, "p", *runs)]
        _replace(element, runs)
    elif name == "AlternateContent":
        choices = [child for child in element if _is(child, "Choice")]
        fallback = [child for child in element if _is(child, "Fallback")]
        boxes = choices[0].findall(".//{*}txbxContent") if choices else []
        if not _has_text(choices[:1]) or _has_text(fallback):
            return False
        _replace(element, boxes)
    elif name in unknown and _has_text([element]):
        if name == "rt":  # how East Asian characters are read
            element.insert(0, _run(root, "("))
            element.append(_run(root, ")"))
        if name == "ruby":
            element[:] = sorted(element, key=lambda child: _is(child, "rt"))
        _replace(element, list(element))
    else:
        return False
    return True


def _is(element: Any, *names: str) -> bool:
    return isinstance(element.tag, str) and etree.QName(element).localname in names


def _has_text(elements: list[Any]) -> bool:
    return any(text.text for element in elements for text in element.iter("{*}t"))


def _replace(element: Any, others: list[Any]) -> None:
    parent = element.getparent()
    place = parent.index(element)
    parent[place : place + 1] = others


def _run(root: Any, text: str) -> Any:
    said = _made(root, "t")
    said.text = text
    said.set(_SPACE, "preserve")
    return _made(root, "r", said)


def _made(root: Any, name: str, *children: Any) -> Any:
    made = etree.Element(f"{{{etree.QName(root).namespace}}}{name}")
    made.extend(children)
    return made
