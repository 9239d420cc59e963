"""A tiny random model, and two steps of each stage with it: whether training works here at all."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import torch
from gguf import GGUFWriter

from memread import bpe
from memread.errors import EngineFailed
from memread.profile import Profile, Wording
from memread.train import stages
from memread.train.data.compose import Settings as Texts
from memread.train.recipe import EngineSettings, Reinforcement, Run
from memread.train.supervise import Recipe, Stage
from memread.train.weights import Lora
from memread.types import Budget

_CONTROL = ("<unk>", "<|im_start|>", "<|im_end|>")
_CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content']"
    " + '<|im_end|>' + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% endif %}"
)
_TEXTS = Texts(segment_tokens=(300, 500), segments=(1, 1), puzzles=(1, 1), memory_tokens=120)
PROFILE = Profile(
    "smoke",
    Wording("{prompt}\n{memory}\n{chunk}", "{prompt}\n{memory}\nAnswer in \\boxed{{}}.", "Nothing yet."),
    budget=Budget(query=256, segment=500, memory=121, answer=24),
)
RUN = Run(
    device="cpu",
    lora=Lora(4, 8.0),
    supervise=Recipe(steps=2, step_tokens=500, stages=(Stage(0, _TEXTS),)),
    reinforce=Reinforcement(steps=2, questions=1, rollouts=2, learning_rate=1e-3, checkpoint_every=1),
    texts=_TEXTS,
    engine=EngineSettings(rows=4, context=1536, burst=16, threads=1),
)


def write_model(path: Path, *, layers: int = 1, width: int = 32, heads: int = 2, seed: int = 0) -> Path:
    """A random-weight GGUF whose vocabulary is the 256 bytes and a few pairs of them."""
    letters = [*bpe._byte_letters()]
    pairs = [("Ġ", "t"), ("h", "e"), ("i", "n"), ("e", "r"), ("a", "n"), ("o", "n"), ("Ġ", "a"), ("Ġt", "he")]
    tokens = [*_CONTROL, *letters, *("".join(pair) for pair in pairs)]
    writer = GGUFWriter(path, "llama")
    writer.add_name("Smoke")
    writer.add_file_type(0)
    writer.add_context_length(2048)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(2 * width)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads // 2)
    writer.add_rope_dimension_count(width // heads)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_chat_template(_CHATML)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(_CONTROL) + [1] * (len(tokens) - len(_CONTROL)))
    writer.add_token_merges([" ".join(pair) for pair in pairs])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_vocab_size(len(tokens))
    random = np.random.default_rng(seed)

    def add(name: str, rows: int, columns: int) -> None:
        values = random.standard_normal((rows, columns)) / np.sqrt(columns)
        writer.add_tensor(name, values.astype(np.float32))

    ones = np.ones(width, np.float32)
    add("token_embd.weight", len(tokens), width)
    writer.add_tensor("output_norm.weight", ones)
    add("output.weight", len(tokens), width)
    for layer in range(layers):
        block = f"blk.{layer}."
        writer.add_tensor(block + "attn_norm.weight", ones)
        writer.add_tensor(block + "ffn_norm.weight", ones)
        for name in ("attn_q", "attn_output"):
            add(f"{block}{name}.weight", width, width)
        for name in ("attn_k", "attn_v"):
            add(f"{block}{name}.weight", width // 2, width)
        for name in ("ffn_gate", "ffn_up"):
            add(f"{block}{name}.weight", 2 * width, width)
        add(f"{block}ffn_down.weight", width, 2 * width)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def smoke(folder: Path, report: stages.Report) -> list[str]:
    """Two steps of each stage in `folder`, each from the last one's result; what was made, line by line."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # the matrices are tiny: a second thread only waits
    base = write_model(folder / "model.gguf")
    bench = stages.Bench(RUN, base, PROFILE)
    stages.run_supervision(bench, folder / "supervise", report, lambda: False)
    warm = folder / "supervise" / "lora.safetensors"
    stages.run_reinforcement(stages.Bench(RUN, base, PROFILE, warm), folder / "reinforce", report)
    trained = folder / "reinforce" / "lora.safetensors"
    out = stages.run_export(base, trained, folder / "adapter.gguf", whole=False, kind="F16", name="Smoke")
    merged = stages.run_export(base, trained, folder / "merged.gguf", whole=True, kind="F16", name="Smoke")
    lines = [f"{path.name}: {path.stat().st_size:,} bytes" for path in (warm, trained, out, merged)]
    try:
        from memread.engine.llamacpp.model import Model

        Model(merged).close()
        through = msgspec.structs.replace(RUN, rollouts="llama.cpp")
    except EngineFailed:
        return [*lines, "llama.cpp is not here: not tried"]
    bench = stages.Bench(through, base, PROFILE, trained)
    (group,) = stages.run_rollouts(bench, folder / "rollouts", split="dev", count=1, start=0)
    talks = sum(len(rollout.conversations) for rollout in group)
    return [*lines, f"llama.cpp: {len(group)} rollouts, {talks} conversations"]
