"""What the tests of downloads share: the bytes that are promised, and a download that checks what it left."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import httpx2

from memread.registry.download import Remote, download
from tests.registry.server import Server

CONTENT = b"GGUF" + random.Random(1).randbytes(300_000)
OTHER = b"GGUF" + random.Random(2).randbytes(300_000)
SHA = hashlib.sha256(CONTENT).hexdigest()


class Told:
    """What a download says of itself."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.places: list[tuple[int, int | None]] = []
        self.moved = 0

    def at(self, name: str, done: int, total: int | None) -> None:
        self.places.append((done, total))

    def advance(self, count: int) -> None:
        self.moved += count

    def say(self, line: str) -> None:
        self.lines.append(line)


class Fetch:
    def __init__(self, server: Server, client: httpx2.Client, folder: Path) -> None:
        self.server, self.client = server, client
        self.target = folder / "models" / "m.gguf"
        self.told = Told()
        self.waits: list[float] = []

    def __call__(self, sha256: str = "", size: int | None = None, url: str = "", **headers: str) -> str:
        remote = Remote(url or f"{self.server.url}/m.gguf", size, sha256, headers)
        digest = download(remote, self.target, self.client, self.told, self.waits.append)
        assert hashlib.sha256(self.target.read_bytes()).hexdigest() == digest
        assert [path.name for path in self.target.parent.iterdir()] == ["m.gguf"]
        return digest
