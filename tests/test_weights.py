"""Weights made ready at their first use."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import filelock
import msgspec
import pytest

from memread import compose, config, registry, tuning, weights
from memread.config import Config
from memread.engine.llamacpp import fidelity
from memread.registry import InstalledModel, Recipe
from memread.tuning import Choice, fingerprint
from tests.fixtures.adapter import write_adapter
from tests.fixtures.gguf_model import write_tiny_gguf

TEXT = "It was the best of times, it was the worst of times."


@pytest.fixture
def settings(tmp_path: Path) -> Config:
    return config.load({"data_dir": tmp_path / "data"})


@pytest.fixture
def model(tiny_gguf: Path, tmp_path: Path) -> InstalledModel:
    base = Path(shutil.copy(tiny_gguf, tmp_path / "base.gguf"))
    adapter = write_adapter(tmp_path / "adapter.gguf", base)
    return InstalledModel("my/model", base, base.stat().st_size, "tiny", recipe=recipe(base, adapter))


def recipe(base: Path, adapter: Path | None) -> Recipe:
    return Recipe(
        base.stat().st_size,
        registry.weights_digest(base),
        "F16",
        adapter,
        registry.weights_digest(adapter) if adapter else "",
    )


def files(settings: Config) -> list[str]:
    return sorted(path.suffix for path in weights.folder_of(settings).iterdir())


def test_it_is_made_once(settings: Config, model: InstalledModel) -> None:
    said: list[tuple[str, float | None]] = []
    assert weights.digest_of(settings, model) == ""
    first = weights.prepare(settings, model, lambda *told: said.append(told))
    assert said[0][0] == "Preparing the model, once" and said[-1][1] == 1.0
    assert first.adapter is None and first.notices == () and first.kind == "F16"
    assert first.path.name.startswith("my-model-F16-") and files(settings) == [".gguf", ".json", ".lock"]
    assert first.digest == registry.weights_digest(first.path) == weights.digest_of(settings, model)
    adapter = model.recipe.adapter if model.recipe else None
    wanted = fidelity.predictions(model.path, TEXT, adapter=adapter)
    assert fidelity.compare(wanted, fidelity.predictions(first.path, TEXT)).divergence < 0.001
    written = first.path.stat().st_mtime_ns
    said.clear()
    assert weights.prepare(settings, model, lambda *told: said.append(told)) == first
    assert not said and first.path.stat().st_mtime_ns == written


def test_a_changed_base_or_adapter_is_made_again(settings: Config, model: InstalledModel) -> None:
    first = weights.prepare(settings, model)
    write_tiny_gguf(model.path, seed=5)
    other = msgspec.structs.replace(model, recipe=recipe(model.path, None))
    second = weights.prepare(settings, other)
    assert second.digest != first.digest
    assert second.path.exists() and not first.path.exists(), "what is not used any more goes"


def test_a_damaged_file_is_made_again(settings: Config, model: InstalledModel) -> None:
    first = weights.prepare(settings, model)
    first.path.write_bytes(first.path.read_bytes()[:-4] + b"oops")
    assert weights.prepare(settings, model).digest == first.digest == registry.weights_digest(first.path)
    first.path.unlink()
    assert weights.prepare(settings, model).path.exists()
    first.path.with_suffix(".json").write_bytes(b"{")
    assert weights.prepare(settings, model) == first


def test_what_an_earlier_process_left_behind_goes(settings: Config, model: InstalledModel) -> None:
    folder = weights.folder_of(settings)
    folder.mkdir(parents=True)
    (folder / "my-model-F16-0123456789abcdef.gguf.part").write_bytes(b"half")
    (folder / "my-model-two-F16-0123456789abcdef.gguf").write_bytes(b"another model's")
    weights.prepare(settings, model)
    names = [path.name for path in folder.iterdir()]
    assert not any(name.endswith(".part") for name in names)
    assert "my-model-two-F16-0123456789abcdef.gguf" in names


def test_without_a_place_for_it_the_base_is_read_with_its_adapter(
    settings: Config, model: InstalledModel
) -> None:
    settings.data_dir.write_text("a file where the folder should be")
    found = weights.prepare(settings, model)
    assert found.path == model.path and model.recipe and found.adapter == model.recipe.adapter
    assert found.digest not in ("", registry.weights_digest(model.path))
    (notice,) = found.notices
    assert "could not be prepared" in notice and "read as it is" in notice


def test_without_space_for_it(
    settings: Config, model: InstalledModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1000, 999, 1))  # type: ignore[attr-defined]
    found = weights.prepare(settings, model)
    assert found.adapter is not None and "are needed in" in found.notices[0]
    assert files(settings) == [".lock"]


def test_what_does_not_predict_the_same_is_not_used(
    settings: Config, model: InstalledModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "_DIVERGENCE", -1.0)
    found = weights.prepare(settings, model)
    assert found.adapter is not None and "does not predict what it should" in found.notices[0]
    assert files(settings) == [".lock"]


def test_a_second_process_waits_for_the_first(settings: Config, model: InstalledModel) -> None:
    heard, waiting, results = [], threading.Event(), []

    def say(text: str, share: float | None) -> None:
        heard.append(text)
        waiting.set()

    sources, _ = weights.sources_of(model)
    path = sources.file(weights.folder_of(settings), "F16")
    path.parent.mkdir(parents=True)
    with filelock.FileLock(path.with_suffix(".lock")):
        second = threading.Thread(target=lambda: results.append(weights.prepare(settings, model, say)))
        second.start()
        assert waiting.wait(30)
        weights.make(sources, path, "F16", lambda *told: None)
    second.join(30)
    assert results[0].path == path and heard == ["Another memread is preparing the model; waiting for it"]


def test_an_adapter_for_other_weights_is_left_out(settings: Config, model: InstalledModel) -> None:
    assert model.recipe is not None
    for changed, told in (
        ({"base": "sha256:0"}, "other weights"),
        ({"adapter_digest": "sha256:0"}, "damaged"),
    ):
        other = msgspec.structs.replace(model, recipe=msgspec.structs.replace(model.recipe, **changed))
        found = weights.prepare(settings, other)
        assert found.adapter is None and told in found.notices[0]
        assert (
            fidelity.compare(
                fidelity.predictions(model.path, TEXT), fidelity.predictions(found.path, TEXT)
            ).divergence
            < 0.001
        )


def test_a_model_without_recipe_is_read_as_it_is(settings: Config, tiny_gguf: Path) -> None:
    plain = InstalledModel("plain", tiny_gguf, 1, "folder")
    found = weights.prepare(settings, plain)
    assert (found.path, found.adapter, found.kind) == (tiny_gguf, None, "")
    assert found.digest == registry.weights_digest(tiny_gguf) == weights.digest_of(settings, plain)
    assert not settings.data_dir.exists()


def test_the_engine_says_which_weights_it_read_with(
    settings: Config, model: InstalledModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "find", lambda *wanted: model)
    digest = weights.sources_of(model)[0].digest
    choice = Choice(fingerprint(), kind=None, threads=1, batch=128, flash="on", kv="bf16")
    tuning.remember(settings.data_dir, digest, choice)
    with compose.engine_for(settings) as ready:
        assert ready.engine.info.digest == weights.digest_of(settings, model)
        used: dict[str, Any] = ready.engine.info.settings
        assert (used["threads"], used["batch"], used["flash"], used["kv"]) == (1, 128, "on", "bf16")
    given = config.load(
        {"data_dir": settings.data_dir, "engine.batch": 64, "engine.kv_type": "f16", "engine.threads": 2}
    )
    with compose.engine_for(given) as ready:
        used = ready.engine.info.settings
        assert (used["threads"], used["batch"], used["flash"], used["kv"]) == (2, 64, "on", "f16")
    settings.data_dir.joinpath("tuning.json").unlink()
    shutil.rmtree(weights.folder_of(settings))
    weights.folder_of(settings).write_text("no folder")
    with compose.engine_for(settings) as ready:
        assert ready.engine.info.digest == digest and "read as it is" in ready.notices[0]


def test_the_recipe_that_ships_is_for_the_embedded_model(smollm2: Path) -> None:
    found = registry.find("tiny", [])
    assert found.recipe is not None and found.recipe.base == registry.weights_digest(smollm2)
    assert found.recipe.kind == "F16"
