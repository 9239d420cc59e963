"""The child that reads PDF and EPUB: its errors, its end, its parent's end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from pypdf.generic import NameObject, StreamObject

from memread.errors import DamagedDocument, NoTextLayer, PasswordNeeded
from memread.ingest import child as child_module
from memread.ingest.child import ChildDocument
from memread.spawn import spawn
from memread.types import Format, Limits, Passage, Skipped
from tests.ingest.samples import epub, nav, pdf_writer, skipped, text_of, write_pdf, xhtml

ROOT = Path(__file__).resolve().parents[2]
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals")


def long_pdf(folder: Path) -> str:
    return write_pdf(folder / "long.pdf", [f"page {number}\n" + "words " * 400 for number in range(200)])


def gone(pid: int, seconds: float = 5) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
            state = Path(f"/proc/{pid}/stat")
            if state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def test_info_comes_before_the_passages(tmp_path: Path) -> None:
    document = ChildDocument("pdf", long_pdf(tmp_path), "shown.pdf", 3)
    assert (document.info.name, document.info.pages) == ("shown.pdf", 200)
    parts = list(document.passages())
    assert len(parts) == 200 and parts[0].locator.document == 3
    assert list(document.passages()) == []


def test_errors_cross_the_pipe(tmp_path: Path) -> None:
    locked = write_pdf(tmp_path / "a.pdf", ["x"], password="sesame")
    with pytest.raises(PasswordNeeded) as raised:
        _ = ChildDocument("pdf", locked, "a.pdf").info
    assert raised.value.message == "a.pdf: a password is needed to open it" and raised.value.hint
    assert text_of(list(ChildDocument("pdf", locked, "a.pdf", 0, "sesame").passages())) == "x\n\n"
    with pytest.raises(NoTextLayer):
        list(ChildDocument("pdf", write_pdf(tmp_path / "b.pdf", [None]), "b.pdf").passages())
    (tmp_path / "c.epub").write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(DamagedDocument):
        _ = ChildDocument("epub", str(tmp_path / "c.epub"), "c.epub").info


def test_skipped_parts_cross_the_pipe(tmp_path: Path) -> None:
    parts = list(ChildDocument("pdf", write_pdf(tmp_path / "a.pdf", ["x", None, "y"]), "a.pdf").passages())
    assert [part.locator.page_number for part in skipped(parts)] == [2]


@posix
def test_a_password_is_on_no_command_line(tmp_path: Path) -> None:
    document = ChildDocument(
        "pdf", write_pdf(tmp_path / "a.pdf", ["x"], password="sesame"), "a.pdf", 0, "sesame"
    )
    _ = document.info
    assert document._child is not None
    assert "sesame" not in str(document._child.args)
    document.close()


@posix
def test_a_killed_child_loses_nothing(tmp_path: Path) -> None:
    """As when the system needs memory: it was not the fault of the page."""
    path = long_pdf(tmp_path)
    undisturbed = list(ChildDocument("pdf", path, "a.pdf").passages())
    document = ChildDocument("pdf", path, "a.pdf")
    passages = document.passages()
    parts = [next(passages)]
    assert document._child is not None
    os.kill(document._child.pid, signal.SIGKILL)
    assert [*parts, *passages] == undisturbed


@pytest.fixture
def dying(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_module, "spawn", lambda _: spawn("tests.ingest.dying_worker"))


def read(path: str, **limits: float) -> list[Passage | Skipped]:
    return list(ChildDocument("pdf", path, "a.pdf", limits=Limits(**limits)).passages())  # type: ignore[arg-type]


@posix
@pytest.mark.usefixtures("dying")
def test_a_page_that_crashes_its_reader_is_lost_alone(tmp_path: Path) -> None:
    pages = ["one", "die always", "three", "die once, says four", None, "die always", "die always"]
    undisturbed = [part for part in read(write_pdf(tmp_path / "good.pdf", ["x"] * 7)) if part]
    parts = read(write_pdf(tmp_path / "a.pdf", pages))
    assert text_of(parts) == "one\n\nthree\n\ndie once, says four\n\n"
    assert [part.locator for part in parts] == [part.locator for part in undisturbed]
    assert [part.fraction for part in parts if isinstance(part, Passage)] == [1 / 7, 3 / 7, 4 / 7]
    lost = skipped(parts)
    assert [part.locator.page_number for part in lost] == [2, 5, 6, 7]
    assert {part.reason for part in lost if part.locator.page_number != 5} == {
        "its reader crashed (signal SIGSEGV)"
    }


@posix
@pytest.mark.usefixtures("dying")
def test_what_a_file_of_a_book_has_is_known_though_it_crashes_its_reader(tmp_path: Path) -> None:
    files = {f"{n}.xhtml": xhtml(f"<p>{'die always' if n == 2 else n}</p>") for n in (1, 2, 3)}
    contents = nav(("2.xhtml#x", "Two"), ("2.xhtml#y", "Three"), pages=[("1.xhtml", "7"), ("2.xhtml#x", "8")])
    path = epub(tmp_path / "a.epub", {**files, "nav.xhtml": contents})
    parts = list(ChildDocument("epub", path, "a.epub").passages())
    assert text_of(parts) == "1\n\n3\n\n"
    (lost,) = skipped(parts)
    assert (lost.pages, lost.chapters) == (("8",), ("Two", "Three")) and "crashed" in lost.reason
    assert (lost.label(), parts[-1].locator.label()) == ("pp. 7–8 · Two – Three", "p. 8 · Three")


@posix
@pytest.mark.usefixtures("dying")
def test_pages_that_crash_before_there_is_text(tmp_path: Path) -> None:
    parts = read(write_pdf(tmp_path / "a.pdf", [None, "die always", "three"]))
    assert [part.locator.page_number for part in parts] == [1, 2, 3] and len(skipped(parts)) == 2
    with pytest.raises(DamagedDocument, match=r"none of its pages can be read \(its reader crashed"):
        read(write_pdf(tmp_path / "b.pdf", [None, "die always", None]))


@posix
@pytest.mark.usefixtures("dying")
def test_a_document_that_always_kills_its_reader_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_module, "_DEATHS", 2)
    parts = read(write_pdf(tmp_path / "a.pdf", ["one", *["die always"] * 3, "five"]))
    assert [part.locator.page_number for part in parts] == [1, 2, 3]
    assert "given up here" in skipped(parts)[-1].reason
    with pytest.raises(DamagedDocument, match=r"a\.pdf: its reader crashed \(signal SIGSEGV\)"):
        read(write_pdf(tmp_path / "b.pdf", ["die always"] * 6))


def test_it_runs_ahead_but_not_away(tmp_path: Path) -> None:
    document = ChildDocument("pdf", long_pdf(tmp_path), "a.pdf")
    passages = document.passages()
    next(passages)
    time.sleep(0.5)
    assert document._child is not None and document._child.poll() is None  # waits for room in its pipe
    document.close()
    assert document._child.poll() is not None


def test_close_ends_a_read_in_another_thread(tmp_path: Path) -> None:
    document = ChildDocument("pdf", long_pdf(tmp_path), "a.pdf")
    passages = document.passages()
    next(passages)
    threading.Timer(0.1, document.close).start()
    started = time.monotonic()
    for _ in passages:
        time.sleep(0.02)
    assert time.monotonic() - started < 10
    assert list(document.passages()) == []


@posix
def test_interrupts_at_the_terminal_do_not_reach_it(tmp_path: Path) -> None:
    document = ChildDocument("pdf", long_pdf(tmp_path), "a.pdf")
    passages = document.passages()
    next(passages)
    assert document._child is not None
    assert os.getsid(document._child.pid) != os.getsid(0)
    os.kill(document._child.pid, signal.SIGINT)
    assert len(list(passages)) == 199


@posix
def test_it_ends_with_its_parent_even_if_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        "from memread.ingest.child import ChildDocument\n"
        "d = ChildDocument('pdf', sys.argv[1], 'a.pdf'); d.info\n"
        "print(d._child.pid, flush=True)\n"
        "time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, long_pdf(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
    assert gone(pid)


@posix
def test_the_folder_one_stands_in_is_not_on_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = epub(tmp_path / "b.epub", {"a.xhtml": xhtml("<p>text</p>")})
    for name in ("lxml", "ebooklib", "zipfile", "json", "signal"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module')")
    monkeypatch.chdir(tmp_path)
    assert text_of(list(ChildDocument("epub", "b.epub", "b.epub").passages())) == "text\n\n"
    assert path


def test_many_at_once(tmp_path: Path) -> None:
    documents = [
        ChildDocument("pdf", write_pdf(tmp_path / f"{n}.pdf", [f"text {n}"]), str(n), n) for n in range(6)
    ]
    infos: list[str] = []
    threads = [threading.Thread(target=lambda each=each: infos.append(each.info.name)) for each in documents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(infos) == list("012345")
    assert [text_of(list(document.passages())) for document in documents] == [
        f"text {n}\n\n" for n in range(6)
    ]


def one_page(path: Path, content: str) -> str:
    """Three pages, the second of which has this content."""
    writer = pdf_writer(["one", "two", "three"])
    stream = StreamObject()
    stream.set_data(content.encode())
    writer.pages[1][NameObject("/Contents")] = writer._add_object(stream.flate_encode())
    writer.write(str(path))
    return str(path)


def test_a_document_that_does_not_open_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(DamagedDocument, match=r"a\.pdf: it took more than 0\.001 s"):
        read(write_pdf(tmp_path / "a.pdf", ["one"]), seconds=0.001)


def test_waiting_for_the_parent_takes_no_time(tmp_path: Path) -> None:
    document = ChildDocument("pdf", long_pdf(tmp_path), "a.pdf", limits=Limits(seconds=5))
    passages = document.passages()
    next(passages)
    time.sleep(5.5)
    assert len([part for part in passages if isinstance(part, Passage)]) == 199


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit it")
@pytest.mark.parametrize("format", ["pdf", "epub"])
def test_a_page_that_takes_all_memory_is_lost_alone(tmp_path: Path, format: Format) -> None:
    words = "many words " * 6_000_000
    if format == "pdf":
        path = one_page(tmp_path / "a.pdf", f"BT /F1 12 Tf ({words}) Tj ET")
    else:
        files = {"a.xhtml": xhtml("one"), "b.xhtml": xhtml(words), "c.xhtml": xhtml("three")}
        path = epub(tmp_path / "a.epub", dict(files))
    parts = list(ChildDocument(format, path, "a", limits=Limits(memory=256 << 20)).passages())
    assert text_of(parts) == "one\n\nthree\n\n"
    assert "more memory than it may: ingest.memory_mib" in skipped(parts)[0].reason
