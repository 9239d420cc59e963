"""The other commands: runs, stat, models, config, doctor, help, completion."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from memread import __version__
from memread.settings import SETTINGS
from tests.cli.conftest import ALICE, Memread, log
from tests.ingest.samples import pdf_bytes, write_pdf

QUESTION = "how far did the ship sail?"


def decoded(text: str) -> Any:
    return json.loads(text)


# ── runs ──


def test_runs_are_listed_shown_and_removed(memread: Memread) -> None:
    memread.write("a.txt", log(8))
    memread.write("b.txt", log(4))
    printed = decoded(memread("ask", "a.txt", QUESTION, "--json").out)
    memread("ask", "b.txt", "why?")
    listed = memread("runs")
    assert listed.code == 0
    first, second = (listed.out.index(name) for name in ("b.txt", "a.txt"))
    assert first < second and QUESTION in listed.out and "done" in listed.out
    rows = [decoded(line) for line in memread("runs", "--json").out.splitlines()]
    assert [row["question"] for row in rows] == ["why?", QUESTION]
    assert memread("runs", "--limit", "1").out.count("why?") == 1
    run = rows[1]["run_id"]
    assert run == printed["run"]

    shown = memread("runs", "show", run[:4])
    assert QUESTION in shown.out and "a.txt" in shown.out and run in shown.out
    memories = memread("runs", "show", run, "--memory").out
    assert "[1] lines 1–3" in memories and f"[{printed['coverage']['segments']}]" in memories
    again = decoded(memread("runs", "show", run, "--json").out)
    for key in ("answer", "memory", "sources", "coverage", "model", "settings", "run", "question", "budget"):
        assert again[key] == printed[key], key
    assert decoded(memread("runs", "show", run, "--events").out.splitlines()[0])["type"] == "run_started"

    assert memread("runs", "rm", run).code == 0
    assert len(memread("runs", "--json").out.splitlines()) == 1
    assert memread("runs", "show", run).code == 19


def test_no_journal_leaves_none(memread: Memread, home: Path) -> None:
    memread.write("a.txt", log(2))
    ended = memread("ask", "a.txt", QUESTION, "--no-journal", "--json")
    assert not decoded(ended.out)["recorded"]
    assert not [*home.rglob("journal.sqlite3*")]


@pytest.mark.skipif(sys.platform == "win32", reason="Unix permissions")
def test_the_journal_is_for_the_user_alone(memread: Memread, home: Path) -> None:
    """It holds what they read and asked."""
    memread.write("a.txt", log(2))
    memread("ask", "a.txt", QUESTION)
    (journal,) = home.rglob("journal.sqlite3")
    assert journal.stat().st_mode & 0o077 == 0


# ── stat ──


def test_stat_counts_what_ask_reads(memread: Memread) -> None:
    memread.write("a.txt", log(20))
    write_pdf(memread.folder / "a.pdf", [log(6), log(6, 50), None])
    for name in ("a.txt", "a.pdf", "*.*"):
        told = decoded(memread("stat", name, "--json").out)
        read = decoded(memread("ask", name, "-q", QUESTION, "--json").out)
        assert told["tokens"] == read["coverage"]["tokens"] > 100
        assert told["segments"] == read["coverage"]["segments"] > 3
        assert told["documents"] == read["documents"]
        assert len(told["skipped"]) == len(read["coverage"]["skipped"])


def test_stat_of_a_book_loads_no_weights(memread: Memread) -> None:
    """Of a model whose weights are cut off only the header is there to be read."""
    whole = memread.model.read_bytes()
    memread.write("header.gguf", whole[: len(whole) // 2])
    assert memread("ask", ALICE, QUESTION, "-m", "header.gguf").code == 15
    loaded = (
        "import sys; from memread.cli.app import main\n"
        "try: main()\nfinally: print('llama_cpp' in sys.modules)"
    )
    ended = memread("stat", ALICE, "-m", "header.gguf", "--segment", "5000", python=("-c", loaded))
    assert ended.code == 0, ended.err
    assert "Alice" in ended.out and "Lewis Carroll" in ended.out and "EPUB" in ended.out
    assert "chapters" in ended.out and "tokens (header)" in ended.out
    assert ended.out.endswith("False\n")


def test_stat_of_a_pipe(memread: Memread) -> None:
    ended = memread("stat", "-", stdin=pdf_bytes([log(6), log(6)]))
    assert ended.code == 0 and "PDF · 2 pages" in ended.out


def test_stat_tells_the_time_once_something_was_read(memread: Memread) -> None:
    memread.write("a.txt", log(20))
    assert decoded(memread("stat", "a.txt", "--json").out)["expected_seconds"] is None
    memread("ask", "a.txt", QUESTION)
    assert 0 < decoded(memread("stat", "a.txt", "--json").out)["expected_seconds"] < 60
    assert "to read, at the" in memread("stat", "a.txt").out


# ── models, config, doctor ──


def test_models_lists_what_is_there(memread: Memread, home: Path) -> None:
    folder = home / "models"
    folder.mkdir()
    for name in ("b", "a"):
        (folder / f"{name}.gguf").write_bytes(memread.model.read_bytes())
    env = {"MEMREAD_MODELS_PATH": str(folder), "MEMREAD_MODEL": ""}
    rows = [decoded(line) for line in memread("models", "--json", env=env).out.splitlines()]
    assert [row["name"] for row in rows][:2] == ["a", "b"]
    assert [row["name"] for row in rows if row["default"]] == ["a"]
    assert rows[0]["path"] == str(folder / "a.gguf") and rows[0]["profile"] == "default"
    ended = memread("models", env={**env, "MEMREAD_MODEL": "b"})
    assert [line.split()[1] for line in ended.out.splitlines() if line.startswith("*")] == ["b"]
    assert str(folder / "b.gguf") in ended.out and str(folder) in ended.err


def test_config_tells_where_each_value_is_from(memread: Memread, home: Path) -> None:
    memread.write("config.toml", "[engine]\nthreads = 3\n[budget]\nanswer = 77\nmemory = 99\n")
    file = str(memread.folder / "config.toml")
    env = {"MEMREAD_CONFIG": file, "MEMREAD_SAMPLING_SEED": "5", "MEMREAD_SMAPLING_SEED": "6"}
    own = dict.fromkeys(("MEMREAD_ENGINE_THREADS", "MEMREAD_BUDGET_ANSWER"), "")
    ended = memread("config", "--json", env={**env, **own})
    found = decoded(ended.out)
    assert set(found) == {setting.name for setting in SETTINGS}
    assert found["engine.threads"] == {"value": 3, "origin": file}
    assert found["budget.answer"] == {"value": 77, "origin": file}
    assert found["budget.memory"] == {"value": 24, "origin": "MEMREAD_BUDGET_MEMORY"}
    assert found["sampling.seed"] == {"value": 5, "origin": "MEMREAD_SAMPLING_SEED"}
    assert found["sampling.temperature"]["origin"] == "default"
    shown = memread("config", env=env)
    assert "MEMREAD_SMAPLING_SEED sets nothing (did you mean MEMREAD_SAMPLING_SEED?)" in shown.err
    assert all(setting.name in shown.out for setting in SETTINGS)


def test_flags_go_over_variables_over_the_file(memread: Memread) -> None:
    memread.write("a.txt", log(2))
    memread.write("config.toml", "[budget]\nmemory = 30\nanswer = 31\n")
    env = {"MEMREAD_CONFIG": "config.toml", "MEMREAD_BUDGET_ANSWER": "", "MEMREAD_BUDGET_MEMORY": "32"}
    ended = memread("ask", "a.txt", QUESTION, "--segment", "100", "--json", env=env)
    assert decoded(ended.out)["budget"] == {"query": 1024, "segment": 100, "memory": 32, "answer": 31}


def test_doctor(memread: Memread) -> None:
    ended = memread("doctor")
    assert ended.code == 0, ended.err
    for said in ("llama-cpp-python", "CPU", "tiny", "journal", "config.toml", __version__):
        assert said in ended.out
    assert re.search(r"AVX|NEON|SSE", ended.out)
    assert ("AMX is not used" in ended.out) == ("AMX_INT8 = 1" in ended.out)
    ended = memread("doctor", "--verbose")
    assert "llama" in ended.err and ended.code == 0
    ended = memread("doctor", env={"MEMREAD_MODEL": "./nowhere.gguf"})
    assert ended.code == 13 and "nowhere.gguf" in ended.out and "journal" in ended.out


def test_llama_cpps_log_is_shown_when_asked_for(memread: Memread) -> None:
    memread.write("a.txt", log(2))
    quiet, verbose = (memread("ask", "a.txt", QUESTION, *flag).err for flag in ((), ("--verbose",)))
    assert "llama_" not in quiet and "llama_" in verbose


# ── help ──


def test_help_imports_only_what_it_needs(memread: Memread) -> None:
    late = (
        *("llama_cpp", "numpy", "rich.live", "pypdf", "ebooklib", "lxml", "tiktoken", "sqlite3", "regex"),
        *("msgspec", "platformdirs", "charset_normalizer", "filelock", "memread.reading", "multiprocessing"),
    )
    looked = (
        "import sys\nfrom memread.cli.app import main\n"
        f"try: main()\nfinally: print([name for name in {late!r} if name in sys.modules])"
    )
    for arguments in (("--help",), ("ask", "--help"), ("--version",)):
        ended = memread(*arguments, python=("-c", looked))
        assert ended.out.endswith("[]\n"), ended.out


@pytest.mark.parametrize(
    "command", ["ask", "stat", "models", "doctor", "config", "runs", "runs show", "runs rm"]
)
def test_every_command_has_help(memread: Memread, command: str) -> None:
    for flag in ("--help", "-h"):
        ended = memread(*command.split(), flag)
        assert ended.code == 0 and ended.err == ""
        assert ended.out.startswith("Usage: ") and command in ended.out


def test_help_names_every_setting_of_a_reading(memread: Memread) -> None:
    top = memread("--help").out
    for command in ("ask", "stat", "models", "doctor", "config", "runs"):
        assert re.search(rf"^\s+{command}\s", top, re.MULTILINE), command
    assert "--debug" in top and "Exit codes" in top
    told = memread("ask", "--help").out
    for setting in SETTINGS:
        if setting.name.startswith(("budget.", "sampling.")) or setting.name in ("model", "profile"):
            assert setting.flag in told, setting.flag
    flags = "-q --show-memory --json --events --quiet --fresh --no-journal --password --threads --gpu-layers"
    assert all(flag in told for flag in flags.split())


def test_no_arguments_show_the_help(memread: Memread) -> None:
    ended = memread()
    assert "Usage: " in ended.out + ended.err and ended.code in (0, 2)


def test_the_version(memread: Memread) -> None:
    assert memread("--version").out == f"memread {__version__}\n"


@pytest.mark.skipif(sys.platform == "win32", reason="bash")
def test_shell_completion(memread: Memread) -> None:
    env = {"SHELL": "/bin/bash", "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    ended = memread("--show-completion", "bash", env=env)
    assert ended.code == 0, ended.err
    assert "complete -o default -F" in ended.out and "memread" in ended.out
    words = {"COMP_WORDS": "memread mo", "COMP_CWORD": "1", "_MEMREAD_COMPLETE": "complete_bash"}
    script = Path(sys.executable).with_name("memread")
    if script.exists():
        ended = memread(env=words, python=(str(script),))
        assert "models" in ended.out.split()
