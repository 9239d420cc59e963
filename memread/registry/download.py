"""One file over HTTP: resumed after any interruption, verified, and complete once it has its name.

What has arrived is kept in `NAME.part`, and in `NAME.part.json` what it is a part of. Ranged requests go on
where it ends (RFC 9110, section 14), also in another process after `kill -9`. Parts of two versions of a file
are never joined: either the SHA-256 is known beforehand, or the server must confirm that the file is the same
(If-Range with a strong validator), or the download starts over.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO, Protocol

import httpx2
import msgspec

from memread.errors import DownloadCorrupt, DownloadFailed, NoSpace, NotGguf
from memread.gguf import MAGIC
from memread.registry.faults import Fatal, Transient, host, of_exception, of_status
from memread.registry.local import part_of

TRIES = 6
"""Failures in a row, without one new byte, before a download gives up."""
_RESTARTS = 3
_LONGEST_WAIT = 300.0
"""Seconds. A server that asks for more is taken at its word: the download ends, and can go on later."""
_NO_SPACE = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))
_SYNC_BYTES = 16 << 20
_PIECE = 1 << 20


class Remote(msgspec.Struct, frozen=True):
    """A file to download."""

    url: str
    size: int | None = None
    """Bytes, if known beforehand."""
    sha256: str = ""
    """64 hexadecimal digits, or "" if nobody says."""
    headers: Mapping[str, str] = {}
    """Sent to this address; `Authorization` is not sent on to another host."""


class Watch(Protocol):
    """Who wants to know how a download goes on."""

    def at(self, name: str, done: int, total: int | None) -> None:
        """`done` of `total` bytes of the file are here; from here on `advance` counts."""

    def advance(self, count: int) -> None: ...

    def say(self, line: str) -> None:
        """Something worth a line: a retry, a fresh start."""


class _State(msgspec.Struct):
    """What a `.part` file is a part of."""

    source: str
    """The hash of the address, which may hold secrets."""
    sha256: str = ""
    size: int | None = None
    validator: str = ""
    """For If-Range: a strong ETag, or else a date; "": parts cannot be trusted to belong together."""
    synced: int = 0
    """Bytes that are certainly on the disk."""


def begun(remote: Remote, target: Path) -> bool:
    """Whether a part of this very `remote` is here, with which `download` goes on."""
    return _left(target).source == _source(remote)


def download(
    remote: Remote,
    target: Path,
    client: httpx2.Client,
    watch: Watch,
    sleep: Callable[[float], object] = time.sleep,
) -> str:
    """Download `remote` to `target`, going on with what an earlier call left; its SHA-256 in hexadecimal.

    Raises DownloadFailed (network or server; what arrived is kept), DownloadCorrupt, NotGguf, NoSpace.
    """
    import filelock

    lock = filelock.FileLock(f"{target}.part.lock")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with lock.acquire(timeout=0):
            digest = _Transfer(remote, target, client, watch, sleep).run()
            with contextlib.suppress(OSError):  # Windows does not remove what is open
                Path(lock.lock_file).unlink()
            return digest
    except filelock.Timeout as error:
        raise DownloadFailed(f"{target.name}: another process is downloading it") from error
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise NoSpace(
                f"{target.parent}: no space is left; what has arrived is kept",
                "Make room and repeat the command: it goes on where it stopped",
            ) from error
        raise DownloadFailed(f"{target}: cannot be written ({error.strerror or error})") from error


class _Transfer:
    def __init__(
        self,
        remote: Remote,
        target: Path,
        client: httpx2.Client,
        watch: Watch,
        sleep: Callable[[float], object],
    ) -> None:
        self.remote, self.target, self.client, self.watch, self.sleep = remote, target, client, watch, sleep
        self.part = part_of(target)
        self.record = _record_of(target)
        self.state = _State(source=_source(remote))
        self.hasher = hashlib.sha256()
        self.done = 0
        self.furthest = 0
        self.restarts = 0
        self.wrong = 0
        self.complete = False

    def run(self) -> str:
        self.part.touch()
        try:
            with self.part.open("r+b") as file:
                try:
                    self._take_up(file)
                    self._all(file)
                finally:
                    self._sync(file)
        except BaseException:
            if not self.done:
                self.part.unlink(missing_ok=True)
                self.record.unlink(missing_ok=True)
            raise
        self._finish()
        return self.hasher.hexdigest()

    def _take_up(self, file: BinaryIO) -> None:
        """Go on with what an earlier process left, as far as it is certain to belong to this file."""
        left = _left(self.target)
        if left.source == self.state.source or (left.sha256 and left.sha256 == self.remote.sha256):
            size = file.seek(0, os.SEEK_END)
            if self.remote.sha256:
                keep = size if left.sha256 == self.remote.sha256 else 0
            else:
                # Nothing will show damage by a power cut, so what had not reached the disk is not used.
                keep = min(size, left.synced) if left.validator else 0
            if self.remote.size is None or keep <= self.remote.size:
                self.state = msgspec.structs.replace(left, source=self.state.source)
                self._truncate(file, keep)
                if keep:
                    self.watch.say(f"{self.target.name}: {keep / 1e6:,.0f} MB are here; going on after them")
                self._rehash(file)
                return
        self._fresh(file)

    def _rehash(self, file: BinaryIO) -> None:
        file.seek(0)
        self.hasher = hashlib.sha256()
        while piece := file.read(_PIECE):
            self.hasher.update(piece)

    def _fresh(self, file: BinaryIO) -> None:
        self._truncate(file, 0)
        self.hasher = hashlib.sha256()
        self.state = _State(self.state.source, sha256=self.remote.sha256, size=self.remote.size)

    def _truncate(self, file: BinaryIO, size: int) -> None:
        file.truncate(size)
        file.seek(size)
        self.done = size
        self.state.synced = min(self.state.synced, size)

    def _restart(self, file: BinaryIO, why: str) -> None:
        """Start from nothing, a bounded number of times."""
        if self.done:
            self.restarts += 1
            if self.restarts > _RESTARTS:
                raise Fatal(
                    DownloadFailed(
                        f"{self.target.name}: {why}, again and again",
                        "If the publisher states the file's SHA-256, --sha256 lets it resume all the same",
                    )
                )
            self.watch.say(f"{self.target.name}: {why}; starting over")
        self._fresh(file)

    def _all(self, file: BinaryIO) -> None:
        failures = 0
        connected = False
        while True:
            before = self.furthest
            try:
                self._attempt(file)
                if self.complete and self._verified(file):
                    return
                continue
            except Transient as trouble:
                failures = 1 if self.furthest > before else failures + 1
                connected = connected or self.furthest > 0 or trouble.answered
                if failures >= (TRIES if connected else 3):
                    raise DownloadFailed(
                        f"{self.target.name}: {trouble.reason}, {failures} times in a row",
                        f"{self.done:,} bytes are kept: the same command goes on with them"
                        if self.done
                        else "",
                    ) from trouble
                pause = trouble.wait if trouble.wait is not None else min(30.0, 2.0 ** (failures - 1))
                if pause > _LONGEST_WAIT:
                    raise DownloadFailed(
                        f"{self.target.name}: {trouble.reason}; the server asks to wait {pause:,.0f} seconds",
                        "Repeat the command then: it goes on where it stopped",
                    ) from trouble
                self._sync(file)
                if pause:
                    self.watch.say(f"{self.target.name}: {trouble.reason}; trying again in {pause:.0f} s")
                    self.sleep(pause)
            except Fatal as fatal:
                raise fatal.error from fatal.__cause__

    def _attempt(self, file: BinaryIO) -> None:
        """One request, and what comes of it. Raises Transient, Fatal."""
        headers = dict(self.remote.headers)
        if self.done and not self.remote.sha256 and not self.state.validator:
            self._restart(file, "the server gives no way to tell whether the file is still the same")
        if self.done:
            headers["Range"] = f"bytes={self.done}-"
            if not self.remote.sha256:
                headers["If-Range"] = self.state.validator
        try:
            with self.client.stream("GET", self.remote.url, headers=headers) as response:
                self._accept(response, file)
                if not self.complete:
                    self._take(response, file)
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as error:
            raise of_exception(error, self.remote.url) from error

    def _accept(self, response: httpx2.Response, file: BinaryIO) -> None:
        """Make of status and headers where the body belongs."""
        where = host(str(response.url))
        if any(hop.url.scheme == "https" for hop in response.history) and response.url.scheme != "https":
            raise Fatal(DownloadFailed(f"{where}: redirected from https to {response.url.scheme}; refused"))
        status = response.status_code
        if status == 416 and self.done:
            total = _content_range(response.headers.get("Content-Range", ""))[2]
            if total == self.done == (self.remote.size or total):
                self.complete = True
                return
            self._restart(file, f"{where} has no more of the file than is here")
            raise Transient("it must start over", wait=0.0, answered=True)
        if status not in (200, 206):
            raise of_status(
                status,
                str(response.url),
                response.headers.get("Retry-After", ""),
                response.headers.get("X-Error-Code", ""),
            )
        if response.headers.get("Content-Encoding", "identity").lower() not in ("identity", ""):
            raise Fatal(DownloadFailed(f"{where} sends the file compressed, though it was asked not to"))
        length = _whole(response.headers.get("Content-Length"))
        if status == 206:
            start, _, total = _content_range(response.headers.get("Content-Range", ""))
            if start != self.done or (self.state.size or total) != total:
                self._restart(file, f"{where} sends another part than was asked for")
                raise Transient("it must start over", wait=0.0, answered=True)
            if not self.remote.sha256 and _validator(response) not in ("", self.state.validator):
                self._restart(file, "the file has changed")
                raise Transient("it must start over", wait=0.0, answered=True)
        else:
            total = length
            if self.done:
                changed = self.state.validator and self.state.validator != _validator(response)
                self._restart(file, "the file has changed" if changed else f"{where} cannot resume")
        if self.remote.size is not None and total is not None and total != self.remote.size:
            raise Fatal(
                DownloadFailed(
                    f"{where} has {total:,} bytes of {self.target.name}; it should be {self.remote.size:,}",
                    "A proxy or mirror may be at fault",
                )
            )
        self.state.size = self.remote.size if self.remote.size is not None else total
        ends = self.state.size is not None or "chunked" in response.headers.get("Transfer-Encoding", "")
        if not ends and not self.remote.sha256:
            raise Fatal(
                DownloadFailed(
                    f"{where} does not say how long the file is, so nothing would show that it is incomplete",
                    "If the publisher states the file's SHA-256, give it with --sha256",
                )
            )
        self.state.validator = _validator(response) or self.state.validator
        self._record()
        self.watch.at(self.target.name, self.done, self.state.size)

    def _take(self, response: httpx2.Response, file: BinaryIO) -> None:
        size = self.state.size
        try:
            for piece in response.iter_raw():
                if size is not None and self.done + len(piece) > size:
                    raise Fatal(
                        DownloadFailed(
                            f"{host(str(response.url))} sends more than the {size:,} bytes of the file"
                        )
                    )
                file.write(piece)
                self.hasher.update(piece)
                begun = self.done < len(MAGIC) <= self.done + len(piece)
                self.done += len(piece)
                self.furthest = max(self.furthest, self.done)
                self.watch.advance(len(piece))
                if begun:
                    self._check_magic(file)
                if self.done - self.state.synced >= _SYNC_BYTES:
                    self._sync(file)
        finally:
            file.flush()
        if size is not None and self.done < size:
            raise Transient(
                f"{host(str(response.url))} ended after {self.done:,} of {size:,} bytes", answered=True
            )
        self.complete = True

    def _check_magic(self, file: BinaryIO) -> None:
        file.flush()
        with self.part.open("rb") as begun:
            magic = begun.read(len(MAGIC))
        if magic != MAGIC:
            self._fresh(file)
            raise Fatal(
                NotGguf(
                    f"{host(self.remote.url)} sends something else than a GGUF model", "A web page, perhaps"
                )
            )

    def _verified(self, file: BinaryIO) -> bool:
        """Whether it is the file that was promised; if not, it starts over once."""
        if not self.done:
            raise Fatal(NotGguf(f"{host(self.remote.url)} sends an empty file"))
        if not self.remote.sha256 or self.hasher.hexdigest() == self.remote.sha256:
            return True
        self.complete = False
        self.wrong += 1
        if self.wrong > 1:
            self._fresh(file)
            raise DownloadCorrupt(
                f"{self.target.name}: its SHA-256 is not the one that was promised, twice; nothing is kept",
                "A proxy or mirror may be at fault, or --sha256 may be wrong",
            )
        self._restart(file, "its SHA-256 is not the one that was promised")
        return False

    def _sync(self, file: BinaryIO) -> None:
        """Have everything so far on the disk, and write down that it is."""
        file.flush()
        os.fsync(file.fileno())
        self.state.synced = self.done
        self._record()

    def _record(self) -> None:
        temporary = self.record.with_name(f"{self.record.name}.new")
        temporary.write_bytes(msgspec.json.encode(self.state))
        temporary.replace(self.record)

    def _finish(self) -> None:
        """Complete and on the disk: only now it gets its name."""
        self.part.replace(self.target)
        self.record.unlink(missing_ok=True)
        if os.name == "posix":
            folder = os.open(self.target.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def _source(remote: Remote) -> str:
    return hashlib.sha256(remote.url.encode(errors="replace")).hexdigest()


def _record_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.part.json")


def _left(target: Path) -> _State:
    """What an earlier process left of `target`."""
    try:
        return msgspec.json.decode(_record_of(target).read_bytes(), type=_State)
    except (OSError, ValueError):
        return _State(source="")


def _validator(response: httpx2.Response) -> str:
    """What If-Range may hold: an ETag that means the same bytes, or else the date of the last change."""
    tag = response.headers.get("ETag", "")
    if tag and not tag.startswith("W/"):
        return str(tag)
    return str(response.headers.get("Last-Modified", ""))


def _content_range(header: str) -> tuple[int | None, int | None, int | None]:
    """First byte, last byte and length of the whole in "bytes 5-9/10" or "bytes */10"; None: not said."""
    match = re.fullmatch(r"bytes (?:(\d{1,19})-(\d{1,19})|\*)/(\d{1,19}|\*)", header.strip())
    if match is None:
        return None, None, None
    return _whole(match[1]), _whole(match[2]), _whole(match[3])


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() else None
