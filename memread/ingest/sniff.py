"""What a file is, by its first bytes. Its name is only a hint."""

from __future__ import annotations

import codecs
import re
import zipfile
from pathlib import PurePath
from typing import BinaryIO, Literal, NamedTuple

HEAD = 8192
"""How many first bytes are looked at."""

Kind = Literal[
    "pdf",
    "epub",
    "docx",
    "odt",
    "notebook",
    "subtitles",
    "mail",
    "html",
    "text",
    "zip",
    "gzip",
    "empty",
    "binary",
]


class Sniffed(NamedTuple):
    """`what` ("a PNG picture") and `hint` are for kinds that cannot be read."""

    kind: Kind
    what: str = ""
    hint: str = ""


BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16: its mark begins with the same two bytes
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

_CONVERT = "Save it as PDF, EPUB or plain text, and read that."
_UNPACK = "Unpack it, and read the files inside."
_OCR = "Recognise its text first (OCR), and read the result."
_TRANSCRIBE = "Transcribe it first, and read the transcript."
_NOTHING = "memread reads PDF, EPUB, .docx, .odt, HTML, notebooks, subtitles, mail and text files."

# (offset, bytes, what, hint)
_MAGIC: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"\x89PNG\r\n", "a PNG picture", _OCR),
    (0, b"\xff\xd8\xff", "a JPEG picture", _OCR),
    (0, b"GIF8", "a GIF picture", _OCR),
    (0, b"II*\x00", "a TIFF picture", _OCR),
    (0, b"MM\x00*", "a TIFF picture", _OCR),
    (0, b"AT&TFORM", "a DjVu document", "Convert it to PDF (ddjvu -format=pdf), and read that."),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document (.doc, .xls, .ppt)", _CONVERT),
    (0, b"{\\rtf", "a Rich Text document", _CONVERT),
    (0, b"%!PS", "a PostScript document", "Convert it to PDF (ps2pdf), and read that."),
    (60, b"BOOKMOBI", "a Kindle book", "Convert it to EPUB (Calibre does), and read that."),
    (60, b"TEXtREAd", "a Palm book", "Convert it to EPUB (Calibre does), and read that."),
    (0, b"TPZ", "a Kindle book", "Convert it to EPUB (Calibre does), and read that."),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (0, b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (0, b"BZh", "bzip2 data", "Decompress it first (bunzip2)."),
    (0, b"\xfd7zXZ\x00", "xz data", "Decompress it first (unxz)."),
    (0, b"\x28\xb5\x2f\xfd", "Zstandard data", "Decompress it first (unzstd)."),
    (257, b"ustar", "a tar archive", _UNPACK),
    (0, b"ITSF", "a Windows help file", _CONVERT),
    (0, b"GGUF", "a model file (GGUF)", "A model is given with --model, not as a document."),
    (0, b"SQLite format 3\x00", "an SQLite database", _NOTHING),
    (0, b"\x7fELF", "a program", _NOTHING),
    (0, b"MZ\x90", "a program", _NOTHING),
    (0, b"\xcf\xfa\xed\xfe", "a program", _NOTHING),
    (0, b"ID3", "an MP3 recording", _TRANSCRIBE),
    (0, b"OggS", "an Ogg recording", _TRANSCRIBE),
    (0, b"fLaC", "a FLAC recording", _TRANSCRIBE),
    (4, b"ftyp", "a video or recording", _TRANSCRIBE),
    (0, b"\x1aE\xdf\xa3", "a video", _TRANSCRIBE),
)

# The start of an entry's name inside a zip → what the zip is.
_ZIPS = (
    ("xl/", "an Excel workbook (.xlsx)", "Save its sheets as CSV, and read those."),
    ("ppt/", "a PowerPoint presentation (.pptx)", _CONVERT),
    ("Contents/section", "a Hangul document (.hwpx)", _CONVERT),
    ("AndroidManifest.xml", "an Android app", _NOTHING),
    ("Index/Document.iwa", "a Pages document", _CONVERT),
)
_ZIP = Sniffed("binary", "a zip archive", _UNPACK)
_BY_NAME = {"epub": Sniffed("epub"), "docx": Sniffed("docx"), "odt": Sniffed("odt")}
"""What a zip passes for by the end of its name, where what is in it does not say."""

# Each alternative stops at its first end and begins unlike the others: there is one way to match.
_HTML = re.compile(
    rb"(?:\s|<!--(?:(?!-->).)*-->|<\?xml(?:(?!\?>).)*\?>)*(?:<!doctype\s+html|<html[\s>])", re.I | re.S
)
_TAG = re.compile(rb"</?(?:p|h[1-6]|div|table|body|head|title|ul|ol|br|span|a)\b[^<>]*>", re.I)
_PDF = re.compile(rb"%PDF-\d")
_NOTEBOOK = re.compile(
    rb'\s*\{\s*"(?:cells"\s*:\s*\[\s*(?:\]|\{[^{}]{0,200}"(?:cell_type|attachments|execution_count|id|metadata)")'
    rb'|nbformat(?:_minor)?"\s*:|metadata"\s*:.*"(?:nbformat|cell_type|kernelspec)")',
    re.S,
)
_SUBTITLES = re.compile(
    rb"WEBVTT(?:[ \t\r\n]|$)|\s*\d+[ \t]*\r?\n\d{1,2}:\d\d:\d\d[,.]\d{1,3}[ \t]*-->[ \t]*\d"
)
_MBOX = re.compile(rb"From \S+[ \t].{0,60}\d\d:\d\d:\d\d.{0,20}\d{4}[^\n]{0,20}\n[A-Za-z0-9-]+:")
_MAIL_STARTS = (
    b"from ",
    *(
        name.lower() + b":"
        for name in (
            b"Return-Path Received Delivered-To From To Cc Subject Date Message-ID MIME-Version Reply-To"
            b" Sender X-Mozilla-Status X-Original-To X-Gm-Message-State DKIM-Signature ARC-Seal X-Received"
            b" Envelope-To Authentication-Results Received-SPF X-Account-Key X-Apparently-To Content-Type"
        ).split()
    ),
)
_MAIL_HEADERS = re.compile(
    rb"^(From|To|Cc|Subject|Date|Message-ID|MIME-Version|Received|Return-Path):", re.I | re.M
)
_PREFIXES = (*(bom for bom, _ in BOMS), b"%PDF-1.", b"PK\x03\x04", b"\x1f\x8b\x08")


_HEADER_LINE = re.compile(rb"[!-9;-~]+:|[ \t]+\S|From \S+[ \t].{0,80}?\d\d:\d\d")


def undecided(head: bytes) -> bool:
    """Whether a pipe that has sent only `head` must send more before `sniff` can tell."""
    if not head:
        return True
    if head.startswith((b"PK\x03\x04", b"\x1f\x8b")):
        return len(head) < 64
    if head.lstrip()[:1] == b"<":
        return len(head) < 512
    if any(prefix.startswith(head) for prefix in _PREFIXES):
        return True
    # The headers of a mail, to their end.
    lines = head.split(b"\n")[:-1]
    return _begins_as_mail(head) and all(_HEADER_LINE.match(line) for line in lines)


def sniff(head: bytes, name: str = "") -> Sniffed:
    """What the file called `name` is whose first `HEAD` bytes are `head`.

    "zip" means: look inside, with `look_into_zip`.
    """
    extension = PurePath(name.lower()).suffix
    if not head:
        return Sniffed("empty")
    pdf = _PDF.search(head[:1024])
    # A text about PDF may quote its first line: only a PDF has objects after it.
    if pdf and (pdf.start() == 0 or extension == ".pdf" or re.search(rb"\d+ \d+ obj", head)):
        return Sniffed("pdf")
    if head.startswith(b"PK\x03\x04"):
        return Sniffed("epub") if b"mimetypeapplication/epub+zip" in head[:128] else Sniffed("zip")
    if head.startswith((b"PK\x05\x06", b"PK\x07\x08")):
        return _ZIP
    if head.startswith(b"\x1f\x8b"):
        return Sniffed("gzip", "gzip data", "Decompress it first (gunzip).")
    for offset, magic, what, hint in _MAGIC:
        if head.startswith(magic, offset):
            return Sniffed("binary", what, hint)
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return Sniffed("binary", "a WebP picture", _OCR)
    if head.startswith(b"RIFF") and head[8:12] in (b"WAVE", b"AVI "):
        return Sniffed("binary", "a recording", _TRANSCRIBE)
    return _text(head, extension)


def _text(head: bytes, extension: str) -> Sniffed:
    encoding = wide_encoding(head)
    if encoding is None and _looks_binary(head):
        return Sniffed("binary", "binary data", _NOTHING)
    plain = head.decode(encoding, "replace").encode() if encoding else head
    if _HTML.match(plain.removeprefix(codecs.BOM_UTF8)):
        return Sniffed("html")
    if extension in (".html", ".htm", ".xhtml", ".xht") and _TAG.search(plain):
        return Sniffed("html")
    bare = plain.removeprefix(codecs.BOM_UTF8)
    if _NOTEBOOK.match(bare) or (extension == ".ipynb" and bare.lstrip()[:1] == b"{"):
        return Sniffed("notebook")
    if _SUBTITLES.match(bare):
        return Sniffed("subtitles")
    if encoding is None and _is_mail(bare):
        return Sniffed("mail")
    return Sniffed("text")


def _begins_as_mail(head: bytes) -> bool:
    return head[:24].lower().startswith(_MAIL_STARTS)


def _is_mail(head: bytes) -> bool:
    """A mail, or an mbox of them: nothing but headers up to the first empty line, and those of a mail."""
    if _MBOX.match(head):
        return True
    if not _begins_as_mail(head):
        return False
    headers = re.split(rb"\r?\n\r?\n", head, maxsplit=1)[0]
    if not all(_HEADER_LINE.match(line) for line in headers.splitlines()[:-1]):
        return False
    names = {name.lower() for name in _MAIL_HEADERS.findall(headers)}
    return b"from" in names and bool(names & {b"date", b"message-id", b"received"}) and len(names) >= 3


def wide_encoding(head: bytes) -> str | None:
    """The UTF-16 or UTF-32 encoding of `head`, by its mark or by where its NULs are; else None."""
    for bom, encoding in BOMS:
        if head.startswith(bom) and encoding != "utf-8":
            return encoding
    sample = head[: len(head) // 2 * 2]
    if len(sample) < 8 or b"\x00" not in sample:
        return None
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    half = len(sample) // 2
    # Western text without a mark: every other byte is NUL, and nearly none of the others.
    if odd > 0.7 * half and even < 0.02 * half:
        return "utf-16-le"
    if even > 0.7 * half and odd < 0.02 * half:
        return "utf-16-be"
    return None


def _looks_binary(head: bytes) -> bool:
    if b"\x00" in head:
        return True
    controls = sum(head.count(code) for code in range(32) if code not in (8, 9, 10, 12, 13, 27))
    return controls > len(head) // 20


def look_into_zip(file: BinaryIO, name: str = "") -> Sniffed:
    """What a zip file is, by the names inside it. One that cannot be opened passes for what it is called."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            if "mimetype" in names and archive.getinfo("mimetype").file_size < 200:
                mimetype = archive.read("mimetype").strip()
                if mimetype == b"application/epub+zip":
                    return Sniffed("epub")
                if mimetype.startswith(b"application/vnd.oasis.opendocument.text"):
                    return Sniffed("odt")
                if mimetype.startswith(b"application/vnd.oasis.opendocument"):
                    return Sniffed("binary", "an OpenDocument file (.ods, .odp)", _CONVERT)
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, EOFError, ValueError):
        # The reader will say what is wrong with it.
        return _BY_NAME.get(name.lower().rpartition(".")[2], _ZIP)
    if "META-INF/container.xml" in names:
        return Sniffed("epub")
    if "word/document.xml" in names:
        return Sniffed("docx")
    for prefix, what, hint in _ZIPS:
        if any(entry.startswith(prefix) for entry in names):
            return Sniffed("binary", what, hint)
    return _BY_NAME.get(name.lower().rpartition(".")[2], _ZIP)
