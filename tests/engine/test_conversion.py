"""GGUF → GGUF: what is merged predicts what llama.cpp predicts when it applies the adapter itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from memread.engine.llamacpp import fidelity
from memread.engine.llamacpp.conversion import add_adapter, convert, space
from memread.engine.llamacpp.engine import Settings
from memread.engine.llamacpp.model import Model
from memread.errors import ModelUnloadable
from memread.gguf import describe, read_header
from memread.tensors import tensors, view
from tests.fixtures.adapter import write_adapter
from tests.fixtures.gguf_model import write_tiny_gguf

TEXT = "It was the best of times, it was the worst of times, it was the age of wisdom."


@pytest.fixture(scope="module")
def adapter(tiny_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_adapter(tmp_path_factory.mktemp("adapter") / "lora.gguf", tiny_gguf)


@pytest.mark.parametrize(("kind", "limit"), [("F32", 0.001), ("F16", 0.001), ("BF16", 0.02), ("Q8_0", 0.1)])
def test_a_merged_model_predicts_what_base_and_adapter_do(
    tiny_gguf: Path, adapter: Path, tmp_path: Path, kind: str, limit: float
) -> None:
    shares: list[float] = []
    merged = tmp_path / "merged.gguf"
    convert(tiny_gguf, merged, kind, adapter=adapter, name="Merged", progress=shares.append)
    wanted = fidelity.predictions(tiny_gguf, TEXT, adapter=adapter)
    without = fidelity.compare(wanted, fidelity.predictions(tiny_gguf, TEXT))
    found = fidelity.compare(wanted, fidelity.predictions(merged, TEXT))
    assert without.divergence > 0.5, "the adapter does nothing: the test would prove nothing"
    assert found.divergence < limit and found.agreement > 0.9
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert [path.name for path in tmp_path.iterdir()] == ["merged.gguf"]
    assert describe(read_header(merged)).quantization == kind
    before, after = read_header(tiny_gguf), read_header(merged)
    assert after.text("general.name") == "Merged"
    assert after.array("tokenizer.ggml.tokens") == before.array("tokenizer.ggml.tokens")
    assert after.text("tokenizer.chat_template") == before.text("tokenizer.chat_template")
    assert merged.stat().st_size <= space(tiny_gguf, kind, adapter)


def test_another_type_of_the_same_weights(tiny_gguf: Path, tmp_path: Path) -> None:
    convert(tiny_gguf, tmp_path / "small.gguf", "Q4_1")
    convert(tmp_path / "small.gguf", tmp_path / "wide.gguf", "F16")
    small, wide = (
        fidelity.predictions(tmp_path / f"{name}.gguf", TEXT, tokens=12) for name in ("small", "wide")
    )
    assert small.shape == (12, 2000) and np.allclose(np.exp(small).sum(axis=-1), 1, atol=1e-4)
    assert fidelity.compare(small, wide).divergence < 0.1
    original = fidelity.predictions(tiny_gguf, TEXT, tokens=12)
    assert fidelity.compare(original, small).divergence > fidelity.compare(small, wide).divergence


def test_the_settings_of_the_context_are_used(tiny_gguf: Path) -> None:
    exact = fidelity.predictions(tiny_gguf, TEXT)
    coarse = fidelity.predictions(tiny_gguf, TEXT, settings=Settings(context=0, kv="bf16", flash="on"))
    assert 0 < fidelity.compare(exact, coarse).divergence < 0.5


def test_what_is_no_adapter_for_this_model(tiny_gguf: Path, adapter: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelUnloadable, match="not a LoRA adapter"):
        convert(tiny_gguf, tmp_path / "a.gguf", "F16", adapter=tiny_gguf)
    other = write_tiny_gguf(tmp_path / "other.gguf", width=128)
    with pytest.raises(ModelUnloadable, match="another shape"):
        convert(other, tmp_path / "a.gguf", "F16", adapter=adapter)
    shallow = write_tiny_gguf(tmp_path / "shallow.gguf", layers=1)
    with pytest.raises(ModelUnloadable, match="does not belong"):
        convert(shallow, tmp_path / "a.gguf", "F16", adapter=adapter)
    with pytest.raises(ModelUnloadable):
        Model(other, adapter=adapter)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.gguf", "shallow.gguf"]


def test_a_damaged_base_or_adapter(tiny_gguf: Path, adapter: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(tiny_gguf.read_bytes()[:-4000])
    with pytest.raises(ModelUnloadable, match="cannot be written as F16"):
        convert(cut, tmp_path / "a.gguf", "F16")
    convert(tiny_gguf, tmp_path / "whole.gguf", "F32")
    cut.write_bytes(adapter.read_bytes()[:-4000])
    with pytest.raises(ModelUnloadable, match="a tensor cannot be read"):
        add_adapter(tmp_path / "whole.gguf", cut)


def test_the_places_of_tensors(tiny_gguf: Path) -> None:
    from gguf import GGUFReader

    found = tensors(tiny_gguf)
    assert list(found) == [tensor.name for tensor in GGUFReader(tiny_gguf).tensors]
    for tensor in GGUFReader(tiny_gguf).tensors:
        assert (view(tiny_gguf, found[tensor.name]) == tensor.data).all()


def test_predictions_that_are_no_numbers() -> None:
    bad = np.full((2, 3), np.nan)
    found = fidelity.compare(np.zeros((2, 3)), bad)
    assert not found.divergence <= 1.0 and found.agreement == 0
