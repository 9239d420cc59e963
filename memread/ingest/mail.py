"""Mail: one message (.eml), or many in one file (mbox)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import BinaryIO, cast

from memread.errors import DamagedDocument, EmptyInput
from memread.ingest.decoding import Decoder, sound, undecodable
from memread.ingest.html import page_passages
from memread.ingest.units import Begun, held_back, why
from memread.types import DocumentInfo, Locator, Passage, Skipped

_LIMIT = 256 << 20
"""Bytes of one message, attachments included."""
_DEPTH = 8
"""Messages forwarded inside messages."""
# Here and in the other patterns nothing is repeated without a bound behind another repetition: a hostile line
# of a megabyte would take hours.
_FROM = re.compile(rb"From \S+[ \t].{0,80}?\d\d:\d\d")
_FIELD = re.compile(rb"[!-9;-~]{1,200}:|>From ")
_HEADER = 8000
"""Characters of one header: Python's parser of addresses takes time that grows with their square."""
_HEADERS = ("From", "To", "Cc", "Date", "Subject")


class MailReading:
    """An open mail or mbox. Subjects are the chapters; attachments are named, and not read."""

    def __init__(self, file: BinaryIO, name: str, index: int = 0) -> None:
        """file: read from until the passages end; not closed. Raises DamagedDocument, OSError."""
        self._file, self._name, self._index = file, name, index
        self._size = os.fstat(file.fileno()).st_size
        self._box = file.read(5) == b"From "
        file.seek(0)
        title = author = ""
        if not self._box:
            message = _parsed(file.read(64 << 10))
            title, author = _header(message, "Subject"), _header(message, "From")
            file.seek(0)
        self.info = DocumentInfo(name=name, format="mail", title=title, author=author, size=self._size)

    def passages(self) -> Iterator[Passage | Skipped]:
        """Raises EmptyInput after mail without any text."""
        return held_back(self.units())

    def units(self, start: Begun | None = None) -> Iterator[Passage | Skipped | Begun]:
        """As passages(), and a Begun before each message. start: go on with that message, or after it."""
        begun = start or Begun(0, Locator(document=self._index))
        written = begun.written
        for number, (data, end) in enumerate(self._messages(), 1):
            if number < begun.number + begun.lost:
                continue
            at = f"message {number}" if self._box else None
            place = Locator(document=self._index, at=at)
            if self._box:
                yield Begun(number, place, written)
            if data is None:
                yield Skipped(place, f"this message is larger than {_LIMIT >> 20} MiB")
                continue
            for part in self._message(data, at, end / max(1, self._size)):
                if isinstance(part, Passage) and not written:
                    written = True
                    yield Begun(number, place, written)
                yield part
        if not written:
            raise EmptyInput(f"{self._name}: there is no text in this mail")

    def _messages(self) -> Iterator[tuple[bytes | None, int]]:
        """Each message, and the offset it ends at; None for one that is too long."""
        if not self._box:
            data = self._file.read(_LIMIT + 1)
            yield (data if len(data) <= _LIMIT else None), self._size
            return
        lines: list[bytes] = []
        length = offset = 0
        blank = True
        for line in iter(lambda: self._file.readline(1 << 20), b""):
            # A "From " in a text begins no message: with a time, between an empty line and a header, it does.
            if blank and _FROM.match(line) and self._header_follows():
                if offset:
                    yield (b"".join(lines) if length <= _LIMIT else None), offset
                lines, length = [], 0
            else:
                length += len(line)
                if length <= _LIMIT:
                    lines.append(line[1:] if re.match(rb">+From ", line) else line)
            offset += len(line)
            blank = not line.strip(b"\r\n")
        yield (b"".join(lines) if length <= _LIMIT else None), offset

    def _header_follows(self) -> bool:
        here = self._file.tell()
        line = self._file.readline(1 << 10)
        self._file.seek(here)
        return _FIELD.match(line) is not None

    def _message(self, data: bytes, at: str | None, fraction: float) -> Iterator[Passage | Skipped]:
        try:
            text, problems, subject = _text(_parsed(data), 0)
        except Exception as error:  # the parser of headers raises whatever a hostile one provokes
            if not self._box:
                raise DamagedDocument(f"{self._name}: it cannot be read as mail ({why(error)})") from error
            yield Skipped(Locator(document=self._index, at=at), f"it cannot be read ({why(error)})")
            return
        place = Locator(document=self._index, at=at, chapter=subject or None)
        if text.strip():
            yield Passage(text + "\n\n", place, min(1.0, fraction))
        for problem in problems:
            yield Skipped(place, problem)


class _Policy(policy.EmailPolicy):
    def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
        name, value = super().header_source_parse(sourcelines)
        return name, value[:_HEADER]


def _parsed(data: bytes) -> EmailMessage:
    return message_from_bytes(data, policy=cast("policy.Policy[EmailMessage]", _Policy()))


def _text(message: EmailMessage, depth: int) -> tuple[str, list[str], str]:
    """(headers and body, what was not read, subject)."""
    problems: list[str] = []
    headers = [f"{name}: {value}" for name in _HEADERS if (value := _header(message, name))]
    for name, value in message.raw_items():
        if name.title() in _HEADERS and len(value) >= _HEADER:
            problems.append(f"the header {name.title()} goes on after its first {_HEADER:,} characters")
    pieces = ["\n".join(headers)]
    pieces += _pieces(message, depth, problems, whole=True)
    return "\n\n".join(piece for piece in pieces if piece.strip()), problems, _header(message, "Subject")


def _pieces(part: EmailMessage, depth: int, problems: list[str], whole: bool = False) -> list[str]:
    """The texts of `part`, in order. Whatever else it holds is said in `problems`. whole: it is the message
    itself, which is read though it calls itself an attachment."""
    kind, inner = part.get_content_type(), part.get_payload()
    if kind == "message/rfc822" and isinstance(inner, list) and inner and depth < _DEPTH:
        text, more, _ = _text(cast(EmailMessage, inner[0]), depth + 1)
        problems.extend(more)
        return [f"[Attached message]\n\n{text}"]
    if part.get_content_maintype() == "multipart":
        if not isinstance(inner, list):  # its boundary is missing, or another one
            return [_content(part, problems)]
        parts = cast(list[EmailMessage], inner)
        if kind == "multipart/alternative":
            return _alternative(parts, depth, problems)
        return [piece for each in parts for piece in _pieces(each, depth, problems)]
    if part.get_content_maintype() == "text" and (whole or not part.is_attachment()):
        return [_content(part, problems)]
    problems.append(_unread(part))
    return []


def _alternative(parts: list[EmailMessage], depth: int, problems: list[str]) -> list[str]:
    """The first of several forms of one text that has any, plain text before others. Of the rest what is
    attached is said in `problems`."""
    chosen: list[str] = []
    for part in sorted(parts, key=lambda each: each.get_content_type() != "text/plain"):
        if not chosen:
            own: list[str] = []
            chosen = [piece for piece in _pieces(part, depth, own) if piece.strip()]
            problems += own
        else:
            problems += [_unread(each) for each in part.walk() if each.is_attachment()]
    return chosen


def _unread(part: EmailMessage) -> str:
    name = " ".join(sound(part.get_filename() or "without a name").split())[:120]
    return f"the attachment {name} ({sound(part.get_content_type())}) is not read"


def _header(message: EmailMessage, name: str) -> str:
    try:
        value = message.get(name, "")
    except Exception:  # Python's parser raises what a hostile one provokes: as it stands, then
        value = next(raw for key, raw in message.raw_items() if key.lower() == name.lower())
    return " ".join(sound(str(value)).split())


def _content(part: EmailMessage, problems: list[str]) -> str:
    """The text of a body, whatever its charset claims."""
    decoder = Decoder(part.get_content_charset())
    data = part.get_payload(decode=True)
    text = decoder.decode(data if isinstance(data, bytes) else b"", final=True)
    if decoder.lost:
        problems.append(undecodable(decoder.lost))
    if part.get_content_type() == "text/html":
        return "".join(passage.text for passage in page_passages(text, 0)).strip()
    return text.replace("\r\n", "\n").strip("\n")
