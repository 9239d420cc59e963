"""A text's segments, put by until all of them are there: what is cut into parts must be known to its end.

Their words go to a temporary file, so that memory holds about a kilobyte a segment, however long the text.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from types import TracebackType

import msgspec

from memread.errors import FileUnreadable
from memread.types import Locator, Segment, SegmentInfo, Skipped


class _Kept(msgspec.Struct, frozen=True):
    """A segment without its text, and where in the file that is."""

    info: SegmentInfo
    places: tuple[tuple[int, Locator], ...]
    before: tuple[Skipped, ...]
    start: int
    size: int


class Spool:
    """Filled with `add`, then read part by part. A context manager; leaving it deletes the file."""

    def __init__(self) -> None:
        """Raises FileUnreadable when there is no place for temporary files."""
        try:
            self._file = tempfile.TemporaryFile(prefix="memread-")  # noqa: SIM115 (closed by close)
        except OSError as error:
            raise _no_room(error) from error
        self._kept: list[_Kept] = []
        self._skipped: list[Skipped] = []
        self._end = 0
        self.tokens = 0
        """Of all segments."""

    def __len__(self) -> int:
        """How many segments there are."""
        return len(self._kept)

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        # On a full disk it tries once more to write what it could not: `add` has told of that.
        with contextlib.suppress(OSError):
            self._file.close()

    def add(self, item: Segment | Skipped) -> None:
        """Put by the next segment or skipped part. Raises FileUnreadable when the disk is full."""
        if isinstance(item, Skipped):
            self._skipped.append(item)
            return
        data = item.text.encode("utf-8", "surrogatepass")
        try:
            self._file.seek(self._end)
            self._file.write(data)
            self._file.flush()
        except OSError as error:
            raise _no_room(error) from error
        self._kept.append(_Kept(item.info, item.places, tuple(self._skipped), self._end, len(data)))
        self._skipped = []
        self._end += len(data)
        self.tokens += item.info.tokens

    def skipped(self) -> list[Skipped]:
        """Every skipped part, in order."""
        return [*(part for kept in self._kept for part in kept.before), *self._skipped]

    def shares(self, parts: int) -> list[range]:
        """The segments of each of `parts` parts, in order; fewer parts where there are fewer segments."""
        total = len(self._kept)
        parts = min(parts, total)
        return [range(total * n // parts, total * (n + 1) // parts) for n in range(parts)]

    def start(self, share: range) -> Locator:
        """Where a part begins."""
        return self._kept[share.start].info.span.start

    def digests(self, share: range) -> list[str]:
        """Of the texts of a part's segments."""
        return [each.info.digest for each in self._kept[share.start : share.stop]]

    def part(self, share: range) -> Iterator[Segment | Skipped]:
        """The segments of a part, as if it were a text of its own: numbered from 0, `fraction` of its tokens.

        A skipped part belongs to the segment after it; those at the end to the last one.
        """
        kept = self._kept[share.start : share.stop]
        whole = sum(each.info.tokens for each in kept)
        done = 0
        for index, each in enumerate(kept):
            yield from each.before
            done += each.info.tokens
            fraction = done / whole if whole else 1.0
            info = msgspec.structs.replace(each.info, index=index, fraction=fraction)
            yield Segment(info, self._text(each), each.places)
        if share.stop == len(self._kept):
            yield from self._skipped

    def _text(self, kept: _Kept) -> str:
        try:
            self._file.seek(kept.start)
            return self._file.read(kept.size).decode("utf-8", "surrogatepass")
        except OSError as error:
            raise FileUnreadable(f"a temporary file cannot be read ({error.strerror})") from error


def _no_room(error: OSError) -> FileUnreadable:
    return FileUnreadable(
        f"the text cannot be put by in a temporary file ({error.strerror})",
        "With --lanes the whole text is: make room, or set TMPDIR to another folder.",
    )
