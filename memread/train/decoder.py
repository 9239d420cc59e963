"""A decoder's weights, laid out for generation, and its forward pass with a KV cache.

Generation has weights of its own: a copy of the model that is trained, with LoRA folded in, projections that
read the same input stacked into one matrix, in the type that generates fastest. Few and large kernels, no
adapters on the way, and the copy stays put while the model is trained (as vLLM's does under verl). `refresh`
writes new weights into the same memory, so that captured CUDA graphs stay valid.

Shapes: B rows, T tokens, W width, H heads, K heads of keys and values, D head width, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import msgspec
import torch
import torch.nn.functional as F

from memread.errors import ModelUnloadable

Tensor = Any
"""torch.Tensor: torch is not installed where the types are checked."""


class Shape(msgspec.Struct, frozen=True):
    """Sizes of a decoder."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    head: int
    vocabulary: int
    epsilon: float


class Layer:
    """One block's weights. Biases and norms of queries and keys are None where the model has none."""

    def __init__(self, block: Any, weight: Any) -> None:
        attention, mlp = block.self_attn, block.mlp
        projections = (attention.q_proj, attention.k_proj, attention.v_proj)
        self.before = weight(block.input_layernorm)
        self.qkv = torch.cat([weight(module) for module in projections])
        biases = [bias(module) for module in projections]
        self.qkv_bias = None if biases[0] is None else torch.cat(biases).to(self.qkv)
        self.q_norm = weight(attention.q_norm) if hasattr(attention, "q_norm") else None
        self.k_norm = weight(attention.k_norm) if hasattr(attention, "k_norm") else None
        self.out = weight(attention.o_proj)
        self.after = weight(block.post_attention_layernorm)
        self.gate_up = torch.cat([weight(mlp.gate_proj), weight(mlp.up_proj)])
        self.down = weight(mlp.down_proj)

    def copy_from(self, other: Layer) -> None:
        """Take over the values of another layer, in place."""
        for name, value in vars(self).items():
            if value is not None:
                value.copy_(getattr(other, name))


class Cache:
    """Keys and values of `rows` sequences of up to `length` tokens: [layers, rows, K, length, D] each."""

    def __init__(self, shape: Shape, rows: int, length: int, dtype: Any, device: Any) -> None:
        size = (shape.layers, rows, shape.kv_heads, length, shape.head)
        self.keys = torch.zeros(size, dtype=dtype, device=device)
        self.values = torch.zeros(size, dtype=dtype, device=device)
        self.rows, self.length = rows, length

    def move(self, source: int, target: int, tokens: int) -> None:
        """Copy the first `tokens` of one row to another."""
        self.keys[:, target, :, :tokens] = self.keys[:, source, :, :tokens]
        self.values[:, target, :, :tokens] = self.values[:, source, :, :tokens]


class Decoder:
    """A model of the Llama family (also Qwen2, Qwen3, Mistral without a window), ready to generate."""

    def __init__(self, model: Any, *, dtype: Any = None) -> None:
        """model: a transformers causal language model, with or without peft's LoRA. dtype None: its own.

        Raises ModelUnloadable for an architecture this forward pass is not right for.
        """
        self._model = model
        inner = causal(model)
        config = inner.config
        if config.model_type not in ("llama", "qwen2", "qwen3", "mistral"):
            raise ModelUnloadable(f"cannot generate with the architecture {config.model_type!r} in torch")
        head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self.shape = Shape(
            config.num_hidden_layers,
            config.hidden_size,
            config.num_attention_heads,
            config.num_key_value_heads,
            head,
            inner.lm_head.weight.shape[0],
            config.rms_norm_eps,
        )
        self.device = inner.lm_head.weight.device
        self.dtype = dtype or inner.lm_head.weight.dtype
        self._rotary = inner.model.rotary_emb
        with torch.inference_mode():
            self._load(inner)

    def refresh(self) -> None:
        """Take over the model's present weights."""
        inner = causal(self._model)
        with torch.inference_mode():
            for mine, block in zip(self._layers, inner.model.layers, strict=True):
                mine.copy_from(Layer(block, self._weight))
            self._norm.copy_(inner.model.norm.weight)
            self._embedding.copy_(inner.model.embed_tokens.weight)
            if self._head is not self._embedding:
                self._head.copy_(self._weight(inner.lm_head))

    def prefill(self, ids: Tensor, lengths: Tensor, cache: Cache, rows: Tensor) -> Tensor:
        """Read prompts: ids [B, T] padded on the right, lengths [B] → logits [B, V] after each one's end.

        Row b of `ids` fills row rows[b] of the cache. Padding comes after the text, so a causal mask hides
        it from every real token; what it leaves in the cache is masked until decoding overwrites it.
        """
        count, tokens = ids.shape
        cos, sin = self._angles(torch.arange(tokens, device=self.device)[None])
        hidden = self._embedding[ids]
        for number, layer in enumerate(self._layers):
            q, k, v = self._qkv(layer, hidden, cos, sin)
            cache.keys[number, rows, :, :tokens] = k
            cache.values[number, rows, :, :tokens] = v
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
            hidden = self._finish(layer, hidden, mixed.transpose(1, 2).reshape(count, tokens, -1))
        last = hidden[torch.arange(count, device=self.device), lengths - 1]
        return self._logits(last)

    def extend(self, ids: Tensor, starts: Tensor, lengths: Tensor, cache: Cache, rows: Tensor) -> Tensor:
        """Read on where rows of the cache have `starts` [B] tokens already: ids [B, T] padded on the right,
        lengths [B] → logits [B, V] after each one's end."""
        count, tokens = ids.shape
        positions = starts[:, None] + torch.arange(tokens, device=self.device)[None]
        length = min(int(positions.max()) + 1, cache.length)
        # Padding may reach beyond a row of the cache; what it writes is never looked at.
        places = positions.clamp(max=cache.length - 1)
        cos, sin = self._angles(positions)
        seen = torch.arange(length, device=self.device)[None, None] <= positions[:, :, None]
        mask = seen[:, None]
        hidden = self._embedding[ids]
        for number, layer in enumerate(self._layers):
            q, k, v = self._qkv(layer, hidden, cos, sin)
            cache.keys[number, rows[:, None], :, places] = k.transpose(1, 2)
            cache.values[number, rows[:, None], :, places] = v.transpose(1, 2)
            keys, values = cache.keys[number, rows, :, :length], cache.values[number, rows, :, :length]
            mixed = F.scaled_dot_product_attention(q, keys, values, mask, enable_gqa=True)
            hidden = self._finish(layer, hidden, mixed.transpose(1, 2).reshape(count, tokens, -1))
        return self._logits(hidden[torch.arange(count, device=self.device), lengths - 1])

    def step(self, ids: Tensor, positions: Tensor, cache: Cache, length: int) -> Tensor:
        """One more token for rows 0…B-1 of the cache: ids [B], positions [B] → logits [B, V].

        length: how much of the cache is looked at; more than the largest position.
        """
        count = ids.shape[0]
        rows = torch.arange(count, device=self.device)
        cos, sin = self._angles(positions[:, None])
        seen = torch.arange(length, device=self.device)[None] <= positions[:, None]
        mask = seen[:, None, None]
        hidden = self._embedding[ids][:, None]
        groups = self.shape.heads // self.shape.kv_heads
        for number, layer in enumerate(self._layers):
            q, k, v = self._qkv(layer, hidden, cos, sin)
            cache.keys[number, rows, :, positions] = k[:, :, 0]
            cache.values[number, rows, :, positions] = v[:, :, 0]
            # Heads that share a key are queries of one head: no key is copied, and nothing is causal.
            q = q.reshape(count, self.shape.kv_heads, groups, self.shape.head)
            mixed = F.scaled_dot_product_attention(
                q, cache.keys[number, :count, :, :length], cache.values[number, :count, :, :length], mask
            )
            hidden = self._finish(layer, hidden, mixed.reshape(count, 1, -1))
        return self._logits(hidden[:, 0])

    def _load(self, inner: Any) -> None:
        self._layers = [Layer(block, self._weight) for block in inner.model.layers]
        self._norm = self._weight(inner.model.norm)
        self._embedding = self._weight(inner.model.embed_tokens)
        tied = inner.lm_head.weight is inner.model.embed_tokens.weight
        self._head = self._embedding if tied else self._weight(inner.lm_head)

    def _weight(self, module: Any) -> Tensor:
        """A copy of a module's weight, LoRA folded in: summed in float32, rounded once."""
        weight = getattr(module, "base_layer", module).weight.detach()
        for name in getattr(module, "active_adapters", ()):
            if name in module.lora_A and not (module.merged or module.disable_adapters):
                weight = weight.float() + module.get_delta_weight(name).float()
        return weight.to(self.dtype, copy=True)

    def _angles(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """cos and sin of the rotary embedding at positions [B, T]: [B, 1, T, D] each."""
        cos, sin = self._rotary(self._embedding, positions)
        return cos[:, None].to(self.dtype), sin[:, None].to(self.dtype)

    def _qkv(self, layer: Layer, hidden: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        shape = self.shape
        count, tokens, _ = hidden.shape
        x = F.linear(self._rms(hidden, layer.before), layer.qkv, layer.qkv_bias)
        x = x.view(count, tokens, -1, shape.head).transpose(1, 2)
        q, k, v = x.split([shape.heads, shape.kv_heads, shape.kv_heads], dim=1)
        if layer.q_norm is not None:
            q, k = self._rms(q, layer.q_norm), self._rms(k, layer.k_norm)
        return q * cos + _turned(q) * sin, k * cos + _turned(k) * sin, v

    def _finish(self, layer: Layer, hidden: Tensor, mixed: Tensor) -> Tensor:
        hidden = hidden + F.linear(mixed, layer.out)
        gate, up = F.linear(self._rms(hidden, layer.after), layer.gate_up).chunk(2, dim=-1)
        added: Tensor = hidden + F.linear(F.silu(gate) * up, layer.down)
        return added

    def _rms(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.rms_norm(x, weight.shape, weight, self.shape.epsilon)

    def _logits(self, hidden: Tensor) -> Tensor:
        return F.linear(self._rms(hidden, self._norm), self._head).float()


def causal(model: Any) -> Any:
    """The transformers model inside peft's wrapper, or the model itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def bias(module: Any) -> Any:
    """A projection's bias, or None."""
    return getattr(getattr(module, "base_layer", module), "bias", None)


def _turned(x: Tensor) -> Tensor:
    """The second half, negated, before the first: a quarter turn in each plane of the rotary embedding."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((-second, first), dim=-1)
