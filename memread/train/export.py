"""LoRA → GGUF: an adapter as llama.cpp loads it, and the merged model.

Layout, from llama.cpp's convert_lora_to_gguf.py and src/llama-adapter.cpp: for a tensor T the pair
T.lora_a [rank, inputs] and T.lora_b [outputs, rank] (as numpy sees them), scaled by alpha/rank, alpha in
adapter.lora.alpha. The rows of query and key matrices are in llama.cpp's rotary order.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
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
    base: Path, state: Mapping[str, Any], lora: Lora, path: Path, *, name: str, kind: Kind = "F16"
) -> Path:
    """Write the LoRA as a GGUF adapter for the model in `base`; returns `path`. Atomic.

    state: see weights.lora_state. kind: F16 or F32 (a rank below 32 leaves no rows for Q8_0's blocks).
    """
    import numpy as np
    from gguf import GGUFReader, GGUFWriter

    reader = GGUFReader(base)
    temporary = path.with_name(path.name + ".part")
    writer = GGUFWriter(temporary, "llama")
    writer.add_string("general.type", "adapter")
    writer.add_name(name)
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", lora.alpha)
    for tensor, (a, b) in _pairs(reader, state).items():
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
        return state, Lora(a.shape[0], float(metadata(adapter, "adapter.lora.alpha")))
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise ModelUnloadable(f"{path}: cannot be read as a LoRA for {base.name} ({error})") from error


def merged(
    base: Path, state: Mapping[str, Any], lora: Lora, path: Path, *, name: str = "", kind: Kind = "BF16"
) -> Path:
    """Write the model of `base` with the LoRA added, matrices as `kind`; returns `path`. Atomic.

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


def _pairs(reader: Any, state: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """GGUF tensor → (A [rank, inputs], B [outputs, rank]), float32; B's rows in llama.cpp's order."""
    found = {}
    for tensor, module in gguf_names(int(metadata(reader, "llama.block_count"))):
        a, b = state[f"{module}.lora_A"].float().numpy(), state[f"{module}.lora_B"].float().numpy()
        if is_rotated(tensor):
            b = to_gguf_rows(b, heads(reader, key=".attn_k." in tensor))
        found[tensor] = (a, b)
    return found


def _finished(temporary: Path, path: Path) -> Path:
    """Flush to the disk, then rename: a file under its name is whole."""
    with temporary.open("rb+") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
    return path
