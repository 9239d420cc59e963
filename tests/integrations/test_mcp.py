"""The MCP server, through the SDK's own client over standard input and output."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import log

pytest.importorskip("mcp")

import anyio
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from memread.errors import UsageError
from memread.integrations.mcp import Desk


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "papers"
    place.mkdir()
    (place / "a.log").write_text(log(20))
    (tmp_path / "secret.txt").write_text("nobody may read this\n")
    (place / "link.txt").symlink_to(tmp_path / "secret.txt")
    return place


@asynccontextmanager
async def client(folder: Path, model: Path) -> AsyncIterator[Client]:
    small = {f"MEMREAD_BUDGET_{n}": v for n, v in {"SEGMENT": "64", "MEMORY": "24", "ANSWER": "16"}.items()}
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "memread", "mcp", str(folder)],
        env={**os.environ, **small, "MEMREAD_MODEL": str(model), "MEMREAD_ENGINE_THREADS": "1"},
    )
    async with Client(stdio_client(server)) as found:
        yield found


def run(test: Callable[[Client], Coroutine[Any, Any, None]], folder: Path, model: Path) -> None:
    async def main() -> None:
        with anyio.fail_after(120):
            async with client(folder, model) as found:
                await test(found)

    anyio.run(main)


def test_a_document_is_asked(folder: Path, tiny_gguf: Path) -> None:
    told: list[tuple[float, float | None, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))

    async def test(found: Client) -> None:
        (tool,) = (await found.list_tools()).tools
        assert tool.name == "ask_document" and tool.description
        assert {"path", "question", "pages"} <= set(tool.input_schema["properties"])
        assert "context" not in tool.input_schema["properties"]
        arguments = {"path": "a.log", "question": "how far?"}
        done = await found.call_tool("ask_document", arguments, progress_callback=note)
        assert not done.is_error, done.content
        assert done.structured_content is not None
        assert done.structured_content["complete"] and "to the end" in done.structured_content["read"]
        values = [progress for progress, _, _ in told]
        assert len(values) >= 4 and values == sorted(set(values)) and values[-1] == pytest.approx(1.0)
        assert "lines 1" in str(told[-1][2]) or "line" in str(told[-1][2])
        part = await found.call_tool("ask_document", {**arguments, "lines": "1-2"})
        assert part.structured_content is not None
        assert part.structured_content["read"].startswith("1 segments")
        near = {**arguments, "question": "What of line 7?", "skim": True}
        skimmed = await found.call_tool("ask_document", near)
        assert skimmed.structured_content is not None
        assert "only the sentences nearest" in skimmed.structured_content["read"]
        assert any("Line 7:" in passage["quote"] for passage in skimmed.structured_content["passages"])

    run(test, folder, tiny_gguf)


def test_only_the_allowed_folders_are_read(folder: Path, tiny_gguf: Path) -> None:
    async def test(found: Client) -> None:
        secret = str(folder.parent / "secret.txt")
        for path in (secret, "../secret.txt", "link.txt", ".", "/etc/passwd", "/no/such/file", "a\0b", "-"):
            done = await found.call_tool("ask_document", {"path": path, "question": "what?"})
            said = str(done.content)
            assert done.is_error and "nobody may" not in said, path
            assert ("outside the folders" in said) == (path != "-"), said
        done = await found.call_tool("ask_document", {"path": "a.log", "question": "x", "lines": "z"})
        assert done.is_error and "no range of lines" in str(done.content)

    run(test, folder, tiny_gguf)


def test_names_that_no_file_has(folder: Path) -> None:
    desk = Desk([folder], {})
    for path in ("a" * 5000, "\ud800", "/" + "a" * 5000):
        with pytest.raises(UsageError):
            desk.allowed(path)
    assert desk.allowed("~no-such-user/a.log") == folder / "~no-such-user" / "a.log"


def test_a_call_can_be_cancelled(folder: Path, slow_gguf: Path) -> None:
    (folder / "long.log").write_text(log(4000))

    async def test(found: Client) -> None:
        begun = anyio.Event()

        async def note(progress: float, total: float | None, message: str | None) -> None:
            begun.set()

        async with anyio.create_task_group() as tasks:
            call = {"path": "long.log", "question": "how far?"}
            tasks.start_soon(lambda: found.call_tool("ask_document", call, progress_callback=note))
            await begun.wait()
            tasks.cancel_scope.cancel()
        # The server reads one document at a time: that it answers shows that the first reading has ended.
        done = await found.call_tool("ask_document", {"path": "a.log", "question": "x", "lines": "1"})
        assert not done.is_error, done.content

    run(test, folder, slow_gguf)
