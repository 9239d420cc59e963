"""The objective against numbers worked out by hand, finite differences, and itself cut in pieces."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from memread.train.episode import Episode
from memread.train.rewards import Rule, normal, outcome
from memread.types import Answer, Coverage

torch = pytest.importorskip("torch", reason="torch is not installed (pip install 'memread[train]')")
pytest.importorskip("transformers", reason="transformers is not installed (pip install 'memread[train]')")

from memread.train import objective  # noqa: E402
from memread.train.checkpoint import Reference, copied, trainable  # noqa: E402
from memread.train.likelihood import score  # noqa: E402
from memread.train.recipe import Reinforcement  # noqa: E402
from memread.train.rows import Row, row  # noqa: E402
from memread.train.update import Example, accumulate, learn, score_all  # noqa: E402
from tests.train.models import tiny_llama  # noqa: E402


def test_advantages_are_rewards_minus_the_groups_mean() -> None:
    assert objective.group_advantages([1.0, 0.0, 0.0, 1.0]) == [0.5, -0.5, -0.5, 0.5]
    assert objective.group_advantages([1.0, 0.0, 0.5]) == [0.5, -0.5, 0.0]
    assert objective.group_advantages([0.3]) == [0.0]
    # Sample deviation of 1, 0, 0, 1 is sqrt(4 · 0.25 / 3) = 0.57735.
    divided = objective.group_advantages([1.0, 0.0, 0.0, 1.0], divide=True)
    assert divided == pytest.approx([0.866025, -0.866025, -0.866025, 0.866025], abs=1e-4)
    assert objective.group_advantages([1.0, 1.0], divide=True) == [0.0, 0.0]


def test_groups_of_one_reward_tell_nothing() -> None:
    assert not objective.tells_apart([1.0, 1.0])
    assert objective.tells_apart([1.0, 0.0])


def test_the_soft_punishment_falls_within_its_buffer() -> None:
    found = [objective.overlong_penalty(tokens, 100, 20) for tokens in (0, 80, 85, 90, 100, 120)]
    assert found == [0.0, 0.0, -0.25, -0.5, -1.0, -1.0]
    assert objective.overlong_penalty(100, 100, 0) == 0.0


def test_information_is_rewarded_among_successes_only() -> None:
    assert objective.information_bonus([1.0, 3.0, 2.0, 9.0], [True, True, True, False]) == [
        0.0,
        1.0,
        0.5,
        0.0,
    ]
    assert objective.information_bonus([1.0, 2.0], [True, False]) == [0.0, 0.0]
    assert objective.information_bonus([1.0, 2.0], [False, False]) == [0.0, 0.0]


def test_weights_add_up_to_one() -> None:
    lengths, groups = [2, 3, 5], [0, 0, 1]
    assert objective.token_weights(lengths, groups) == [0.1, 0.1, 0.1]
    assert objective.token_weights(lengths, groups, "groups") == [0.1, 0.1, 0.1]
    uneven = objective.token_weights([1, 3, 5], [0, 0, 1], "groups")
    assert uneven == [0.125, 0.125, 0.1]
    assert sum(w * n for w, n in zip(uneven, [1, 3, 5], strict=True)) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("ratio", "advantage", "settings", "loss", "gradient"),
    [
        (1.0, 1.0, {}, -1.0, -1.0),  # on policy: −A, and its gradient −A·r
        (1.1, 1.0, {}, -1.1, -1.1),
        (1.3, 1.0, {}, -1.2, 0.0),  # clipped above: no gradient
        (1.3, 1.0, {"high": 0.28}, -1.28, 0.0),
        (1.25, 1.0, {"high": 0.28}, -1.25, -1.25),  # clip-higher lets it through
        (0.5, 1.0, {}, -0.5, -0.5),  # a good token made unlikely is pulled back
        (0.5, -1.0, {}, 0.8, 0.0),  # clipped below
        (1.3, -1.0, {}, 1.3, 1.3),
        (9.0, -1.0, {}, 9.0, 9.0),
        (9.0, -1.0, {"dual": 3.0}, 3.0, 0.0),
        (9.0, 1.0, {"dual": 3.0}, -1.2, 0.0),
    ],
)
def test_the_clipped_surrogate(
    ratio: float, advantage: float, settings: dict[str, float], loss: float, gradient: float
) -> None:
    logprobs = torch.tensor([math.log(ratio) - 2.0], requires_grad=True)
    losses, lost = objective.policy_losses(
        logprobs, torch.tensor([-2.0]), torch.tensor([advantage]), **settings
    )
    losses.sum().backward()
    assert losses.item() == pytest.approx(loss, abs=1e-5)
    assert logprobs.grad.item() == pytest.approx(gradient, abs=1e-5)
    assert lost.item() == (gradient == 0.0)


def test_k3() -> None:
    # d = −1.5 − (−1) = −0.5: e^−0.5 + 0.5 − 1 = 0.1065; d = 1: e − 2 = 0.7183.
    found = objective.k3(torch.tensor([-1.0, -2.0, -1.0]), torch.tensor([-1.5, -1.0, -1.0]))
    assert found.tolist() == pytest.approx([0.106531, 0.718282, 0.0], abs=1e-5)
    assert torch.isfinite(objective.k3(torch.tensor([-99.0]), torch.tensor([0.0]))).all()


def test_the_loss_is_a_weighted_sum() -> None:
    losses, weights = torch.tensor([1.0, -2.0, 4.0]), torch.tensor([0.5, 0.25, 0.25])
    assert objective.total_loss(losses, weights).item() == 1.0
    found = objective.total_loss(losses, weights, torch.tensor([0.0, 2.0, 2.0]), kl=0.5)
    assert found.item() == pytest.approx(1.5)


def test_the_gradient_is_that_of_the_loss() -> None:
    """Finite differences on a toy: five tokens over a vocabulary of four, in double precision."""
    torch.manual_seed(3)
    targets = torch.tensor([0, 1, 2, 3, 1])
    old, reference = torch.randn(5).double() * 0.3 - 1.4, torch.randn(5).double() * 0.3 - 1.4
    advantages = torch.tensor([0.5, -0.5, 0.5, -0.5, 0.2]).double()
    weights = torch.tensor([0.1, 0.3, 0.2, 0.2, 0.2]).double()

    def loss(logits: object) -> object:
        logprobs = torch.log_softmax(logits, -1)[torch.arange(5), targets]
        losses, _ = objective.policy_losses(logprobs, old, advantages, dual=3.0)
        return objective.total_loss(losses, weights, objective.k3(logprobs, reference), 0.1)

    logits = torch.randn(5, 4, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(loss, (logits,), eps=1e-6, atol=1e-7)


def _examples(count: int = 7) -> list[Example]:
    generator = torch.Generator().manual_seed(5)

    def some(least: int, most: int) -> tuple[int, ...]:
        length = int(torch.randint(least, most, (), generator=generator))
        return tuple(torch.randint(3, 2000, (length,), generator=generator).tolist())

    return [Example(some(5, 40), some(1, 12), 0.5 if n % 2 else -0.5, n // 3) for n in range(count)]


def test_scores_are_those_of_the_whole_forward_pass() -> None:
    model, examples = tiny_llama(), _examples(3)
    logprobs, entropy = score(model, row(examples), temperature=0.7)
    expected, entropies = [], []
    for example in examples:
        logits = model(input_ids=torch.tensor([example.prompt + example.reply])).logits[0] / 0.7
        rows = torch.log_softmax(logits, -1)[len(example.prompt) - 1 : -1]
        expected.append(rows[torch.arange(len(example.reply)), torch.tensor(example.reply)])
        entropies.append(-(rows.exp() * rows).sum(-1))
    assert torch.allclose(logprobs, torch.cat(expected), atol=1e-4)
    assert torch.allclose(entropy, torch.cat(entropies), atol=1e-4)


@pytest.mark.parametrize("average", ["tokens", "groups"])
def test_cutting_an_update_in_micro_batches_changes_nothing(average: str) -> None:
    """Loss, gradients and measures are those of one big batch."""
    examples = _examples()
    found = []
    for budget in (10**6, 90, 1):
        model = tiny_llama()
        settings = Reinforcement(micro_tokens=budget, average=average, kl=0.1)
        shift = torch.Generator().manual_seed(1)
        scores = [s.detach() for s in score_all(model, examples, settings)]
        olds = [s + 0.3 * torch.randn(s.shape, generator=shift) for s in scores]
        references = [s + 0.3 * torch.randn(s.shape, generator=shift) for s in scores]
        measured = accumulate(model, examples, settings, olds, references)
        gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
        found.append((measured, gradients))
    (whole, expected), *cut = found
    del whole["row_tokens"]
    assert whole["clip_fraction"] > 0 and whole["kl"] > 0
    for measured, gradients in cut:
        assert measured.pop("row_tokens") > 0
        assert measured == pytest.approx(whole, rel=1e-4, abs=1e-6)
        for name, gradient in gradients.items():
            assert torch.allclose(gradient, expected[name], rtol=1e-3, atol=1e-6), name


def test_an_update_makes_good_replies_likelier_and_bad_ones_less() -> None:
    model, examples = tiny_llama(), _examples(2)
    settings = Reinforcement(learning_rate=1e-3, warmup=1, kl=0.001)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    before = [float(s.sum()) for s in score_all(model, examples, settings)]
    measured = learn(model, optimizer, examples, settings, Reference(model))
    after = [float(s.sum()) for s in score_all(model, examples, settings)]
    assert [example.advantage for example in examples] == [-0.5, 0.5]
    assert after[0] < before[0] and after[1] > before[1]
    assert measured["clip_fraction"] == 0.0 and measured["kl"] == pytest.approx(0.0, abs=1e-6)


def test_minibatches_are_updates_of_their_own() -> None:
    model, examples = tiny_llama(), _examples(9)
    settings = Reinforcement(learning_rate=5e-2, warmup=1, minibatches=3, kl=0.0)
    nothing: list[torch.Tensor | None] = [None] * len(examples)
    parts = [[e for e in examples if e.group % 3 == part] for part in range(3)]
    rows = [
        accumulate(model, part, settings, nothing[: len(part)], nothing[: len(part)])["row_tokens"]
        for part in parts
    ]
    measured = learn(model, torch.optim.SGD(model.parameters(), lr=1.0), examples, settings, Reference(model))
    assert measured["gradient"] > 0 and "kl" in measured
    assert min(rows) > 0 and measured["row_tokens"] == sum(rows), "all tokens, and not a mean over updates"


def test_without_a_kl_term_what_has_no_advantage_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the gradient is that of all: it still counts in the mean."""
    examples = [
        msgspec.structs.replace(e, advantage=e.advantage * (n % 3 > 0)) for n, e in enumerate(_examples(9))
    ]
    seen: list[int] = []

    def counted(model: object, made: Row[Example], **options: Any) -> Any:
        seen.append(len(made.conversations))
        return score(model, made, **options)

    monkeypatch.setattr("memread.train.update.score", counted)
    found = []
    for kl in (0.0, 1e-12):
        model, settings = tiny_llama(), Reinforcement(kl=kl)
        nothing: list[Any] = [None] * len(examples)
        measured = accumulate(model, examples, settings, nothing, nothing)
        found.append(([p.grad for p in model.parameters()], measured["loss"]))
    assert seen[0] == 6 and sum(seen[1:]) == 9
    for one, other in zip(found[0][0], found[1][0], strict=True):
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-7)
    assert found[0][1] == pytest.approx(found[1][1], rel=1e-4)


def test_the_reference_is_the_model_as_it_was() -> None:
    model = tiny_llama()
    reference = Reference(model)
    first = copied(trainable(model))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    now = copied(trainable(model))
    with reference:
        inside = copied(trainable(model))
    assert all(torch.equal(inside[name], first[name]) for name in first)
    assert all(torch.equal(parameter, now[name]) for name, parameter in model.named_parameters())


def _episode(*answers: str, need_all: bool = False, reply: str = "\\boxed{not in the text}") -> Episode:
    return Episode("e", "train", "needle", "Which?", answers, ("text",), ("memory",), reply, need_all)


@pytest.mark.parametrize(
    ("episode", "text", "boxed", "exact", "substring"),
    [
        (_episode("7391"), "7391", True, 1.0, 1.0),
        (_episode("7391"), "7391", False, 0.0, 0.0),
        (_episode("7391"), "The number is 7,391", True, 0.0, 0.0),
        (_episode("7391"), "it is 7391.", True, 0.0, 1.0),
        (_episode("12"), "3125", True, 0.0, 0.0),
        (_episode("The Hague", "Den Haag"), "den haag", True, 1.0, 1.0),
        (_episode("The Hague"), "hague!", True, 1.0, 1.0),
        (_episode("7391"), "7391 " + "and more " * 20, True, 0.0, 0.0),
        (_episode("7391"), "not in the text", True, 0.0, 0.0),
        (_episode("a b", "c", need_all=True), "c", True, 0.5, 0.5),
        (_episode("x y", "c", need_all=True), "c, x y", True, 1.0, 1.0),
        (_episode(), "not in the text", True, 1.0, 1.0),
        (_episode(), "The text does not say.", True, 1.0, 1.0),
        (_episode(), "7391", True, 0.0, 0.0),
        (_episode(), "not in the text", False, 0.0, 0.0),
    ],
)
def test_the_reward_is_a_rule_on_the_box(
    episode: Episode, text: str, boxed: bool, exact: float, substring: float
) -> None:
    answer = Answer(text, boxed, text, "memory", Coverage(1, 1, True))
    rules: tuple[Rule, Rule] = ("exact", "substring")
    assert [outcome(episode, answer, rule) for rule in rules] == [exact, substring]


def test_normal_form() -> None:
    assert normal("  The “Hague” – a City,\n") == "“hague” – city"
