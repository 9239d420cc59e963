"""Which arguments are documents, and which is the question."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from memread.errors import FileMissing, FileUnreadable, NothingToRead, UsageError
from memread.ingest import Input, resolve, split_list
from tests.ingest.samples import PICTURE, epub, xhtml


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "place"
    place.mkdir()
    monkeypatch.chdir(place)
    for name in ("a.txt", "b.txt", "notes 10.md", "notes 9.md"):
        (place / name).write_text("text\n")
    return place


@pytest.mark.parametrize(
    ("arguments", "names", "question"),
    [
        (["a.txt"], ["a.txt"], None),
        (["-"], ["-"], None),
        (["a.txt", "Who is it?"], ["a.txt"], "Who is it?"),
        (["a.txt", "who"], ["a.txt"], "who"),
        (["a.txt", "Summarise."], ["a.txt"], "Summarise."),
        (["a.txt", "What is in b.txt"], ["a.txt"], "What is in b.txt"),
        (["a.txt", "x" * 5000 + "?"], ["a.txt"], "x" * 5000 + "?"),
        (["a.txt", "what?\0"], ["a.txt"], "what?\0"),
        (["a.txt", ""], ["a.txt"], ""),
        (["a.txt", "b.txt"], ["a.txt", "b.txt"], None),
        (["a.txt", "-"], ["a.txt", "-"], None),
        (["-", "Who?"], ["-"], "Who?"),
        (["*.txt", "Who?"], ["a.txt", "b.txt"], "Who?"),
        (["a.txt", "notes*"], ["a.txt", "notes 9.md", "notes 10.md"], None),
        (["a.txt", "a.txt", "q"], ["a.txt", "a.txt"], "q"),
    ],
)
def test_the_last_of_several_is_the_question(
    arguments: list[str], names: list[str], question: str | None
) -> None:
    found = resolve(arguments)
    assert (list(found.names), found.question) == (names, question)


@pytest.mark.parametrize("last", ["b.tx", "notes.pdf", "dir/x", "./a"])
def test_a_missing_name_that_looks_like_a_file_is_no_question(last: str) -> None:
    with pytest.raises(FileMissing):
        resolve(["a.txt", last])


def test_a_near_name_is_offered() -> None:
    with pytest.raises(FileMissing) as raised:
        resolve(["a.tx", "Who?"])
    assert "a.txt" in raised.value.hint


def test_with_a_question_given_everything_is_a_document() -> None:
    assert resolve(["a.txt", "b.txt"], question_given=True).names == ("a.txt", "b.txt")
    with pytest.raises(FileMissing) as raised:
        resolve(["a.txt", "Who is it?"], question_given=True)
    assert "question" in raised.value.hint


@pytest.mark.parametrize("only", ["who is it?", "why?", "x" * 5000 + "?"])
def test_only_a_question_is_a_missing_file_with_a_hint(only: str) -> None:
    with pytest.raises(FileMissing) as raised:
        resolve([only])
    assert "name a document" in raised.value.hint


def test_standard_input_can_be_read_once() -> None:
    with pytest.raises(UsageError):
        resolve(["-", "-", "Who?"])


def test_patterns() -> None:
    with pytest.raises(NothingToRead):
        resolve(["*.pdf"])
    Path("picture.png").write_bytes(PICTURE)
    found = resolve(["*"])
    assert found.names == ("a.txt", "b.txt", "notes 9.md", "notes 10.md")
    assert [part.reason for part in found.left_out] == ["picture.png: a PNG picture"]
    assert found.inputs[0] == Input("a.txt", named=False)
    Path("[odd].txt").write_text("x")
    assert resolve(["[odd].txt"]).inputs == (Input("[odd].txt"),)


def test_folders_are_walked_in_natural_order(tmp_path: Path) -> None:
    top = tmp_path / "top"
    for name in (
        "10.txt",
        "9.txt",
        "b/2.txt",
        "b/.hidden",
        ".git/config",
        "c/book.epub",
        "pic.png",
        "empty.txt",
        "x.docx",
    ):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_bytes(b"text")
    (top / "pic.png").write_bytes(PICTURE)
    (top / "empty.txt").write_bytes(b"")
    epub(top / "c/book.epub", {"a.xhtml": xhtml("x")})
    import zipfile

    with zipfile.ZipFile(top / "x.docx", "w") as archive:
        archive.writestr("[Content_Types].xml", "x")
        archive.writestr("word/document.xml", "x")
    found = resolve([str(top), "Who?"])
    assert [os.path.relpath(name, top).replace(os.sep, "/") for name in found.names] == [
        "9.txt",
        "10.txt",
        "b/2.txt",
        "c/book.epub",
        "x.docx",
    ]
    reasons = [part.reason.rpartition(os.sep)[2] for part in found.left_out]
    assert reasons == ["empty.txt: it is empty", "pic.png: a PNG picture"]


def _names(*arguments: str, **options: bool) -> list[str]:
    return [Path(name).name for name in resolve(arguments, **options).names]


def test_gitignore_is_honoured_as_git_does(tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    for name in ("a.md", "b.log", "keep.log", "build/out.md", "docs/c.md", "docs/draft/d.md", "docs/e.log"):
        (repo / name).parent.mkdir(parents=True, exist_ok=True)
        (repo / name).write_text("text")
    (repo / ".gitignore").write_text("*.log\n!keep.log\nbuild/\n")
    (repo / "docs" / ".gitignore").write_text("/draft\n!e.log\n")
    assert _names(str(repo)) == ["a.md", "c.md", "e.log", "keep.log"]
    notice = " ".join(resolve([str(repo)]).notices)
    assert all(name in notice for name in ("b.log", "build", "draft", "--no-ignore"))
    everything = ["a.md", "b.log", "out.md", "c.md", "d.md", "e.log", "keep.log"]
    assert _names(str(repo), gitignore=False) == everything
    assert not resolve([str(repo)], gitignore=False).notices
    # The rules of the folders above hold in a repository, but not for a folder that is named itself.
    (repo / ".git").mkdir()
    (repo / "docs" / ".gitignore").unlink()
    assert _names(str(repo / "docs")) == ["c.md", "d.md"]
    assert _names(str(repo / "build")) == ["out.md"]
    subprocess.run(["git", "init", "-q", repo], check=True)
    listed = ["git", "-C", repo, "ls-files", "--others", "--exclude-standard"]
    seen = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split()
    assert sorted(Path(name).name for name in seen if name != ".gitignore") == sorted(_names(str(repo)))


def test_lists_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.txt", "b\nc.txt"):
        Path(name).write_text("text")
    assert split_list(b"a.txt\0b\nc.txt\0") == ["a.txt", "b\nc.txt"]
    assert split_list(b"a.txt\n") == ["a.txt"]
    with pytest.raises(UsageError, match="NUL"):
        split_list(b"a.txt\nd.txt\n")
    found = resolve(["Who?"], listed=split_list(b"a.txt\0b\nc.txt\0"))
    assert (found.names, found.question) == (("a.txt", "b\nc.txt"), "Who?")
    assert resolve(["b\nc.txt", "Who?"], listed=["a.txt"]).names == ("b\nc.txt", "a.txt")
    assert resolve([], listed=["a.txt"]).question is None
    with pytest.raises(UsageError):
        resolve([])


def test_a_question_like_a_file_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("text")
    with pytest.raises(FileMissing) as raised:
        resolve(["a.txt", "Node.js"])
    assert "-q" in raised.value.hint
    assert resolve(["a.txt"], question_given=True).names == ("a.txt",)


def test_a_folder_without_anything_readable(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NothingToRead):
        resolve([str(tmp_path / "empty")])
    (tmp_path / "empty" / "a.png").write_bytes(PICTURE)
    with pytest.raises(NothingToRead) as raised:
        resolve([str(tmp_path / "empty")])
    assert "a.png" in raised.value.hint


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="permissions")
def test_what_may_not_be_read(tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0)
    with pytest.raises(FileUnreadable):
        resolve([str(locked)])


@pytest.mark.skipif(sys.platform == "win32", reason="links")
def test_links_to_folders_are_said_not_followed(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    (top / "a.txt").write_text("x")
    (top / "ring").symlink_to(top)
    (top / "broken").symlink_to(top / "nowhere")
    found = resolve([str(top)])
    assert len(found.names) == 1
    assert len(found.left_out) == 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_named_pipe_is_a_document() -> None:
    os.mkfifo("pipe")
    assert resolve(["pipe", "Who?"]).names == ("pipe",)
