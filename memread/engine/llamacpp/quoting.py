"""What a reply may say that is made of quotations. Bytes only: no model, no I/O.

Each line of such a reply is taken from a text word for word, from the beginning of a word to the end of one.
A title may stand before it: words of a text, and a colon. Runs of white space are one space. On its first
line the reply may say one of a few given words instead.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

_SPACES = frozenset(b" \t\v\f")
_BREAKS = frozenset(b"\n\r")
_SPACE, _COLON = 32, 58
_LETTERS = frozenset(range(0x80, 0x100)) | frozenset(
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
)
"""Bytes of words: of a letter that is not ASCII, every byte counts as one."""


@dataclass
class _Line:
    """Where in the texts the line may be, so far."""

    places: frozenset[int] | None = None
    """The places of its next byte; None at its beginning, where it may be at any word."""
    said: bool = False
    """Whether an earlier line has said something."""
    titled: bool = False
    after: int = 0
    """Of a title: 1 after its colon, 2 after the space that follows; else 0."""


class Quoting:
    """What the reply may go on with."""

    def __init__(self, words: Sequence[str], texts: Sequence[str]) -> None:
        """words: what the first line may say. texts: what any line may quote."""
        self._text = b"\0"
        self._words: list[int] = []
        self._word_ends: set[int] = set()
        for word in words:
            self._words.append(len(self._text))
            self._text += _encoded(word)
            self._word_ends.add(len(self._text))
            self._text += b"\0"
        first = len(self._text)
        self._text += b"\0".join(map(_encoded, texts)) + b"\0"
        text = self._text
        self._first = first
        self._starts: dict[int, list[int]] = {}
        """Byte → the places where a word, or what stands between two, begins with it."""
        for place in range(first, len(text)):
            if text[place] not in b"\0 " and _border(text, place):
                self._starts.setdefault(text[place], []).append(place)
        self._line = _Line()

    def fits(self, piece: bytes) -> bool:
        """Whether the reply may go on with these bytes."""
        return self._after(piece) is not None

    def continuations(self, longest: int) -> set[bytes]:
        """All bytes that it may go on with, up to so many; more of the same are left out where the text has
        white space of other lengths."""
        line, found = self._line, set[bytes]()
        places: Iterable[int] = line.places or ()
        if line.places is None or line.after == 2:
            starts = (place for some in self._starts.values() for place in some)
            places = itertools.chain(places, starts, () if line.said else self._words)
        for place in places:
            end = self._text.index(b"\0", place)
            found.update(self._text[place:stop] for stop in range(place + 1, min(end, place + longest) + 1))
        return {*found, *(piece for piece in (b"\n", b":", b" ") if self.fits(piece))}

    def extend(self, piece: bytes) -> None:
        """The reply has gone on with them; what does not fit leaves it where it was."""
        self._line = self._after(piece) or self._line

    def ends(self) -> bool:
        """Whether the reply may end here."""
        line = self._line
        return line.said if line.places is None else self._ended(line)

    def _after(self, piece: bytes) -> _Line | None:
        line = replace(self._line)
        return line if all(self._go_on(line, byte) for byte in piece) else None

    def _go_on(self, line: _Line, byte: int) -> bool:
        """Take one byte; False if it does not fit."""
        if not byte:  # it stands between texts
            return False
        if byte in _BREAKS:
            if line.places is not None:
                if not self._ended(line):
                    return False
                line.places, line.said, line.titled, line.after = None, True, False, 0
            return True
        if byte in _SPACES:
            byte = _SPACE
            if line.places is None:
                return True
        if line.places is None:
            places = {place + 1 for place in self._starts.get(byte, ())}
            if not line.said:
                places.update(word + 1 for word in self._words if self._text[word] == byte)
        else:
            # After a space a further one says nothing.
            if byte == _SPACE and any(self._text[place - 1] == _SPACE for place in line.places):
                return True
            places = {place + 1 for place in line.places if self._text[place] == byte}
            if line.after == 2 and byte != _SPACE:
                places.update(place + 1 for place in self._starts.get(byte, ()))
        titles = byte == _COLON and not line.titled and line.places is not None and self._ended(line)
        if line.after == 1 and byte == _SPACE:
            line.after = 2
        elif titles:
            line.titled, line.after = True, 1
        else:
            line.after = 0
        line.places = frozenset(places)
        return bool(places) or line.after > 0

    def _ended(self, line: _Line) -> bool:
        """Whether what it says so far ends with a word."""
        return any(
            place in self._word_ends or (place > self._first and _border(self._text, place))
            for place in line.places or ()
        )


def _encoded(text: str) -> bytes:
    return " ".join(text.split()).encode("utf-8", "surrogatepass").replace(b"\0", b" ")


def _border(text: bytes, place: int) -> bool:
    """Whether no word goes on from the byte before this place to the one at it."""
    return text[place] not in _LETTERS or text[place - 1] not in _LETTERS
