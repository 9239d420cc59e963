"""Formulas on one line: a fraction is no product and an exponent no factor, (a+b)/2 and x^2.

MathML (web pages, books) and Office MathML (Word) say the same in other elements: MathML tells the parts of
a fraction by their order, Office MathML by their names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol
from xml.etree.ElementTree import Element

from memread.ingest.elements import local


class Node(Protocol):
    """An element, of the standard library or of lxml."""

    tag: Any
    text: Any
    tail: Any

    @property
    def attrib(self) -> Mapping[str, str]: ...
    def __iter__(self) -> Iterator[Any]: ...
    def itertext(self) -> Iterator[Any]: ...


_INVISIBLE = re.compile("[\u2061-\u2064\u200b]")
"""Function application, invisible times, separator and plus: for typesetters."""
_SIMPLE = re.compile(r"[-−]?(?:\d+(?:[.,]\d+)?|[^\W\d_]|[^\W\d_]{3,})|[^\w\s]|√?[(][^()]*[)]")
"""What needs no parentheses: a number, a letter, a word, a sign, what has them. Two letters are a product."""
_RELATIONS = "=≠≈≡<>≤≥≪≫∈∉⊂⊆→⇒⇔↔∼≅∝"
_AFTER_COMMA = re.compile(rf", (?=\s*[{_RELATIONS}])")
_LAST = re.compile(r"[^\W\d_]{2}$|[\^_/√]")
_FIRST = re.compile(r"[^\W\d_]{2}|[^\W_]\S*[\^_/]")
_NEAR = 64
"""Characters of what stands before that are looked at."""
_PRIMES = frozenset("′″‴'")
_ACCENTS = {"¯": "\u0304", "‾": "\u0304", "^": "\u0302", "ˆ": "\u0302", "~": "\u0303", "˜": "\u0303"}
_ACCENTS |= {"→": "\u20d7", "⃗": "\u20d7", "˙": "\u0307", "¨": "\u0308", "\u0305": "\u0304"}
_NAMED: Mapping[str, tuple[str, ...]] = {
    "f": ("num", "den"),
    "ssup": ("e", "sup"),
    "ssub": ("e", "sub"),
    "ssubsup": ("e", "sub", "sup"),
    "spre": ("e", "sub", "sup"),
    "rad": ("e", "deg"),
    "nary": ("e", "sub", "sup"),
    "func": ("fname", "e"),
    "limlow": ("e", "lim"),
    "limupp": ("e", "lim"),
}
_LEFT_OUT = frozenset(("annotation", "annotation-xml", "mphantom"))


class Formula:
    """The tree of a formula while a parser tells it."""

    def __init__(self) -> None:
        self._open: list[tuple[int, Element]] = []
        self.root: Element = Element("math")

    def start(self, depth: int, tag: str, attributes: Mapping[str, str]) -> None:
        element = Element(tag, dict(attributes))
        if self._open:
            self._open[-1][1].append(element)
        else:
            self.root = element
        self._open.append((depth, element))

    def data(self, text: str) -> None:
        element = self._open[-1][1]
        if len(element):
            element[-1].tail = (element[-1].tail or "") + text
        else:
            element.text = (element.text or "") + text

    def end(self, depth: int) -> bool:
        """Whether the formula ends with the element at `depth`."""
        if self._open[-1][0] == depth:
            self._open.pop()
        return not self._open


def linear(node: Node) -> str:
    """The formula `node` as one line of text."""
    try:
        line = _text(node)
    except RecursionError:  # deeper than any formula: its letters, one after the other
        line = " ".join(node.itertext())
    return " ".join(line.split())


def _text(node: Node) -> str:
    tag = local(str(node.tag))
    if tag in _LEFT_OUT or tag.endswith("pr"):  # properties
        return ""
    if tag == "mspace":
        return " "
    children = _children(node)
    if not children:
        return _token(tag, node.text)
    made = _MADE.get(tag)
    if made is None:
        pieces = [_token(tag, node.text)]
        for child in children:
            pieces += [_text(child), _token(tag, child.tail)]
        return _joined(pieces)
    if named := _NAMED.get(tag):
        parts = [_joined([_text(c) for c in children if local(str(c.tag)) == name]) for name in named]
    else:
        parts = [_text(child) for child in children]
    return made([part.strip() for part in parts], node)


def _children(node: Node) -> list[Any]:
    """Without comments, and without properties."""
    return [child for child in node if isinstance(child.tag, str) and not local(child.tag).endswith("pr")]


def _token(tag: str, text: str | None) -> str:
    text = _INVISIBLE.sub("", text or "")
    if tag in ("mtext", "t"):
        return text
    text = " ".join(text.split())
    return f" {text} " if text and text in _RELATIONS else text


def _joined(parts: list[str]) -> str:
    """Side by side. No word, fraction or exponent runs into a letter or number beside it."""
    line = last = ""
    for part in filter(None, parts):
        meet = last[-1:].isalnum() or last.endswith(")")
        apart = meet and part[0].isalnum() and (_LAST.search(last[-_NEAR:]) or _FIRST.match(part))
        line += f" {part}" if apart else part
        last = part
    return line


def _grouped(text: str) -> str:
    return text if not text or _SIMPLE.fullmatch(text) else f"({text})"


def _scripts(base: str, below: str, above: str) -> str:
    raised = above if set(above) <= _PRIMES else f"^{_grouped(above)}"
    return _grouped(base) + (f"_{_grouped(below)}" if below else "") + raised


def _property(node: Node, name: str) -> str | None:
    """The value of one of Office MathML's properties; None where it is not said."""
    for properties in node:
        if isinstance(properties.tag, str) and local(properties.tag).endswith("pr"):
            for found in properties:
                if isinstance(found.tag, str) and local(found.tag) == name:
                    return next((value for key, value in found.attrib.items() if local(key) == "val"), "")
    return None


def _fraction(parts: list[str], node: Node) -> str:
    above, below = _first(parts, 2)
    if node.attrib.get("linethickness", "").startswith("0") or _property(node, "type") == "noBar":
        return f"{above} choose {below}"
    return f"{_grouped(above)}/{_grouped(below)}"


def _root(parts: list[str], node: Node) -> str:
    base, degree = _first(parts, 2)
    return f"√[{degree}]{_grouped(base)}" if degree else f"√{_grouped(base)}"


def _accented(base: str, accent: str) -> str:
    return base + _ACCENTS.get(accent, accent) if len(base) == 1 else f"{_grouped(base)}{accent}"


def _above(parts: list[str], node: Node) -> str:
    base, accent = _first(parts, 2)
    return _accented(base, accent) if accent in _ACCENTS else _scripts(base, "", accent)


def _nary(parts: list[str], node: Node) -> str:
    body, below, above = _first(parts, 3)
    sign = _property(node, "chr")
    return f"{_scripts('∫' if sign is None else sign, below, above)} {body}"


def _multiscripts(parts: list[str], node: Node) -> str:
    """A base, pairs of what is below and above after it, and such pairs before it."""
    tags = [local(child.tag) for child in _children(node)]
    turn = tags.index("mprescripts") if "mprescripts" in tags else len(parts)

    def pairs(found: list[str]) -> str:
        return "".join(_scripts("", *_first(found[at : at + 2], 2)) for at in range(0, len(found), 2))

    return pairs(parts[turn + 1 :]) + _grouped(parts[0]) + pairs(parts[1:turn])


def _delimited(parts: list[str], node: Node) -> str:
    opened, closed, between = (_property(node, name) for name in ("begchr", "endchr", "sepchr"))
    said = "|" if between is None else between
    return ("(" if opened is None else opened) + said.join(parts) + (")" if closed is None else closed)


def _fenced(parts: list[str], node: Node) -> str:
    between = "".join(node.attrib.get("separators", ",").split())[:1]
    line = f"{between} ".join(parts) if between else _joined(parts)
    return node.attrib.get("open", "(") + line + node.attrib.get("close", ")")


def _row(parts: list[str], node: Node) -> str:
    return _AFTER_COMMA.sub(" ", ", ".join(parts))


def _first(parts: list[str], count: int) -> list[str]:
    """So many, however few are there: a document may lack any."""
    return [*parts, "", "", ""][:count]


def _with(*places: int) -> Callable[[list[str], Node], str]:
    """Base, what is below and what is above, by their places among the parts; -1: none."""

    def made(parts: list[str], node: Node) -> str:
        found = [*_first(parts, 3), ""]
        base, below, above = (found[place] for place in places)
        return _scripts(base, below, above)

    return made


_MADE: Mapping[str, Callable[[list[str], Node], str]] = {
    "mfrac": _fraction,
    "f": _fraction,
    "msqrt": lambda parts, node: f"√{_grouped(_joined(parts))}",
    "mroot": _root,
    "rad": _root,
    "msup": _with(0, -1, 1),
    "ssup": _with(0, -1, 1),
    "msub": _with(0, 1, -1),
    "ssub": _with(0, 1, -1),
    "munder": _with(0, 1, -1),
    "limlow": _with(0, 1, -1),
    "mover": _above,
    "limupp": _above,
    "msubsup": _with(0, 1, 2),
    "ssubsup": _with(0, 1, 2),
    "munderover": _with(0, 1, 2),
    "spre": lambda parts, node: _scripts("", *parts[1:3]) + _grouped(parts[0]),
    "mmultiscripts": _multiscripts,
    "acc": lambda parts, node: _accented(_joined(parts), _property(node, "chr") or "^"),
    "bar": lambda parts, node: _accented(_joined(parts), "¯"),
    "func": lambda parts, node: _joined(parts),
    "nary": _nary,
    "d": _delimited,
    "mfenced": _fenced,
    "mtr": _row,
    "mlabeledtr": _row,
    "mr": _row,
    "mtable": lambda parts, node: "; ".join(parts),
    "m": lambda parts, node: "; ".join(parts),
    "eqarr": lambda parts, node: "; ".join(parts),
}
