"""What files are, by their first bytes."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from memread.errors import BinaryFile, EmptyInput, FileMissing, UsageError
from memread.ingest import open_document
from memread.ingest.sniff import sniff, undecided

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("head", "name", "kind"),
    [
        (b"%PDF-1.7\n", "x", "pdf"),
        (b"junk before\n%PDF-1.4\n1 0 obj\n", "x", "pdf"),
        (b"A text about %PDF-1.4 headers.\n", "x.md", "text"),
        (b"PK\x03\x04" + bytes(26) + b"mimetypeapplication/epub+zip", "x", "epub"),
        (b"PK\x03\x04" + bytes(60), "x", "zip"),
        (b"\x1f\x8b\x08\x00", "x", "gzip"),
        (b"<!DOCTYPE html><p>", "x", "html"),
        (b"\xef\xbb\xbf\n<!-- c --><HTML lang=en>", "x", "html"),
        (b"<?xml version='1.0'?>\n<html xmlns='x'>", "x", "html"),
        ("<html>".encode("utf-16"), "x", "html"),
        (b"<!-- <html> -->\n" * 40 + b"<svg/>", "x", "text"),  # a pattern that tries all ways takes days
        (b"<?xml version='1.0'?><?xml-stylesheet href='x'?>" + b"<!-- a -->" * 40 + b"<html>", "x", "html"),
        (b"<p>fragment", "x.htm", "html"),
        (b"<p align=center>readme", "README.md", "text"),
        (b"<?xml version='1.0'?><config/>", "x", "text"),
        (b"int main(void) { return 0; }\n", "x.pdf", "text"),
        ("Ünïcödé".encode("latin-1"), "x", "text"),
        ("plain".encode("utf-16-le"), "x", "text"),
        (b"\x1b[31mred\x1b[0m\n", "x", "text"),
        (b"", "x", "empty"),
        (b"text\x00more", "x.txt", "binary"),
        (bytes(range(1, 32)) * 9, "x", "binary"),
        (b"\x89PNG\r\n\x1a\n", "x.txt", "binary"),
        (b"GGUF\x03\x00\x00\x00", "x", "binary"),
        (b"WEBVTT\n\n00:01.000 --> 00:02.000\nHi\n", "x", "subtitles"),
        (b"1\r\n00:00:01,000 --> 00:00:02,500\r\nHi\r\n", "x.txt", "subtitles"),
        (b"1\nThe first of many lines\n", "x.srt", "text"),
        (b'{\n "cells": [\n  {\n   "cell_type": "markdown",\n', "x", "notebook"),
        (b'{"nbformat": 4, "cells": []}', "x", "notebook"),
        (b'{"cells": [[1, 2], [3, 4]]}', "grid.json", "text"),
        (b"From: a@b.org\nTo: c@d.org\nDate: Mon, 1 Jan 2024 10:00:00 +0000\n\nHi", "x", "mail"),
        (b"From a@b.org Mon Jan  1 10:00:00 2024\nFrom: a@b.org\n\nHi", "x", "mail"),
        (b"From: the depths\nTo: the heights\nand then: nothing more\n\nHi", "x.md", "text"),
        (b"Subject: a note\n\nFrom the desk of nobody", "x", "text"),
    ],
)
def test_kinds(head: bytes, name: str, kind: str) -> None:
    assert sniff(head, name).kind == kind


def test_a_pipe_is_looked_at_as_little_as_possible() -> None:
    assert not undecided(b"a")
    assert not undecided(b"hello")
    assert not undecided(b"From the server of 10:00\nFrom here on, nothing\n")
    assert not undecided(b"From: a@b.org\nTo: c@d.org\n\n")
    assert undecided(b"From: a@b.org\nTo: c@d.o")
    for head in (b"", b"%PD", b"PK", b"\x1f", b"\xff", b"<", b"  <ht"):
        assert undecided(head)


@pytest.mark.parametrize(
    ("entry", "what"),
    [
        ("xl/workbook.xml", "Excel"),
        ("ppt/x.xml", "PowerPoint"),
        ("a.txt", "zip archive"),
    ],
)
def test_zips_are_named(tmp_path: Path, entry: str, what: str) -> None:
    with zipfile.ZipFile(tmp_path / "x", "w") as archive:
        archive.writestr(entry, "x")
    with pytest.raises(BinaryFile, match=what) as raised:
        open_document(str(tmp_path / "x"))
    assert raised.value.hint


def test_an_epub_whose_mimetype_comes_late(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("META-INF/container.xml", "x" * 5000)
    assert type(open_document(str(tmp_path / "x"))).__name__ == "ChildDocument"


def test_errors_of_names(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(EmptyInput):
        open_document(str(tmp_path / "empty"))
    with pytest.raises(UsageError):
        open_document(str(tmp_path))
    for name in (str(tmp_path / "nowhere"), str(tmp_path / "empty" / "x"), "nul\0name"):
        with pytest.raises(FileMissing):
            open_document(name)


def test_importing_is_light() -> None:
    code = (
        "import sys, memread.ingest\n"
        "heavy = {'pypdf', 'ebooklib', 'lxml', 'charset_normalizer'} & set(sys.modules)\n"
        "raise SystemExit(str(heavy) if heavy else 0)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
