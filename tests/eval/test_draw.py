"""Chance that never changes."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from memread.eval.draw import Draw, Permutation, uuid4


def test_draws_never_change() -> None:
    draw = Draw("memread")
    assert [draw.below(1000) for _ in range(5)] == [751, 675, 632, 620, 495]
    assert Draw("memread").sample(10, 4) == [7, 0, 1, 2]
    assert [Permutation(10, "memread")[index] for index in range(10)] == [0, 1, 3, 8, 9, 2, 6, 7, 5, 4]
    assert uuid4("memread") == "bd1c5d5d-ac26-41b0-8f30-a04e3d128552"


@given(st.integers(1, 3000), st.text(max_size=5))
def test_a_permutation_is_one_and_can_be_inverted(size: int, seed: str) -> None:
    order = Permutation(size, seed)
    numbers = [order[index] for index in range(size)]
    assert sorted(numbers) == list(range(size))
    assert [order.index(number) for number in numbers] == list(range(size))


def test_a_permutation_looks_random() -> None:
    size = 10_000
    order = Permutation(size, "x")
    numbers = [order[index] for index in range(size)]
    mean = (size - 1) / 2
    variance = (size * size - 1) / 12
    for lag in (1, 2, 100):  # correlations of a random order are within about 3 / sqrt(size)
        pairs = zip(numbers, numbers[lag:], strict=False)
        assert abs(sum((a - mean) * (b - mean) for a, b in pairs)) / size / variance < 0.04
    for start in range(0, size, 1000):  # every stretch holds about as many of the lower half
        assert 400 < sum(number < size // 2 for number in numbers[start : start + 1000]) < 600


def test_samples() -> None:
    assert sorted(Draw("x").sample(7, 7)) == list(range(7))
    assert sorted(Draw("x").shuffled("abc")) == ["a", "b", "c"]
    with pytest.raises(ValueError):
        Draw("x").sample(2, 3)
