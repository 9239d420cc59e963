"""A packed row gives what one mask over all of it gives, forward and backward."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="training needs memread[train]")
pytest.importorskip("peft", reason="training needs memread[train]")

from memread.train import packed  # noqa: E402
from memread.train.lessons import Conversation  # noqa: E402
from memread.train.rows import Row, row  # noqa: E402
from tests.train.logits import randomised  # noqa: E402
from tests.train.models import tiny_llama, with_lora  # noqa: E402

SHARED = tuple(range(300, 340))
ROWS = [
    row([Conversation("new", (*SHARED, 7, 8), (400, 2), (1.0, 1.0))]),
    row(
        [
            Conversation("new", (*SHARED, *range(7, 9 + 3 * n)), (*range(400, 404 - n), 2), (1.0,) * (5 - n))
            for n in range(3)
        ]
    ),
    row([Conversation("answer", (n, 8, 9), (400, 2), (1.0, 1.0)) for n in range(3)]),  # nothing is shared
]


def masked(inner: Any, one: Row[Any]) -> Any:
    """The same with a mask of all pairs of tokens."""
    branches = torch.tensor(one.branches)
    seen = ((branches[None, :] == 0) | (branches[None, :] == branches[:, None])).tril()
    found = inner.model(
        input_ids=torch.tensor([one.ids]),
        attention_mask=seen[None, None],
        position_ids=torch.tensor([one.positions]),
        use_cache=False,
    )
    return found.last_hidden_state[0][torch.tensor(one.places)]


def gradients(model: Any, hidden: Any) -> list[Any]:
    model.zero_grad()
    torch.manual_seed(1)
    (hidden * torch.randn(hidden.shape)).sum().backward()
    return [p.grad.clone() for p in model.parameters() if p.requires_grad]


@pytest.mark.parametrize("one", ROWS, ids=["one branch", "branches", "no prefix"])
def test_the_same_as_one_mask(one: Row[Any]) -> None:
    model = randomised(with_lora(tiny_llama()))
    inner = model.get_base_model()
    expected, got = masked(inner, one), packed.hidden(inner, one)
    assert torch.allclose(got, expected, rtol=1e-4, atol=1e-5)
    for mine, theirs in zip(gradients(model, got), gradients(model, expected), strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-3, atol=1e-4 * float(theirs.abs().max()))
    assert inner.config._attn_implementation == "sdpa"


def test_gradients_may_stop_at_the_prefix() -> None:
    model = randomised(with_lora(tiny_llama()))
    inner = model.get_base_model()
    whole, cut = packed.hidden(inner, ROWS[1]), packed.hidden(inner, ROWS[1], through_prefix=False)
    assert torch.allclose(cut, whole, rtol=1e-4, atol=1e-5)
    through, stopped = gradients(model, whole), gradients(model, cut)
    assert all(float(g.abs().sum()) > 0 for g in stopped)
    assert not torch.allclose(through[0], stopped[0], rtol=1e-2)
    # Where nothing is shared there is nothing to stop at.
    alone = packed.hidden(inner, ROWS[2]), packed.hidden(inner, ROWS[2], through_prefix=False)
    assert torch.allclose(gradients(model, alone[0])[0], gradients(model, alone[1])[0])


def test_the_fused_attention_and_its_products_are_the_same() -> None:
    torch.manual_seed(3)
    seen = torch.cat([torch.ones(5, 7, dtype=torch.bool), torch.ones(5, 5, dtype=torch.bool).tril()], 1)
    found = []
    for attend in (torch.nn.functional.scaled_dot_product_attention, packed._products):
        torch.manual_seed(4)
        query, key, value = (torch.randn(2, 3, n, 8, requires_grad=True) for n in (5, 12, 12))
        out = attend(query, key, value, attn_mask=seen, scale=0.3)
        out.square().sum().backward()
        found.append([out, query.grad, key.grad, value.grad])
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-5)


def test_rows_in_bfloat16_are_close_to_one_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    model = randomised(with_lora(tiny_llama()))
    inner = model.get_base_model()
    used = []
    plain = packed._products
    monkeypatch.setattr(packed, "_products", lambda *x, **how: used.append(1) or plain(*x, **how))
    with torch.no_grad():
        expected = masked(inner, ROWS[1])
        got = packed.hidden(model.to(torch.bfloat16).get_base_model(), ROWS[1]).float()
    assert used
    assert float((got - expected).norm() / expected.norm()) < 0.08  # seven bits a product
