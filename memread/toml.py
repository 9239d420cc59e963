"""Where in a TOML text something is written: for errors that name the line.

Parsers give values without places. This finds the line of a key that a parser has already understood.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_KEY = r'(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|\'[^\']*\')'
_DOTTED = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_HEADER = re.compile(rf"\s*\[\[?\s*({_DOTTED})\s*\]\]?")
_ENTRY = re.compile(rf"\s*({_DOTTED})\s*=\s*(.*)")
_PART = re.compile(_KEY)
_QUOTES = ('"""', "'''")


def line_of(text: str, path: Sequence[str]) -> int | None:
    """The line, 1-based, that sets the key `path` (("budget", "segment")), or else its nearest table.

    None: not even its first part is written. In lists of tables the first counts.
    """
    wanted = tuple(path)
    best, depth = None, 0
    table: tuple[str, ...] = ()
    inside = ""
    for number, line in enumerate(text.splitlines(), 1):
        if inside:  # a text of several lines: what looks like a key in it is none
            if inside in line:
                inside = ""
            continue
        header, entry = _HEADER.match(line), _ENTRY.match(line)
        if header:
            place = table = _parts(header[1])
        elif entry:
            place = table + _parts(entry[1])
            inside = next(
                (quotes for quotes in _QUOTES if entry[2].startswith(quotes) and quotes not in entry[2][3:]),
                "",
            )
        else:
            continue
        shared = 0
        while shared < min(len(place), len(wanted)) and place[shared] == wanted[shared]:
            shared += 1
        # A longer key below the wanted one is the wanted one's place too: [a.b] for "a".
        if shared > depth and shared == min(len(place), len(wanted)):
            best, depth = number, shared
    return best


def _parts(dotted: str) -> tuple[str, ...]:
    found = []
    for key in _PART.findall(dotted):
        plain = key[1:-1] if key[0] in "\"'" else key
        found.append(plain)
    return tuple(found)
