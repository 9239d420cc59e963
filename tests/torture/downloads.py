"""A download of a model, killed at chosen points: the next call ends with the very file.

Each download is a process forked from this one, as in harness.py; the server is a thread of this one.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import time
from pathlib import Path

import httpx2

from memread.registry.download import Remote, _Transfer, download
from tests.registry.server import Server
from tests.torture.harness import Point, die_at

CONTENT = b"GGUF" + random.Random(4).randbytes(3 << 20)
_LIMIT = 60.0
"""Seconds after which a download has hung."""


def points(pieces: int = 12) -> list[Point]:
    """In a request, between pieces, while it is synced or recorded, while it gets its name."""
    found = []
    for name, function, calls in (
        ("taking up", "_take_up", range(1, 2)),
        ("hashing again", "_rehash", range(1, 2)),
        ("request", "_attempt", range(1, 2)),
        ("headers", "_accept", range(1, 2)),
        ("first bytes", "_check_magic", range(1, 2)),
        ("sync", "_sync", range(1, 1 + pieces // 4)),
        ("record", "_record", range(1, 2 + pieces // 4)),
        ("check", "_verified", range(1, 2)),
        ("name", "_finish", range(1, 2)),
    ):
        found += [Point(name, _Transfer, function, n, after) for n in calls for after in (False, True)]
    # Renames: of the record, again and again, and at last of the file.
    return found + [
        Point("rename", type(Path()), "replace", n, after) for n in range(1, 6) for after in (False, True)
    ]


class Silent:
    def at(self, name: str, done: int, total: int | None) -> None: ...
    def advance(self, count: int) -> None: ...
    def say(self, line: str) -> None: ...


def fetch(url: str, target: Path, sha256: str, at: Point | None) -> bool:
    """Whether it came to its end, in a process of its own."""
    pid = os.fork()
    if pid == 0:
        try:
            if at is not None:
                die_at(at)
            from memread.registry import download as module

            module._SYNC_BYTES = 1 << 20
            with httpx2.Client(trust_env=False, headers={"Accept-Encoding": "identity"}) as client:
                download(Remote(url, sha256=sha256), target, client, Silent())
            os._exit(0)
        finally:
            os._exit(99)
    deadline = time.monotonic() + _LIMIT
    while not (ended := os.waitpid(pid, os.WNOHANG))[0]:
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise AssertionError("a download hung")
        time.sleep(0.002)
    if os.WIFSIGNALED(ended[1]):
        return False
    assert os.WEXITSTATUS(ended[1]) == 0, "a download failed"
    return True


def torture_downloads(folder: Path, chosen: list[Point], seconds: float) -> tuple[int, int]:
    """(kills, points that were never come to). Each point twice: with a known SHA-256, and without.

    Raises AssertionError at the first fault.
    """
    begun = time.monotonic()
    kills = missed = 0
    digest = hashlib.sha256(CONTENT).hexdigest()
    with Server().running() as server:
        server.files["/m.gguf"] = CONTENT
        for number, point in enumerate(chosen):
            for known in ("", digest):
                if time.monotonic() - begun > seconds:
                    return kills, missed
                target = folder / f"{number}-{bool(known)}" / "m.gguf"
                # Two kills at the same place: the second is of a download that goes on with something.
                for _ in range(2):
                    if fetch(f"{server.url}/m.gguf", target, known, point):
                        missed += 1
                    else:
                        kills += 1
                    if target.exists():
                        assert target.read_bytes() == CONTENT, f"{point}: it looks finished and is not"
                assert fetch(f"{server.url}/m.gguf", target, known, None)
                assert target.read_bytes() == CONTENT, f"{point}: another file"
                left = [path.name for path in target.parent.iterdir()]
                assert left == ["m.gguf"], f"{point}: {left}"
                target.unlink()
    return kills, missed
