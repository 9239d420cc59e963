"""`python -m benchmarks.answers TEXTS ADAPTER [ADAPTER …]`: answers from a memory, of adapters side by side.

TEXTS: a folder of real texts and questions (memread/train/data/corpus.py). Questions of a split that was not
trained on, each with a memory as a reading makes it, answered greedily through llama.cpp (no threshold for
refusals): the share that is right by the rule that training rewards, with 95 % intervals, and what each
adapter has over the first (paired bootstrap). Which one to ship is decided on "dev"; "test" is for what is
then said of it.
"""

from __future__ import annotations

import argparse
import itertools
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from benchmarks.models import TINY, embedded
from memread.engine.llamacpp.engine import LlamaEngine, Settings
from memread.engine.llamacpp.model import Model
from memread.eval.intervals import Interval, paired, wilson
from memread.profile import Profile, load
from memread.train.data.compose import Maker
from memread.train.episode import Episode, Split
from memread.train.recipe import Run, read_run, recipe_file
from memread.train.rewards import outcome
from memread.train.rollout import Recorder, roll
from memread.train.supervise import teacher


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.answers", description=__doc__)
    parser.add_argument("texts", type=Path)
    parser.add_argument("adapters", type=Path, nargs="+")
    parser.add_argument("--recipe", default="tiny-answers", help="whose texts are made")
    parser.add_argument("--split", choices=("dev", "test"), default="dev")
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--threads", type=int, default=0)
    given = parser.parse_args()
    profile = load(TINY / "profile.toml")
    episodes = asked(given.texts, read_run(recipe_file(given.recipe)), profile, given.split, given.questions)
    scores = [answered(path, episodes, profile, given.threads) for path in given.adapters]
    kinds: dict[str, list[int]] = defaultdict(list)
    for place, episode in enumerate(episodes):
        kinds[episode.kind if episode.answers else f"{episode.kind}, not held"].append(place)
    names = [path.stem for path in given.adapters]
    print(f"| | | {' | '.join(names)} |\n| --- | --- |{' --- |' * len(names)}")
    for kind, places in sorted(kinds.items()):
        shares = (f"{mean(one[place] for place in places):.0%}" for one in scores)
        print(f"| {kind} | {len(places)} | {' | '.join(shares)} |")
    every = (_said(wilson(sum(one), len(one))) for one in scores)
    print(f"| all | {len(episodes)} | {' | '.join(every)} |")
    for name, one in zip(names[1:], scores[1:], strict=True):
        gain = paired(one, scores[0])
        print(f"\n{name} − {names[0]}: {_said(gain)}", end="")
    print()


def asked(texts: Path, run: Run, profile: Profile, split: Split, count: int) -> list[Episode]:
    """Questions with the memory that they are answered from; one a text."""
    taught = teacher(embedded(), profile)
    maker = Maker(split, 0, taught.vocabulary, run.texts, texts)
    episodes = itertools.islice(maker.episodes(), count)
    return [taught.begun(episode, 0, run.supervise.choice, "0") for episode in episodes]


def answered(adapter: Path, episodes: Sequence[Episode], profile: Profile, threads: int) -> list[float]:
    """What each answer is worth."""
    with Model(embedded(), adapter=adapter) as model:
        engine = Recorder(
            LlamaEngine(
                model, Settings(context=768, slots=16, threads=threads), name=adapter.stem, digest=""
            ),
            model.vocabulary,
            model.vocabulary.eos,
        )
        try:
            groups = roll(engine, episodes, profile, rollouts=1, seed=0, temperature=0.0)
        finally:
            engine.close()
    return [outcome(rollout.episode, rollout.answer) for (rollout,) in groups]


def _said(interval: Interval) -> str:
    return f"{interval.mean:.1%} ({interval.low:.1%} to {interval.high:.1%})"


if __name__ == "__main__":
    main()
