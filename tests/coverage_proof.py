"""What was read, worked out anew from the journal's file and the document, and compared with what was said.

Nothing of memread is used: SQLite, pypdf, a zip archive, SHA-256, llama.cpp's own tokenizer, and the format
of the journal as docs/RELIABILITY.md describes it. The journal holds the digest of every segment; so the
segments are found in the text by hashing on from where the last one ended. What is read must be the text,
from its beginning, without a gap.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from pypdf import PdfReader

Count = Callable[[str], int]
"""Tokens of a text."""


class Wrong(AssertionError):
    """What was said is not what was done."""


class Piece(NamedTuple):
    """A run of the document's text, and where it is: (document, page number, chapter, first line)."""

    text: str
    document: int = 0
    page: int | None = None
    chapter: str | None = None
    line: int | None = None


class Text(NamedTuple):
    pieces: list[Piece]
    silent: Sequence[tuple[int, int]] = ()
    """(document, page number) of pages without text."""

    @property
    def whole(self) -> str:
        return "".join(piece.text for piece in self.pieces)


def of_text(path: Path) -> Text:
    return Text([Piece(path.read_bytes().decode("utf-8"), line=1)])


def of_pdf(path: Path) -> Text:
    """Pages of simple lines."""
    texts = [page.extract_text().strip("\n ") for page in PdfReader(path).pages]
    pieces = [Piece(text + "\n\n", page=number) for number, text in enumerate(texts, 1) if text]
    return Text(pieces, [(0, number) for number, text in enumerate(texts, 1) if not text])


def of_epub(path: Path) -> Text:
    """Books of headings and paragraphs, a chapter a file, in the order of the spine."""
    with zipfile.ZipFile(path) as archive:
        package = ET.fromstring(archive.read("OPS/book.opf"))
        items = package.iter("{http://www.idpf.org/2007/opf}item")
        files = {item.get("id"): item.get("href") for item in items}
        pieces = []
        for reference in package.iter("{http://www.idpf.org/2007/opf}itemref"):
            page = ET.fromstring(archive.read(f"OPS/{files[reference.get('idref')]}"))
            blocks = [each for each in page.iter() if each.tag.rpartition("}")[2] in ("h1", "p")]
            text = "\n\n".join("".join(block.itertext()) for block in blocks)
            pieces.append(Piece(text + "\n\n", chapter="".join(blocks[0].itertext())))
    return Text(pieces)


def joined(texts: Sequence[tuple[str, Text]]) -> Text:
    """Several documents: each is introduced by its name (docs/inputs.md), a blank line before it."""
    pieces: list[Piece] = []
    silent = []
    for number, (name, text) in enumerate(texts):
        before = "".join(piece.text for piece in pieces)[-2:]
        blank = "\n" * (2 - (len(before) - len(before.rstrip("\n")))) if before else ""
        first = text.pieces[0]
        pieces.append(first._replace(text=f"{blank}[File: {name}]\n\n", document=number))
        pieces += [piece._replace(document=number) for piece in text.pieces]
        silent += [(number, page) for _, page in text.silent]
    return Text(pieces, silent)


class Run(NamedTuple):
    """The records of a run whose hashes are right."""

    status: str
    records: list[tuple[str, dict[str, Any]]]
    """(kind, body)."""

    def bodies(self, kind: str) -> list[dict[str, Any]]:
        return [body for each, body in self.records if each == kind]


def run_of(journal: Path, run_id: str) -> Run:
    """Raises Wrong if a record is not as it was written."""
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as database:
        ((number, identity, status, count, head, steps, tokens),) = database.execute(
            "SELECT n, identity, status, records, head, steps, tokens FROM runs WHERE id = ?", (run_id,)
        )
        rows = database.execute(
            "SELECT seq, kind, segment, taken_from, created, body, hash FROM records"
            " WHERE run = ? ORDER BY seq",
            (number,),
        ).fetchall()
    before = hashlib.sha256(b"memread run 1\n" + run_id.encode() + b"\n" + identity).digest()
    found = Run(status, [])
    for due, (seq, kind, segment, taken_from, created, body, digest) in enumerate(rows):
        fields = json.dumps([seq, kind, segment, taken_from, created], separators=(",", ":"))
        before = hashlib.sha256(before + fields.encode() + b"\n" + body).digest()
        if seq != due or digest != before:
            raise Wrong(f"record {due} is not as it was written")
        found.records.append((kind, json.loads(body)))
    read = found.bodies("memory_updated")
    if (len(rows), before) != (count, head) or len(read) != steps:
        raise Wrong("records are missing")
    if sum(body["segment"]["tokens"] for body in read) != tokens:
        raise Wrong("the run's number of tokens is not that of its records")
    return found


def prove(journal: Path, run_id: str, text: Text, stated: Mapping[str, Any], count: Count) -> None:
    """`stated`: what was said of the run, as under "coverage" in the output of --json. Raises Wrong."""
    run = run_of(journal, run_id)
    read = [body["segment"] for body in run.bodies("memory_updated")]
    whole, at = text.whole, 0
    for due, segment in enumerate(read):
        if segment["index"] != due:
            raise Wrong(f"segment {segment['index']} where {due} is due: one is missing, or was read twice")
        length = _length(whole[at:], segment["digest"])
        if length is None:
            raise Wrong(f"segment {due} is not what the document says from character {at} on")
        piece = whole[at : at + length]
        if segment["tokens"] != count(piece):
            raise Wrong(f"segment {due} has {count(piece)} tokens, not {segment['tokens']}")
        start = at + len(piece) - len(piece.lstrip())
        _at_place(text, start, segment["span"]["start"], f"the beginning of segment {due}")
        _at_place(text, at + len(piece.rstrip()) - 1, segment["span"]["end"], f"the end of segment {due}")
        at += length
    complete = at == len(whole)
    if stated["complete"] != complete or (run.status == "done") != complete:
        raise Wrong(f"{len(whole) - at} of {len(whole)} characters were not read")
    _equal("segments", stated["segments"], len(read))
    _equal("tokens", stated["tokens"], sum(segment["tokens"] for segment in read))
    if abs(stated["fraction"] - at / len(whole)) > 0.02:
        raise Wrong(f"a fraction of {stated['fraction']} stated, and {at / len(whole)} read")
    kept = [body["segment"]["index"] for body in run.bodies("memory_updated") if body["outcome"] == "kept"]
    _equal("kept segments", stated["kept"], len(kept))
    if not {each["segment"] for each in stated["kept_segments"]} <= set(kept):
        raise Wrong("a segment is said to be kept that was not")
    for edge in ("start", "end"):
        _equal(f"the {edge} of the last segment", stated["last"][edge], read[-1]["span"][edge])
    _skipped(run, text, at, stated["skipped"])
    # The answer itself says it too, with the number of what was skipped; that is what --events shows.
    own = run.bodies("answered")[-1]["answer"]["coverage"]
    for name in ("segments", "tokens", "complete", "fraction", "kept"):
        _equal(f"{name} of the answer", own[name], stated[name])
    _equal("skipped places of the answer", own["skipped"], len(stated["skipped"]))


def _length(text: str, wanted: str) -> int | None:
    """How many first characters of `text` have this digest."""
    so_far = hashlib.sha256()
    for number, character in enumerate(text, 1):
        so_far.update(character.encode())
        if "sha256:" + so_far.hexdigest() == wanted:
            return number
    return None


def _at_place(text: Text, offset: int, stated: Mapping[str, Any], what: str) -> None:
    begin = 0
    for piece in text.pieces:
        if offset < begin + len(piece.text):
            break
        begin += len(piece.text)
    line = None if piece.line is None else piece.line + piece.text.count("\n", 0, offset - begin)
    _equal(f"the document at {what}", stated.get("document", 0), piece.document)
    _equal(f"the page at {what}", stated.get("page_number"), piece.page)
    _equal(f"the chapter at {what}", stated.get("chapter"), piece.chapter)
    if not piece.text.lstrip("\n").startswith("[File: "):
        _equal(f"the line at {what}", stated.get("line"), line)


def _skipped(run: Run, text: Text, at: int, stated: Sequence[Mapping[str, Any]]) -> None:
    """Every page without text was named with a reason, once, in the journal and in what was said."""
    recorded = run.bodies("skipped")
    for found in (recorded, stated):
        if any(not each["reason"] for each in found):
            raise Wrong("something was skipped without a reason")
        pages = [(each["locator"].get("document", 0), each["locator"].get("page_number")) for each in found]
        if at == len(text.whole):
            _equal("skipped pages", sorted(pages, key=str), list(text.silent))
        elif not set(pages) <= set(text.silent) or len(set(pages)) < len(pages):
            raise Wrong(f"{pages} skipped, of {text.silent}")


def _equal(what: str, stated: object, found: object) -> None:
    if stated != found:
        raise Wrong(f"{what}: {stated} stated, {found} found")
