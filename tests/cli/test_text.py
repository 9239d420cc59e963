"""`memread text`, and the options that choose what is read."""

from __future__ import annotations

import json

from memread.events import Answered, RunStarted
from tests.cli.conftest import ALICE, Memread, log
from tests.ingest.samples import epub, nav, xhtml


def test_the_text_is_printed_as_it_is(memread: Memread) -> None:
    text = "one\r\n\x1b[31mtwo\x07\n\ttab \u202e \r\nno end"
    memread.write("a.txt", text)
    ended = memread("text", "a.txt")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == text.replace("\r\n", "\n")  # as the fixture makes them
    two = memread("text", "a.txt", "-", stdin="more")
    assert two.out.startswith("[File: a.txt]\n\none") and two.out.endswith("[File: standard input]\n\nmore")


def test_locators_and_contents(memread: Memread) -> None:
    contents = memread("text", ALICE, "--contents").out.splitlines()
    assert contents[1].split(maxsplit=1)[0] == "2" and len(contents) >= 12
    title = contents[6].split(maxsplit=1)[1].partition("  (")[0]
    ended = memread("text", ALICE, "--chapters", "7", "--locators")
    assert ended.out.startswith(f"[{title}]\n") and "\n[" not in ended.out
    rows = [json.loads(line) for line in memread("text", ALICE, "--chapters", "7", "--json").out.splitlines()]
    assert "".join(row["text"] for row in rows) == ended.out.partition("\n")[2]
    assert {row["locator"]["chapter"] for row in rows} == {title}
    assert memread("text", ALICE, "--json", "--contents").code == 2


def test_what_cannot_be_read_is_told(memread: Memread) -> None:
    memread.write("a.txt", "café\n".encode() + b"x\n" * 9 + b"\xff\n")
    ended = memread("text", "a.txt", "--json")
    assert any("skipped" in json.loads(line) for line in ended.out.splitlines())
    assert "not read" in memread("text", "a.txt").err


def test_a_part_of_a_book_that_cannot_be_read_is_told(memread: Memread) -> None:
    """With the pages that are in it, under the answer, or in the one line that there is when it is all."""
    listed = [(f"{file}.xhtml", str(page)) for page, file in enumerate("abc", 1)]
    files = {f"{file}.xhtml": xhtml(f"<p>The ship sailed from {file}.</p>") for file in "ac"}
    spine = ["a.xhtml", "b.xhtml", "c.xhtml"]
    toc = nav(*((link, f"Part {page}") for link, page in listed), pages=listed)
    epub(memread.folder / "b.epub", {**files, "nav.xhtml": toc}, missing=["b.xhtml"], spine=spine)
    gone = "OPS/b.xhtml: it is listed but missing"
    contents = memread("text", "b.epub", "--contents")
    assert [line.split()[0] for line in contents.out.splitlines()] == ["1", "3"]
    assert contents.err == f"memread: not read: p. 2 · Part 2: {gone}\n"
    for part in ("--pages", "--chapters"):
        ended = memread("ask", "b.epub", "where from?", part, "1-2", "--json")
        assert ended.code == 0 and f"1 part skipped: p. 2 · Part 2 ({gone})." in ended.err
        told = ended.json["coverage"]["skipped"]  # type: ignore[index]
        assert [(each["place"], each["reason"]) for each in told] == [("p. 2 · Part 2", gone)]
        ended = memread("ask", "b.epub", "where from?", part, "2", "--quiet")
        named = f"{part[2:-1]} 2 cannot be read ({gone})"
        assert (ended.code, ended.out) == (9, "")
        assert ended.err.splitlines() == [f"memread: b.epub: {named}", f"  Its {part[2:]} are 1 to 3."]
        assert named in memread("text", "b.epub", part, "2").err


def test_lists_of_files(memread: Memread) -> None:
    memread.write("a b.txt", "first\n")
    memread.write("c.txt", "second\n")
    listed = "a b.txt\0c.txt\0"
    assert memread("text", "-0", stdin=listed).out.count("[File:") == 2
    ended = memread("ask", "-0", "where?", "--events", stdin=listed)
    started = next(event for event in ended.events if isinstance(event, RunStarted))
    assert [document.name for document in started.documents] == ["a b.txt", "c.txt"]
    assert started.question == "where?"
    for arguments in (("ask", "-0"), ("ask", "-0", "-", "q")):
        assert memread(*arguments, stdin="").code == 2
    assert memread("ask").code == 2


def test_usage_lines_are_readable(memread: Memread) -> None:
    assert "Usage: python -m memread ask [OPTIONS] FILE... [QUESTION]\n" in memread("ask", "--help").out
    assert "Usage: python -m memread text [OPTIONS] FILE...\n" in memread("text", "--help").out


def test_a_part_is_read_and_said(memread: Memread) -> None:
    memread.write("a.log", log(40))
    ended = memread("ask", "a.log", "how far?", "--lines", "11-14", "--json")
    assert ended.code == 0
    (document,) = ended.json["documents"]  # type: ignore[misc]
    assert document["part"] == "lines 11-14"
    assert ended.json["coverage"]["last"]["end"]["line"] == 14  # type: ignore[index]
    assert "all that was asked for" in ended.err and "lines 11-14" in ended.err
    # Another part is another reading.
    other = memread("ask", "a.log", "how far?", "--lines", "21-24", "--events")
    assert not any("changed" in getattr(event, "message", "") for event in other.events)
    assert any(isinstance(event, Answered) for event in other.events)
    assert "lines are counted" in memread("ask", ALICE, "x", "--lines", "3").err
    assert "only lines 11-14" in memread("stat", "a.log", "--lines", "11-14").out


def test_gitignore_is_told(memread: Memread) -> None:
    memread.write("d/.gitignore", "*.log\n")
    memread.write("d/a.txt", "text\n")
    memread.write("d/b.log", "log\n")
    ended = memread("text", "d")
    assert ended.out == "text\n" and "b.log" in ended.err and "--no-ignore" in ended.err
    assert "b.log" in memread("ask", "d", "why?").err
    assert memread("text", "d", "--no-ignore").out.count("[File:") == 2


def test_a_question_that_looks_like_a_file(memread: Memread) -> None:
    memread.write("a.txt", "text\n")
    ended = memread("ask", "a.txt", "Node.js")
    assert ended.code == 3 and "-q" in ended.err
