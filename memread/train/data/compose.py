"""Puzzles + haystack → a text in segments, and after each segment the ideal memory of every question.

A family is all the questions about one text: their episodes share its segments, so that a trainer can read a
section once for several of them. A family is made from (split, seed, index) and the settings alone.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path

import msgspec

from memread.errors import ConfigError
from memread.loop import boxed
from memread.protocols import Tokenizer
from memread.segment import segments
from memread.train.bounds import Count, Range, Share, Weight
from memread.train.data import haystack, puzzles, real, told
from memread.train.data.corpus import Corpus, split_sentences
from memread.train.data.frames import Frames, frames
from memread.train.data.puzzles import Plant, Puzzle, Query, Wordings
from memread.train.data.quotes import begins
from memread.train.data.words import Words
from memread.train.episode import NOT_SAID, Episode, Split
from memread.types import Locator, Passage, Segment


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the texts are like: the knobs of a curriculum. Tokens are the model's own."""

    segment_tokens: Range = (200, 1200)
    """A text's segments have at most a number of tokens drawn from this range."""
    segments: Range = (1, 6)
    """About how many segments a text has; few are likelier than many."""
    puzzles: Range = (1, 4)
    often: dict[str, Weight] = {}
    """How often each maker of puzzles is used against the others, where not as usual (MAKERS)."""
    memory_tokens: Count = 220
    """Questions whose ideal memory would be longer are left out."""
    beside: Share = 0.0
    """The share of the haystack that comes from where real questions come from, while there is any of it: it
    speaks of the same things and does not answer."""
    cut: Share = 0.1
    """The share of texts in which a segment border is put inside a fact."""

    def __post_init__(self) -> None:
        for name in ("segment_tokens", "segments", "puzzles"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name}: {low} is more than {high}")


_MADE = {**puzzles.MAKERS, **told.MAKERS}
"""Makers that need no files, and how often each is used."""


class Maker:
    """Families of one split. `folder` holds real texts (see corpus.py); None: only what is generated."""

    def __init__(
        self, split: Split, seed: int, tokenizer: Tokenizer, settings: Settings, folder: Path | None = None
    ) -> None:
        self.split, self.seed, self.tokenizer, self.settings = split, seed, tokenizer, settings
        makers = [*_MADE, *real.MAKERS]
        if unknown := sorted(set(settings.often).difference(makers)):
            raise ConfigError(f"often: there is no maker {unknown[0]}", f"There are: {', '.join(makers)}")
        self.corpus = Corpus(split, folder)
        self._frames = frames(split)

    def family(self, index: int) -> tuple[Episode, ...]:
        """The episodes about text number `index`: one at least."""
        for attempt in count():
            r = random.Random(f"{self.split}/{self.seed}/{index}/{attempt}")
            if episodes := _family(self, r, self._frames, f"{self.split}/{self.seed}/{index}"):
                return episodes
        raise AssertionError

    def episode(self, index: int) -> Episode:
        """One question about text number `index`: for rollouts, where every question is read on its own."""
        family = self.family(index)
        return random.Random(family[0].id).choice(family)

    def episodes(self, start: int = 0) -> Iterator[Episode]:
        """The same without end, from text number `start`."""
        return map(self.episode, count(start))


def _family(maker: Maker, r: random.Random, lines: Frames, name: str) -> tuple[Episode, ...]:
    settings, corpus = maker.settings, maker.corpus
    w = Wordings(Words(r, maker.split), lines)
    made = [_puzzle(w, corpus, settings.often) for _ in range(r.randint(*settings.puzzles))]
    budget = r.randint(*settings.segment_tokens)
    low, high = settings.segments
    wanted = round(low * (high / low) ** r.random()) * budget
    kind = r.choice(haystack.kinds(corpus))
    text, places = _text(made, kind, wanted, w, maker)
    border = _inside_a_fact(places, r) if r.random() < settings.cut else 0
    cuts = _cut(text, border, budget, maker.tokenizer)
    found: list[Episode] = []
    for number, puzzle in enumerate(made):
        for query in puzzle.queries:
            needed = _needed(text, places[number], query)
            memories = _memories(text, cuts, needed, puzzle.plants, query)
            if maker.tokenizer.count(memories[-1]) <= settings.memory_tokens:
                found.append(
                    Episode(
                        id=f"{name}/{len(found)}",
                        split=maker.split,
                        kind=query.kind,
                        question=query.question,
                        answers=query.answers,
                        segments=tuple(text[a:b] for a, b in cuts),
                        memories=memories,
                        reply=_reply(query, places[number]),
                        need_all=query.need_all,
                    )
                )
    return tuple(found)


def _puzzle(w: Wordings, corpus: Corpus, often: Mapping[str, float]) -> Puzzle:
    names = [*_MADE, *(real.MAKERS if corpus.paragraphs else ())]
    weights = [often.get(name, (_MADE.get(name) or real.MAKERS[name])[1]) for name in names]
    while True:
        name = w.random.choices(names, weights)[0]
        puzzle = _MADE[name][0](w) if name in _MADE else real.MAKERS[name][0](w, corpus)
        if puzzle is not None:
            return puzzle


Places = list[list[tuple[int, int]]]
"""For each puzzle, for each of its plants: where in the text it begins and ends."""


def _text(made: Sequence[Puzzle], kind: str, wanted: int, w: Wordings, maker: Maker) -> tuple[str, Places]:
    """A text of about `wanted` tokens with all plants in it, and where they are."""
    r, count_tokens = w.random, maker.tokenizer.count
    groups = [group for number, puzzle in enumerate(made) for group in _groups(number, puzzle)]
    tokens = sum(count_tokens(p.before + p.text + p.after) for _, plants in groups for _, _, p in plants)
    source = haystack.blocks(kind, w.words, maker.corpus, maker._frames)
    straw: list[str] = []
    beside = [text for puzzle in made for text in puzzle.beside] if maker.settings.beside else []
    r.shuffle(beside)
    while tokens < wanted:
        straw.append(beside.pop() if beside and r.random() < maker.settings.beside else next(source))
        tokens += count_tokens(straw[-1]) + 1
    # Where each group goes: before straw number so many; what is ordered goes in order.
    spots: dict[int, list[tuple[int, list[tuple[int, int, Plant]]]]] = {}
    for number, puzzle in enumerate(made):
        mine = [group for group in groups if group[0] == number]
        at = [r.randint(0, len(straw)) for _ in mine]
        for spot, group in zip(sorted(at) if puzzle.ordered else at, mine, strict=True):
            spots.setdefault(spot, []).append(group)
    text, places = _Text(), [[(0, 0)] * len(puzzle.plants) for puzzle in made]
    for spot in range(len(straw) + 1):
        lines = straw[spot] if spot < len(straw) else ""
        inside: list[tuple[int, int, Plant]] = []
        for _, plants in spots.get(spot, []):
            single = plants[0][2]
            if single.form == "sentence" and kind not in haystack.LINES and lines and r.random() < 0.75:
                inside += plants
                continue
            for number, index, plant in plants:
                text.add(plant.before)
                places[number][index] = text.add(plant.text)
                text.add(plant.after.replace("\0", " "))
            text.add("\n" if kind in haystack.LINES else "\n\n")
        if not lines:
            continue
        sentences = split_sentences(lines)
        gaps = sorted(r.randint(0, len(sentences)) for _ in inside)
        for gap, one in enumerate([*sentences, ""]):
            while gaps and gaps[0] == gap:
                gaps.pop(0)
                number, index, plant = inside.pop(0)
                places[number][index] = text.add(plant.text)
                text.add(" ")
            text.add(one + " " * (gap < len(sentences) - 1 or bool(gaps)))
        text.add("\n" if kind in haystack.LINES else "\n\n")
    return text.joined(), places


def _groups(number: int, puzzle: Puzzle) -> Iterator[tuple[int, list[tuple[int, int, Plant]]]]:
    """Plants that go together: the pieces of one block ("\\0" after a piece: the next one goes on)."""
    group: list[tuple[int, int, Plant]] = []
    for index, plant in enumerate(puzzle.plants):
        group.append((number, index, plant))
        if plant.after != "\0":
            yield number, group
            group = []


class _Text:
    """A text that is put together, and how long it is so far."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._length = 0

    def add(self, piece: str) -> tuple[int, int]:
        """Where the piece begins and ends."""
        start = self._length
        self._pieces.append(piece)
        self._length += len(piece)
        return start, self._length

    def joined(self) -> str:
        return "".join(self._pieces)


def _inside_a_fact(places: Places, r: random.Random) -> int:
    start, end = r.choice([place for plants in places for place in plants])
    return (start + end) // 2


def _cut(text: str, border: int, budget: int, tokenizer: Tokenizer) -> list[tuple[int, int]]:
    """The segments as (start, end), cut as a reading cuts them; `border` is one of the cuts, if not 0."""
    border = text.find(" ", border) + 1 if border else 0
    cuts, at = [], 0
    for part in (text[:border], text[border:]) if border else (text,):
        for segment in segments([Passage(part, Locator())], tokenizer, budget):
            assert isinstance(segment, Segment)
            if segment.text.strip():
                cuts.append((at, at + len(segment.text)))
            at += len(segment.text)
    return cuts


def _reply(query: Query, places: Sequence[tuple[int, int]]) -> str:
    answers = list(query.answers)
    if query.as_read:
        order = sorted(range(len(answers)), key=lambda i: places[query.evidence[i]])
        answers = [answers[i] for i in order]
    return boxed(", ".join(answers) if query.need_all else (*answers, NOT_SAID)[0])


def _needed(text: str, places: Sequence[tuple[int, int]], query: Query) -> Mapping[int, tuple[int, int]]:
    """Where in the text of each plant that the answer needs the part begins and ends that it needs."""
    found = {i: places[i] for i in query.evidence}
    for i, part in zip(query.evidence, query.parts, strict=False):
        start = text.index(part, places[i][0])
        found[i] = start, start + len(part)
    return found


def _memories(
    text: str,
    cuts: Sequence[tuple[int, int]],
    places: Mapping[int, tuple[int, int]],
    plants: Sequence[Plant],
    query: Query,
) -> tuple[str, ...]:
    """After each segment: what was read of each piece of evidence, quoted, in the order of reading."""
    old_of = dict(query.supersedes)
    asked, firsts = query.question, dict.fromkeys(query.evidence, 0)
    for i in sorted(firsts, key=lambda i: places[i][0]):
        start, end = places[i]
        firsts[i] = start + begins(text[start:end], asked, query.answers)
        asked += f" {text[firsts[i] : end]}"  # a later hop may go on from what is known by then
    memories = []
    for _, end in cuts:
        seen = sorted((places[i][0], i) for i in query.evidence if places[i][0] < end)
        gone = {old_of[i] for start, i in seen if i in old_of and places[i][1] <= end}
        quotes = []
        for _, i in seen:
            if i not in gone and (quote := text[firsts[i] : min(end, places[i][1])].strip()):
                quotes.append(f"{plants[i].title}: {quote}" if plants[i].title else quote)
        memories.append("\n".join(dict.fromkeys(quotes)))
    return tuple(memories)
