"""A GGUF of random weights in the shape of a real model, for honest speeds without a download.

    python -m benchmarks.shape qwen2.5-7b.gguf            4.3 GB; give it to --model
    python -m benchmarks.shape part.gguf --layers 4       of its 28 layers

Q4_0: the blocks are random bits with one small scale. The vocabulary is the embedded model's, filled up with
unused tokens to the size of the real one. What it answers means nothing.
"""

from __future__ import annotations

import argparse
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter, ReaderField

from benchmarks.models import embedded

_WEIGHTS, _BYTES = 32, 18
"""Of a Q4_0 block: a half-precision scale, and 16 bytes of two weights each."""
_FILE_TYPE = 2  # llama.cpp's name for "mostly Q4_0"
_UNUSED = 5  # a kind of token


class Shape(NamedTuple):
    """Of a model of the architecture qwen2."""

    layers: int
    width: int
    inner: int
    heads: int
    kv_heads: int
    vocabulary: int
    context: int

    @property
    def kv_width(self) -> int:
        return self.width // self.heads * self.kv_heads


QWEN_7B = Shape(28, 3584, 18944, 28, 4, 152064, 32768)
"""Qwen2.5-7B-Instruct's, from its config.json."""


def write(path: Path, shape: Shape = QWEN_7B, vocabulary: Path | None = None) -> Path:
    """Write the file; returns `path`. vocabulary: of this GGUF, the embedded model's when none is named.

    Tensors wait in a temporary file, so a few hundred megabytes of memory are enough.
    """
    writer = GGUFWriter(path, "qwen2", use_temp_file=True)
    writer.add_name("Random")
    writer.add_file_type(_FILE_TYPE)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.inner)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_rope_freq_base(1e6)
    writer.add_layer_norm_rms_eps(1e-6)
    _add_vocabulary(writer, shape.vocabulary, GGUFReader(vocabulary or embedded()))
    random = np.random.default_rng(0)
    for name, rows, columns in _matrices(shape):
        writer.add_tensor(name, _blocks(random, rows, columns), raw_dtype=GGMLQuantizationType.Q4_0)
    for layer in range(shape.layers):
        for norm in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{norm}.weight", np.ones(shape.width, np.float32))
        for name, size in (("attn_q", shape.width), ("attn_k", shape.kv_width), ("attn_v", shape.kv_width)):
            writer.add_tensor(f"blk.{layer}.{name}.bias", np.zeros(size, np.float32))
    writer.add_tensor("output_norm.weight", np.ones(shape.width, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _matrices(shape: Shape) -> Iterator[tuple[str, int, int]]:
    """(name, rows, columns) of each."""
    width, inner, kv = shape.width, shape.inner, shape.kv_width
    yield "token_embd.weight", shape.vocabulary, width
    for layer in range(shape.layers):
        for name, rows, columns in (
            ("attn_q", width, width),
            ("attn_k", kv, width),
            ("attn_v", kv, width),
            ("attn_output", width, width),
            ("ffn_gate", inner, width),
            ("ffn_up", inner, width),
            ("ffn_down", width, inner),
        ):
            yield f"blk.{layer}.{name}.weight", rows, columns
    yield "output.weight", shape.vocabulary, width


def _blocks(random: np.random.Generator, rows: int, columns: int) -> npt.NDArray[np.uint8]:
    """Q4_0 blocks, shape [rows, columns / 32 * 18], of weights of the order 1/sqrt(columns)."""
    made = random.integers(0, 256, (rows, columns // _WEIGHTS, _BYTES), dtype=np.uint8)
    made[:, :, :2] = np.frombuffer(struct.pack("<e", 0.2 / columns**0.5), dtype=np.uint8)
    return made.reshape(rows, columns // _WEIGHTS * _BYTES)


def _add_vocabulary(writer: GGUFWriter, size: int, source: GGUFReader) -> None:
    tokens = _texts(source.fields["tokenizer.ggml.tokens"])
    field = source.fields["tokenizer.ggml.token_type"]
    kinds = [int(field.parts[at][0]) for at in field.data]
    missing = size - len(tokens)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_texts(source.fields["tokenizer.ggml.pre"])[0])
    writer.add_token_list([*tokens, *(f"<|unused{number}|>" for number in range(missing))])
    writer.add_token_types([*kinds, *[_UNUSED] * missing])
    writer.add_token_merges(_texts(source.fields["tokenizer.ggml.merges"]))
    writer.add_eos_token_id(int(source.fields["tokenizer.ggml.eos_token_id"].parts[-1][0]))
    writer.add_add_bos_token(False)
    writer.add_chat_template(_texts(source.fields["tokenizer.chat_template"])[0])


def _texts(field: ReaderField) -> list[str]:
    return [bytes(field.parts[at]).decode() for at in field.data]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shape", description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--layers", type=int, default=QWEN_7B.layers)
    given = parser.parse_args()
    print(write(given.path, QWEN_7B._replace(layers=given.layers)))
