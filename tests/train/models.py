"""Tiny random torch models with the vocabulary of the tiny GGUF. Imported only where torch is."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tests.fixtures.gguf_model import END, vocabulary


torch.set_num_threads(1)  # the matrices are tiny: a second thread only waits


def tiny_llama(seed: int = 0) -> Any:
    """Two layers, 64 wide; replies end now and then, control tokens are unlikely."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(vocabulary()["tokens"]),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=False,
        initializer_range=0.3,
        attn_implementation="sdpa",
    )
    model = LlamaForCausalLM(config).eval()
    with torch.no_grad():
        model.model.embed_tokens.weight[:, 0] = 3.0
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight[0] = 0.0
            layer.mlp.down_proj.weight[0] = 0.0
        head = model.lm_head.weight
        head[:, 0] = 0.0
        head[: vocabulary()["control"], 0] = -20.0
        head[END, 0] = 1.0
    return model


def with_lora(model: Any, rank: int = 4) -> Any:
    """The model with LoRA on all its linear layers."""
    import peft

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers for what it has renamed
        return _with_lora(peft, model, rank)


def _with_lora(peft: Any, model: Any, rank: int) -> Any:
    config = peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", lora_dropout=0.0)
    return peft.get_peft_model(model, config)
