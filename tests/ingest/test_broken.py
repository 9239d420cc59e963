"""Broken and hostile files: each ends as broken/README.md says, and nothing in them is opened or fetched."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from memread.cli.app import main
from tests.ingest.broken import make

HERE = Path(__file__).parent / "broken"
LIMITS = {"MEMREAD_INGEST_PAGE_SECONDS": "60", "MEMREAD_INGEST_MEMORY_MIB": "1024"}


class Row(NamedTuple):
    file: str
    what: str
    exit: str
    says: str
    text: str


def table() -> list[Row]:
    lines = (HERE / "README.md").read_text(encoding="utf-8").splitlines()
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines if line.startswith("| ")]
    return [Row(*(cell.strip().replace("\\|", "|") for cell in row)) for row in rows[2:]]


ROWS = table()


def matches(pattern: str, text: str) -> bool:
    """pattern: "…" in it is anything."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("…"))), text, re.S) is not None


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.file)
def test_each_ends_as_the_table_says(
    row: Row, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in LIMITS.items():
        monkeypatch.setenv(name, value)
    if "page_seconds" in row.says:
        monkeypatch.setenv("MEMREAD_INGEST_PAGE_SECONDS", "6")
    monkeypatch.chdir(HERE)
    with pytest.raises(SystemExit) as left:
        main(["text", row.file])
    out, err = capsys.readouterr()
    said = [
        line.removeprefix("memread: ").removeprefix(f"{row.file}: ")
        for line in err.splitlines()
        if not line.startswith("  ")  # a hint
    ]
    assert left.value.code == int(row.exit), err
    assert matches(row.says, "<br>".join(said)), said
    assert matches(row.text, " ".join(out.split())), out[:500]
    assert "root:" not in out + err  # of /etc/passwd


def test_the_table_is_complete() -> None:
    kept = {path.name for path in HERE.iterdir() if path.is_file() and path.suffix not in (".py", ".md")}
    assert kept == {row.file for row in ROWS} == set(make.FILES)
    assert len(ROWS) == len(kept)


@pytest.mark.parametrize("name", ["page.html", "book.epub", "text.docx"])
def test_no_document_reaches_the_network(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        page = make.EXTERNAL.replace("127.0.0.1:9", f"127.0.0.1:{server.getsockname()[1]}")
        entity = re.search(r"<!DOCTYPE.*\]>", page)
        assert entity is not None
        data = {
            "page.html": page.encode,
            "book.epub": lambda: make.between(page),
            "text.docx": lambda: make.document("&n;", entity.group().replace("%p;", "")),
        }[name]()
        (tmp_path / name).write_bytes(data)
        with pytest.raises(SystemExit) as left:
            main(["text", str(tmp_path / name)])
        assert left.value.code == 0, capsys.readouterr().err
        with pytest.raises(BlockingIOError):
            server.accept()


_PEAK = 400 << 10
"""KiB of memory that a text of any length may take, with Python and what it imports."""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="measured in KiB there")
@pytest.mark.parametrize("name", ["line", "nuls"])
def test_the_largest_texts_take_little_memory(name: str, tmp_path: Path) -> None:
    """100 MB without a line end; a gigabyte of NULs. Cut into segments, too."""
    path = tmp_path / "large.log"
    if name == "line":
        path.write_bytes(b"words without end " * (100_000_000 // 18))
    else:
        with path.open("wb") as file:
            file.write(b"one line of a log\n" * 4000)
            file.seek(1 << 30, os.SEEK_CUR)
            file.write(b"three\n")
    for command in ("text", "stat"):
        with (tmp_path / "err").open("wb") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", "memread", command, str(path)], stdout=subprocess.DEVNULL, stderr=err
            )
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, (tmp_path / "err").read_text()
        assert used.ru_maxrss < _PEAK
