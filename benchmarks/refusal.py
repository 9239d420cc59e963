"""`python -m benchmarks.refusal TEXTS`: from which probability on an answer should be "not in the text".

TEXTS: a folder of real texts and questions (memread/train/data/corpus.py). Questions of the development set,
answered from memories as training makes them: for each threshold, how many answers are refused that the
memory does not hold, and what becomes of those that it does. Nothing that memread is evaluated with is looked
at.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import mean

import numpy as np

from benchmarks.models import TINY, embedded
from memread.engine.llamacpp.bare import Bare
from memread.engine.llamacpp.engine import Settings
from memread.engine.llamacpp.model import Model
from memread.loop import boxed
from memread.profile import load
from memread.train.data.compose import Maker
from memread.train.episode import NOT_SAID
from memread.train.lessons import Choice
from memread.train.recipe import read_run, recipe_file
from memread.train.rows import shared_by
from memread.train.supervise import teacher

THRESHOLDS = (0.98, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.05)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.refusal", description=__doc__)
    parser.add_argument("texts", type=Path)
    parser.add_argument("--recipe", default="tiny-nearest", help="whose texts are made")
    parser.add_argument("--families", type=int, default=20, help="texts; each has some ten questions")
    parser.add_argument("--threads", type=int, default=0)
    given = parser.parse_args()
    stage = read_run(recipe_file(given.recipe)).supervise.stages[0]
    taught = teacher(embedded(), load(TINY / "profile.toml"))
    maker = Maker("dev", 0, taught.vocabulary, stage.data, given.texts)
    choice = Choice(new=0, kept=0, empty=0, false_entries=0.2, missed=0.5)
    refusal, answer = (tuple(taught.vocabulary.encode(boxed(text))) for text in (NOT_SAID, "42"))
    opened = shared_by([refusal, answer])
    refusals: list[float] = []
    answers: list[tuple[float, bool]] = []
    with (
        Model(embedded(), adapter=TINY / "adapter.gguf") as model,
        Bare(model, Settings(1024, threads=given.threads)) as bare,
    ):
        for number in range(given.families):
            for group in taught.lessons(maker.family(number), choice, "0"):
                for said in group:
                    # Given all before them, every token the likeliest is what greedy decoding writes.
                    logits = bare.logits([*said.prompt, *said.reply[:-1]])[-len(said.reply) :]
                    odds = np.exp(logits[opened] - logits[opened].max(), dtype=np.float64)
                    likely = float(odds[refusal[opened]] / odds.sum())
                    right = all(
                        int(row.argmax()) == token for row, token in zip(logits, said.reply, strict=True)
                    )
                    if said.kind == "unsaid":
                        refusals.append(likely)
                    else:
                        answers.append((likely, right))
    print(f"{len(refusals)} that the memory does not answer, {len(answers)} that it does\n")
    print("| from | not there: refused | there: right to the letter | refused | else |")
    print("| --- | --- | --- | --- | --- |")
    for threshold in THRESHOLDS:
        refused = mean(likely >= threshold for likely in refusals)
        right = mean(likely < threshold and good for likely, good in answers)
        lost = mean(likely >= threshold for likely, _ in answers)
        print(f"| {threshold} | {refused:.0%} | {right:.0%} | {lost:.0%} | {1 - right - lost:.0%} |")


if __name__ == "__main__":
    main()
