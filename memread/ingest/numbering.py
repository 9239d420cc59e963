"""The numbers that Word shows before paragraphs: "4.2", "(a)", "§ 3". They stand nowhere in the text of a
document; Word counts them (ECMA-376, part 1, 17.9). What a contract says, it says of these."""

from __future__ import annotations

import re
from typing import Any

from lxml import etree

_DEEPEST = 9
"""Levels of a list."""
_LONGEST = 64
"""Characters of a label."""
_PLACE = re.compile(r"%([1-9])")
_ROMAN = [(1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl")]
_ROMAN += [(10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i")]


class Level:
    """One level of a list."""

    def __init__(self, element: Any) -> None:
        self.start = _whole(_value(element, "start"), 0)
        self.format = _value(element, "numFmt") or "decimal"
        self.text = (_value(element, "lvlText") or "")[:_LONGEST]
        self.legal = element.find("{*}isLgl") is not None
        restart = _value(element, "lvlRestart")
        self.restart = None if restart is None else _whole(restart, 0)
        """After a paragraph of this level, counted from 1, or of one above it; 0: never; None: any above."""
        self.style = _value(element, "pStyle")


class Numbering:
    """Counts through the paragraphs of a document."""

    def __init__(self, numbering: Any, styles: Any | None) -> None:
        """The roots of word/numbering.xml and word/styles.xml."""
        self._abstract: dict[str, dict[int, Level]] = {}
        self._linked: dict[str, str] = {}
        for each in numbering.findall("{*}abstractNum"):
            key = _attribute(each, "abstractNumId")
            self._abstract[key] = _levels(each)
            if link := _value(each, "numStyleLink"):
                self._linked[key] = link
        self._lists = {_attribute(each, "numId"): each for each in numbering.findall("{*}num")}
        found = () if styles is None else styles.findall("{*}style")
        self._styles = {_attribute(style, "styleId"): style for style in found}
        self._default = next((key for key, style in self._styles.items() if _is_default(style)), "")
        self._levels: dict[str, tuple[str, dict[int, Level], dict[int, int]]] = {}
        self._counts: dict[str, dict[int, int]] = {}
        """How far each abstract list has come, by its levels."""
        self._begun = set[str]()

    def label(self, paragraph: Any) -> str | None:
        """What Word shows before it, "" too; None for a bullet, or in no list. Ask it of each, in turn."""
        number, place = self._of(paragraph)
        if number is None:
            return None
        abstract, levels, starts = self._list(number)
        level = levels.get(place)
        if level is None:
            return None
        counts = self._counts.setdefault(abstract, {})
        if number not in self._begun:
            self._begun.add(number)
            for each in starts:
                counts.pop(each, None)
        for above in range(place):
            if above not in counts and above in levels:
                counts[above] = starts.get(above, levels[above].start)
        counts[place] = counts[place] + 1 if place in counts else starts.get(place, level.start)
        for deeper in [each for each in counts if each > place]:
            restart = levels[deeper].restart if deeper in levels else None
            if restart is None or (restart and place < restart):
                del counts[deeper]
        if level.format == "bullet":
            return None
        return self._shown(level, levels, counts)

    def _shown(self, level: Level, levels: dict[int, Level], counts: dict[int, int]) -> str:
        def number(found: re.Match[str]) -> str:
            place = int(found[1]) - 1
            if place not in counts or place not in levels:
                return ""
            return written(counts[place], "decimal" if level.legal else levels[place].format)

        return " ".join(_PLACE.sub(number, level.text).split())

    def _of(self, paragraph: Any) -> tuple[str | None, int]:
        """The list and the level of a paragraph: its own word, or that of its style."""
        properties = paragraph.find("{*}pPr")
        own = None if properties is None else properties.find("{*}numPr")
        number = None if own is None else _value(own, "numId")
        place = None if own is None else _value(own, "ilvl")
        style = (None if properties is None else _value(properties, "pStyle")) or self._default
        if number is None:
            number, inherited, style = self._of_style(style)
            place = inherited if place is None else place
            if number is not None:
                linked = (each for each, level in self._list(number)[1].items() if level.style == style)
                place = str(next(linked, place or 0))
        if number is None or number not in self._lists:
            return None, 0
        return number, min(_whole(place, 0), _DEEPEST - 1)

    def _of_style(self, name: str) -> tuple[str | None, str | None, str]:
        """Of a style or the one that it is based on: list, level, and which style says so."""
        seen = set[str]()
        while name in self._styles and name not in seen:
            seen.add(name)
            style = self._styles[name]
            found = style.find("{*}pPr/{*}numPr")
            if found is not None and (number := _value(found, "numId")) is not None:
                return number, _value(found, "ilvl"), name
            name = _value(style, "basedOn") or ""
        return None, None, ""

    def _list(self, number: str) -> tuple[str, dict[int, Level], dict[int, int]]:
        """Which abstract list it is, its levels, and where those begin that begin anew in it."""
        if number not in self._levels:
            self._levels[number] = self._found(number)
        return self._levels[number]

    def _found(self, number: str) -> tuple[str, dict[int, Level], dict[int, int]]:
        each = self._lists.get(number)
        if each is None:
            return "", {}, {}
        abstract = _value(each, "abstractNumId") or ""
        seen = set[str]()
        while abstract in self._linked and abstract not in seen:  # a list that a style describes
            seen.add(abstract)
            style = self._styles.get(self._linked[abstract])
            found = None if style is None else style.find("{*}pPr/{*}numPr")
            other = None if found is None else self._lists.get(_value(found, "numId") or "")
            abstract = abstract if other is None else _value(other, "abstractNumId") or ""
        levels = dict(self._abstract.get(abstract, {}))
        starts: dict[int, int] = {}
        for override in each.findall("{*}lvlOverride"):
            place = _whole(_attribute(override, "ilvl"), 0)
            levels |= _levels(override)
            if (start := _value(override, "startOverride")) is not None:
                starts[place] = _whole(start, 0)
        return abstract, levels, starts


def _levels(element: Any) -> dict[int, Level]:
    return {_whole(_attribute(each, "ilvl"), 0): Level(each) for each in element.findall("{*}lvl")}


def _is_default(style: Any) -> bool:
    return _attribute(style, "type") == "paragraph" and _attribute(style, "default") in ("1", "true", "on")


def _attribute(element: Any, name: str) -> str:
    return next((v for key, v in element.attrib.items() if etree.QName(key).localname == name), "")


def _value(element: Any, name: str) -> str | None:
    """The `val` of a child; None where there is none."""
    found = element.find(f"{{*}}{name}")
    return None if found is None else _attribute(found, "val")


def _whole(text: str | int | None, otherwise: int) -> int:
    return int(text) if text is not None and re.fullmatch(r"\d{1,6}", str(text)) else otherwise


def written(number: int, style: str) -> str:
    """`number` as Word's ST_NumberFormat says; in digits where it cannot be, or the style is not known."""
    match style if number > 0 or style == "none" else "decimal":
        case "decimalZero":
            return f"{number:02}"
        case "lowerLetter" | "upperLetter":  # z, aa, bb
            letter = (
                chr(ord("a") + (number - 1) % 26) * min((number - 1) // 26 + 1, _LONGEST) if number else ""
            )
            return letter.upper() if style == "upperLetter" else letter
        case "lowerRoman" | "upperRoman":
            return _roman(number) if style == "lowerRoman" else _roman(number).upper()
        case "ordinal":
            tens = number % 100 // 10 != 1
            return f"{number}{ ({1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') if tens else 'th') }"
        case "none":
            return ""
        case _:
            return str(number)


def _roman(number: int) -> str:
    if number > 3999:
        return str(number)
    text = ""
    for value, letters in _ROMAN:
        text += letters * (number // value)
        number %= value
    return text
