"""A GGUF as a torch model, with LoRA or all layers' weights to be learned; their state to a file and back.

The file is read directly rather than by `transformers`' own reader: the names and the rotary layout are then
the ones that export.py writes back.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec

from memread.errors import ModelUnloadable
from memread.train.bounds import Positive, Whole

Tensor = Any
"""torch.Tensor: torch is not installed where the types are checked."""

LINEAR: Mapping[str, str] = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
"""Name in a GGUF's block → name in transformers' block: the layers that LoRA adapts."""
_NORMS = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}
_TOP = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}


class Lora(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Low-rank adaption (arXiv 2106.09685) of all linear layers: W + alpha/rank · B·A."""

    rank: Whole = 16
    """0: no LoRA, the weights of these layers themselves are learned, in float32 (full fine-tuning, but for
    embeddings and norms)."""
    alpha: Positive = 16.0


def torch_name(name: str) -> str:
    """The parameter in transformers' Llama that a GGUF's tensor is. Raises KeyError for another's."""
    if name in _TOP:
        return _TOP[name]
    _, layer, part, _ = name.split(".")  # blk.0.attn_q.weight
    return f"model.layers.{layer}.{_NORMS.get(part) or LINEAR[part]}.weight"


def gguf_names(layers: int) -> Iterator[tuple[str, str]]:
    """(GGUF tensor, transformers module) of every linear layer."""
    for layer in range(layers):
        for ours, theirs in LINEAR.items():
            yield f"blk.{layer}.{ours}.weight", f"model.layers.{layer}.{theirs}"


def is_rotated(tensor: str) -> bool:
    """Whether a GGUF's tensor has its rows in llama.cpp's rotary order."""
    return ".attn_q." in tensor or ".attn_k." in tensor


def to_gguf_rows(weight: Any, heads: int) -> Any:
    """Rows of a query or key matrix [outputs, …] in llama.cpp's rotary order, from transformers'."""
    rows = weight.shape[0]
    return (
        weight.reshape(heads, 2, rows // heads // 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)
    )


def from_gguf_rows(weight: Any, heads: int) -> Any:
    """The inverse of `to_gguf_rows`."""
    rows = weight.shape[0]
    return (
        weight.reshape(heads, rows // heads // 2, 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)
    )


def load(path: Path, dtype: Any = None) -> Any:
    """A LlamaForCausalLM with the de-quantized weights of a GGUF of architecture "llama".

    dtype: of the weights; None is float32, which is fastest where the processor has no BF16 products.
    Raises ModelUnloadable.
    """
    import torch
    from gguf import GGUFReader, dequantize
    from transformers import LlamaConfig, LlamaForCausalLM

    reader = GGUFReader(path)
    if metadata(reader, "general.architecture") != "llama":
        raise ModelUnloadable(
            f"{path.name}: cannot be trained here, its architecture is not llama",
            "See the recipe for larger models in docs/TRAINING.md.",
        )
    state: dict[str, Tensor] = {}
    for tensor in reader.tensors:
        if tensor.name == "rope_freqs.weight":
            raise ModelUnloadable(f"{path.name}: scaled rotary frequencies cannot be trained here")
        array = dequantize(tensor.data, tensor.tensor_type)
        if is_rotated(tensor.name):
            array = from_gguf_rows(array, heads(reader, key=".attn_k." in tensor.name))
        state[torch_name(tensor.name)] = torch.from_numpy(array.copy()).to(dtype or torch.float32)
    tied = "lm_head.weight" not in state
    embedding = state["model.embed_tokens.weight"]
    base = float(metadata(reader, "llama.rope.freq_base", 10000.0))
    config = LlamaConfig(
        vocab_size=embedding.shape[0],
        hidden_size=embedding.shape[1],
        intermediate_size=state["model.layers.0.mlp.gate_proj.weight"].shape[0],
        num_hidden_layers=int(metadata(reader, "llama.block_count")),
        num_attention_heads=heads(reader),
        num_key_value_heads=heads(reader, key=True),
        max_position_embeddings=int(metadata(reader, "llama.context_length")),
        rms_norm_eps=float(metadata(reader, "llama.attention.layer_norm_rms_epsilon")),
        tie_word_embeddings=tied,
        rope_parameters={"rope_type": "default", "rope_theta": base},
        rope_theta=base,
        attention_bias=False,
        mlp_bias=False,
        pad_token_id=None,
        bos_token_id=None,
        eos_token_id=None,
    )
    config._attn_implementation = "sdpa"
    model = LlamaForCausalLM(config).to(dtype or torch.float32)
    missing, unexpected = model.load_state_dict(state, strict=False)
    if unexpected or set(missing) - {"lm_head.weight"} or (missing and not tied):
        raise ModelUnloadable(f"{path.name}: its tensors are not those of a Llama: {missing or unexpected}")
    if tied:
        model.tie_weights()
    model.eval()
    return model


def with_lora(model: Any, lora: Lora, seed: int = 0) -> Any:
    """`model` (changed in place) in a PeftModel: all is frozen but the LoRA, whose effect is 0 at first.

    A rank of 0: `model` itself, all frozen but the weights that LoRA would adapt.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)  # what LoRA's A is drawn from
    names = [name.rpartition(".")[2] for name in LINEAR.values()]
    if not lora.rank:
        model.requires_grad_(False)
        for name, module in model.named_modules():
            if name.rpartition(".")[2] in names:
                module.weight.data = module.weight.data.float()  # small steps are lost in bfloat16
                module.weight.requires_grad_(True)
        return model
    config = LoraConfig(r=lora.rank, lora_alpha=lora.alpha, target_modules=names, lora_dropout=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers in a way it is to forget
        return get_peft_model(model, config)


def lora_state(model: Any) -> dict[str, Tensor]:
    """ "model.layers.0.self_attn.q_proj.lora_A" → [rank, inputs]; lora_B → [outputs, rank]. Without LoRA
    "model.layers.0.self_attn.q_proj" → [outputs, inputs]. Float32 copies on the CPU, in the layers' order."""
    from peft import get_peft_model_state_dict

    learned = ((name, weight) for name, weight in model.named_parameters() if weight.requires_grad)
    return {
        name.removeprefix("base_model.model.").removesuffix(".weight"): tensor.detach().float().cpu().clone()
        for name, tensor in (get_peft_model_state_dict(model).items() if _adapted(model) else learned)
    }


def load_lora_state(model: Any, state: Mapping[str, Tensor]) -> None:
    """The opposite of `lora_state`. Raises ModelUnloadable when it belongs to another model or rank."""
    from peft import set_peft_model_state_dict

    mine = lora_state(model)
    if {n: tuple(t.shape) for n, t in mine.items()} != {n: tuple(t.shape) for n, t in state.items()}:
        raise ModelUnloadable("the LoRA does not belong to this model, or has another rank")
    if not _adapted(model):
        model.load_state_dict({f"{n}.weight": t for n, t in state.items()}, strict=False)
        return
    set_peft_model_state_dict(model, {f"base_model.model.{n}.weight": t for n, t in state.items()})


def save_lora(path: Path, model: Any) -> None:
    """Write the LoRA's state as safetensors. Not atomic: the caller writes to a temporary name."""
    from safetensors.torch import save_file

    config = model.peft_config["default"] if _adapted(model) else None
    lora = Lora(config.r, float(config.lora_alpha)) if config else Lora(0)
    save_file(lora_state(model), path, {"rank": str(lora.rank), "alpha": str(lora.alpha)})


def read_lora(path: Path) -> tuple[dict[str, Tensor], Lora]:
    """What `save_lora` wrote. Raises ModelUnloadable."""
    from safetensors import safe_open

    try:
        with safe_open(path, "pt") as file:
            facts = file.metadata()
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            return state, Lora(int(facts["rank"]), float(facts["alpha"]))
    except Exception as error:  # safetensors' own SafetensorError, OSError, KeyError, …
        raise ModelUnloadable(f"{path}: cannot be read as a LoRA ({error})") from error


def _adapted(model: Any) -> bool:
    """Whether LoRA is learned, not the layers' own weights."""
    return hasattr(model, "peft_config")


def metadata(reader: Any, key: str, default: Any = None) -> Any:
    """A value of a gguf.GGUFReader's file; `default` when it has none."""
    field = reader.get_field(key)
    return default if field is None else field.contents()


def heads(reader: Any, *, key: bool = False) -> int:
    """Attention heads; those of keys and values with `key`."""
    count = metadata(reader, "llama.attention.head_count")
    return cast(int, metadata(reader, "llama.attention.head_count_kv", count) if key else count)
