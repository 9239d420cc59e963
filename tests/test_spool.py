"""Segments put by until the text has ended, and read again part by part."""

from __future__ import annotations

import io
import itertools

import pytest

from memread.errors import FileUnreadable
from memread.spool import Spool
from memread.types import Locator, Segment, SegmentInfo, Skipped, Span, digest

TEXTS = ["one ", "zwei – drei\n", "\ud800 lone ", "", "五", "six", "seven"]
GAPS = {2: Skipped(Locator(page="4"), "damaged"), 7: Skipped(Locator(page="9"), "no text layer")}


def segment(index: int, text: str) -> Segment:
    here = Locator(line=index + 1)
    return Segment(SegmentInfo(index, len(text), Span(here, here), digest(text), 0.1), text, ((0, here),))


def filled() -> Spool:
    spool = Spool()
    for index, text in enumerate([*TEXTS, None]):
        if index in GAPS:
            spool.add(GAPS[index])
        if text is not None:
            spool.add(segment(index, text))
    return spool


@pytest.mark.parametrize("parts", [1, 2, 3, 7, 40])
def test_the_parts_together_are_the_text(parts: int) -> None:
    with filled() as spool:
        shares = spool.shares(parts)
        assert len(shares) == min(parts, len(TEXTS)) and all(shares)
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
        read = [list(spool.part(share)) for share in shares]
    together = list(itertools.chain(*read))
    assert [item.text for item in together if isinstance(item, Segment)] == TEXTS
    assert [item for item in together if isinstance(item, Skipped)] == list(GAPS.values())
    for items in read:
        found = [item for item in items if isinstance(item, Segment)]
        assert [item.info.index for item in found] == list(range(len(found)))
        assert found[-1].info.fraction == 1.0
        assert all(item.info.digest == digest(item.text) and item.places for item in found)


def test_parts_can_be_read_in_turns() -> None:
    with filled() as spool:
        first, second = (spool.part(share) for share in spool.shares(2))
        for one, other in zip(first, second, strict=False):
            for item in (one, other):
                assert isinstance(item, Skipped) or item.info.digest == digest(item.text)
        assert spool.tokens == sum(map(len, TEXTS)) and spool.skipped() == list(GAPS.values())


def test_nothing_at_all_has_no_parts() -> None:
    with Spool() as spool:
        assert spool.shares(4) == [] and list(spool.part(range(0))) == []


def test_a_full_disk_is_said_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.RawIOBase):
        def readable(self) -> bool:
            return True

        writable = seekable = readable

        def seek(self, offset: int, whence: int = 0) -> int:
            return 0

        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    # As tempfile's: what could not be written is still in its buffer, and is tried again when it is closed.
    monkeypatch.setattr("tempfile.TemporaryFile", lambda prefix: io.BufferedRandom(Full()))
    with Spool() as spool, pytest.raises(FileUnreadable, match="No space left on device"):
        spool.add(segment(0, "text"))
