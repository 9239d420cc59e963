"""A download ends with the very bytes that were promised, or with one clear line and no file of that name.

What servers refuse: test_faults.py; no room on the disk: test_full_disk.py.
"""

from __future__ import annotations

import hashlib

import filelock
import pytest

from memread.errors import DownloadCorrupt, DownloadFailed
from memread.registry.local import part_of, unfinished
from tests.registry import server as serving
from tests.registry.fetching import CONTENT, OTHER, SHA, Fetch
from tests.registry.server import Server, drop, longer, reset, shorter, stall, status, whole


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
