"""`llm memread ask`, through llm's own command line and logs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import log

pytest.importorskip("llm")


def llm(folder: Path, model: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    small = {f"MEMREAD_BUDGET_{n}": v for n, v in {"SEGMENT": "64", "MEMORY": "24", "ANSWER": "16"}.items()}
    own = {"MEMREAD_MODEL": str(model), "MEMREAD_ENGINE_THREADS": "1", "LLM_USER_PATH": str(folder / "llm")}
    return subprocess.run(
        # As llm loads an installed plugin, without a second installation: the checkout is one.
        [sys.executable, "-c", _RUN, *arguments],
        cwd=folder,
        env={**os.environ, **small, **own, "PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )


_RUN = """
import llm.plugins, memread.integrations.llm as plugin
llm.plugins.pm.register(plugin, "memread") if not llm.plugins.pm.is_registered(plugin) else None
from llm.cli import cli
cli()
"""


def test_ask_and_the_logs(tmp_path: Path, tiny_gguf: Path) -> None:
    (tmp_path / "a.log").write_text(log(8))
    unlogged = llm(tmp_path, tiny_gguf, "memread", "ask", "a.log", "x?", "--no-log", "--quiet")
    assert unlogged.returncode == 0 and "Read " not in unlogged.stderr
    done = llm(tmp_path, tiny_gguf, "memread", "ask", "a.log", "how far?", "--lines", "1-6")
    assert done.returncode == 0, done.stderr
    assert "Read " in done.stderr
    (row,) = json.loads(llm(tmp_path, tiny_gguf, "logs", "--json", "-n", "0").stdout)
    assert row["model"].startswith("memread/")
    assert row["prompt"] == "how far?\n\n[memread: a.log]"
    assert row["response"].strip() == done.stdout.strip()
    assert row["response_json"]["documents"][0]["part"] == "lines 1-6"
    assert row["input_tokens"] > 0


def test_errors_are_one_line_and_a_hint(tmp_path: Path, tiny_gguf: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    done = llm(tmp_path, tiny_gguf, "memread", "ask", "a.png", "what?")
    assert done.returncode == 10
    assert done.stderr.startswith("Error: a.png: this is a PNG picture") and "Traceback" not in done.stderr


def test_the_plugin_is_announced_and_imports_little(tmp_path: Path) -> None:
    text = (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text("utf-8")
    assert '[project.entry-points.llm]\nmemread = "memread.integrations.llm"' in text
    code = "import sys, llm; before = set(sys.modules); import memread.integrations.llm; "
    code += "print(*sorted(m for m in set(sys.modules) - before if m.startswith('memread')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [
        "memread",
        "memread.errors",
        "memread.integrations",
        "memread.integrations.llm",
    ]
