"""`python -m benchmarks.segments TEXTS`: the bundled reader with segments of several sizes.

TEXTS: a folder of real texts and questions (memread/train/data/corpus.py). The same questions about the same
texts of the development set, read as `memread ask` reads them: the share that is right by the rule that
training rewards, with 95 % intervals, what each size has over the first (paired bootstrap), and the time.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.models import TINY, embedded
from benchmarks.sides import compared, reader, worth
from memread.engine.llamacpp.engine import LlamaEngine, Settings
from memread.loop import flow
from memread.profile import load
from memread.segment import segments
from memread.train.data.compose import Maker
from memread.train.episode import Episode
from memread.train.recipe import read_run, recipe_file
from memread.train.vocabulary import open_vocabulary
from memread.types import Locator, Passage, Segment

_LENGTH = 4800
"""Tokens of a text, about."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.segments", description=__doc__)
    parser.add_argument("texts", type=Path)
    parser.add_argument("--adapter", type=Path, default=TINY / "adapter.gguf")
    parser.add_argument("--recipe", default="tiny-answers", help="whose [texts] are made")
    parser.add_argument("--sizes", type=int, nargs="+", default=[800, 1600, 2400])
    parser.add_argument("--families", type=int, default=12, help="texts")
    parser.add_argument("--threads", type=int, default=0)
    given = parser.parse_args()
    families = asked(given.texts, given.recipe, given.families)
    episodes = [episode for family in families for episode in family]
    print(f"{len(families)} texts, {len(episodes)} questions", flush=True)
    scores: list[list[float]] = []
    slots = max(map(len, families))
    settings = Settings(context=max(given.sizes) + 1024, slots=slots, threads=given.threads, brief=True)
    with reader(given.adapter, settings) as engine:
        for size in given.sizes:
            start = time.monotonic()
            scores.append(answered(engine, families, size, slots))
            right = sum(scores[-1]) / len(episodes)
            print(f"segments of {size}: {right:.1%}, {time.monotonic() - start:.0f} s", flush=True)
    print(f"\n{compared([str(size) for size in given.sizes], episodes, scores)}")


def asked(texts: Path, recipe: str, count: int) -> list[tuple[Episode, ...]]:
    """Questions of the development set, those about one text together."""
    settings = msgspec.structs.replace(
        read_run(recipe_file(recipe)).texts,
        segment_tokens=(_LENGTH, _LENGTH),
        segments=(1, 1),
        puzzles=(8, 10),
    )
    maker = Maker("dev", 1, open_vocabulary(embedded())[0], settings, texts)
    return [maker.family(index) for index in range(count)]


def answered(
    engine: LlamaEngine, families: Sequence[Sequence[Episode]], size: int, width: int
) -> list[float]:
    """What each answer is worth."""
    profile = load(TINY / "profile.toml")
    profile = msgspec.structs.replace(profile, budget=msgspec.structs.replace(profile.budget, segment=size))
    found: list[float] = []
    for family in families:
        whole = [Passage("".join(family[0].segments), Locator())]
        parts = [part for part in segments(whole, engine.tokenizer, size) if isinstance(part, Segment)]
        flows = [flow(each.question, parts, profile, engine.frame, engine.tokenizer) for each in family]
        found += worth(engine, flows, family, width)
    return found


if __name__ == "__main__":
    main()
