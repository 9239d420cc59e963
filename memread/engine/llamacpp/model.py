"""Weights: loaded, placed on the GPU as far as they fit, described."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path
from types import TracebackType
from typing import Any

from memread.engine.llamacpp.library import Device, Library, library
from memread.engine.llamacpp.template import chat_frame
from memread.engine.llamacpp.vocabulary import Vocabulary
from memread.errors import EngineFailed, FileMissing, FileUnreadable, ModelUnloadable, NotGguf, OutOfMemory
from memread.gguf import describe, read_header, shards
from memread.types import ChatFrame

_GPU_MARGIN = 0.10
"""Of a GPU's free memory, left for compute buffers and for whatever else runs there."""


class Model:
    """A loaded GGUF. `close` frees it; contexts made from it must be gone by then."""

    def __init__(
        self,
        path: Path,
        *,
        gpu_layers: int | None = None,
        context: int = 8192,
        vocabulary_only: bool = False,
        adapter: Path | None = None,
        lib: Library | None = None,
    ) -> None:
        """Load the weights. gpu_layers None fits them to the GPU's free memory, with room for the KV of
        `context` tokens. adapter: a LoRA in llama.cpp's GGUF form, added to the weights while they compute,
        which is slower than weights that it was merged into. Raises FileMissing, FileUnreadable, NotGguf,
        ModelUnloadable, OutOfMemory.
        """
        self.path = path
        self.lib = lib or library()
        _check_magic(path)
        self.gpu_layers = 0
        self.handle: Any = None
        for layers in self._placements(gpu_layers, context):
            self.lib.log.clear()
            params = self.lib.api.llama_model_default_params()
            params.n_gpu_layers = layers
            params.vocab_only = vocabulary_only
            params.use_extra_bufts = self.lib.repacks
            self.handle = self.lib.api.llama_model_load_from_file(str(path).encode(), params)
            if self.handle:
                self.gpu_layers = layers
                break
            if not self.lib.out_of_memory():
                break
        if not self.handle:
            if self.lib.out_of_memory():
                raise OutOfMemory(
                    f"{path.name} does not fit into memory", "Use a smaller or more quantised model."
                )
            raise ModelUnloadable(
                f"{path.name} cannot be loaded: {self.lib.last_error() or 'llama.cpp gave no reason'}",
                "Is the file complete, and this llama.cpp new enough for the model? --verbose shows its log.",
            )
        self.placement = _placement(list(self.lib.log), self.lib.devices())
        self.vocabulary = Vocabulary(self.lib.api, self.handle)
        self._adapter: Any = self._load_adapter(adapter) if adapter is not None else None

    def _placements(self, asked: int | None, context: int) -> list[int]:
        """Numbers of layers to try to put on the GPU, best first."""
        if not self.lib.gpu_build:
            return [0]
        if asked is not None:
            return [asked]
        free = sum(device.free for device in self.lib.devices() if device.gpu)
        facts = describe(read_header(self.path))
        layers = fitting_layers(
            free=int(free * (1 - _GPU_MARGIN)),
            weights=sum(shard.stat().st_size for shard in shards(self.path)),
            layers=facts.layers or 1,
            kv=facts.kv_elements * 2 * context,
        )
        return list(dict.fromkeys([layers, layers * 3 // 4, layers // 2, layers // 4, 0]))

    @property
    def trained_context(self) -> int:
        """Tokens the model was trained to attend to."""
        return int(self.lib.api.llama_model_n_ctx_train(self.handle))

    @property
    def heads(self) -> int:
        """Attention heads of a layer."""
        return int(self.lib.api.llama_model_n_head(self.handle))

    @property
    def frame(self) -> ChatFrame:
        """The chat frame of the template in the file. Raises ModelUnloadable."""
        raw: bytes | None = self.lib.api.llama_model_chat_template(self.handle, None)
        return chat_frame(
            (raw or b"").decode("utf-8", "replace"), bos=self.vocabulary.bos, eos=self.vocabulary.eos
        )

    def attach_adapter(self, context: Any) -> None:
        """Let a context made from this model compute with its adapter, if it has one. Raises EngineFailed."""
        if self._adapter:
            adapters, scales = (type(self._adapter) * 1)(self._adapter), (ctypes.c_float * 1)(1.0)
            if self.lib.api.llama_set_adapters_lora(context, adapters, 1, scales) != 0:
                raise EngineFailed(f"llama.cpp does not apply the adapter: {self.lib.last_error()}")

    def _load_adapter(self, path: Path) -> Any:
        """It is freed with the model."""
        _check_magic(path)
        self.lib.log.clear()
        adapter = self.lib.api.llama_adapter_lora_init(self.handle, str(path).encode())
        if not adapter:
            self.close()
            raise ModelUnloadable(
                f"{path.name} cannot be loaded as an adapter: {self.lib.last_error()}",
                f"Was it made for {self.path.name}?",
            )
        return adapter

    def metadata(self, key: str) -> str:
        """A metadata value as text, "" when the file has none."""
        buffer = ctypes.create_string_buffer(4096)
        n = self.lib.api.llama_model_meta_val_str(self.handle, key.encode(), buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace") if n >= 0 else ""

    def close(self) -> None:
        """Free the weights. Safe to call twice."""
        if self.handle:
            self.vocabulary.close()  # the thread that cuts segments may be in the middle of one
            self.lib.api.llama_model_free(self.handle)
            self.handle = None

    def __enter__(self) -> Model:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def fitting_layers(*, free: int, weights: int, layers: int, kv: int) -> int:
    """How many of `layers` + the output layer fit into `free` bytes, weights and KV evenly spread."""
    per_layer = (weights + kv) / (layers + 1)
    return max(0, min(layers + 1, int(free / per_layer)))


def _placement(log: list[str], devices: list[Device]) -> str:
    """Where the layers went, from llama.cpp's own words; "CPU" when none left it."""
    for line in reversed(log):
        if (match := re.search(r"offloaded (\d+)/(\d+) layers to GPU", line)) and int(match[1]):
            names = "+".join(device.name for device in devices if device.gpu) or "GPU"
            return f"{names} {match[1]}/{match[2]} layers"
    return "CPU"


def _check_magic(path: Path) -> None:
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except FileNotFoundError as error:
        raise FileMissing(f"{path}: no such model file") from error
    except OSError as error:
        raise FileUnreadable(f"{path}: cannot be read ({error.strerror})") from error
    if magic != b"GGUF":
        raise NotGguf(f"{path}: not a GGUF model", "memread reads models in llama.cpp's GGUF format.")
