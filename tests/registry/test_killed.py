"""A download that is killed at any moment, again and again, ends with the very file."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.registry.server import Handler, Server

CONTENT = b"GGUF" + random.Random(3).randbytes(60_000_000)
KILLS = 12

PROGRAM = """
import sys
from pathlib import Path

import httpx2

from memread.registry.download import Remote, download


class Silent:
    def at(self, *told): pass
    def advance(self, count): pass
    def say(self, line): pass


url, target, sha256 = sys.argv[1:]
with httpx2.Client(trust_env=False, headers={"Accept-Encoding": "identity"}) as client:
    print("begun", flush=True)
    download(Remote(url, sha256=sha256), Path(target), client, Silent())
"""


def throttled(self: Handler, content: bytes) -> None:
    """Slowly enough to be killed in the middle."""
    for at in range(self.begin(content), len(content), 1 << 20):
        self.wfile.write(content[at : at + (1 << 20)])
        time.sleep(0.01)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
@pytest.mark.parametrize("known", [False, True])
def test_killed_at_random_moments(tmp_path: Path, known: bool) -> None:
    chance = random.Random(known)
    digest = hashlib.sha256(CONTENT).hexdigest()
    target, part = tmp_path / "m.gguf", tmp_path / "m.gguf.part"
    with Server().running() as server:
        server.files["/m.gguf"] = CONTENT
        server.faults = [throttled] * (KILLS + 1)
        arguments = [
            sys.executable,
            "-c",
            PROGRAM,
            f"{server.url}/m.gguf",
            str(target),
            digest if known else "",
        ]
        for _ in range(KILLS):
            with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
                assert process.stdout is not None
                process.stdout.readline()
                goal, deadline = chance.randrange(len(CONTENT)), time.monotonic() + 30
                while process.poll() is None and _size(part) < goal and time.monotonic() < deadline:
                    time.sleep(0.001)
                process.kill()
            if target.exists():
                assert hashlib.sha256(target.read_bytes()).hexdigest() == digest
        subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, timeout=300)
        assert hashlib.sha256(target.read_bytes()).hexdigest() == digest
        resumed = [header for header in server.ranges() if header]
        assert resumed, "nothing was ever resumed"
