"""A download ends with the very bytes that were promised, or with one clear line and no file of that name."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import filelock
import httpx2
import pytest

from memread.errors import DownloadCorrupt, DownloadFailed, NoSpace, NotGguf
from memread.registry import faults
from memread.registry.download import Remote, download
from memread.registry.local import part_of, unfinished
from tests.registry import server as serving
from tests.registry.server import Server, drop, longer, reset, shorter, stall, status, whole

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


@pytest.fixture
def server() -> Iterator[Server]:
    with Server().running() as found:
        found.files["/m.gguf"] = CONTENT
        yield found


@pytest.fixture
def client() -> Iterator[httpx2.Client]:
    with httpx2.Client(
        follow_redirects=True, timeout=0.5, headers={"Accept-Encoding": "identity"}, trust_env=False
    ) as found:
        yield found


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


@pytest.fixture
def fetch(server: Server, client: httpx2.Client, tmp_path: Path) -> Fetch:
    return Fetch(server, client, tmp_path)


@pytest.mark.parametrize("sha256", ["", SHA])
def test_a_file_arrives(fetch: Fetch, sha256: str) -> None:
    assert fetch(sha256) == SHA
    assert fetch.told.places == [(0, len(CONTENT))] and fetch.told.moved == len(CONTENT)
    assert fetch.told.lines == [] and fetch.waits == []


@pytest.mark.parametrize("sha256", ["", SHA])
def test_it_goes_on_after_drops_stalls_and_errors(fetch: Fetch, server: Server, sha256: str) -> None:
    server.faults = [
        *(
            drop(100_000),
            stall(50_000),
            status(503),
            status(429, Retry_After="7"),
            drop(0),
            reset,
            drop(60_000),
        )
    ]
    assert fetch(sha256) == SHA
    assert server.ranges() == ["", "bytes=100000-", *["bytes=150000-"] * 5, "bytes=210000-"]
    assert 7.0 in fetch.waits and fetch.told.moved == len(CONTENT)
    assert "sends nothing any more" in "".join(fetch.told.lines)
    conditions = {headers.get("if-range") for _, headers in server.seen[1:]}
    assert conditions == ({None} if sha256 else {serving.etag(CONTENT)})


@pytest.mark.parametrize("sha256", ["", SHA])
def test_a_later_call_goes_on_where_an_earlier_one_gave_up(fetch: Fetch, server: Server, sha256: str) -> None:
    server.faults = [drop(100_000), *[status(500)] * 5]
    with pytest.raises(DownloadFailed, match="status 500, 6 times in a row") as raised:
        fetch(sha256)
    assert "100,000 bytes are kept" in raised.value.hint
    assert not fetch.target.exists() and unfinished(fetch.target.parent) == [fetch.target]
    assert part_of(fetch.target).read_bytes() == CONTENT[:100_000]
    server.seen.clear()
    assert fetch(sha256) == SHA
    assert server.ranges() == ["bytes=100000-"] and fetch.told.places[-1] == (100_000, len(CONTENT))
    assert unfinished(fetch.target.parent) == []


def test_a_file_that_changes_midway_is_noticed(fetch: Fetch, server: Server) -> None:
    def change(self: serving.Handler, content: bytes) -> None:
        drop(100_000)(self, content)
        server.files["/m.gguf"] = OTHER

    server.faults = [change]
    assert fetch() == hashlib.sha256(OTHER).hexdigest()
    assert "m.gguf: the file has changed; starting over" in fetch.told.lines


def test_a_file_that_changed_between_two_calls_is_noticed(fetch: Fetch, server: Server) -> None:
    server.faults = [drop(100_000), *[status(500)] * 5]
    with pytest.raises(DownloadFailed):
        fetch()
    server.files["/m.gguf"] = OTHER
    assert fetch() == hashlib.sha256(OTHER).hexdigest()


def test_another_version_that_was_promised_is_not_joined_to_the_old(fetch: Fetch, server: Server) -> None:
    server.faults = [drop(100_000), *[status(500)] * 5]
    with pytest.raises(DownloadFailed):
        fetch(SHA)
    server.files["/m.gguf"] = OTHER
    server.seen.clear()
    assert fetch(hashlib.sha256(OTHER).hexdigest())
    assert server.ranges() == [""]


def test_a_server_that_changes_the_file_and_denies_it(fetch: Fetch, server: Server) -> None:
    """It answers a conditional range with a part of another version."""

    def deceive(self: serving.Handler, content: bytes) -> None:
        headers = {"Content-Range": f"bytes 100000-{len(OTHER) - 1}/{len(OTHER)}", "ETag": '"other"'}
        self.head(206, {"Content-Length": str(len(OTHER) - 100_000), **headers})
        self.wfile.write(OTHER[100_000:])

    server.faults = [drop(100_000), deceive]
    assert fetch() == SHA


@pytest.mark.parametrize("fault", [whole, serving.elsewhere, status(416)])
def test_servers_that_do_not_do_ranges_as_they_should(
    fetch: Fetch, server: Server, fault: serving.Fault
) -> None:
    server.faults = [drop(100_000), fault]
    assert fetch() == SHA
    assert "starting over" in fetch.told.lines[-1]


def test_a_server_that_never_resumes_is_given_up(fetch: Fetch, server: Server) -> None:
    def partly(self: serving.Handler, content: bytes) -> None:
        self.head(200, {"Content-Length": str(len(content)), "ETag": serving.etag(content)})
        self.wfile.write(content[:100_000])
        self.close_connection = True

    server.faults = [partly] * 50
    with pytest.raises(DownloadFailed):
        fetch()
    assert len(server.seen) < 10


def test_without_a_validator_parts_are_not_joined_unless_the_sha256_is_known(
    fetch: Fetch, server: Server
) -> None:
    server.validators = False
    server.faults = [drop(100_000)]
    assert fetch() == SHA
    assert server.ranges() == ["", ""]
    fetch.target.unlink()
    server.seen.clear()
    server.faults = [drop(100_000)]
    assert fetch(SHA) == SHA
    assert server.ranges() == ["", "bytes=100000-"]
    fetch.target.unlink()
    server.faults = [drop(100_000)] * 50
    with pytest.raises(DownloadFailed, match="no way to tell") as raised:
        fetch()
    assert "--sha256" in raised.value.hint


def test_a_promised_length_that_is_not_kept(fetch: Fetch, server: Server) -> None:
    server.faults = [longer(10_000)] * 50
    with pytest.raises(DownloadFailed):
        fetch()
    assert len(server.seen) < 20 and not fetch.target.exists()


@pytest.mark.parametrize("fault", [longer(5), shorter(5)])
def test_a_length_that_contradicts_the_record(fetch: Fetch, server: Server, fault: serving.Fault) -> None:
    server.faults = [fault]
    with pytest.raises(DownloadFailed, match=f"it should be {len(CONTENT):,}"):
        fetch(SHA, len(CONTENT))
    assert len(server.seen) == 1


def test_more_than_the_record_says(fetch: Fetch, server: Server) -> None:
    def endless(self: serving.Handler, content: bytes) -> None:
        self.head(200, {"Transfer-Encoding": "chunked"})
        while True:
            self.wfile.write(b"186a0\r\n" + content[:100_000] + b"\r\n")

    server.faults = [endless]
    with pytest.raises(DownloadFailed, match="sends more than"):
        fetch(SHA, len(CONTENT))
    assert part_of(fetch.target).stat().st_size <= len(CONTENT)


def test_without_any_length(fetch: Fetch, server: Server) -> None:
    """Where a body ends with the connection, nothing but a hash shows that it is complete."""
    server.faults = [serving.unmeasured]
    with pytest.raises(DownloadFailed, match="does not say how long the file is"):
        fetch()
    server.faults = [serving.unmeasured]
    assert fetch(SHA) == SHA
    assert fetch.told.places == [(0, None)]


def test_chunks_say_themselves_where_they_end(fetch: Fetch, server: Server) -> None:
    def chunked(self: serving.Handler, content: bytes) -> None:
        self.head(200, {"Transfer-Encoding": "chunked", "ETag": serving.etag(content)})
        for at in range(0, len(content), 65_536):
            piece = content[at : at + 65_536]
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            if at > 131_072 and server.faults:
                self.close_connection = True
                return
        self.wfile.write(b"0\r\n\r\n")

    server.faults = [chunked, status(503)]
    assert fetch() == SHA
    assert server.ranges() == ["", "bytes=262144-", "bytes=262144-"]
    fetch.target.unlink()
    server.faults = [chunked]
    assert fetch() == SHA


def test_wrong_bytes_are_fetched_once_more_then_refused(fetch: Fetch, server: Server) -> None:
    server.files["/m.gguf"] = OTHER
    with pytest.raises(DownloadCorrupt, match="not the one that was promised, twice"):
        fetch(SHA)
    assert len(server.seen) == 2
    assert [path.suffix for path in fetch.target.parent.iterdir()] in ([], [".lock"])
    server.files["/m.gguf"] = CONTENT
    server.faults = [lambda self, content: whole(self, OTHER)]
    assert fetch(SHA) == SHA


def test_a_damaged_part_is_found_out(fetch: Fetch, server: Server) -> None:
    server.faults = [drop(100_000), *[status(500)] * 5]
    with pytest.raises(DownloadFailed):
        fetch(SHA)
    with part_of(fetch.target).open("r+b") as file:
        file.seek(50_000)
        file.write(b"\0" * 100)
    assert fetch(SHA) == SHA
    assert "its SHA-256 is not the one" in fetch.told.lines[-1]


def test_a_complete_part_needs_no_more_bytes(fetch: Fetch, server: Server) -> None:
    """As after a kill between the last byte and the name."""
    server.faults = [drop(100_000), *[status(500)] * 5]
    with pytest.raises(DownloadFailed):
        fetch(SHA)
    part_of(fetch.target).write_bytes(CONTENT)
    server.seen.clear()
    assert fetch(SHA) == SHA
    assert server.ranges() == [f"bytes={len(CONTENT)}-"]


def test_what_had_not_reached_the_disk_is_not_trusted(fetch: Fetch, server: Server) -> None:
    """After a power cut a file may end in zeros. Without a SHA-256 nothing would show it."""
    server.faults = [drop(100_000), *[status(500)] * 5]
    with pytest.raises(DownloadFailed):
        fetch()
    with part_of(fetch.target).open("ab") as file:
        file.write(b"\0" * 50_000)
    server.seen.clear()
    assert fetch() == SHA
    assert server.ranges() == ["bytes=100000-"]


@pytest.mark.parametrize("record", [b"", b"{", b'{"source": "x", "synced": -5}', b"\xff"])
def test_a_damaged_record_means_starting_over(fetch: Fetch, server: Server, record: bytes) -> None:
    server.faults = [drop(100_000), *[status(500)] * 5]
    with pytest.raises(DownloadFailed):
        fetch()
    fetch.target.with_name("m.gguf.part.json").write_bytes(record)
    assert fetch() == SHA


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (401, "without permission"),
        (403, "HF_TOKEN"),
        (404, "no such file"),
        (410, "no such file"),
        (418, "418"),
    ],
)
def test_what_is_not_worth_another_try(fetch: Fetch, server: Server, code: int, said: str) -> None:
    server.faults = [status(code)]
    with pytest.raises(DownloadFailed) as raised:
        fetch()
    assert said in raised.value.message + raised.value.hint and len(server.seen) == 1
    assert not part_of(fetch.target).exists()


def test_a_server_that_asks_for_an_hour(fetch: Fetch, server: Server) -> None:
    server.faults = [status(429, Retry_After="3600")]
    with pytest.raises(DownloadFailed, match="asks to wait 3,600 seconds"):
        fetch()
    assert fetch.waits == []


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("5", 5.0),
        ("-5", 0.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("soon", None),
        ("", None),
        ("9e9", None),
    ],
)
def test_retry_after(header: str, expected: float | None) -> None:
    assert faults.seconds(header) == expected


def test_pages_and_empty_files_are_no_models(fetch: Fetch, server: Server) -> None:
    for content in (b"<!DOCTYPE html><html>please log in</html>", b""):
        server.files["/m.gguf"] = content
        with pytest.raises(NotGguf):
            fetch()
        assert not part_of(fetch.target).exists()


def test_an_answer_that_is_compressed(fetch: Fetch, server: Server) -> None:
    server.faults = [serving.compressed]
    with pytest.raises(DownloadFailed, match="compressed"):
        fetch()
    assert server.seen[0][1]["accept-encoding"] == "identity"


def test_the_token_stays_with_the_host_it_is_for(fetch: Fetch, server: Server) -> None:
    with Server().running() as cdn:
        cdn.files["/blob"] = CONTENT
        cdn.faults = [drop(100_000)]
        server.redirects["/m.gguf"] = f"{cdn.url}/blob?Signature=secret"
        assert fetch(SHA, Authorization="Bearer hf_secret") == SHA
        assert {headers.get("authorization") for _, headers in server.seen} == {"Bearer hf_secret"}
        assert [headers.get("authorization") for _, headers in cdn.seen] == [None, None]
        assert [headers.get("range") for _, headers in cdn.seen] == [None, "bytes=100000-"]
        assert len(server.seen) == 2, "a signed address may have expired: it is asked for again"


def test_redirects_in_circles(fetch: Fetch, server: Server) -> None:
    server.redirects["/m.gguf"] = "/m.gguf"
    with pytest.raises(DownloadFailed, match="redirected in circles"):
        fetch()


def test_nobody_there(fetch: Fetch, server: Server) -> None:
    with Server().running() as gone:
        address = gone.url
    with pytest.raises(DownloadFailed, match="cannot be reached") as raised:
        fetch(url=f"{address}/m.gguf?token=secret")
    assert len(fetch.waits) == 2
    assert "secret" not in raised.value.message + raised.value.hint + "".join(fetch.told.lines)


def test_no_line_holds_a_secret(fetch: Fetch, server: Server) -> None:
    secret = f"{server.url.replace('//', '//user:hunter2@')}/m.gguf?token=hunter2"
    for fault in (status(403), status(500), reset, serving.compressed):
        server.faults = [fault] * 6
        with pytest.raises(DownloadFailed) as raised:
            fetch(url=secret, Authorization="Bearer hunter2")
        assert "hunter2" not in raised.value.message + raised.value.hint + "".join(fetch.told.lines)
    server.faults = [drop(100_000), *[status(500)] * 5]
    with pytest.raises(DownloadFailed):
        fetch(url=secret)
    kept = fetch.target.with_name("m.gguf.part.json").read_text()
    assert "hunter2" not in kept and json.loads(kept)["synced"] == 100_000
    assert faults.plain(secret) == f"{server.url}/m.gguf"


def test_one_process_at_a_time(fetch: Fetch) -> None:
    fetch.target.parent.mkdir()
    with (
        filelock.FileLock(f"{fetch.target}.part.lock"),
        pytest.raises(DownloadFailed, match="another process is downloading it"),
    ):
        fetch()


def test_the_old_file_stays_until_the_new_one_is_complete(fetch: Fetch, server: Server) -> None:
    fetch.target.parent.mkdir()
    fetch.target.write_bytes(b"old")
    server.faults = [drop(100_000), *[status(500)] * 5]
    with pytest.raises(DownloadFailed):
        fetch()
    assert fetch.target.read_bytes() == b"old"
    assert fetch() == SHA


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
from tests.registry.test_download import Told
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
