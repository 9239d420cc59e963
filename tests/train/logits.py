"""Logits of every token, by llama.cpp: what torch's are compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from memread.engine.llamacpp.model import Model


def logits_of(path: Path, text: str, adapter: Path | None = None) -> tuple[list[int], Any]:
    """The ids of `text` and the logits after each: [tokens, vocabulary]."""
    with Model(path) as model:
        api, ids = model.lib.api, model.vocabulary.encode(text)
        params = api.llama_context_default_params()
        params.n_ctx = params.n_batch = params.n_ubatch = params.n_outputs_max = 512
        params.type_k = params.type_v = api.GGML_TYPE_F32
        params.flash_attn_type = api.LLAMA_FLASH_ATTN_TYPE_DISABLED  # no rounding but that of the weights
        params.n_threads = params.n_threads_batch = 2
        context = api.llama_init_from_model(model.handle, params)
        loaded: Any = None
        try:
            if adapter is not None:
                loaded = api.llama_adapter_lora_init(model.handle, str(adapter).encode())
                assert loaded, model.lib.last_error()
                set_adapter(api, context, loaded)
            batch = api.llama_batch_init(len(ids), 0, 1)
            for i, token in enumerate(ids):
                batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, i, 1, True
                batch.seq_id[i][0] = 0
            batch.n_tokens = len(ids)
            assert api.llama_decode(context, batch) == 0
            rows = [api.llama_get_logits_ith(context, i)[: model.vocabulary.size] for i in range(len(ids))]
            api.llama_batch_free(batch)
        finally:
            api.llama_free(context)
            if loaded:
                api.llama_adapter_lora_free(loaded)
    return ids, np.array(rows, np.float32)


def distance(got: Any, wanted: Any) -> float:
    """Root mean square of the difference, as a share of that of what is wanted."""
    return float(np.sqrt(((got - wanted) ** 2).mean() / (wanted**2).mean()))


def set_adapter(api: Any, context: Any, adapter: Any) -> None:
    """Newer llama.cpp sets all adapters in one call."""
    import ctypes

    if hasattr(api, "llama_set_adapters_lora"):
        kinds, scales = (type(adapter) * 1)(adapter), (ctypes.c_float * 1)(1.0)
        assert api.llama_set_adapters_lora(context, kinds, 1, scales) == 0
    else:
        assert api.llama_set_adapter_lora(context, adapter, 1.0) == 0


def randomised(model: Any, scale: float = 0.2) -> Any:
    """`model` with a LoRA that does something; without one, with its own weights changed by about `scale`."""
    import torch

    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.normal_(0, scale)
            elif parameter.requires_grad:
                parameter += scale * torch.randn_like(parameter)
    return model
