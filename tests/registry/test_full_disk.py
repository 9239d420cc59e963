"""A download for which there is no room ends with one clear line, and goes on when there is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from memread.errors import NoSpace
from memread.registry.local import part_of
from tests.registry.fetching import SHA, Fetch
from tests.registry.server import Server


@pytest.mark.skipif(sys.platform == "win32", reason="limits of Unix")
@pytest.mark.parametrize("sha256", ["", SHA])
def test_a_full_disk(fetch: Fetch, sha256: str) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, hard))
    try:
        with pytest.raises(NoSpace, match="no space is left; what has arrived is kept"):
            fetch(sha256)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not fetch.target.exists() and part_of(fetch.target).exists()
    assert fetch(sha256) == SHA


FULL = """
import subprocess
import sys
from pathlib import Path
import httpx2
from memread.errors import MemreadError
from memread.registry.download import Remote, download
from tests.registry.fetching import Told
url, target, sha256 = sys.argv[1:]
with httpx2.Client(trust_env=False, headers={"Accept-Encoding": "identity"}) as client:
    try:
        print(download(Remote(url, sha256=sha256), Path(target), client, Told(), lambda seconds: None))
    except MemreadError as error:
        print(type(error).__name__, error.message)
print(sorted(path.name for path in Path(target).parent.iterdir()))
"""


@pytest.mark.parametrize("sha256", ["", SHA])
def test_a_disk_that_is_really_full(server: Server, tmp_path: Path, sha256: str) -> None:
    """A file system of 200 kB, mounted where nobody else sees it, which then becomes larger."""
    script = (
        'mount -t tmpfs -o size=200k none "$1" && D=$1 && shift && "$@"'
        ' && mount -o remount,size=2m "$D" && "$@"'
    )
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    try:
        subprocess.run(
            [*command, 'mount -t tmpfs none "$0"', tmp_path], check=True, capture_output=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        pytest.skip("this system lets nobody mount a small disk")
    fetching = [sys.executable, "-c", FULL, f"{server.url}/m.gguf", str(tmp_path / "m.gguf"), sha256]
    ended = subprocess.run(
        [*command, script, "sh", str(tmp_path), *fetching],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    first, left, second, whole = ended.stdout.splitlines()
    assert first.startswith("NoSpace") and "no space is left" in first and "m.gguf'" not in left
    assert "m.gguf.part" in left
    assert second == SHA and whole == "['m.gguf']"
