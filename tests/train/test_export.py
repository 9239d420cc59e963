"""A LoRA as GGUF: llama.cpp computes what torch does, with the adapter and with the merged model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="training needs memread[train]")
pytest.importorskip("peft", reason="training needs memread[train]")

from memread.errors import ModelUnloadable  # noqa: E402
from memread.gguf import read_header  # noqa: E402
from memread.train import export, weights  # noqa: E402
from tests.train.logits import distance, logits_of, randomised  # noqa: E402

TEXT = "It was the best of times, it was the worst of times, it was the age of wisdom."
LORA = weights.Lora(rank=4, alpha=8)


@pytest.fixture(scope="module")
def trained(tiny_gguf: Path) -> Any:
    return randomised(weights.with_lora(weights.load(tiny_gguf), LORA))


def expected(model: Any, ids: list[int]) -> Any:
    with torch.no_grad():
        return model(input_ids=torch.tensor([ids])).logits[0].numpy()


def test_the_adapter_gives_the_logits_of_torch(trained: Any, tiny_gguf: Path, tmp_path: Path) -> None:
    path = export.adapter(tiny_gguf, weights.lora_state(trained), LORA, tmp_path / "lora.gguf", name="trial")
    ids, got = logits_of(tiny_gguf, TEXT, path)
    _, without = logits_of(tiny_gguf, TEXT)
    wanted = expected(trained, ids)
    assert distance(without, wanted) > 0.5, "the LoRA does nothing: the test would prove nothing"
    assert distance(got, wanted) < 0.01
    assert (got.argmax(-1) == wanted.argmax(-1)).mean() > 0.95
    assert not path.with_name("lora.gguf.part").exists()


@pytest.mark.parametrize(
    ("kind", "tolerance"), [("F32", 0.005), ("F16", 0.01), ("BF16", 0.05), ("Q8_0", 0.15)]
)
def test_the_merged_model_gives_the_logits_of_torch(
    trained: Any, tiny_gguf: Path, tmp_path: Path, kind: export.Kind, tolerance: float
) -> None:
    path = export.merged(
        tiny_gguf, weights.lora_state(trained), LORA, tmp_path / "merged.gguf", name="merged", kind=kind
    )
    ids, got = logits_of(path, TEXT)
    wanted = expected(trained, ids)
    # These weights amplify every rounding: a row in the wrong place gives more than 0.5.
    assert distance(got, wanted) < tolerance
    before, after = read_header(tiny_gguf), read_header(path)
    assert after.text("general.name") == "merged"
    for key in ("tokenizer.ggml.tokens", "tokenizer.ggml.merges", "tokenizer.ggml.token_type"):
        assert after.array(key) == before.array(key)
    assert after.text("tokenizer.chat_template") == before.text("tokenizer.chat_template")


def test_a_merged_model_without_training_is_the_model(tiny_gguf: Path, tmp_path: Path) -> None:
    model = weights.with_lora(weights.load(tiny_gguf), LORA)
    path = export.merged(tiny_gguf, weights.lora_state(model), LORA, tmp_path / "same.gguf", kind="F16")
    _, before = logits_of(tiny_gguf, TEXT)
    _, after = logits_of(path, TEXT)
    assert (before == after).all()


def test_an_adapter_is_read_again(trained: Any, tiny_gguf: Path, tmp_path: Path) -> None:
    state = weights.lora_state(trained)
    path = export.adapter(tiny_gguf, state, LORA, tmp_path / "lora.gguf", name="trial", kind="F32")
    again, lora = export.read(tiny_gguf, path)
    assert lora == LORA and list(again) == list(state)
    assert all(torch.equal(again[name], state[name]) for name in state)
    half = export.adapter(tiny_gguf, state, LORA, tmp_path / "half.gguf", name="trial")
    again, _ = export.read(tiny_gguf, half)
    assert all(torch.allclose(again[name], state[name], rtol=1e-3, atol=1e-6) for name in state)


def test_whole_weights_are_merged_as_they_are(tiny_gguf: Path, tmp_path: Path) -> None:
    whole = weights.Lora(rank=0)
    model = randomised(weights.with_lora(weights.load(tiny_gguf), whole), 0.02)
    path = export.merged(tiny_gguf, weights.lora_state(model), whole, tmp_path / "m.gguf", kind="F32")
    ids, got = logits_of(path, TEXT)
    _, without = logits_of(tiny_gguf, TEXT)
    wanted = expected(model, ids)
    assert distance(without, wanted) > 0.1, "nothing was learned: the test would prove nothing"
    assert distance(got, wanted) < 0.005


def test_the_nearest_adapter_of_a_lower_rank(trained: Any, tiny_gguf: Path, tmp_path: Path) -> None:
    """A LoRA of rank 4 is itself at rank 4, and at rank 2 nearer than nothing and farther than itself."""
    ids, _ = logits_of(tiny_gguf, TEXT)
    wanted, away = expected(trained, ids), []
    for rank in (2, 4, 7):
        path = export.adapter(
            tiny_gguf,
            weights.lora_state(trained),
            LORA,
            tmp_path / "low.gguf",
            name="low",
            kind="F32",
            rank=rank,
        )
        away.append(distance(logits_of(tiny_gguf, TEXT, path)[1], wanted))
    assert away[0] > 0.05 and max(away[1:]) < 0.01
    state, lora = export.read(tiny_gguf, path)
    again = weights.with_lora(weights.load(tiny_gguf), lora)
    weights.load_lora_state(again, state)
    assert lora.rank == 7 and distance(expected(again, ids), wanted) < 0.01


def test_what_is_no_adapter_for_the_model(tiny_gguf: Path, tmp_path: Path) -> None:
    (tmp_path / "text.gguf").write_text("no weights")
    for path in (tmp_path / "text.gguf", tmp_path / "missing.gguf", tiny_gguf):
        with pytest.raises(ModelUnloadable, match=path.name):
            export.read(tiny_gguf, path)
