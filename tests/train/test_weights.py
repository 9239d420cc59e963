"""A GGUF as a torch model: the same logits as llama.cpp's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from memread.errors import ModelUnloadable
from tests.fixtures.gguf_model import write_tiny_gguf

torch = pytest.importorskip("torch", reason="training needs memread[train]")
pytest.importorskip("peft", reason="training needs memread[train]")

from memread.train import weights  # noqa: E402
from tests.train.logits import distance, logits_of, randomised  # noqa: E402

TEXT = "Call me Ishmael. Some years ago, never mind how long precisely, I was 31."


def torch_logits(model: Any, ids: list[int]) -> Any:
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids])).logits[0].numpy()


def test_logits_agree_with_those_of_llama_cpp(tiny_gguf: Path) -> None:
    ids, expected = logits_of(tiny_gguf, TEXT)
    got = torch_logits(weights.load(tiny_gguf), ids)
    assert distance(got, expected) < 0.005
    assert (got.argmax(-1) == expected.argmax(-1)).mean() > 0.95


def test_rotary_order_there_and_back() -> None:
    rows = torch.arange(48.0).reshape(16, 3)
    assert torch.equal(weights.from_gguf_rows(weights.to_gguf_rows(rows, 2), 2), rows)
    # In a head of 4 rows transformers turns (0, 2) and (1, 3) together, llama.cpp (0, 1) and (2, 3).
    assert weights.to_gguf_rows(torch.arange(8), 2).tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_a_fresh_lora_changes_nothing_and_is_seeded(tiny_gguf: Path) -> None:
    ids, _ = logits_of(tiny_gguf, TEXT)
    plain = weights.load(tiny_gguf)
    before = torch_logits(plain, ids)
    one = weights.with_lora(plain, weights.Lora(rank=4), seed=3)
    assert abs(torch_logits(one, ids) - before).max() < 1e-4
    other = weights.with_lora(weights.load(tiny_gguf), weights.Lora(rank=4), seed=3)
    state, again = weights.lora_state(one), weights.lora_state(other)
    assert state.keys() == again.keys() and all(torch.equal(state[n], again[n]) for n in state)
    trained = [p for p in one.parameters() if p.requires_grad]
    assert sum(p.numel() for p in trained) == sum(t.numel() for t in state.values())


def test_a_lora_is_saved_and_loaded(tiny_gguf: Path, tmp_path: Path) -> None:
    lora = weights.Lora(rank=4, alpha=8)
    model = randomised(weights.with_lora(weights.load(tiny_gguf), lora))
    weights.save_lora(tmp_path / "lora.safetensors", model)
    state, facts = weights.read_lora(tmp_path / "lora.safetensors")
    assert facts == lora
    other = weights.with_lora(weights.load(tiny_gguf), lora)
    weights.load_lora_state(other, state)
    ids, _ = logits_of(tiny_gguf, TEXT)
    assert (torch_logits(other, ids) == torch_logits(model, ids)).all()
    with pytest.raises(ModelUnloadable, match="another rank"):
        weights.load_lora_state(weights.with_lora(weights.load(tiny_gguf), weights.Lora(rank=8)), state)


def test_without_lora_the_weights_themselves_are_learned_saved_and_loaded(
    tiny_gguf: Path, tmp_path: Path
) -> None:
    ids, _ = logits_of(tiny_gguf, TEXT)
    whole = weights.Lora(rank=0)
    model = weights.with_lora(weights.load(tiny_gguf), whole)
    before = torch_logits(model, ids)
    assert {n.split(".")[-2] for n, p in model.named_parameters() if p.requires_grad} == {
        name.rpartition(".")[2] for name in weights.LINEAR.values()
    }
    randomised(model, 0.01)
    weights.save_lora(tmp_path / "lora.safetensors", model)
    state, facts = weights.read_lora(tmp_path / "lora.safetensors")
    assert facts.rank == 0
    other = weights.with_lora(weights.load(tiny_gguf), whole)
    assert (torch_logits(other, ids) == before).all()
    weights.load_lora_state(other, state)
    assert (torch_logits(other, ids) == torch_logits(model, ids)).all() and (
        before != torch_logits(other, ids)
    ).any()
    for wrong in (weights.with_lora(weights.load(tiny_gguf), weights.Lora(rank=4)),):
        with pytest.raises(ModelUnloadable, match="another rank"):
            weights.load_lora_state(wrong, state)


def test_small_steps_are_not_lost_where_all_else_is_in_bfloat16(tiny_gguf: Path) -> None:
    model = weights.with_lora(weights.load(tiny_gguf, torch.bfloat16), weights.Lora(rank=0))
    kinds = {parameter.dtype for parameter in model.parameters() if parameter.requires_grad}
    assert kinds == {torch.float32} and model.lm_head.weight.dtype == torch.bfloat16


def test_a_file_that_is_no_lora(tmp_path: Path) -> None:
    (tmp_path / "lora.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(ModelUnloadable, match="cannot be read as a LoRA"):
        weights.read_lora(tmp_path / "lora.safetensors")


def test_another_shape_of_model(tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "other.gguf", layers=1, heads=6, kv_heads=3, width=96)
    ids, expected = logits_of(path, TEXT)
    assert distance(torch_logits(weights.load(path), ids), expected) < 0.005
