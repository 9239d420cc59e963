"""`python -m benchmarks.refusal TEXTS [ADAPTER]`: from which probability on an answer should be given.

TEXTS: a folder of real texts and questions (memread/train/data/corpus.py). All texts of a split that was not
trained on are read as one by the rule alone (Profile.nearest; no model notes anything), for every question
written about them and for SQuAD's, those that they do not answer too. What an adapter (the one that ships)
makes of the memories: with the whole memory alone, and weighed line by line (Profile.likely_from), with
thresholds beside that. Nothing that memread is evaluated with is looked at.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import msgspec

from benchmarks.models import TINY, embedded
from benchmarks.nearest import read
from benchmarks.sides import reader
from memread.driver import drive
from memread.engine.llamacpp.engine import LlamaEngine, Settings
from memread.events import Answered
from memread.loop import Progress, flow
from memread.memory import Nearest
from memread.profile import Profile, load
from memread.train.data.corpus import Corpus
from memread.train.rewards import normal
from memread.train.vocabulary import open_vocabulary
from memread.types import Answer

THRESHOLDS = (0.0, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4)


class Case(NamedTuple):
    question: str
    answers: tuple[str, ...]
    """() where the texts do not answer."""
    memory: str


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.refusal", description=__doc__)
    parser.add_argument("texts", type=Path)
    parser.add_argument("adapter", type=Path, nargs="?", default=TINY / "adapter.gguf")
    parser.add_argument("--split", choices=("dev", "test"), default="dev")
    parser.add_argument("--unsaid-from", type=float, default=0.5, help="of the whole memory")
    parser.add_argument("--questions", type=int, default=1000, help="at most")
    parser.add_argument("--threads", type=int, default=0)
    given = parser.parse_args()
    profile = load(TINY / "profile.toml")
    cases = [*_cases(Corpus(given.split, given.texts), profile)][: given.questions]
    held = [case for case in cases if any(answer.lower() in case.memory.lower() for answer in case.answers)]
    unsaid = sum(not case.answers for case in cases)
    print(f"{unsaid} questions that the texts do not answer, {len(cases) - unsaid} that they do;")
    print(f"in the memory is the answer of {len(held)}\n")
    print("| | from | not there: refused | there: right | refused | else | right of all |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    settings = Settings(context=768, threads=given.threads, brief=True, weighs=True)
    with reader(given.adapter, settings) as engine:
        alone = msgspec.structs.replace(profile, unsaid_from=given.unsaid_from, likely_from=0.0)
        _print("the whole memory", given.unsaid_from, cases, _answers(engine, cases, alone), 0.0, profile)
        weighed = msgspec.structs.replace(profile, unsaid_from=given.unsaid_from, likely_from=1e-12)
        answers = _answers(engine, cases, weighed)
        for threshold in THRESHOLDS:
            _print("line by line", threshold, cases, answers, threshold, profile)


def _cases(corpus: Corpus, profile: Profile) -> Iterator[Case]:
    vocabulary, _ = open_vocabulary(embedded())
    blocks = [block for run in corpus.books for block in run]
    blocks += [f"{paragraph.title}\n{paragraph.text}" for paragraph in corpus.paragraphs]
    blocks += dict.fromkeys(f"{asked.title}\n{asked.context}" for asked in corpus.asked)
    text = "\n\n".join(blocks)
    found = [(item.question, item.answers) for item in corpus.written]
    found += [(item.question, item.answers if item.start >= 0 else ()) for item in corpus.asked]
    for question, answers in dict(found).items():
        budget = profile.budget
        memory = read(text, question, vocabulary, budget.segment, budget.memory, Nearest(profile.nearest))
        yield Case(question, answers, memory or profile.wording.initial_memory)


def _answers(engine: LlamaEngine, cases: Sequence[Case], profile: Profile) -> list[Answer]:
    flows = (
        flow(case.question, (), profile, engine.frame, engine.tokenizer, Progress(case.memory, segments=1))
        for case in cases
    )
    return [event.answer for _, event in drive(engine, flows) if isinstance(event, Answered)]


def _print(
    way: str, shown: float, cases: Sequence[Case], answers: Sequence[Answer], least: float, profile: Profile
) -> None:
    there: list[tuple[bool, bool]] = []
    refusals: list[bool] = []
    for case, answer in zip(cases, answers, strict=True):
        refused = answer.text == profile.wording.unsaid or (
            answer.likely is not None and answer.likely < least
        )
        if case.answers:
            there.append((not refused and normal(answer.text) in map(normal, case.answers), refused))
        else:
            refusals.append(refused)
    right, lost = mean(good for good, _ in there), mean(refused for _, refused in there)
    every = (right * len(there) + sum(refusals)) / len(cases)
    shares = (mean(refusals), right, lost, 1 - right - lost, every)
    print(f"| {way} | {shown:g} | {' | '.join(f'{share:.0%}' for share in shares)} |", flush=True)


if __name__ == "__main__":
    main()
