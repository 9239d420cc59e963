"""Bytes to text, as they arrive: marks, UTF-8, and a guess only where UTF-8 fails."""

from __future__ import annotations

import codecs
import re
import threading

from memread.ingest.sniff import BOMS, wide_encoding

_SAMPLE = 65536
"""Bytes that a guess is made from, at most."""

_HIGH = re.compile(rb"[\x80-\xff]")
_UTF8 = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")
_SURROGATE = re.compile("[\ud800-\udfff]")
_NO_TEXT = frozenset(("idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"))
"""Of Python's codecs, those that are for names and programs."""
_LATIN = re.compile(r"ascii|latin_1|cp125[02478]|cp437|cp775|cp85[0278]|iso8859_(?:[12349]|1[03456])")

_lost = threading.local()


def _count_lost(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    _lost.bytes = getattr(_lost, "bytes", 0) + error.end - error.start
    return "�", error.end


class Decoder:
    """Turns bytes into text and counts what it could not turn: `lost` bytes became U+FFFD.

    A byte order mark decides. Without one the text is UTF-8 until a byte is not. If UTF-8 letters were
    seen before, it is UTF-8 with damage; if all was ASCII, the encoding is guessed from what comes next.
    """

    def __init__(self, encoding: str | None = None) -> None:
        """encoding: what the document itself claims; ignored when unknown."""
        codecs.register_error("memread-count", _count_lost)
        self.lost = 0
        self.encoding = ""
        self._decoder: codecs.IncrementalDecoder | None = None
        self._settled = False
        self._letters = 0
        self._head = b""
        self._claim = encoding

    def decode(self, data: bytes, final: bool = False) -> str:
        """The text of the next bytes. final: no more come."""
        if self._decoder is None:
            data = self._head + data
            # Two to four bytes are needed to see a mark; only bytes that may begin one are held back.
            if not final and len(data) < 4 and any(bom.startswith(data) for bom, _ in BOMS):
                self._head = data
                return ""
            data = self._begin(data)
        if self._settled:
            return self._run(data, final)
        return self._unsettled(data, final)

    def _begin(self, data: bytes) -> bytes:
        encoding = wide_encoding(data)
        for bom, marked in BOMS:
            if data.startswith(bom):
                encoding = marked
                data = data[len(bom) :]
                break
        if encoding is None and self._claim:
            encoding = _text_encoding(self._claim)
            # A page cannot say in ASCII that it is UTF-16; and UTF-8 is better tried than believed.
            if encoding and encoding.startswith(("utf-16", "utf-32", "utf-8", "ascii")):
                encoding = None
            elif encoding in ("iso8859-1", "latin-1"):
                encoding = "cp1252"  # as browsers do: bytes 80 to 9F are quotes and dashes, not controls
        self._use(encoding or "utf-8", settled=encoding is not None)
        return data

    def _use(self, encoding: str, *, settled: bool) -> None:
        self.encoding = encoding
        self._settled = settled
        self._decoder = codecs.getincrementaldecoder(encoding)("memread-count" if settled else "strict")

    def _run(self, data: bytes, final: bool) -> str:
        assert self._decoder is not None
        _lost.bytes = 0
        text = self._decoder.decode(data, final)
        self.lost += _lost.bytes
        if self.encoding == "utf-7" and (halves := len(_SURROGATE.findall(text))):  # which it lets through
            self.lost += halves
            text = _SURROGATE.sub("\ufffd", text)
        return text

    def _unsettled(self, data: bytes, final: bool) -> str:
        """UTF-8, strictly; decides what to do about the first byte that is not."""
        assert self._decoder is not None
        pending = self._decoder.getstate()[0]
        try:
            text = self._decoder.decode(data, final)
        except UnicodeDecodeError:
            whole = pending + data
            self._use(self._guess(whole), settled=True)
            return self._run(whole, final)
        self._letters += not text.isascii()
        return text

    def _guess(self, data: bytes) -> str:
        if self._letters:
            return "utf-8"
        sample = data[:_SAMPLE]
        # A damaged letter or two among many that are UTF-8 do not change the encoding.
        high = len(_HIGH.findall(sample))
        good = sum(map(len, _UTF8.findall(sample)))
        if good > (4 if high >= 24 else 1) * (high - good):
            return "utf-8"
        # A statistical guess needs letters; a few accents among ASCII are Western European.
        if high < 24 and high < len(sample) / 8:
            return "cp1252"
        return _statistical_guess(sample) or "cp1252"


def _text_encoding(claim: str) -> str | None:
    """Python's name for an encoding of text; None for others: it also calls zlib and hex so."""
    try:
        codec = codecs.lookup(claim)
    except (LookupError, ValueError):
        return None
    name = codec.name.replace("_", "-")
    return codec.name if getattr(codec, "_is_text_encoding", True) and name not in _NO_TEXT else None


def _statistical_guess(sample: bytes) -> str | None:
    from charset_normalizer import from_bytes  # slow to import, seldom needed

    matches = [match for match in from_bytes(sample) if not match.encoding.startswith(("utf_", "mac_"))]
    if not matches:
        return None
    best = matches[0]
    for match in matches[:6]:
        # Statistics hardly tell the Latin alphabets apart; where it may be Western European, it mostly is.
        if "cp1252" in (match.encoding, *match.could_be_from_charset) and match.chaos <= best.chaos + 0.1:
            return "cp1252" if _LATIN.fullmatch(best.encoding) else best.encoding
    return best.encoding


def undecodable(lost: int) -> str:
    """What is said of so many bytes that could not be decoded."""
    return f"{lost:,} undecodable byte{'s' * (lost != 1)} in it, shown as �"


def sound(text: str) -> str:
    """`text` without halves of characters, which have no UTF-8 form: parsers make them of bytes, escapes."""
    return _SURROGATE.sub("\ufffd", text)
