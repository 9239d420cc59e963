"""Plain text: notes, logs, Markdown, source code, whatever a pipe sends."""

from __future__ import annotations

from collections.abc import Iterator

from memread.errors import EmptyInput, FileUnreadable
from memread.ingest.decoding import Decoder
from memread.ingest.passages import PASSAGE, line_end
from memread.ingest.sources import Source
from memread.types import DocumentInfo, Locator, Passage, Skipped


class TextDocument:
    """A text, verbatim but for three things:

    - Bytes that are no text in its encoding become U+FFFD. They are counted.
    - NULs are left out and counted: no encoding of text writes them; crashed writers leave them in logs by
      the megabyte, and a model would read a segment of nothing.
    - Lone CRs of old Macs become line feeds, if its first lines end so. Else it would be one line of
      endless length, to the model and in every citation. CRLF stays.

    Lines are counted by line feeds, from 1.
    """

    def __init__(self, source: Source, info: DocumentInfo, index: int = 0, *, live: bool = False) -> None:
        """live: pass on what arrives at once, rather than filling passages."""
        self.info = info
        self._source = source
        self._index = index
        self._live = live
        self._nuls = 0

    def passages(self) -> Iterator[Passage | Skipped]:
        """Raises EmptyInput after a text that is nothing but white space, FileUnreadable."""
        line = 1
        empty = True
        decoder = Decoder()
        for text, fraction in self._pieces(decoder):
            empty = empty and not text.strip()
            yield Passage(text, Locator(document=self._index, line=line), fraction)
            line += text.count("\n")
        if self._source.cancelled:
            return
        end = Locator(document=self._index, line=line)
        if self._source.problem:
            yield Skipped(end, self._source.problem)
        if decoder.lost:
            yield Skipped(end, f"{_count(decoder.lost, 'undecodable byte')} in it, shown as �")
        if self._nuls:
            yield Skipped(end, f"{_count(self._nuls, 'NUL character')} in it, left out")
        if empty:
            raise EmptyInput(f"{self.info.name}: there is no text in it")

    def _pieces(self, decoder: Decoder) -> Iterator[tuple[str, float | None]]:
        """Text cut at line ends where there are any, and how much of the input it ends at."""
        waiting: list[str] = []
        length = 0
        final = mac = decided = False
        while not final:
            data = self._read()
            final = not data
            text = decoder.decode(data, final)
            if self._source.cancelled:
                return
            if "\x00" in text:
                self._nuls += text.count("\x00")
                text = text.replace("\x00", "")
            if not decided and "\r" in text[:-1]:
                decided, mac = True, "\n" not in text
            if mac:
                text = text.replace("\r", "\n")
            waiting.append(text)
            length += len(text)
            if length and (final or self._live or length >= PASSAGE):
                whole = "".join(waiting)
                cut = length if final or self._live else line_end(whole, 0, length)
                waiting, length = [whole[cut:]], length - cut
                yield whole[:cut], 1.0 if final and not self._live else self._source.fraction()

    def _read(self) -> bytes:
        try:
            return self._source.read()
        except OSError as error:
            raise FileUnreadable(f"{self.info.name}: {error.strerror or error}") from error

    def close(self) -> None:
        self._source.close()


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
