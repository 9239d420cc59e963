"""Text: encodings, lines, what is said about what was lost, and bounded memory."""

from __future__ import annotations

import gzip
import random
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memread.errors import DamagedDocument, EmptyInput
from memread.ingest import open_document
from memread.ingest.decoding import Decoder
from memread.types import Locator, Passage, Skipped
from tests.ingest.samples import skipped, text_of


def read(path: Path, data: bytes) -> list[Passage | Skipped]:
    path.write_bytes(data)
    return list(open_document(str(path)).passages())


TEXT = "Zoë said: “naïve café”.\nSecond line\n"


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252", "utf-16-le", "utf-16-be"]
)
def test_encodings(tmp_path: Path, encoding: str) -> None:
    parts = read(tmp_path / "a.txt", (TEXT * 3).encode(encoding))
    assert text_of(parts) == TEXT * 3
    assert not skipped(parts)


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        (
            "cp1251",
            "Все счастливые семьи похожи друг на друга, каждая несчастливая семья несчастлива по-своему.\n",
        ),
        ("shift_jis", "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。\n"),
        ("latin-1", "Le café est fermé à côté du théâtre où l'été dernier nous étions allés.\n"),
        ("cp1250", "Zażółć gęślą jaźń. Wszyscy ludzie rodzą się wolni i równi pod względem godności.\n"),
    ],
)
def test_other_encodings_are_guessed(tmp_path: Path, encoding: str, text: str) -> None:
    assert text_of(read(tmp_path / "a.txt", (text * 5).encode(encoding))) == text * 5


def test_a_western_letter_long_after_the_beginning(tmp_path: Path) -> None:
    data = b"plain words only\n" * 20000 + "café\n".encode("latin-1")
    assert text_of(read(tmp_path / "a.txt", data)).endswith("words only\ncafé\n")


def test_a_bad_byte_late_in_utf8(tmp_path: Path) -> None:
    good = "Fünf Wörter für das Ende\n".encode()
    parts = read(tmp_path / "a.txt", good * 9000 + b"x\xff\xfey\n" + good)
    assert text_of(parts).count("�") == 2
    assert text_of(parts).endswith("x��y\nFünf Wörter für das Ende\n")
    assert [part.reason for part in skipped(parts)] == ["2 undecodable bytes in it, shown as �"]
    assert isinstance(parts[-1], Skipped)


def test_one_bad_byte_does_not_turn_utf8_into_something_else(tmp_path: Path) -> None:
    parts = read(tmp_path / "a.txt", b"plain\n" + b"\xff " + "Ü für über Öl\n".encode())
    assert text_of(parts) == "plain\n� Ü für über Öl\n"
    assert skipped(parts)[0].reason.startswith("1 undecodable byte in it")


@pytest.mark.parametrize("data", [b"a\r\nb\r\n", b"a\nb\n\n", b"  a\tb  \n", b"no end"])
def test_text_is_verbatim(tmp_path: Path, data: bytes) -> None:
    assert text_of(read(tmp_path / "a.txt", data)) == data.decode()


def test_lines_of_old_macs(tmp_path: Path) -> None:
    assert text_of(read(tmp_path / "a.txt", b"one\rtwo\rthree")) == "one\ntwo\nthree"


def test_nuls_are_left_out_and_counted(tmp_path: Path) -> None:
    parts = read(tmp_path / "a.log", b"good line\n" * 1000 + b"\x00" * 5000 + b"after the crash\n")
    assert text_of(parts).endswith("good line\nafter the crash\n")
    assert [part.reason for part in skipped(parts)] == ["5,000 NUL characters in it, left out"]


def test_lines_are_exact(tmp_path: Path) -> None:
    lines = [f"line {number} " + "x" * (number % 97) for number in range(1, 9000)]
    parts = read(tmp_path / "a.txt", "\n".join(lines).encode())
    assert len(parts) > 3
    for part in parts:
        assert isinstance(part, Passage)
        assert part.text.startswith(f"line {part.locator.line} ")
    assert "".join(part.text for part in parts if isinstance(part, Passage)) == "\n".join(lines)
    fractions = [part.fraction for part in parts if isinstance(part, Passage)]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0  # type: ignore[type-var]


def test_only_white_space_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(EmptyInput):
        read(tmp_path / "a.txt", b" \n\n \t\n")


_MEASURE = """
import sys, tracemalloc
from memread.ingest import open_document
document = open_document(sys.argv[1])
tracemalloc.start()
total = 0
for passage in document.passages():
    total += len(passage.text)
    assert len(passage.text) < 300_000, len(passage.text)
print(total, tracemalloc.get_traced_memory()[1])
"""


@pytest.mark.parametrize("name", ["line.txt", "line.txt.gz", "line.html"])
def test_a_line_of_30_megabytes_in_bounded_memory(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    data = b"words without end " * (30_000_000 // 18)
    path.write_bytes(
        gzip.compress(data, 1) if name.endswith("gz") else b"<html><body>" * name.endswith("html") + data
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(path)], capture_output=True, text=True, cwd=root, check=True
    )
    total, peak = map(int, done.stdout.split())
    assert abs(total - len(data)) <= 2
    assert peak < 6_000_000


def test_gzip(tmp_path: Path) -> None:
    packed = gzip.compress(b"one\n") + gzip.compress("zwö\n".encode())
    parts = read(tmp_path / "a.txt.gz", packed + b"\x00" * 512)
    assert (text_of(parts), skipped(parts)) == ("one\nzwö\n", [])
    assert open_document(str(tmp_path / "a.txt.gz")).info.size == len(packed) + 512


def test_gzip_that_ends_early_or_badly(tmp_path: Path) -> None:
    noise = random.Random(5)
    text = "".join(f"{noise.random()}\n" for _ in range(20000))
    packed = gzip.compress(text.encode())
    parts = read(tmp_path / "a.gz", packed[: len(packed) // 2])
    assert len(text_of(parts)) > 50_000 and text.startswith(text_of(parts))
    assert "end too early" in skipped(parts)[0].reason
    half = len(packed) // 2
    parts = read(tmp_path / "b.gz", packed[:half] + b"\xff" * 40 + packed[half + 40 :])
    assert "damaged" in skipped(parts)[0].reason
    short = gzip.compress(b"line\n" * 50)
    parts = read(tmp_path / "d.gz", short[:-6] + b"\xff" + short[-5:])  # the checksum
    assert (text_of(parts), len(skipped(parts))) == ("line\n" * 50, 1)
    with pytest.raises(DamagedDocument, match="damaged"):
        read(tmp_path / "e.gz", short[:10] + b"\xff" * 40)
    parts = read(tmp_path / "c.gz", gzip.compress(b"text\n") + b"rubbish")
    assert (text_of(parts), len(skipped(parts))) == ("text\n", 1)


def test_places(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"x\n")
    document = open_document(str(tmp_path / "a.txt"), 4)
    assert (document.info.format, document.info.size) == ("text", 2)
    assert [part.locator for part in document.passages()] == [Locator(document=4, line=1)]


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_how_bytes_arrive_does_not_matter_to_utf8(data: bytes, cuts: list[int]) -> None:
    text = data.decode("utf-8", "replace").encode()
    bounds = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    decoder = Decoder()
    pieces = [decoder.decode(text[a:b]) for a, b in pairwise(bounds)]
    whole = "".join(pieces) + decoder.decode(b"", final=True)
    if b"\x00" not in text and not text.startswith(b"\xef\xbb\xbf"):
        assert whole == text.decode()
        assert decoder.lost == 0


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_a_decoder_takes_anything(chunks: list[bytes]) -> None:
    decoder = Decoder()
    for chunk in chunks:
        decoder.decode(chunk).encode("utf-8")
    decoder.decode(b"", final=True)
