"""What measured rates come to."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from memread import profile
from memread.engine.llamacpp.bare import Bare
from memread.engine.llamacpp.engine import Settings
from memread.engine.llamacpp.model import Model
from memread.rates import WORDING, Rates, lengths_for, measure, rewritten, sample

RATES = Rates({100: 100.0, 300: 100.0, 1000: 50.0}, decode=10.0)  # 1, 3 and 20 seconds


@pytest.mark.parametrize(
    ("tokens", "seconds"), [(100, 1), (200, 2), (300, 3), (650, 11.5), (1000, 20), (2000, 40), (50, 0.5)]
)
def test_the_time_of_a_prompt(tokens: int, seconds: float) -> None:
    assert RATES.seconds(tokens) == pytest.approx(seconds)


def test_the_rate_of_a_reading() -> None:
    segment, memory = 200 - WORDING - 10 + 800, 20
    # A prompt of 1,000 tokens takes 20 s, ten tokens (half of the memory) 1 s.
    assert RATES.reading(segment, memory) == pytest.approx(segment / 21)
    assert RATES.best == 100.0


def test_a_memory_that_is_said_to_stay_is_read_and_not_written() -> None:
    found = profile.loads('name = "x"', "test")
    assert rewritten(found) == 0.5
    wording = msgspec.structs.replace(found.wording, unchanged="Same")
    assert rewritten(msgspec.structs.replace(found, wording=wording)) == 0.0
    segment, memory = 200 - WORDING - 10 + 800, 20
    assert RATES.reading(segment, memory, 0.0) == pytest.approx(segment / 20)


def test_llama_cpp_is_measured(tiny_gguf: Path) -> None:
    told: list[int] = []
    with Model(tiny_gguf) as model:
        ids = model.vocabulary.encode(sample(400))
        with Bare(model, Settings(context=256, batch=64, threads=1)) as context:
            found = measure(
                context, ids, [128, 32, 64], seconds=30, say=lambda length, rate: told.append(length)
            )
            short = measure(context, ids, [32, 64], seconds=0)
    assert told == [32, 64, 128] == list(found.prefill)
    assert min(found.prefill.values()) > 0 and found.decode > 0
    assert list(short.prefill) == [32], "what does not fit into the time is not begun"


def test_the_lengths_that_are_measured() -> None:
    (default,) = [each for each in profile.shipped() if each.name == "default"]
    assert lengths_for(default, 32768) == [256, 512, 1024, 2048, 4096, 5632, 8192]
    assert lengths_for(default, 2060) == [256, 512, 1024, 2048]
