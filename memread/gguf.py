"""The header of a GGUF file: what a model is, without its weights and without llama.cpp.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. A model file comes from anywhere, so every
length and count is checked against the file before anything is allocated: a damaged or hostile file costs one
clear error, never memory, a hang or a traceback. Arrays (vocabularies: hundreds of thousands of strings) are
stepped over and read when they are asked for.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from memread.errors import ModelMissing, ModelUnloadable, NotGguf

Scalar = str | int | float | bool
Value = Scalar | tuple[Scalar, ...]

MAGIC: Final = b"GGUF"
_CHUNK: Final = 1 << 20
_MAX_KEYS: Final = 1 << 16
_MAX_ELEMENTS: Final = 1 << 24
_MAX_HEADER: Final = 1 << 28
_SMALL_ARRAY: Final = 4096
"""Arrays of numbers up to this length (per-layer settings) are read at once."""

_STRING: Final = 8
_ARRAY: Final = 9
_NUMBERS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_U64: Final = struct.Struct("<Q")

# llama.cpp's enum llama_ftype, which llama-quantize writes into general.file_type.
_FILE_TYPES: Final = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    7: "Q8_0",
    8: "Q5_0",
    9: "Q5_1",
    10: "Q2_K",
    11: "Q3_K_S",
    12: "Q3_K_M",
    13: "Q3_K_L",
    14: "Q4_K_S",
    15: "Q4_K_M",
    16: "Q5_K_S",
    17: "Q5_K_M",
    18: "Q6_K",
    19: "IQ2_XXS",
    20: "IQ2_XS",
    21: "Q2_K_S",
    22: "IQ3_XS",
    23: "IQ3_XXS",
    24: "IQ1_S",
    25: "IQ4_NL",
    26: "IQ3_S",
    27: "IQ3_M",
    28: "IQ2_S",
    29: "IQ2_M",
    30: "IQ4_XS",
    31: "IQ1_M",
    32: "BF16",
    36: "TQ1_0",
    37: "TQ2_0",
    38: "MXFP4",
    39: "NVFP4",
    40: "Q1_0",
    41: "Q2_0",
}
_SHARD: Final = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<total>\d{5})\.gguf", re.IGNORECASE)


class _Array(msgspec.Struct, frozen=True):
    """Where an array lies in the file."""

    kind: int
    count: int
    offset: int


class Header(msgspec.Struct, frozen=True):
    """What a GGUF file says about itself. Strings are the file's: untrusted."""

    path: Path
    version: int
    tensor_count: int
    metadata: dict[str, Value]
    """Every key but the long arrays. Bytes that are not UTF-8 are replaced."""
    arrays: dict[str, _Array]
    """The long arrays: `array()` reads them."""

    def text(self, key: str) -> str:
        """The string under `key`, or "" when there is none."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else ""

    def number(self, key: str) -> int | None:
        """The whole number under `key`; the largest one where each layer has its own."""
        value = self.metadata.get(key)
        if isinstance(value, tuple):
            value = max((item for item in value if isinstance(item, int)), default=None)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def count(self, key: str) -> int:
        """How many elements the array under `key` has; 0 when there is none."""
        value = self.metadata.get(key)
        return len(value) if isinstance(value, tuple) else getattr(self.arrays.get(key), "count", 0)

    def array(self, key: str) -> tuple[Scalar, ...]:
        """The array under `key`, read from the file; () when there is none.

        Raises what `read_header` raises, should the file have changed since.
        """
        value = self.metadata.get(key, ())
        if key not in self.arrays:
            return value if isinstance(value, tuple) else ()
        where = self.arrays[key]
        with _opened(self.path) as file:
            parser = Parser(file, self.path)
            parser.offset = where.offset
            return parser.elements(where.kind, where.count)


class Description(msgspec.Struct, frozen=True):
    """A model in words. Fields that the file does not state are "", 0 or None."""

    name: str
    architecture: str
    size: str
    """As the file labels it: "135M", "7B"."""
    quantization: str
    """"Q4_K_M", "F16"."""
    licence: str
    context: int
    """The window it was trained to, in tokens."""
    chat_template: bool
    vocabulary: str
    """Tokenizer and pre-tokenizer: "gpt2/smollm"."""
    tokens: int
    layers: int
    width: int
    heads: int
    kv_heads: tuple[int, ...]
    """Of each layer."""
    key_length: int
    value_length: int

    @property
    def kv_elements(self) -> int:
        """Numbers that one token adds to the KV cache; times 2 for the bytes of an F16 cache.

        An upper bound where some layers look at a window only, or keep a compressed state.
        """
        return sum(self.kv_heads) * (self.key_length + self.value_length)


def read_header(path: Path) -> Header:
    """Read the metadata of a GGUF file (20 to 60 ms for the vocabularies of today).

    Raises ModelMissing (no file), NotGguf (another format), ModelUnloadable (damaged, not to be read, or of a
    version that llama.cpp does not load).
    """
    with _opened(path) as file:
        return Parser(file, path).header()


def describe(header: Header) -> Description:
    """What the metadata says of the model."""
    architecture = header.text("general.architecture")

    def number(key: str) -> int:
        return max(0, header.number(f"{architecture}.{key}") or 0)

    layers, width, heads = number("block_count"), number("embedding_length"), number("attention.head_count")
    per_layer = header.metadata.get(f"{architecture}.attention.head_count_kv", heads)
    if isinstance(per_layer, tuple):
        kv_heads = tuple(item for item in per_layer if isinstance(item, int))
    else:
        kv_heads = (int(per_layer),) * min(layers, _SMALL_ARRAY) if isinstance(per_layer, int) else ()
    head_length = width // heads if heads else 0
    file_type = header.number("general.file_type")
    tokenizer, pre = header.text("tokenizer.ggml.model"), header.text("tokenizer.ggml.pre")
    return Description(
        name=header.text("general.name") or header.text("general.basename"),
        architecture=architecture,
        size=header.text("general.size_label"),
        quantization="" if file_type is None else _FILE_TYPES.get(file_type & 1023, f"type {file_type}"),
        licence=header.text("general.license"),
        context=number("context_length"),
        chat_template=bool(header.text("tokenizer.chat_template")),
        vocabulary=f"{tokenizer}/{pre}" if pre else tokenizer,
        tokens=header.count("tokenizer.ggml.tokens"),
        layers=layers,
        width=width,
        heads=heads,
        kv_heads=kv_heads,
        key_length=number("attention.key_length") or head_length,
        value_length=number("attention.value_length") or head_length,
    )


def shards(path: Path) -> list[Path]:
    """Every file of the model that `path` belongs to, in order; [path] unless it is split.

    Raises ModelMissing when files of a split model are missing: llama.cpp needs them all.
    """
    match = _SHARD.fullmatch(path.name)
    if match is None:
        return [path]
    total = int(match["total"])
    if not 1 <= int(match["number"]) <= total:
        return [path]
    suffix = path.name[match.end("total") :]
    files = [path.with_name(f"{match['stem']}-{n:05d}-of-{total:05d}{suffix}") for n in range(1, total + 1)]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        names = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
        raise ModelMissing(
            f"{path}: {len(missing)} of the {total} files of this model are missing: {names}",
            f"Download them too, into {path.parent}",
        )
    return files


def stem(path: Path) -> str:
    """The name of the model in a file: without .gguf and the number of its part."""
    return split_name(path.name)[0]


def split_name(name: str) -> tuple[str, int, int]:
    """A file's name (or path) without .gguf and the number of its part; which part it is, and of how many."""
    match = _SHARD.fullmatch(name)
    if match:
        return match["stem"], int(match["number"]), int(match["total"])
    return name[: -len(".gguf")] if name.lower().endswith(".gguf") else name, 1, 1


def is_gguf(path: Path) -> bool:
    """By its name."""
    return path.suffix.lower() == ".gguf"


def is_first(path: Path) -> bool:
    """Not the second or a later part of a split model, by its name."""
    return split_name(path.name)[1] == 1


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise ModelMissing(f"{path}: there is no such file") from error
    except (OSError, ValueError) as error:
        raise ModelUnloadable(f"{path}: {getattr(error, 'strerror', None) or error}") from error


class Parser:
    """Reads forward through a file, a chunk at a time, with every step checked against its size."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self.file, self.path = file, path
        self.size = min(file.seek(0, 2), _MAX_HEADER)
        self.offset = 0
        self.start = 0
        self.data = b""

    def header(self) -> Header:
        magic = self.take(4) if self.size >= 4 else b""
        if magic != MAGIC:
            what = "it is empty" if not self.size else "it does not begin with GGUF"
            raise NotGguf(f"{self.path}: not a GGUF model ({what})")
        version = self.integer("<I")
        if version & 0xFFFF == 0 or version == 1 or version > 3:
            what = "for big-endian machines" if version & 0xFFFF == 0 else f"of version {version}"
            raise ModelUnloadable(f"{self.path}: a GGUF file {what}, which llama.cpp does not load")
        tensors, keys = self.integer("<Q"), self.integer("<Q")
        # A tensor takes at least 24 bytes of the header (name, dimensions, type, offset).
        if tensors > self.size // 24 or keys > min(_MAX_KEYS, self.size // 13):
            raise self.damaged("counts that cannot be true")
        metadata: dict[str, Value] = {}
        arrays: dict[str, _Array] = {}
        for _ in range(keys):
            key = self.key()
            if key in metadata or key in arrays:
                raise self.damaged(f"the key {key[:80]!r} twice")
            kind = self.integer("<I")
            if kind != _ARRAY:
                metadata[key] = self.scalar(kind)
                continue
            inner, count = self.integer("<I"), self.integer("<Q")
            if inner in _NUMBERS and count <= _SMALL_ARRAY:
                metadata[key] = self.elements(inner, count)
            else:
                arrays[key] = _Array(inner, count, self.offset)
                self.skip(inner, count)
        return Header(self.path, version, tensors, metadata, arrays)

    def damaged(self, what: str) -> ModelUnloadable:
        return ModelUnloadable(
            f"{self.path}: the file is damaged or incomplete (its header has {what})",
            "Download it again, or compare its size with the original's",
        )

    def ensure(self, count: int) -> int:
        """Have the next `count` bytes in `data`; their place in it."""
        if count > self.size - self.offset:
            raise self.damaged(f"{count:,} bytes where {max(0, self.size - self.offset):,} are left")
        at = self.offset - self.start
        if at < 0 or at + count > len(self.data):
            self.start, at = self.offset, 0
            try:
                self.file.seek(self.offset)
                self.data = self.file.read(max(count, _CHUNK))
            except OSError as error:
                raise ModelUnloadable(f"{self.path}: {error.strerror or error}") from error
            if len(self.data) < count:
                raise self.damaged("less than its own size")
        return at

    def take(self, count: int) -> bytes:
        at = self.ensure(count)
        self.offset += count
        return self.data[at : at + count]

    def integer(self, form: str) -> int:
        (value,) = struct.unpack(form, self.take(struct.calcsize(form)))
        return int(value)

    def key(self) -> str:
        length = self.integer("<Q")
        if length > 0xFFFF:
            raise self.damaged("a key of absurd length")
        try:
            return self.take(length).decode()
        except UnicodeDecodeError as error:
            raise self.damaged("a key that is not UTF-8") from error

    def scalar(self, kind: int) -> Scalar:
        if kind == _STRING:
            return self.take(self.integer("<Q")).decode("utf-8", "replace")
        if kind not in _NUMBERS:
            raise self.damaged(f"a value of the unknown type {kind}")
        return self.elements(kind, 1)[0]

    def checked(self, kind: int, count: int) -> int:
        """The bytes an array takes at least, after making sure that the file can hold them."""
        if kind not in _NUMBERS and kind != _STRING:  # arrays in arrays: llama.cpp refuses them too
            raise self.damaged(f"an array of the unknown type {kind}")
        size = count * (8 if kind == _STRING else struct.calcsize("<" + _NUMBERS[kind]))
        if count > _MAX_ELEMENTS or size > self.size - self.offset:
            raise self.damaged(f"an array of {count:,} elements")
        return size

    def elements(self, kind: int, count: int) -> tuple[Scalar, ...]:
        size = self.checked(kind, count)
        if kind == _STRING:
            return tuple(self.strings(count))
        return struct.unpack(f"<{count}{_NUMBERS[kind]}", self.take(size))

    def skip(self, kind: int, count: int) -> None:
        size = self.checked(kind, count)
        if kind == _STRING:
            self.strings(count, keep=False)
        else:
            self.offset += size

    def strings(self, count: int, keep: bool = True) -> list[str]:
        """The hot loop: a vocabulary and its merges are 100,000 to 500,000 strings."""
        found: list[str] = []
        unpack, data = _U64.unpack_from, self.data
        at = self.offset - self.start
        limit = len(data) - 8 if at >= 0 else -1
        for _ in range(count):
            if not 0 <= at <= limit:
                self.offset = self.start + at
                at = self.ensure(8)
                data, limit = self.data, len(self.data) - 8
            (length,) = unpack(data, at)
            at += 8
            if length > len(data) - at:
                self.offset = self.start + at
                at = self.ensure(length)
                data, limit = self.data, len(self.data) - 8
            if keep:
                found.append(data[at : at + length].decode("utf-8", "replace"))
            at += length
        self.offset = self.start + at
        return found
