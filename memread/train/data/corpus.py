"""Real texts and questions, from a folder laid out like this:

    books/*.epub                      prose (books kept for evaluation are left out by name)
    qa/train/*paragraphs*.json.gz     [{title, text}]
    qa/train/*squad*.json.gz          SQuAD's format
    qa/train/*hotpot*.json.gz, *wiki*.json.gz   HotpotQA's format
    qa/train/*written*.jsonl          {question, answers, quotes} a line: the quotes say where it belongs

Nothing under qa/eval is looked at. written.jsonl beside this file was written for memread, about the texts
that its own weights were trained on.
"""

from __future__ import annotations

import gzip
import json
import random
import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import accumulate, islice
from pathlib import Path
from typing import Any, NamedTuple

from memread.evidence.words import stems
from memread.ingest.epub import EpubReading
from memread.train.data.splits import SPLITS, split_of
from memread.train.episode import Split
from memread.types import Passage

EVALUATED = ("moby-dick", "alice", "page-blanche", "regime-anticancer")
"""Books that are never trained on, or that are not English prose: parts of their names."""
_RUN = 30
"""Paragraphs of a book that stay together in a split."""
_AROUND = 6
"""Paragraphs before one, and behind it, that are about the same."""


class Paragraph(NamedTuple):
    title: str
    text: str


class Asked(NamedTuple):
    """A question about a paragraph, and where in it the answer stands (-1: it does not)."""

    title: str
    context: str
    question: str
    answers: tuple[str, ...]
    start: int


class MultiHop(NamedTuple):
    """A question whose answer needs several paragraphs."""

    question: str
    answer: str
    kind: str
    gold: tuple[tuple[str, tuple[str, ...], tuple[int, ...]], ...]
    """(title, sentences, which of them are needed), in the order of the reasoning."""
    others: tuple[str, ...]
    """Paragraphs that were found for the question and do not answer it."""


class Source(NamedTuple):
    """Text that a question was written about: a run of consecutive paragraphs, and which of them."""

    title: str
    """Of a paragraph on its own; "" in a book."""
    run: tuple[str, ...]
    at: int


class Written(NamedTuple):
    """A question written for memread, what it quotes, and where that stands."""

    question: str
    answers: tuple[str, ...]
    """() where the text does not answer."""
    quotes: tuple[str, ...]
    """What the answer needs, in the order of the reasoning; where there is none, what looks like it."""
    sources: tuple[Source, ...]
    """Of each quote."""


class Corpus:
    """The texts of one split. Without a folder it is empty, and makers fall back on what is generated."""

    def __init__(self, split: Split, folder: Path | None = None) -> None:
        self.split = split
        self.paragraphs: list[Paragraph] = []
        self.books: list[list[str]] = []
        """Runs of consecutive paragraphs, without what an earlier split says too, such as boilerplate."""
        self.asked: list[Asked] = []
        self.multi_hop: list[MultiHop] = []
        self.written: list[Written] = []
        if folder is not None:
            self._load(folder)

    def _load(self, folder: Path) -> None:
        files = sorted((folder / "qa" / "train").glob("*.json.gz"))
        hops = [item for file in files if _is(file, "hotpot", "wiki") for item in _read(file)]
        home = _homes(hops)

        def mine(title: str) -> bool:
            return split_of(home(title)) == self.split

        for item in hops:
            if (found := _multi_hop(item, mine)) and mine(found.gold[0][0]):
                self.multi_hop.append(found)
        for file in files:
            if _is(file, "paragraphs"):
                for item in _read(file):
                    if mine(item["title"]):
                        self.paragraphs.append(Paragraph(item["title"], _tidy(item["text"])))
            elif _is(file, "squad"):
                self.asked += (a for a in _squad(_read(file)["data"]) if split_of(a.context) == self.split)
        books = sorted((folder / "books").glob("*.epub"))
        runs = [run for book in books if not _is(book, *EVALUATED) for run in _runs(book)]
        of = {split: [run for run in runs if split_of(" ".join(run)) == split] for split in SPLITS}
        earlier = [run for split in SPLITS[: SPLITS.index(self.split)] for run in of[split]]
        said = {block for run in earlier for block in run}
        left = ([block for block in run if block not in said] for run in of[self.split])
        self.books = [run for run in left if run]
        own = Path(__file__).with_name("written.jsonl")
        for file in (own, *sorted((folder / "qa" / "train").glob("*written*.jsonl"))):
            self.written += self._find(file.read_bytes().splitlines(), earlier)

    def _find(self, lines: Iterable[bytes], earlier: Iterable[Sequence[str]]) -> Iterator[Written]:
        """The questions of `lines` all of whose quotations stand in this split's texts: in paragraphs, or in
        one run of a book. What an earlier split's runs answer is asked there."""
        runs = [tuple(run) for run in self.books]
        places = [Source(p.title, (p.text,), 0) for p in self.paragraphs]
        places += [Source("", run, at) for run in runs for at in range(len(run))]
        texts = [source.run[source.at] for source in places]
        ends = [*accumulate(len(text) + 1 for text in texts)]
        joined, before = "\n".join(texts), "\n".join(block for run in earlier for block in run)
        for line in lines:
            item = json.loads(line)
            quotes = tuple(item["quotes"])
            found = [joined.find(quote) for quote in quotes]
            if min(found) < 0 or all(quote in before for quote in quotes):
                continue
            sources = tuple(places[bisect_right(ends, at)] for at in found)
            if len({source.run for source in sources if not source.title}) > 1:
                sources = next(filter(None, (_all_in(run, quotes) for run in runs)), ())
            if sources:
                yield Written(item["question"], tuple(item["answers"]), quotes, sources)

    @cached_property
    def written_hops(self) -> list[Written]:
        """Those of `written` that need several paragraphs."""
        return [item for item in self.written if len({source.title for source in item.sources}) > 1]

    @cached_property
    def _having(self) -> dict[str, list[int]]:
        """word → the numbers of the paragraphs that have it."""
        found: dict[str, list[int]] = {}
        for number, paragraph in enumerate(self.paragraphs):
            for stem in stems(f"{paragraph.title}: {paragraph.text}"):
                found.setdefault(stem, []).append(number)
        return found

    def alike(self, question: str, but: Container[str]) -> tuple[str, ...]:
        """Paragraphs that have most in common with `question`, with their titles above them; none whose title
        is in `but`. A word counts for the less the more paragraphs have it."""
        worth: dict[int, float] = defaultdict(float)
        for stem in sorted(stems(question)):
            for number in (places := self._having.get(stem, [])):
                worth[number] += 1 / len(places)
        best = sorted(worth, key=lambda number: -worth[number])
        near = (self.paragraphs[number] for number in best)
        told = (f"{each.title}\n{each.text}" for each in near if each.title not in but)
        return tuple(islice(told, _AROUND))

    def sentences(self, random: random.Random) -> tuple[str, list[str], tuple[str, ...]]:
        """A paragraph's title ("" in a book), its sentences, and what stands around it. Needs a folder."""
        if self.books and random.random() < 0.3:
            run = random.choice(self.books)
            block = random.choice(run)
            at = run.index(block)
            return "", split_sentences(block), around(run, at, at + 1)
        paragraph = random.choice(self.paragraphs)
        return paragraph.title, split_sentences(paragraph.text), ()


def _runs(book: Path) -> Iterator[list[str]]:
    """The paragraphs of a book, so many at a time."""
    with book.open("rb") as file:
        passages = EpubReading(file, book.name).passages()
        text = "".join(passage.text for passage in passages if isinstance(passage, Passage))
    blocks = [_tidy(block) for block in text.split("\n\n") if block.strip()]
    yield from (blocks[i : i + _RUN] for i in range(0, len(blocks), _RUN))


def _all_in(run: tuple[str, ...], quotes: Sequence[str]) -> tuple[Source, ...]:
    """Where in `run` each of `quotes` stands; () unless all do."""
    at = [next((at for at, text in enumerate(run) if quote in text), -1) for quote in quotes]
    return tuple(Source("", run, place) for place in at) if min(at) >= 0 else ()


def around(texts: Sequence[str], first: int, last: int) -> tuple[str, ...]:
    """What stands before and behind texts[first:last]."""
    return (*texts[max(0, first - _AROUND) : first], *texts[last : last + _AROUND])


def bare(title: str) -> str:
    """A title without what stands in brackets behind it, such as "(1923 film)"."""
    return re.sub(r" \(.*\)", "", title)


def split_sentences(text: str) -> list[str]:
    """`text` cut behind the full stops that end sentences, not behind initials and abbreviations."""
    return _SENTENCE_END.split(text)


_SENTENCE_END = re.compile(r"(?:(?<=[a-z0-9)\"”’][.!?])|(?<=[.!?][\"”’])) (?=[A-Z\"“‘(])")


def _is(path: Path, *names: str) -> bool:
    return any(name in path.name for name in names)


def _read(path: Path) -> Any:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return json.load(file)


def _tidy(text: str) -> str:
    return " ".join(text.split())


def _homes(items: Iterable[dict[str, Any]]) -> Any:
    """title → the title that stands for all that questions connect with it, so that these share a split."""
    parent: dict[str, str] = {}

    def home(title: str) -> str:
        while (up := parent.get(title, title)) != title:
            title = up
        return title

    for item in items:
        titles = sorted({title for title, _ in item["supporting_facts"]})
        for title in titles[1:]:
            one, other = sorted((home(titles[0]), home(title)))
            parent[other] = one
    return home


def _multi_hop(item: dict[str, Any], mine: Callable[[str], bool]) -> MultiHop | None:
    """None when the context lacks a gold paragraph or sentence (a few of the files' items do).

    mine: whether a title belongs to the split.
    """
    context = {title: tuple(map(_tidy, sentences)) for title, sentences in item["context"]}
    needed: dict[str, list[int]] = {}
    for title, number in item["supporting_facts"]:
        if title not in context or number >= len(context[title]) or not context[title][number]:
            return None
        needed.setdefault(title, []).append(number)
    # What the question names comes first: from it the reasoning goes on.
    named = {title: bare(title).lower() in item["question"].lower() for title in needed}
    order = sorted(needed, key=lambda title: not named[title])
    return MultiHop(
        item["question"].strip(),
        item["answer"].strip(),
        item.get("type", "bridge"),
        tuple((title, context[title], tuple(sorted(set(needed[title])))) for title in order),
        tuple(
            f"{title}\n{' '.join(context[title])}" for title in context if title not in needed and mine(title)
        ),
    )


def _squad(articles: Iterable[dict[str, Any]]) -> Iterable[Asked]:
    for article in articles:
        for paragraph in article["paragraphs"]:
            for asked in paragraph["qas"]:
                answers = tuple(dict.fromkeys(answer["text"].strip() for answer in asked["answers"]))
                start = asked["answers"][0]["answer_start"] if asked["answers"] else -1
                yield Asked(
                    article["title"].replace("_", " "),
                    paragraph["context"],
                    asked["question"].strip(),
                    answers,
                    start,
                )
