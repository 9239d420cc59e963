"""GGUF → GGUF: the same weights in another type, with a LoRA added if there is one.

llama.cpp itself quantizes (`llama_model_quantize`). A LoRA is added to an F32 copy, tensor by tensor in the
file, so that no more than one tensor is in memory and nothing is rounded but the result.
"""

from __future__ import annotations

import contextlib
import ctypes
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from memread.engine.llamacpp.library import cpu_threads, library
from memread.errors import ModelUnloadable
from memread.gguf import read_header
from memread.tensors import tensors, view

FILE_TYPES: Final = {
    "F32": 0,
    "F16": 1,
    "Q4_0": 2,
    "Q4_1": 3,
    "Q8_0": 7,
    "Q6_K": 18,
    "Q4_K_M": 15,
    "BF16": 32,
}
"""Types that a model can be written in → llama.cpp's enum llama_ftype."""
BITS: Final = {
    "F32": 32.0,
    "F16": 16.0,
    "BF16": 16.0,
    "Q8_0": 8.5,
    "Q6_K": 6.6,
    "Q4_1": 5.7,
    "Q4_K_M": 5.7,
    "Q4_0": 5.4,
}
"""Bits a weight takes on disk, about: small models keep their embeddings in more."""
_STEP: Final = re.compile(r"\[\s*(\d+)/\s*(\d+)\]")
Progress = Callable[[float], None]
"""Told the share that is done, 0 to 1."""


def convert(
    base: Path,
    target: Path,
    kind: str,
    *,
    adapter: Path | None = None,
    name: str = "",
    threads: int = 0,
    progress: Progress = lambda share: None,
) -> None:
    """Write the model of `base` (of a split model the first file) as `kind` to `target`.

    adapter: a LoRA in llama.cpp's GGUF form, merged in. name: the model's new one. Not atomic: the caller
    gives a temporary name. Raises ModelUnloadable, OSError.
    """
    if adapter is None:
        _quantize(base, target, kind, name, threads, progress)
        return
    whole = target.with_name(target.name + ".f32")
    try:
        _quantize(base, whole, "F32", name, threads, lambda share: progress(share / 2))
        add_adapter(whole, adapter)
        if kind == "F32":
            whole.replace(target)
            progress(1.0)
        else:
            _quantize(whole, target, kind, "", threads, lambda share: progress((1 + share) / 2))
    finally:
        whole.unlink(missing_ok=True)


def space(base: Path, kind: str, adapter: Path | None) -> int:
    """Bytes of disk that `convert` takes at the most, about."""
    count = sum(tensor.count for tensor in tensors(base).values())
    bits = BITS[kind] + (BITS["F32"] if adapter is not None and kind != "F32" else 0)
    return round(count * bits / 8 * 1.05) + (1 << 24)


def add_adapter(model: Path, adapter: Path) -> None:
    """Add a LoRA to the F32 model in the file `model`: W + alpha/rank · B·A. Raises ModelUnloadable.

    As llama.cpp's src/llama-adapter.cpp: for a tensor T the pair T.lora_a [rank, inputs] and T.lora_b
    [outputs, rank]; those of the token embedding are the other way round. An alpha of 0 scales by 1.
    """
    header = read_header(adapter)
    if header.text("general.type") != "adapter" or header.text("adapter.type") != "lora":
        raise ModelUnloadable(f"{adapter.name}: not a LoRA adapter")
    if header.count("adapter.alora.invocation_tokens"):
        raise ModelUnloadable(f"{adapter.name}: an adapter that is switched on by tokens cannot be merged")
    alpha = header.metadata.get("adapter.lora.alpha", 0.0)
    parts, weights = tensors(adapter), tensors(model)
    for name in [name for name in parts if name.endswith(".lora_a")]:
        target = name.removesuffix(".lora_a")
        if target not in weights or f"{target}.lora_b" not in parts:
            raise ModelUnloadable(f"{adapter.name}: does not belong to this model (it adapts {target})")
        a = view(adapter, parts.pop(name)).astype("<f4")
        b = view(adapter, parts.pop(f"{target}.lora_b")).astype("<f4")
        rank = b.shape[-1]
        delta = a @ b.T if target == "token_embd.weight" else b @ a
        weight = view(model, weights[target], write=True)
        if delta.shape != weight.shape:
            raise ModelUnloadable(f"{adapter.name}: {target} has another shape in this model")
        weight += (float(alpha) / rank if isinstance(alpha, float) and alpha else 1.0) * delta
        weight.flush()
    if parts:
        raise ModelUnloadable(f"{adapter.name}: cannot be merged ({next(iter(parts))} is no part of a LoRA)")


def _quantize(base: Path, target: Path, kind: str, name: str, threads: int, progress: Progress) -> None:
    lib = library()
    params = lib.api.llama_model_quantize_default_params()
    params.nthread = threads or cpu_threads()
    params.ftype = FILE_TYPES[kind]
    params.allow_requantize = True
    overrides = _renamed(lib.api, name) if name else None
    if overrides is not None:
        params.kv_overrides = overrides
    lib.log.clear()
    with _followed(progress):
        code = lib.api.llama_model_quantize(str(base).encode(), str(target).encode(), ctypes.byref(params))
    if code != 0:
        raise ModelUnloadable(
            f"{base.name} cannot be written as {kind}: {lib.last_error() or 'llama.cpp gave no reason'}"
        )
    progress(1.0)


@contextlib.contextmanager
def _followed(progress: Progress) -> Iterator[None]:
    """Tell `progress` what llama.cpp's log says: "[  12/ 272] blk.1.attn_q.weight …"."""

    def hear(line: str) -> None:
        if match := _STEP.match(line):
            progress(int(match[1]) / max(1, int(match[2])))

    lib = library()
    lib.listener = hear
    try:
        yield
    finally:
        lib.listener = None


def _renamed(api: Any, name: str) -> Any:
    """An override of general.name, and the empty one that ends the list."""
    overrides = (api.llama_model_kv_override * 2)()
    overrides[0].tag = api.LLAMA_KV_OVERRIDE_TYPE_STR
    overrides[0].key = b"general.name"
    overrides[0].value.val_str = name.encode("utf-8")[:127]
    return overrides
