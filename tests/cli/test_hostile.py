"""Nothing that a document, a file's name, a title, a question or a model says is obeyed by the terminal."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import regex

from tests.cli.conftest import Memread, log
from tests.fixtures.gguf_model import write_tiny_gguf
from tests.ingest.samples import epub, xhtml

CLIPBOARD = "\x1b]52;c;ZXZpbA==\x07"
CLEAR = "\x1b[2J\x1b[H\x9b31m"
BIDI = "\u202egnp.exe\u202c\u2066x\u2069\u200b"
EVIL = f"a{CLIPBOARD}b{CLEAR}c{BIDI}d\x07\x08\re"
FORBIDDEN = regex.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> None:
    assert not (found := FORBIDDEN.search(text)), (found, text)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such file names")
def test_names_texts_and_questions(memread: Memread) -> None:
    name = EVIL + ".txt"
    memread.write(name, log(3) + EVIL + log(20))
    question = f"who {CLIPBOARD}{CLEAR}{BIDI}?"
    for flags in (("--show-memory",), ("--json", "--events")):
        ended = memread("ask", name, "-q", question, *flags)
        assert ended.code == 0, ended.err
        clean(ended.out)
        clean(ended.err)
        assert "abc" in ended.err
    for arguments in (("runs",), ("runs", "--json"), ("stat", name), ("stat", name, "--json")):
        ended = memread(*arguments)
        assert ended.code == 0
        clean(ended.out + ended.err)
    run = memread("runs", "--json").out.split('"run_id": "')[1][:8]
    for flag in ("--memory", "--json", "--events", None):
        clean(memread("runs", "show", run, *([flag] if flag else [])).out)


def test_errors_quote_names_safely(memread: Memread) -> None:
    for arguments in ((f"{CLIPBOARD}.txt", "why?"), (f"{CLEAR}{BIDI} x",)):
        ended = memread("ask", *arguments)
        assert ended.code == 3
        clean(ended.err)
    ended = memread("ask", "-", "-m", f"{CLEAR}{BIDI}", stdin="x")
    assert ended.code == 13
    clean(ended.err)
    clean(memread("ask", "-", f"--{CLEAR}{CLIPBOARD}").err)
    clean(memread(f"{CLEAR}{CLIPBOARD}").err)
    clean(memread("ask", "-", "--profile", f"{CLEAR}{CLIPBOARD}").err)
    clean(memread("config", env={"MEMREAD_MODEL": f"{CLEAR}{BIDI}"}).out)
    clean(memread("config", env={f"MEMREAD_X{CLEAR}": "1"}).err)
    clean(memread("doctor", env={"MEMREAD_DATA_DIR": f"{CLEAR}{BIDI}"}).out)
    clean(memread("runs", "show", f"{CLEAR}{CLIPBOARD}").err)


def test_titles_and_chapters(memread: Memread) -> None:
    epub(
        memread.folder / "a.epub",
        {"one.xhtml": xhtml(f"<h1>One &#x202e;two &#x9b;31m</h1><p>{log(6)}</p>")},
        opf=(
            '<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id">'
            '<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:identifier id="id">x</dc:identifier>'
            "<dc:title>T &#x202e;itle &#x9b;31m&#x200b;</dc:title>"
            "<dc:creator>A&#x85;&#x9d;52;c;x&#x9c;</dc:creator></metadata><manifest>"
            '<item id="o" href="one.xhtml" media-type="application/xhtml+xml"/></manifest>'
            '<spine><itemref idref="o"/></spine></package>'
        ),
    )
    for flags in (("--show-memory",), ("--json", "--events")):
        ended = memread("ask", "a.epub", "why?", *flags)
        assert ended.code == 0, ended.err
        clean(ended.out + ended.err)
    clean(memread("stat", "a.epub").out)


def test_models_that_call_themselves_something(memread: Memread, home: Path) -> None:
    write_tiny_gguf(
        memread.folder / "m.gguf",
        name=f"Nice{CLIPBOARD}{CLEAR}{BIDI}",
        general__license=f"MIT{CLEAR}",
        general__basename=CLIPBOARD,
    )
    for arguments in (("models",), ("doctor",), ("models", "--json")):
        ended = memread(*arguments, env={"MEMREAD_MODEL": "./m.gguf"})
        assert ended.code == 0, ended.err
        clean(ended.out + ended.err)


def test_replies_with_controls_in_them(memread: Memread) -> None:
    """The tiny model's own vocabulary has control characters, and its replies are noise: many of them."""
    memread.write("a.txt", log(30))
    ended = memread("ask", "a.txt", "why?", "--temperature", "5", "--show-memory", "--answer", "200")
    assert ended.code == 0
    clean(ended.out + ended.err)
