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

from memread.train.weights import Lora, gguf_names, heads, metadata, to_gguf_rows

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
    return _finish(writer, temporary, path)


def merged(
    base: Path, state: Mapping[str, Any], lora: Lora, path: Path, *, name: str = "", kind: Kind = "BF16"
) -> Path:
    """Write the model of `base` with the LoRA added, matrices as `kind`; returns `path`. Atomic.

    Quantized bases are de-quantized first; quantizing the sum below Q8_0 was measured to cost too much.
    """
    import numpy as np
    from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, LlamaFileType, dequantize
    from gguf.quants import quantize

    reader = GGUFReader(base)
    temporary = path.with_name(path.name + ".part")
    writer = GGUFWriter(temporary, str(metadata(reader, "general.architecture")))
    skipped = {"general.architecture", "general.file_type", "general.quantization_version"}
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in skipped | ({"general.name"} if name else set()):
            continue
        sub = field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), field.types[0], sub)
    if name:
        writer.add_name(name)
    files = {"F16": "MOSTLY_F16", "BF16": "MOSTLY_BF16", "Q8_0": "MOSTLY_Q8_0", "F32": "ALL_F32"}
    writer.add_file_type(int(LlamaFileType[files[kind]]))
    if kind == "Q8_0":
        writer.add_quantization_version(2)
    pairs = _pairs(reader, state)
    for tensor in reader.tensors:
        array = dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        if tensor.name in pairs:
            a, b = pairs.pop(tensor.name)
            array = array + (lora.alpha / lora.rank) * (b @ a)
        fits = array.ndim > 1 and (kind != "Q8_0" or array.shape[-1] % 32 == 0)
        wanted = GGMLQuantizationType[kind if fits else "F16" if array.ndim > 1 else "F32"]
        data = quantize(np.ascontiguousarray(array), wanted)
        writer.add_tensor(tensor.name, data, raw_dtype=wanted)
    assert not pairs, "the LoRA adapts layers that the model lacks"
    return _finish(writer, temporary, path)


def _pairs(reader: Any, state: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """GGUF tensor → (A [rank, inputs], B [outputs, rank]), float32; B's rows in llama.cpp's order."""
    found = {}
    for tensor, module in gguf_names(int(metadata(reader, "llama.block_count"))):
        a, b = state[f"{module}.lora_A"].float().numpy(), state[f"{module}.lora_B"].float().numpy()
        if ".attn_q." in tensor or ".attn_k." in tensor:
            b = to_gguf_rows(b, heads(reader, key=".attn_k." in tensor))
        found[tensor] = (a, b)
    return found


def _finish(writer: Any, temporary: Path, path: Path) -> Path:
    """Write, flush to the disk, then rename: a file under its name is whole."""
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)
    return path
