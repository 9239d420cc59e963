"""`python -m benchmarks.answers TEXTS ADAPTER [ADAPTER …]`: answers from a memory, of adapters side by side.

TEXTS: a folder of real texts and questions (memread/train/data/corpus.py). Questions of a split that was not
trained on, each with a memory as a reading makes it, answered greedily through llama.cpp: the share that is
right by the rule that training rewards, with 95 % intervals, and what each adapter has over the first (paired
bootstrap). --unsaid-from, --likely-from: with each of these thresholds for refusals (of the same names in a
Profile; the second beside the shipped unsaid_from) instead of none.
Which to ship is decided on "dev"; "test" is for what is then said of it.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.models import TINY, embedded
from benchmarks.sides import compared, reader, worth
from memread.engine.llamacpp.engine import LlamaEngine, Settings
from memread.loop import Progress, flow
from memread.profile import Profile, load
from memread.train.data.compose import Maker
from memread.train.episode import Episode, Split
from memread.train.recipe import Run, read_run, recipe_file
from memread.train.supervise import teacher


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.answers", description=__doc__)
    parser.add_argument("texts", type=Path)
    parser.add_argument("adapters", type=Path, nargs="+")
    parser.add_argument("--recipe", default="tiny-answers", help="whose [texts] are made")
    parser.add_argument("--split", choices=("dev", "test"), default="dev")
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--unsaid-from", type=float, nargs="+", default=[])
    parser.add_argument("--likely-from", type=float, nargs="+", default=[])
    parser.add_argument("--threads", type=int, default=0)
    given = parser.parse_args()
    profile = load(TINY / "profile.toml")
    episodes = asked(given.texts, read_run(recipe_file(given.recipe)), profile, given.split, given.questions)
    names: list[str] = []
    scores: list[list[float]] = []
    settings = Settings(context=768, slots=16, threads=given.threads, brief=True, weighs=True)
    ways = [(share, 0.0) for share in given.unsaid_from]
    ways += [(profile.unsaid_from, share) for share in given.likely_from]
    for path in given.adapters:
        with reader(path, settings) as engine:
            for unsaid, likely in ways or [(0.0, 0.0)]:
                own = msgspec.structs.replace(profile, unsaid_from=unsaid, likely_from=likely)
                said = f", likely from {likely:g}" if likely else f", unsaid from {unsaid:g}" * bool(unsaid)
                names.append(f"{path.stem}{said}")
                scores.append(answered(engine, episodes, own, settings.slots))
    print(compared(names, episodes, scores))


def asked(texts: Path, run: Run, profile: Profile, split: Split, count: int) -> list[Episode]:
    """Questions with the memory that they are answered from; one a text."""
    taught = teacher(embedded(), profile)
    maker = Maker(split, 0, taught.vocabulary, run.texts, texts)
    episodes = itertools.islice(maker.episodes(), count)
    return [taught.begun(episode, 0, run.supervise.choice, "0") for episode in episodes]


def answered(engine: LlamaEngine, episodes: Sequence[Episode], profile: Profile, width: int) -> list[float]:
    """What each answer is worth."""
    initial = profile.wording.initial_memory
    flows = [
        flow(
            episode.question,
            (),
            profile,
            engine.frame,
            engine.tokenizer,
            Progress(episode.known or initial, segments=1),
        )
        for episode in episodes
    ]
    return worth(engine, flows, episodes, width)


if __name__ == "__main__":
    main()
