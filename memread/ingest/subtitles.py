"""Subtitles and transcripts (.srt, .vtt).

Read here, since the parsers at hand take a last line that is a number for the next cue's, and notes and names
of cues for what was said: text that is lost, or was never spoken.
"""

from __future__ import annotations

import html
import os
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import BinaryIO

from memread.errors import DamagedDocument, EmptyInput
from memread.ingest.decoding import Decoder, undecodable
from memread.types import DocumentInfo, Locator, Passage, Skipped

_LIMIT = 256 << 20
_TIME = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})(?:[.,:]\d{1,3})?"
_TIMING = re.compile(rf"\s{{0,20}}{_TIME}\s{{0,20}}-{{1,3}}>\s{{0,20}}\d[\d:.,]{{0,20}}(?:\s.{{0,500}})?")
_ASIDE = re.compile(r"(?:NOTE|STYLE|REGION)(?:\s|$)")
_VOICE = re.compile(r"<v(?:\.[^\s<>]{0,99})?[ \t]([^<>\n]{1,200})>")
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,200}>|<\d\d:[\d:.]{1,20}>|\{\\[^{}]{0,200}\}")


class SubtitlesReading:
    """What was said, without the times: they are the places. A line a cue; speakers as "Name: "."""

    def __init__(self, file: BinaryIO, name: str, index: int = 0) -> None:
        """file: read now; not closed. Raises DamagedDocument, OSError."""
        self._name, self._index = name, index
        size = os.fstat(file.fileno()).st_size
        if size > _LIMIT:
            raise DamagedDocument(f"{name}: it is larger than {_LIMIT >> 20} MiB")
        decoder = Decoder()
        text = _VOICE.sub(r"\1: ", decoder.decode(file.read(), final=True))
        self._lost = decoder.lost
        vtt = text.lstrip("\ufeff").startswith("WEBVTT")
        self._cues = [(start, lines) for start, said in _cues(text, vtt) if (lines := _lines(said, vtt))]
        self.info = DocumentInfo(name=name, format="subtitles", size=size)

    def passages(self) -> Iterator[Passage | Skipped]:
        """A passage a cue. Raises EmptyInput for none."""
        if not self._cues:
            raise EmptyInput(f"{self._name}: nothing is said in these subtitles")
        rolling = _rolling([lines for _, lines in self._cues])
        before: list[str] = []
        place = Locator(document=self._index)
        for number, (start, lines) in enumerate(self._cues, 1):
            fresh = lines[_repeated(before, lines) :] if rolling else lines
            before = lines
            if fresh:
                place = Locator(document=self._index, at=_time(start))
                yield Passage("\n".join(fresh) + "\n", place, number / len(self._cues))
        if self._lost:
            yield Skipped(place, undecodable(self._lost))


def _cues(text: str, vtt: bool) -> Iterator[tuple[int, list[str]]]:
    """(seconds, lines) of each cue: all from below its times to the next times, but for that one's name or
    number, and in WebVTT for notes and styles."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    times = [(at, match) for at, line in enumerate(lines) if (match := _TIMING.fullmatch(line))]
    ends = [*(at for at, _ in times[1:]), len(lines)]
    for (at, match), end in zip(times, ends, strict=False):  # of no cue there is an end too
        hours, minutes, seconds = (int(each or 0) for each in match.groups())
        said = lines[at + 1 : end]
        if end < len(lines) and said:
            alone = len(said) == 1 or not said[-2].strip()
            if said[-1].strip().isdecimal() or (vtt and alone):
                said.pop()
        yield 3600 * hours + 60 * minutes + seconds, _spoken(said) if vtt else said


def _spoken(lines: list[str]) -> list[str]:
    """`lines` without the blocks that are notes, styles or regions."""
    spoken: list[str] = []
    aside, begins = False, False
    for line in lines:
        blank = not line.strip()
        aside = not blank and (aside or (begins and _ASIDE.match(line) is not None))
        begins = blank
        if not aside:
            spoken.append(line)
    return spoken


def _lines(said: list[str], vtt: bool) -> list[str]:
    """Without tags, and of WebVTT with what its references stand for."""
    text = "\n".join(said).replace("\\N", "\n").replace("\\h", " ")
    plain = (_TAG.sub("", raw) for raw in text.split("\n"))
    return [line for raw in plain if (line := " ".join((html.unescape(raw) if vtt else raw).split()))]


def _rolling(cues: list[list[str]]) -> bool:
    """Whether cues repeat the lines before them, as captions do that scroll up: read once they are enough."""
    repeats = sum(_repeated(before, lines) > 0 for before, lines in pairwise(cues))
    return len(cues) > 4 and repeats > len(cues) // 3


def _repeated(before: list[str], lines: list[str]) -> int:
    """How many of the first lines are the last of the cue before."""
    for count in range(min(len(before), len(lines)), 0, -1):
        if before[-count:] == lines[:count]:
            return count
    return 0


def _time(seconds: int) -> str:
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
