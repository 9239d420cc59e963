"""LoRA → GGUF: an adapter as llama.cpp loads it, and the merged model.

Layout, from llama.cpp's convert_lora_to_gguf.py and src/llama-adapter.cpp: for a tensor T the pair
T.lora_a [rank, inputs] and T.lora_b [outputs, rank] (as numpy sees them), scaled by alpha/rank, alpha in
adapter.lora.alpha. The rows of query and key matrices are in llama.cpp's rotary order.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from memread.engine.llamacpp.conversion import convert
from memread.errors import ModelUnloadable
from memread.train.weights import (
    Lora,
    from_gguf_rows,
    gguf_names,
    heads,
    is_rotated,
    metadata,
    read_lora,
    to_gguf_rows,
)

Kind = Literal["F16", "BF16", "Q8_0", "F32"]


def adapter(
    base: Path,
    state: Mapping[str, Any],
    lora: Lora,
    path: Path,
    *,
    name: str,
    kind: Kind = "F16",
    rank: int = 0,
) -> Path:
    """Write the LoRA as a GGUF adapter for the model in `base`; returns `path`. Atomic.

    state: see weights.lora_state. kind: F16 or F32 (a rank below 32 leaves no rows for Q8_0's blocks).
    rank: the nearest of that rank to what was learned is written; 0: as it was learned.
    """
    import numpy as np
    from gguf import GGUFReader, GGUFWriter

    reader = GGUFReader(base)
    temporary = path.with_name(path.name + ".part")
    writer = GGUFWriter(temporary, "llama")
    writer.add_string("general.type", "adapter")
    writer.add_name(name)
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", _alpha(lora, rank))
    for tensor, (a, b) in _pairs(reader, state, lora, rank):
        for part, array in (("lora_a", a), ("lora_b", b)):
            writer.add_tensor(f"{tensor}.{part}", array.astype(np.float32 if kind == "F32" else np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return _finished(temporary, path)


def read(base: Path, path: Path) -> tuple[dict[str, Any], Lora]:
    """The LoRA in `path`, as weights.lora_state has it: what training saved, or an adapter for the model in
    `base` as `adapter` writes it. Raises ModelUnloadable."""
    if path.suffix != ".gguf":
        return read_lora(path)
    import torch
    from gguf import GGUFReader, dequantize

    try:
        adapter, reader = GGUFReader(path), GGUFReader(base)
        arrays = {tensor.name: dequantize(tensor.data, tensor.tensor_type) for tensor in adapter.tensors}
        state: dict[str, Any] = {}
        for tensor, module in gguf_names(int(metadata(reader, "llama.block_count"))):
            a, b = arrays[f"{tensor}.lora_a"], arrays[f"{tensor}.lora_b"]
            if is_rotated(tensor):
                b = from_gguf_rows(b, heads(reader, key=".attn_k." in tensor))
            state[f"{module}.lora_A"] = torch.from_numpy(a.copy()).float()
            state[f"{module}.lora_B"] = torch.from_numpy(b.copy()).float()
        rank = a.shape[0]
        return state, Lora(rank, float(metadata(adapter, "adapter.lora.alpha")) or rank)  # 0: see _alpha
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise ModelUnloadable(f"{path}: cannot be read as a LoRA for {base.name} ({error})") from error


def merged(
    base: Path, state: Mapping[str, Any], lora: Lora, path: Path, *, name: str = "", kind: Kind = "BF16"
) -> Path:
    """Write the model of `base` with what was learned, matrices as `kind`; returns `path`. Atomic.

    Quantized bases are de-quantized first; quantizing the sum below Q8_0 was measured to cost too much.
    """
    temporary = path.with_name(path.name + ".part")
    lora_file = path.with_name(path.name + ".lora")
    try:
        adapter(base, state, lora, lora_file, name=name, kind="F32")
        convert(base, temporary, kind, adapter=lora_file, name=name)
        return _finished(temporary, path)
    finally:
        lora_file.unlink(missing_ok=True)


def _pairs(
    reader: Any, state: Mapping[str, Any], lora: Lora, rank: int
) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """(GGUF tensor, (A [rank, inputs], B [outputs, rank])), float32; B's rows in llama.cpp's order. What they
    are scaled by is in `_alpha`."""
    from gguf import dequantize

    before = {tensor.name: tensor for tensor in reader.tensors}
    for tensor, module in gguf_names(int(metadata(reader, "llama.block_count"))):

        def ours(rows: Any, tensor: str = tensor) -> Any:
            return to_gguf_rows(rows, heads(reader, key=".attn_k." in tensor)) if is_rotated(tensor) else rows

        if lora.rank:
            a, b = state[f"{module}.lora_A"].numpy(), ours(state[f"{module}.lora_B"].numpy())
            yield tensor, nearest(b @ a * (lora.alpha / lora.rank), rank) if rank else (a, b)
        else:
            weight = dequantize(before[tensor].data, before[tensor].tensor_type)
            yield tensor, nearest(ours(state[module].numpy()) - weight, rank)


def _alpha(lora: Lora, rank: int) -> float:
    """As llama.cpp has it: what B·A is multiplied by, times the rank; 0: by 1."""
    return lora.alpha if lora.rank and not rank else 0.0


def nearest(change: Any, rank: int) -> tuple[Any, Any]:
    """(A [rank, inputs], B [outputs, rank]) whose product B·A is the nearest of that rank to `change`
    [outputs, inputs]: its largest singular values (Eckart and Young 1936). rank 0: `change` itself."""
    import numpy as np

    outputs, inputs = change.shape
    if not rank or rank >= min(outputs, inputs):
        one = np.eye(min(outputs, inputs), dtype=np.float32)
        return (one, change) if inputs <= outputs else (change, one)
    left, values, right = np.linalg.svd(change, full_matrices=False)
    root = np.sqrt(values[:rank])
    return root[:, None] * right[:rank], left[:, :rank] * root


def _finished(temporary: Path, path: Path) -> Path:
    """Flush to the disk, then rename: a file under its name is whole."""
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
    return path
