"""Subtitles and transcripts (.srt, .vtt), through pysubs2."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import BinaryIO

from memread.errors import DamagedDocument, EmptyInput
from memread.ingest.decoding import Decoder
from memread.ingest.docx import missing_package
from memread.types import DocumentInfo, Locator, Passage, Skipped

_LIMIT = 256 << 20
_VOICE = re.compile(r"<v(?:\.[^\s<>]{0,99})?[ \t]([^<>\n]{1,200})>")
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,200}>|<\d\d:[\d:.]{1,20}>|\{\\[^{}]{0,200}\}")


class SubtitlesReading:
    """What was said, without the times: they are the places. A line a cue; speakers as "Name: "."""

    def __init__(self, file: BinaryIO, name: str, index: int = 0) -> None:
        """file: read now; not closed. Raises DamagedDocument, FileUnreadable (no pysubs2), OSError."""
        self._name, self._index = name, index
        try:
            from pysubs2 import SSAFile
        except ImportError as error:
            raise missing_package(name, "subtitles", "pysubs2") from error
        size = os.fstat(file.fileno()).st_size
        if size > _LIMIT:
            raise DamagedDocument(f"{name}: it is larger than {_LIMIT >> 20} MiB")
        decoder = Decoder()
        text = _VOICE.sub(r"\1: ", decoder.decode(file.read(), final=True))
        self._lost = decoder.lost
        kind = "vtt" if text.lstrip("\ufeff").startswith("WEBVTT") else "srt"
        try:
            cues = SSAFile.from_string(text, format_=kind, keep_html_tags=True)
        except Exception as error:
            raise DamagedDocument(f"{name}: it cannot be read as subtitles ({error})") from error
        self._cues = [(cue.start, lines) for cue in cues if (lines := _lines(cue.text))]
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
            yield Skipped(
                place, f"{self._lost:,} undecodable byte{'s' * (self._lost != 1)} in it, shown as �"
            )


def _lines(text: str) -> list[str]:
    """Without tags. They are taken out here: pysubs2's own patterns take hours over a hostile line."""
    text = text.replace("\\N", "\n").replace("\\h", " ")
    return [line for raw in text.split("\n") if (line := " ".join(_TAG.sub("", raw).split()))]


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


def _time(milliseconds: int) -> str:
    seconds = max(0, milliseconds) // 1000
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
