"""Guesses how a reply goes on, from texts that it probably copies. Token ids only: no model, no I/O.

A rewritten memory is mostly the old one, and what is new in it is mostly quoted from the section. As in
prompt lookup decoding (llama.cpp's "n-gram" speculation), the place to copy from is the one that agrees with
the end of the reply; here it is also known which text is rewritten: copying starts with the first token.

A guess is a function of the texts and the reply alone, never of time: a reading that is resumed decodes in
the same batches as one that was not.
"""

from __future__ import annotations

from collections.abc import Sequence

_SURE = 16
"""From so many agreeing tokens on a guess is as long as it may be. A text that is rewritten counts, before
its first token, as if so many had agreed."""
_LEAST = 2
"""Tokens that must agree before anything is guessed: single ones agree by chance."""
_GROWTH = 2
"""Before that it is so many times as long as what agrees: a wrong one costs in proportion to what was won."""
_END = -1
"""Between two texts; no token has this id."""


class Copying:
    """What may be copied, and how far the reply agrees with it."""

    def __init__(self, rewritten: Sequence[int], quoted: Sequence[Sequence[int]], most: int) -> None:
        """rewritten: what the reply begins with, probably, and goes on with after a change. quoted: what else
        it may copy from. most: tokens of a guess, at most; 0 never guesses."""
        self._most = most
        self._known: list[int] = []
        self._rewritten = len(rewritten)
        self._after: dict[int, list[int]] = {}
        for text in (rewritten, *quoted) if most else ():
            self._known += [*text, _END]
        for place, token in enumerate(self._known):
            self._after.setdefault(token, []).append(place + 1)
        self._agreed = {0: _SURE}
        """Places in what is known → how many tokens before them are the last ones of the reply."""
        self._next = 0
        """Where copying from the rewritten text was last."""

    def extend(self, token: int) -> None:
        """The reply has one more token."""
        before = self._agreed
        self._agreed = {place: before.get(place - 1, 0) + 1 for place in self._after.get(token, ())}
        if (place := self._place()) is not None and place <= self._rewritten:
            self._next = place

    def guess(self, room: int) -> list[int]:
        """The tokens that probably come next; at most `room`, and none when nothing agrees.

        Asked before the first token, it is the beginning of what is rewritten.
        """
        place = self._place()
        if place is None:
            return []
        agreed = self._agreed[place]
        length = min(room, self._most, self._most if agreed >= _SURE else _GROWTH * agreed)
        guess = self._known[place : place + length]
        return guess[: guess.index(_END)] if _END in guess else guess

    def _place(self) -> int | None:
        """Where to copy from: where most agrees; of several places the next in the rewritten text."""
        places = [place for place, agreed in self._agreed.items() if agreed >= _LEAST]
        return max(places, key=self._rank, default=None)

    def _rank(self, place: int) -> tuple[bool, int, bool, int]:
        ended = place >= len(self._known) or self._known[place] == _END
        return not ended, self._agreed[place], place >= self._next, -place
