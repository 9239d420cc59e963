"""`memread models` and what it does: scan, add, rm, default, alias, info, profiles."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from memread import config
from tests.cli.conftest import Memread, log
from tests.fixtures.gguf_model import write_tiny_gguf
from tests.registry.test_stores import manifest, ollama


@pytest.fixture
def env() -> dict[str, str]:
    """No model is named in the settings."""
    return {"MEMREAD_MODEL": ""}


def test_scan_registers_and_ask_reads(memread: Memread, home: Path, env: dict[str, str]) -> None:
    blob = ollama(home, "registry.ollama.ai/library/qwen3/4b", memread.model)
    manifest(
        home,
        "registry.ollama.ai/library/evil/latest",
        {"mediaType": "application/vnd.ollama.image.model", "digest": "../../../../etc/passwd"},
    )
    dry = memread("models", "scan", "--dry-run", env=env)
    assert dry.code == 0 and "1 of them new (not registered)" in dry.err
    assert "qwen3:4b" not in memread("models", env=env).out
    ended = memread("models", "scan", env=env)
    assert ended.code == 0 and ended.out == f"new      qwen3:4b  {blob}\n"
    assert "skipped" in ended.err and "a digest that is none: '../../../../etc/passwd'" in ended.err
    rows = [json.loads(line) for line in memread("models", "scan", "--json", env=env).out.splitlines()]
    assert [row.get("outcome") for row in rows] == [None, "known"] and "reason" in rows[0]
    memread.write("a.txt", log(2))
    asked = memread("ask", "a.txt", "why?", "--model", "qwen3:4b", "--json", env=env)
    assert asked.code == 0 and json.loads(asked.out)["model"]["name"] == "qwen3:4b"
    listed = memread("models", env=env).out
    assert "qwen3:4b" in listed and "ollama" in listed
    assert memread("models", "rm", "qwen3:4b", env=env).code == 0 and blob.exists()


def test_scan_of_a_folder(memread: Memread, env: dict[str, str]) -> None:
    shutil.copy(memread.model, memread.folder / "here.gguf")
    ended = memread("models", "scan", ".", env=env)
    assert ended.out == f"new      here  {(memread.folder / 'here.gguf').resolve()}\n"
    assert memread("models", "scan", "nowhere", env=env).code == 3


def test_add_default_alias_and_rm(memread: Memread, env: dict[str, str]) -> None:
    shutil.copy(memread.model, memread.folder / "weights.gguf")
    assert memread("models", "add", "weights.gguf", "--name", "w", env=env).err == "added w\n"
    assert memread("models", "default", "W", env=env).out == "w\n"
    assert memread("models", "alias", "best", "w", env=env).code == 0
    rows = [json.loads(line) for line in memread("models", "--json", env=env).out.splitlines()]
    (row,) = [row for row in rows if row["default"]]
    assert (row["name"], row["aliases"], row["source"]) == ("w", ["best"], "added")
    over = memread("models", "default", "w", env={"MEMREAD_MODEL": str(memread.model)})
    assert over.out == "tiny\n" and "MEMREAD_MODEL names" in over.err
    assert memread("models", "add", "nowhere.gguf", env=env).code == 13
    assert memread("models", "alias", "w", "best", env=env).code == 2
    assert memread("models", "rm", "best", env=env).err == "removed the alias best\n"
    assert "stays where it is" in memread("models", "rm", "w", env=env).err
    assert (memread.folder / "weights.gguf").exists()


def test_files_are_deleted_only_when_one_says_so(memread: Memread, env: dict[str, str]) -> None:
    own = config.load().models_dir / "own.gguf"
    own.parent.mkdir(parents=True)
    shutil.copy(memread.model, own)
    asked = memread("models", "rm", "own", env=env)
    assert asked.code == 2 and "--yes" in asked.err and own.exists()
    assert memread("models", "rm", "own", "--yes", env=env).err == "deleted own\n"
    assert not own.exists()


def test_a_damaged_catalogue(memread: Memread, env: dict[str, str]) -> None:
    file = config.load().models_dir / "catalogue.json"
    file.parent.mkdir(parents=True)
    file.write_text("{")
    ended = memread("models", env=env)
    assert ended.code == 20 and "catalogue.json" in ended.err and "Remove it" in ended.err
    memread.write("a.txt", log(2))
    assert memread("ask", "a.txt", "why?").code == 0


def test_info(memread: Memread, home: Path) -> None:
    ended = memread("models", "info")
    assert ended.code == 0, ended.err
    for said in (
        "llama: 2 layers, width 64, 4 heads, 2 KV heads",
        "F16",
        "8,192 tokens",
        "default",
        "it fits",
    ):
        assert said in ended.out, said
    assert "not known before a first reading" in ended.out
    told = json.loads(memread("models", "info", "--json").out)
    # 2 bytes × 2 (keys, values) × 2 layers × 2 heads × 16 numbers
    assert told["kv_bytes_per_token"] == 256
    assert told["memory_needed"] == told["bytes"] + told["context"] * 256
    assert told["reply_begins"] == "<|im_end|>\n<|im_start|>assistant\n" and told["problem"] == ""
    assert 0 < told["context_that_fits"] <= told["trained_context"] == 8192
    memread.write("a.txt", log(4))
    memread("ask", "a.txt", "why?")
    assert json.loads(memread("models", "info", "--json").out)["speed_tokens_per_second"] > 0
    assert "tokens/s in readings so far" in memread("models", "info").out


def test_info_tells_what_will_not_work(memread: Memread) -> None:
    write_tiny_gguf(memread.folder / "m.gguf", chat_template="{{ nope(")
    ended = memread("models", "info", "./m.gguf")
    assert ended.code == 0 and "chat template cannot be rendered" in ended.out
    write_tiny_gguf(memread.folder / "s.gguf", context=128)
    assert "needs a context of" in memread("models", "info", "./s.gguf").out
    thinking = "{{ messages[0].content }}{% if enable_thinking is false %}<think></think>{% endif %}"
    write_tiny_gguf(memread.folder / "t.gguf", chat_template=thinking, name="Qwen3 1.7B")
    ended = memread("models", "info", "./t.gguf")
    assert "(thinking is off)" in ended.out and "qwen3-1.7b: segments" in ended.out
    assert ended.err.count("Not verified:") == 3
    assert memread("models", "info", "./none.gguf").code == 13
    assert memread("models", "info", "--profile", "nobody").code == 20


def test_profiles(memread: Memread, env: dict[str, str]) -> None:
    rows = [json.loads(line) for line in memread("models", "profiles", "--json").out.splitlines()]
    by_name = {row["name"]: row for row in rows}
    small = by_name["qwen3-1.7b"]
    assert small["pull"] and small["licence"] == "Apache-2.0" and small["unverified"]
    assert small["memory_needed"] > small["bytes"] > 10**9
    assert not by_name["rl-memoryagent-7b"]["pull"]
    own = config.profiles_dir()
    own.mkdir(parents=True)
    printed = memread("models", "profiles", "qwen3-1.7b").out
    (own / "mine.toml").write_text(printed.replace("qwen3-1.7b", "mine").replace("2500", "90"))
    listed = memread("models", "profiles").out
    assert "mine\n" in listed and "your own" in listed and "1.8 GB to download" in listed
    memread.write("a.txt", log(4))
    limits = {"MEMREAD_BUDGET_SEGMENT": "", "MEMREAD_BUDGET_MEMORY": "40"}
    asked = memread("ask", "a.txt", "why?", "--profile", "mine", "--json", env=limits)
    assert json.loads(asked.out)["budget"]["segment"] == 90, asked.err
    bad = memread.write("bad.toml", 'name = "bad"\n\n[budget]\nsegmnt = 3\n')
    for arguments in (("models", "profiles", "bad.toml"), ("ask", "a.txt", "why?", "--profile", "bad.toml")):
        ended = memread(*arguments)
        assert ended.code == 20
        assert f"{bad.name}: line 4: budget.segmnt: there is no such key (did you mean segment?)" in ended.err
