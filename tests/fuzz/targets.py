"""All targets by name, with what they begin from and what mutations may put in."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tests.fuzz import documents, others, seeds
from tests.fuzz.documents import PART
from tests.fuzz.seeds import REPEAT

_LENGTH = 120_000
"""Bytes of a long input."""


class Target(NamedTuple):
    run: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    share: float = 1.0
    """Of the executions."""
    longest: int = 4096
    """Bytes of an input."""
    words: Sequence[bytes] = ()
    """What mutations may put in: a dictionary for libFuzzer."""
    long: bool = False
    """Also fuzzed with long inputs that repeat themselves: work that grows with the square shows."""


_MARKUP = (
    *(b"<p>", b"</p>", b"<h1>", b"<table>", b"<tr>", b"<td>", b"<pre>", b"<ol>", b"<li>", b"<ruby>", b"<rt>"),
    *(b"<sup>", b"<a href='#x'>", b"<img alt='", b"<title>", b"<math alttext='", b" epub:type='noteref'"),
    *(
        b"<!DOCTYPE ",
        b"<![CDATA[",
        b"<!--",
        b"-->",
        b"<?xml ",
        b"?>",
        b"&#x0;",
        b"&lt;",
        b"&a;",
        b"<!ENTITY ",
    ),
    *(b" role='doc-pagebreak'", b" hidden=''", b"<svg>", b"<script>", b"/>"),
)
_PDF = (
    *(b"BT", b"ET", b"Tj", b"TJ", b"Tf", b"Tm", b"Td", b"T*", b"q", b"Q", b"cm", b"Do", b"BI", b"ID", b"EI"),
    *(
        b"/F1",
        b"/Im0",
        b"<<",
        b">>",
        b"[",
        b"]",
        b"(",
        b")",
        b"<FEFF>",
        b" 0 R",
        b"obj",
        b"endobj",
        b"stream",
    ),
    *(b"/Kids", b"/Count -1", b"/Filter/FlateDecode", b"/Prev", b"/XRef", b"/ObjStm", b"/Encrypt"),
    *(
        b"/ToUnicode",
        b"/Encoding",
        b"/Differences",
        b"/Type0",
        b"/DescendantFonts",
        b"/Outlines",
        b"/PageLabels",
    ),
)


_ZIP = (b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06")
_MAIL = (b"Content-Type: ", b"boundary=", b"=?utf-8?q?", b"?=", b"\n\n", b"From ", b"--X", b"*0*=")
_SPECIAL = (b"\x1b[", b"\x1b]", b"\x9b", b"\x90")

_SHORT: dict[str, Target] = {
    "pdf": Target(documents.pdf, seeds.pdfs, 0.2, 6000, _PDF),
    "pdf-part": Target(documents.pdf_part, seeds.pdfs, 0.1, 6000, _PDF),
    "pdf-page": Target(documents.pdf_page, seeds.pages, 0.5, 2048, _PDF, True),
    "epub": Target(documents.epub, seeds.epubs, 0.2, 4096, _ZIP),
    "epub-parts": Target(documents.epub_parts, seeds.epub_parts, 0.5, 6000, (*_MARKUP, PART), True),
    "chapter": Target(documents.chapter, seeds.chapters, 0.7, 4096, _MARKUP, True),
    "html": Target(documents.html, seeds.pages_of_html, 0.5, 4096, _MARKUP, True),
    "docx": Target(documents.docx, seeds.docxs, 0.2, 4096, _ZIP),
    "docx-parts": Target(documents.docx_parts, seeds.docx_parts, 0.5, 6000, (b"w:val='", PART), True),
    "mail": Target(documents.mail, seeds.mails, 0.7, 4096, _MAIL, True),
    "notebook": Target(
        documents.notebook, seeds.notebooks, 2, 4096, (b'"cells"', b'"source"', b'"outputs"'), True
    ),
    "subtitles": Target(documents.subtitles, seeds.subtitles, 1, 2048, (b"-->", b"<v ", b"{\\"), True),
    "text": Target(documents.plain, seeds.texts, 2, 2048, (b"\xef\xbb\xbf", b"\xff\xfe", b"\r", b"\0"), True),
    "decoding": Target(documents.decoding, seeds.encodings, 2, 2048),
    "gzip": Target(documents.gzip, lambda: [gzip.compress(t, mtime=0) for t in seeds.texts()[:3]], 3, 2048),
    "sniff": Target(
        documents.sniffing,
        lambda: [b"a.txt\n" + d for d in (*seeds.texts(), *seeds.mails(), *seeds.epubs())],
        3,
    ),
    "segmenter": Target(others.segmenter, seeds.segments, 2, 1024, (b"\n\n", b". ", b"\xcc\x81"), True),
    "journal": Target(others.journal, seeds.journals, 0.3, 300),
    "event": Target(others.event, seeds.events, 2, 2048, (b'"type":', b"NaN", b"1e999", b"\xed\xa0\x80")),
    "gguf": Target(others.gguf, seeds.models, 1, 3000, (b"GGUF", b"\xff" * 8)),
    "reply": Target(others.reply, seeds.replies, 2, 2048, (b"\\boxed{", b"<think>", b"</think>"), True),
    "terminal": Target(others.terminal, seeds.shown, 3, 1024, _SPECIAL, True),
    "evidence": Target(others.evidence, seeds.claims, 0.7, 2048, (PART, b"not ", b"\n- "), True),
}


def _short(target: Target) -> Target:
    return target._replace(seeds=lambda: [seed for seed in target.seeds() if REPEAT not in seed])


def _long(target: Target) -> Target:
    """The target with inputs in which something is repeated."""

    def repeated() -> list[bytes]:
        found = []
        for seed in target.seeds():
            if REPEAT in seed:
                found.append(seed)
                continue
            places = range(0, len(seed), max(1, len(seed) // 3))
            found += [REPEAT.join((seed[:at], seed[at : at + 9], seed[at + 9 :])) for at in places]
        return found

    return target._replace(
        run=lambda data: target.run(_stretched(data)),
        seeds=repeated,
        share=target.share / 60,
        words=(*target.words, REPEAT),
    )


def _stretched(data: bytes) -> bytes:
    parts = data.split(REPEAT)
    if len(parts) != 3 or not parts[1]:
        return b""
    return parts[0] + parts[1] * (_LENGTH // len(parts[1])) + parts[2]


TARGETS: dict[str, Target] = {
    **{name: _short(target) for name, target in _SHORT.items()},
    **{f"{name}-long": _long(target) for name, target in _SHORT.items() if target.long},
}


def changed(data: bytes, chance: random.Random, words: Sequence[bytes]) -> bytes:
    """Some bytes of it are turned, cut out, doubled, or replaced by a word."""
    found = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 8))):
        at = chance.randrange(len(found) + 1)
        length = chance.choice((1, 1, 4, 16, 64))
        match chance.randrange(4):
            case 0:
                found[at : at + 1] = chance.randbytes(1)
            case 1:
                del found[at : at + length]
            case 2:
                found[at:at] = found[at : at + length] * chance.choice((1, 2, 20))
            case _:
                found[at:at] = chance.choice([*words, b"\0", b"\xff", b"<", b"\n"])
    return bytes(found[:20_000])
