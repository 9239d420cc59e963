"""`python -m benchmarks.nearest TEXTS`: what a memory holds to which sentences come by the rule alone.

TEXTS: a folder of real texts and questions (memread/train/data/corpus.py). No model reads: of questions that
training knows, how often does what the answer needs stand in the memory in the end? Nothing that memread is
evaluated with is looked at.
"""

from __future__ import annotations

import argparse
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from statistics import mean

from benchmarks.models import embedded
from memread.memory import Frequencies, Nearest, with_nearest, within
from memread.segment import segments
from memread.train.data.corpus import Corpus, MultiHop, Written
from memread.train.vocabulary import PromptVocabulary, open_vocabulary
from memread.types import Locator, Passage, Segment

_KNOWN = 40
"""Characters at the end of a sentence by which it is known again."""


def main() -> None:
    rule = Nearest(3)
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nearest", description=__doc__)
    parser.add_argument("texts", type=Path)
    parser.add_argument("--count", type=int, default=300, help="questions of a kind, at most")
    parser.add_argument("--whole", type=int, default=60, help="questions that all the books are read for")
    parser.add_argument("--paragraphs", type=int, default=50, help="around a question of several hops")
    parser.add_argument("--segment", type=int, default=400)
    parser.add_argument("--memory", type=int, default=256)
    parser.add_argument("--nearest", type=int, default=rule.count)
    parser.add_argument(
        "--least", type=int, default=rule.least, help="words that a sentence shares with the question"
    )
    parser.add_argument(
        "--share", type=float, default=rule.share, help="0: as many lines as fit, as in a skim"
    )
    given = parser.parse_args()
    rule = Nearest(given.nearest, given.share, given.least)
    vocabulary, _ = open_vocabulary(embedded())
    corpus, draw = Corpus("train", given.texts), random.Random(0)
    found: dict[str, list[tuple[bool, bool, int, int]]] = defaultdict(list)
    for kind, question, answers, evidence, text in _asked(corpus, draw, given):
        memory = read(text, question, vocabulary, given.segment, given.memory, rule)
        known = memory.casefold()
        found[kind].append(
            (
                all(sentence[-_KNOWN:] in memory for sentence in evidence),
                any(answer.casefold() in known for answer in answers),
                vocabulary.count(memory),
                memory.count("\n") + 1,
            )
        )
    print(
        "| questions | | all it needs | the answer | tokens | lines |\n| --- | --- | --- | --- | --- | --- |"
    )
    for kind, rows in sorted(found.items()):
        whole, answered, tokens, lines = map(mean, zip(*rows, strict=True))
        print(f"| {kind} | {len(rows)} | {whole:.0%} | {answered:.0%} | {tokens:.0f} | {lines:.1f} |")


def read(
    text: str, question: str, vocabulary: PromptVocabulary, segment: int, limit: int, rule: Nearest
) -> str:
    """The memory after `text`, where a model notes nothing."""
    memory, met = "", Frequencies()
    for part in cut(text, vocabulary, segment):
        met = met.after(part, question)
        memory = with_nearest(memory, part, question, rule, met)
        memory = within(memory, question, limit, vocabulary, met)
    return memory


@lru_cache(1)
def cut(text: str, vocabulary: PromptVocabulary, segment: int) -> list[str]:
    """The segments of `text`."""
    found = segments([Passage(text, Locator())], vocabulary, segment)
    return [part.text for part in found if isinstance(part, Segment)]


def _asked(
    corpus: Corpus, draw: random.Random, given: argparse.Namespace
) -> Iterator[tuple[str, str, Sequence[str], Sequence[str], str]]:
    """(kind, question, answers, the sentences that it needs, text)"""
    books = [item for item in corpus.written if item.answers and not item.sources[0].title]
    for item in draw.sample(books, min(given.count, len(books))):
        yield (
            "written, three runs of pages",
            item.question,
            item.answers,
            item.quotes,
            _pages(item, corpus, draw),
        )
    for hops in draw.sample(corpus.multi_hop, min(given.count, len(corpus.multi_hop))):
        evidence = [sentences[number] for _, sentences, needed in hops.gold for number in needed]
        kind = "yes or no" if hops.answer.lower() in ("yes", "no") else hops.kind
        yield (
            f"several hops, {kind}",
            hops.question,
            (hops.answer,),
            evidence,
            _documents(hops, corpus, draw, given.paragraphs),
        )
    whole = "\n\n".join(block for run in corpus.books for block in run)
    for item in draw.sample(books, min(given.whole, len(books))):
        yield "written, all books", item.question, item.answers, item.quotes, whole


def _pages(item: Written, corpus: Corpus, draw: random.Random) -> str:
    """The run of pages that a question is about, between two others."""
    before, after = draw.sample(corpus.books, 2)
    return "\n\n".join([*before, *item.sources[0].run, *after])


def _documents(item: MultiHop, corpus: Corpus, draw: random.Random, count: int) -> str:
    """The paragraphs of a question among others, as RULER-HotpotQA has them."""
    found = [f"{title}\n{' '.join(sentences)}" for title, sentences, _ in item.gold] + [*item.others]
    found += [f"{p.title}\n{p.text}" for p in draw.sample(corpus.paragraphs, max(0, count - len(found)))]
    draw.shuffle(found)
    return "\n\n".join(f"Document {number}:\n{text}" for number, text in enumerate(found, start=1))


if __name__ == "__main__":
    main()
