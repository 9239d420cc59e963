"""Pipes: what comes when, and how a waiting read is ended."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from memread.errors import BinaryFile, EmptyInput
from memread.ingest import open_document
from memread.ingest.opening import PipeDocument
from memread.ingest.sources import PipeSource
from memread.types import Passage
from tests.ingest.samples import epub, pdf_bytes, skipped, text_of, xhtml

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def pipe() -> Iterator[tuple[PipeDocument, int]]:
    """A document on a real pipe, and the end to write to."""
    reader, writer = os.pipe()
    document = PipeDocument(PipeSource(reader, owned=True), "-")
    try:
        yield document, writer
    finally:
        document.close()


def send(writer: int, *chunks: bytes, pause: float = 0.0) -> threading.Thread:
    def run() -> None:
        for chunk in chunks:
            view = memoryview(chunk)
            while view:
                view = view[os.write(writer, view) :]
            time.sleep(pause)
        os.close(writer)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_the_first_passage_comes_while_the_writer_writes() -> None:
    with pipe() as (document, writer):
        os.write(writer, b"first line\n")
        passages = document.passages()
        first = next(passages)
        assert isinstance(first, Passage)
        assert (first.text, first.locator.line, first.fraction) == ("first line\n", 1, None)
        os.write(writer, b"second ")
        assert text_of([next(passages)]) == "second "
        os.write(writer, "lin\u00e9\n".encode()[:-2])  # half a letter
        os.write(writer, "lin\u00e9\n".encode()[-2:])
        os.close(writer)
        assert text_of(list(passages)) == "lin\u00e9\n"
        assert document.info.format == "text" and document.info.size is None


def test_text_from_a_slow_pipe_is_whole() -> None:
    text = "".join(f"line {number} \u00e4\u00f6\u20ac\U0001f600\n" for number in range(4000))
    data = text.encode()
    with pipe() as (document, writer):
        thread = send(writer, *(data[start : start + 7777] for start in range(0, len(data), 7777)))
        parts = list(document.passages())
        thread.join()
    assert text_of(parts) == text
    line = 1
    for part in parts:
        assert part.locator.line == line
        line += part.text.count("\n") if isinstance(part, Passage) else 0


@pytest.mark.skipif(sys.platform == "win32", reason="a pipe cannot be waited for there")
@pytest.mark.parametrize("before", [b"", b"some text\n"])
def test_close_ends_a_read_that_waits(before: bytes) -> None:
    with pipe() as (document, writer):
        os.write(writer, before)
        threading.Timer(0.2, document.close).start()
        started = time.monotonic()
        parts = list(document.passages())
        assert time.monotonic() - started < 2
        assert text_of(parts) == before.decode()
        os.close(writer)


@pytest.mark.skipif(sys.platform == "win32", reason="needs /dev/zero's like")
def test_an_endless_pipe_stays_small_and_can_be_closed() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", "import os\nwhile True: os.write(1, b'endless words ' * 4000)"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert child.stdout is not None
    document = PipeDocument(PipeSource(os.dup(child.stdout.fileno()), owned=True), "-")
    length = 0
    for part in document.passages():
        assert isinstance(part, Passage) and len(part.text) <= 70_000
        length += len(part.text)
        if length > 5_000_000:
            document.close()
    assert 5_000_000 < length < 6_000_000
    child.kill()
    child.wait()
    child.stdout.close()


def test_pdf_epub_and_gzip_on_a_pipe_are_what_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spools = tmp_path / "spools"
    spools.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(spools))
    book = Path(epub(tmp_path / "b.epub", {"a.xhtml": xhtml("<p>a book</p>")})).read_bytes()
    for data, kind, text in (
        (pdf_bytes(["a page"]), "pdf", "a page\n\n"),
        (book, "epub", "a book\n\n"),
        (gzip.compress(pdf_bytes(["a page"])), "pdf", "a page\n\n"),
        (gzip.compress(b"packed\n"), "text", "packed\n"),
        (b"<!DOCTYPE html><title>x</title><p>a page", "html", "a page\n"),
    ):
        with pipe() as (document, writer):
            thread = send(writer, data[:20], data[20:], pause=0.05)
            assert document.info.format == kind
            assert document.info.name == "-"
            assert text_of(list(document.passages())) == text
            thread.join()
        assert list(spools.iterdir()) == []


def test_nothing_and_rubbish_on_a_pipe() -> None:
    with pipe() as (document, writer):
        os.close(writer)
        with pytest.raises(EmptyInput, match="standard input"):
            list(document.passages())
    with pipe() as (document, writer):
        os.write(writer, b"\x89PNG\r\n\x1a\n" + bytes(100))
        os.close(writer)
        with pytest.raises(BinaryFile, match="a PNG picture"):
            list(document.passages())


def test_standard_input_that_is_a_file_has_a_size(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"skipped\nread\n")
    code = (
        "import os; os.lseek(0, 8, 0)\n"
        "from memread.ingest import open_document\n"
        "d = open_document('-'); print(d.info.size, [(p.text, p.fraction) for p in d.passages()])"
    )
    with (tmp_path / "a.txt").open("rb") as file:
        done = subprocess.run(
            [sys.executable, "-c", code], stdin=file, capture_output=True, text=True, cwd=ROOT, check=True
        )
    assert done.stdout.strip() == "5 [('read\\n', 1.0)]"


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="no /dev/fd")
def test_a_process_substitution_is_a_pipe() -> None:
    reader, writer = os.pipe()
    thread = send(writer, b"sub", b"stituted\n", pause=0.05)
    document = open_document(f"/dev/fd/{reader}")
    os.close(reader)
    parts = list(document.passages())
    assert (text_of(parts), skipped(parts)) == ("substituted\n", [])
    thread.join()


def test_a_document_never_read_leaves_nothing_open(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"x")
    document = open_document(str(tmp_path / "a.txt"))
    document.close()
    assert list(document.passages()) == []
