"""The warm start: the loss is the plain one, packing changes nothing, a killed run goes on exactly."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="training needs memread[train]")
pytest.importorskip("peft", reason="training needs memread[train]")

import msgspec  # noqa: E402

from memread import bpe, profile  # noqa: E402
from memread.errors import ModelUnloadable  # noqa: E402
from memread.gguf import read_header  # noqa: E402
from memread.train import supervise, weights  # noqa: E402
from memread.train.data.compose import Settings  # noqa: E402
from memread.train.lessons import Conversation  # noqa: E402
from memread.train.rows import row  # noqa: E402
from memread.train.supervise import Lessons, Recipe, Stage  # noqa: E402
from tests.train.logits import randomised  # noqa: E402

PROFILE = profile.load(Path(profile.__file__).parent / "train" / "data" / "section-first.toml")
SHORT = Settings(segment_tokens=(60, 120), segments=(1, 2), puzzles=(1, 2))
LORA = weights.Lora(rank=4, alpha=8)
RECIPE = Recipe(
    stages=(Stage(0, SHORT), Stage(3, SHORT)),
    steps=6,
    step_tokens=600,
    row_tokens=400,
    warmup=2,
    through_prefix=0.5,
)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)  # tiny products: a second thread only waits


def model_of(path: Path, seed: int = 0) -> Any:
    return weights.with_lora(weights.load(path), LORA, seed)


def lessons_of(path: Path, recipe: Recipe = RECIPE, split: Any = "train") -> Lessons:
    tokenizer = bpe.tokenizer(read_header(path))
    assert tokenizer is not None
    return Lessons(supervise.teacher(path, PROFILE), tokenizer, recipe, None, split)


def test_the_loss_is_the_plain_one_on_reply_tokens(tiny_gguf: Path) -> None:
    model = randomised(model_of(tiny_gguf))
    said = Conversation("new", tuple(range(300, 340)), (400, 401, 2), (3.0, 1.0, 2.0))
    got, right = supervise.loss(model, row([said]))
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([said.prompt + said.reply])).logits[0, 39:42]
    each = -torch.log_softmax(logits.double(), -1)[range(3), list(said.reply)]
    assert got.item() == pytest.approx(float((each * torch.tensor([3.0, 1.0, 2.0])).sum()), rel=1e-4)
    assert right.tolist() == [a == b for a, b in zip(logits.argmax(-1).tolist(), said.reply, strict=True)]


def test_products_in_bfloat16_give_about_the_same(tiny_gguf: Path) -> None:
    model = randomised(model_of(tiny_gguf))
    half = randomised(weights.with_lora(weights.load(tiny_gguf, torch.bfloat16), LORA))
    said = row([Conversation("new", tuple(range(300, 340)), (400, 401, 2), (1.0,) * 3)])
    found = []
    for each, autocast in ((model, False), (half, True)):
        value, _ = supervise.loss(each, said, autocast=autocast)
        value.backward()
        grads = [p.grad for p in each.parameters() if p.requires_grad]
        assert all(grad.dtype == torch.float32 for grad in grads)  # what is learned stays whole
        found.append((float(value.detach()), torch.cat([grad.flatten() for grad in grads])))
    (value, grad), (half_value, half_grad) = found
    assert value != half_value == pytest.approx(value, rel=0.02)
    assert torch.nn.functional.cosine_similarity(grad, half_grad, dim=0) > 0.9


def test_packing_changes_neither_loss_nor_gradient(tiny_gguf: Path) -> None:
    model = randomised(model_of(tiny_gguf))
    shared = tuple(range(300, 350))
    said = [
        Conversation("new", (*shared, 7, 8 + n, 9), (400 + n, *range(410, 410 + n), 2), (1.0,) * (n + 2))
        for n in range(4)
    ]

    def of(packed: list[list[Conversation]]) -> tuple[float, list[Any]]:
        model.zero_grad()
        total = 0.0
        for group in packed:
            value, _ = supervise.loss(model, row(group))
            value.backward()
            total += value.item()
        return total, [p.grad.clone() for p in model.parameters() if p.requires_grad]

    together, together_grads = of([said])
    apart, apart_grads = of([[c] for c in said])
    assert together == pytest.approx(apart, rel=1e-4)
    for one, other in zip(together_grads, apart_grads, strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-3 * float(other.abs().max()))


def test_a_killed_run_goes_on_exactly(tiny_gguf: Path, tmp_path: Path) -> None:
    lessons = lessons_of(tiny_gguf)
    whole = model_of(tiny_gguf)
    done = supervise.learn(whole, lessons, tmp_path / "whole")
    assert done.step == RECIPE.steps
    first = model_of(tiny_gguf)
    calls = iter([False, False, True])
    supervise.learn(first, lessons, tmp_path / "parts", until=lambda: next(calls))
    again = model_of(tiny_gguf, seed=9)
    with (tmp_path / "parts" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "loss": 99}\n')  # of a step that was killed before it was saved
    rest = supervise.learn(again, lessons_of(tiny_gguf), tmp_path / "parts")
    assert (rest.step, rest.family, rest.tokens) == (done.step, done.family, done.tokens)
    expected, got = weights.lora_state(whole), weights.lora_state(again)
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    lines = [json.loads(line) for line in (tmp_path / "parts" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    alone = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    assert [line["loss"] for line in lines] == [line["loss"] for line in alone]
    state, facts = weights.read_lora(tmp_path / "parts" / "lora.safetensors")
    assert facts == LORA and all(torch.equal(state[name], got[name]) for name in got)
    assert not list(tmp_path.glob("*/*.part"))


def test_a_kill_between_the_files_of_the_last_step_leaves_no_old_weights(
    tiny_gguf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = msgspec.structs.replace(RECIPE, steps=2, checkpoint_every=1)
    written = supervise._replacing

    def killed(path: Path, write: Callable[[Path], None]) -> None:
        if left.pop():
            raise KeyboardInterrupt
        written(path, write)

    left = [True, False, False, False]  # the second file of the second step is not written
    with monkeypatch.context() as patched:
        patched.setattr(supervise, "_replacing", killed)
        with pytest.raises(KeyboardInterrupt):
            supervise.learn(model_of(tiny_gguf), lessons_of(tiny_gguf, recipe), tmp_path)
    model = model_of(tiny_gguf, seed=9)
    assert supervise.learn(model, lessons_of(tiny_gguf, recipe), tmp_path).step == 2
    (state, _), got = weights.read_lora(tmp_path / "lora.safetensors"), weights.lora_state(model)
    assert all(torch.equal(state[name], got[name]) for name in got)


def test_it_learns(tiny_gguf: Path, tmp_path: Path) -> None:
    recipe = msgspec.structs.replace(RECIPE, steps=25, learning_rate=1e-2, step_tokens=900, dev_families=2)
    lessons = lessons_of(tiny_gguf, recipe)
    records: list[dict[str, Any]] = []
    supervise.learn(
        model_of(tiny_gguf),
        lessons,
        tmp_path,
        dev=lessons_of(tiny_gguf, recipe, "dev"),
        report=records.append,
    )
    assert records[-1]["loss"] < records[0]["loss"] * 0.8
    assert records[-1]["dev"]["loss"] > 0 and "new" in records[-1]["dev"]["right"]
    right, all_of_them = map(int, records[-1]["dev"]["decisions"].split("/"))
    assert 0 <= right <= all_of_them and all_of_them > 10
    assert records[-1]["tokens_per_second"] > 0


def test_all_weights_are_learned_exactly_where_it_was_stopped(tiny_gguf: Path, tmp_path: Path) -> None:
    recipe = msgspec.structs.replace(RECIPE, steps=3, learning_rate=1e-3, autocast=True)

    def model() -> Any:
        return weights.with_lora(weights.load(tiny_gguf, torch.bfloat16), weights.Lora(rank=0))

    whole, first, again = model(), model(), model()
    supervise.learn(whole, lessons_of(tiny_gguf, recipe), tmp_path / "whole")
    supervise.learn(first, lessons_of(tiny_gguf, recipe), tmp_path / "parts", until=lambda: True)
    supervise.learn(again, lessons_of(tiny_gguf, recipe), tmp_path / "parts")
    before, expected, got = (weights.lora_state(each) for each in (model(), whole, again))
    assert all(torch.equal(expected[name], got[name]) for name in expected)
    assert all((expected[name] != before[name]).any() for name in expected)


def test_the_rate_rises_stays_and_falls() -> None:
    recipe = Recipe(steps=100, warmup=10, decay=0.5, learning_rate=1.0)
    rates = [supervise.rate_at(recipe, step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and rates[9:51] == [1.0] * 42
    assert rates[50:] == sorted(rates[50:], reverse=True) and rates[99] == pytest.approx(0.118)


def test_a_checkpoint_of_another_model_is_refused(tiny_gguf: Path, tmp_path: Path) -> None:
    recipe = msgspec.structs.replace(RECIPE, steps=1)
    supervise.learn(model_of(tiny_gguf), lessons_of(tiny_gguf, recipe), tmp_path)
    other = weights.with_lora(weights.load(tiny_gguf), weights.Lora(rank=8))
    with pytest.raises(ModelUnloadable, match="another rank"):
        supervise.learn(other, lessons_of(tiny_gguf), tmp_path)
    (tmp_path / "checkpoint.safetensors").write_bytes(b"torn")
    with pytest.raises(ModelUnloadable, match="cannot be read"):
        supervise.learn(model_of(tiny_gguf), lessons_of(tiny_gguf), tmp_path)
