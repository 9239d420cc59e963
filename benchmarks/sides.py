"""Answers to the same questions, side by side: who reads, what each is worth, how they compare."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import mean

from benchmarks.models import embedded
from memread.driver import drive
from memread.engine.llamacpp.conversion import convert
from memread.engine.llamacpp.engine import LlamaEngine, Settings
from memread.engine.llamacpp.model import Model
from memread.eval.intervals import Interval, paired, wilson
from memread.events import Answered
from memread.gguf import read_header
from memread.loop import Flow
from memread.protocols import Engine
from memread.train.episode import Episode
from memread.train.rewards import outcome


@contextmanager
def reader(weights: Path, settings: Settings) -> Iterator[LlamaEngine]:
    """The embedded model with the adapter `weights` merged in, or the model `weights`: in F16, as `memread
    ask` reads."""
    whole = read_header(weights).text("general.type") != "adapter"
    with tempfile.TemporaryDirectory() as folder:
        merged = Path(folder) / "merged.gguf"
        convert(weights if whole else embedded(), merged, "F16", adapter=None if whole else weights)
        with Model(merged) as model:
            engine = LlamaEngine(model, settings, name=weights.stem, digest="")
            try:
                yield engine
            finally:
                engine.close()


def worth(engine: Engine, flows: Sequence[Flow], episodes: Sequence[Episode], width: int) -> list[float]:
    """What the answers to `episodes` are worth by the rule that training rewards, 0 to 1, where `flows` read
    them, `width` at a time."""
    found = {
        number: outcome(episodes[number], event.answer)
        for number, event in drive(engine, flows, width=width)
        if isinstance(event, Answered)
    }
    return [found[number] for number in range(len(episodes))]


def compared(names: Sequence[str], episodes: Sequence[Episode], scores: Sequence[Sequence[float]]) -> str:
    """A table by kind of question, with 95 % intervals of the whole, and what each has over the first (paired
    bootstrap). scores: of each name, what the answer to each episode was worth, 0 to 1."""
    kinds: dict[str, list[int]] = defaultdict(list)
    for place, episode in enumerate(episodes):
        kinds[episode.kind if episode.answers else f"{episode.kind}, not held"].append(place)
    lines = [f"| | | {' | '.join(names)} |", f"| --- | --- |{' --- |' * len(names)}"]
    for kind, places in sorted(kinds.items()):
        shares = (f"{mean(one[place] for place in places):.0%}" for one in scores)
        lines.append(f"| {kind} | {len(places)} | {' | '.join(shares)} |")
    every = (_said(wilson(sum(one), len(one))) for one in scores)
    lines.append(f"| all | {len(episodes)} | {' | '.join(every)} |")
    for name, one in zip(names[1:], scores[1:], strict=True):
        lines.append(f"\n{name} − {names[0]}: {_said(paired(one, scores[0]))}")
    return "\n".join(lines)


def _said(interval: Interval) -> str:
    return f"{interval.mean:.1%} ({interval.low:.1%} to {interval.high:.1%})"
