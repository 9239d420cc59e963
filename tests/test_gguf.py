"""A header is read fast, and whatever the bytes are, the worst is one clear line."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import pytest
from gguf import GGUFReader, GGUFWriter
from hypothesis import given
from hypothesis import strategies as st

from memread import gguf
from memread.errors import ModelError, ModelMissing, ModelUnloadable, NotGguf
from memread.text import one_line
from tests.fixtures.gguf_model import CHATML, vocabulary, write_tiny_gguf


def string(text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(data)) + data


def header(*pairs: bytes, keys: int | None = None, tensors: int = 0, version: int = 3) -> bytes:
    return (
        b"GGUF"
        + struct.pack("<IQQ", version, tensors, len(pairs) if keys is None else keys)
        + b"".join(pairs)
    )


def pair(key: str | bytes, kind: int, value: bytes) -> bytes:
    return string(key) + struct.pack("<I", kind) + value


def array(kind: int, count: int, data: bytes = b"") -> bytes:
    return struct.pack("<IQ", kind, count) + data


def read(tmp_path: Path, data: bytes) -> gguf.Header:
    path = tmp_path / "model.gguf"
    path.write_bytes(data)
    return gguf.read_header(path)


def test_agrees_with_the_gguf_package(tiny_gguf: Path) -> None:
    ours, theirs = gguf.read_header(tiny_gguf), GGUFReader(tiny_gguf)
    assert ours.tensor_count == len(theirs.tensors)
    keys = [key for key in theirs.fields if not key.startswith("GGUF.")]
    assert sorted([*ours.metadata, *ours.arrays]) == sorted(keys)
    for key in keys:
        value = theirs.fields[key].contents()
        if isinstance(value, list):
            assert list(ours.array(key)) == value
            assert ours.count(key) == len(value)
        else:
            assert ours.metadata[key] == value


def test_describes_the_embedded_model(smollm2: Path) -> None:
    found = gguf.describe(gguf.read_header(smollm2))
    assert (found.architecture, found.size, found.quantization) == ("llama", "135M", "Q4_1")
    assert (found.context, found.layers, found.width, found.heads) == (8192, 30, 576, 9)
    assert (found.kv_heads, found.key_length, found.value_length) == ((3,) * 30, 64, 64)
    assert found.kv_elements == 30 * 3 * 128
    assert (found.vocabulary, found.tokens) == ("gpt2/smollm", 49152)
    assert found.licence == "apache-2.0"
    assert found.chat_template


def test_describes_the_tiny_model(tmp_path: Path) -> None:
    path = write_tiny_gguf(
        tmp_path / "m.gguf", layers=3, heads=8, kv_heads=4, context=512, chat_template=None
    )
    found = gguf.describe(gguf.read_header(path))
    assert (found.name, found.quantization, found.context) == ("Tiny Random", "F16", 512)
    assert (found.kv_heads, found.key_length) == ((4, 4, 4), 8)
    assert not found.chat_template
    assert gguf.read_header(write_tiny_gguf(path)).text("tokenizer.chat_template") == CHATML


def test_is_fast(smollm2: Path) -> None:
    gguf.read_header(smollm2)
    started = time.monotonic()
    gguf.read_header(smollm2)
    assert time.monotonic() - started < 0.15  # 0.02 s when nothing else runs


def test_settings_of_each_layer(tmp_path: Path) -> None:
    writer = GGUFWriter(tmp_path / "m.gguf", "llama")
    writer.add_block_count(3)
    writer.add_embedding_length(64)
    writer.add_head_count(4)
    writer.add_head_count_kv([4, 0, 2])
    writer.add_key_length(32)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found = gguf.describe(gguf.read_header(tmp_path / "m.gguf"))
    assert found.kv_heads == (4, 0, 2)
    assert found.kv_elements == 6 * (32 + 16)


def test_an_empty_header_describes_nothing(tmp_path: Path) -> None:
    found = gguf.describe(read(tmp_path, header()))
    assert (found.name, found.architecture, found.quantization, found.kv_heads) == ("", "", "", ())
    assert (found.context, found.tokens) == (0, 0)


@pytest.mark.parametrize("data", [b"", b"GG", b"PK\x03\x04" + b"\0" * 100, b"ggml" * 10])
def test_another_format(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(NotGguf, match="not a GGUF model"):
        read(tmp_path, data)


HUGE = 2**63
DAMAGED = {
    "only the magic": b"GGUF",
    "cut in the counts": header()[:-3],
    "version 1": header(version=1),
    "version 4": header(version=4),
    "big-endian": b"GGUF" + struct.pack(">IQQ", 3, 0, 0),
    "more keys than bytes": header(keys=HUGE),
    "more tensors than bytes": header(tensors=HUGE),
    "a missing pair": header(keys=1),
    "a long key": header(struct.pack("<Q", HUGE) + b"x" * 100),
    "a key not UTF-8": header(pair(b"\xff\xfe", 4, b"\0" * 4)),
    "a key twice": header(pair("a", 0, b"\1"), pair("a", 0, b"\1")),
    "a long string": header(pair("a", 8, struct.pack("<Q", HUGE))),
    "an unknown type": header(pair("a", 99, b"\0" * 8)),
    "an array of an unknown type": header(pair("a", 9, array(99, 1, b"\0" * 8))),
    "arrays in arrays": header(pair("a", 9, array(9, 1, array(0, 1, b"\0")))),
    "a long array": header(pair("a", 9, array(4, HUGE))),
    "a long array of strings": header(pair("a", 9, array(8, HUGE))),
    "a long string in an array": header(pair("a", 9, array(8, 1, struct.pack("<Q", HUGE)))),
    "a cut array": header(pair("a", 9, array(4, 5000, b"\0" * 100))),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_file_is_one_line(tmp_path: Path, what: str) -> None:
    with pytest.raises(ModelUnloadable) as raised:
        read(tmp_path, DAMAGED[what])
    assert "\n" not in raised.value.message
    assert "model.gguf" in raised.value.message


def test_values_that_are_not_utf8_are_replaced(tmp_path: Path) -> None:
    found = read(
        tmp_path, header(pair("a", 8, string(b"caf\xe9")), pair("b", 9, array(8, 1, string(b"\xff"))))
    )
    assert found.text("a") == "caf\ufffd"
    assert found.array("b") == ("\ufffd",)


def test_what_is_asked_for_and_not_there(tiny_gguf: Path) -> None:
    found = gguf.read_header(tiny_gguf)
    assert found.text("no.such.key") == ""
    assert found.text("general.file_type") == ""
    assert found.number("general.name") is None
    assert found.number("tokenizer.ggml.add_bos_token") is None
    assert found.array("no.such.key") == ()
    assert found.count("no.such.key") == 0
    assert found.array("tokenizer.ggml.tokens") == tuple(vocabulary()["tokens"])


@given(st.data())
def test_no_mutation_brings_more_than_a_model_error(
    tiny_gguf: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(tiny_gguf.read_bytes()[:60_000])
    for _ in range(data.draw(st.integers(1, 4))):
        # Most of the header is vocabulary: half of the changes go where the structure is.
        at = data.draw(st.integers(0, 1500) | st.integers(0, len(content) - 1))
        what = data.draw(st.binary(min_size=1, max_size=12) | st.just(struct.pack("<Q", HUGE)))
        content[at : at + len(what)] = what
    content = content[: data.draw(st.integers(0, len(content)) | st.just(len(content)))]
    path = tmp_path_factory.mktemp("fuzz") / "model.gguf"
    path.write_bytes(content)
    try:
        found = gguf.read_header(path)
        gguf.describe(found)
        for key in found.arrays:
            found.array(key)
    except ModelError as error:
        assert one_line(error.message, 10_000) == error.message.replace("  ", " ").strip()


def test_a_file_that_changes_while_it_is_used(tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "m.gguf")
    found = gguf.read_header(path)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ModelUnloadable, match="damaged"):
        found.array("tokenizer.ggml.merges")
    path.unlink()
    with pytest.raises(ModelMissing):
        found.array("tokenizer.ggml.merges")


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="no such file"):
        gguf.read_header(tmp_path / "none.gguf")
    with pytest.raises((ModelUnloadable, ModelMissing)):
        gguf.read_header(tmp_path)


def test_shards(tmp_path: Path) -> None:
    names = [f"big-Q4_K_M-{n:05d}-of-00003.gguf" for n in (1, 2, 3)]
    for name in names[:2]:
        (tmp_path / name).touch()
    with pytest.raises(ModelMissing, match="1 of the 3 files of this model are missing: big-Q4_K_M-00003-of"):
        gguf.shards(tmp_path / names[0])
    (tmp_path / names[2]).touch()
    assert [path.name for path in gguf.shards(tmp_path / names[1])] == names
    assert gguf.stem(tmp_path / names[1]) == "big-Q4_K_M"
    assert [gguf.is_first(tmp_path / name) for name in names] == [True, False, False]


def test_a_model_in_one_file(tmp_path: Path) -> None:
    path = tmp_path / "Qwen3-4B.Q4_K_M.GGUF"
    assert gguf.shards(path) == [path]
    assert gguf.stem(path) == "Qwen3-4B.Q4_K_M"
    assert gguf.is_gguf(path)
    assert gguf.shards(tmp_path / "x-00009-of-00002.gguf") == [tmp_path / "x-00009-of-00002.gguf"]
