"""Makers of episodes: seeded, endless, ideal memories that are right, splits that share nothing."""

from __future__ import annotations

import itertools
import random
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from memread.errors import ConfigError
from memread.train.data import frames, questions, quotes, real, relations, told, words
from memread.train.data.compose import Maker, Settings
from memread.train.data.corpus import Corpus
from memread.train.data.puzzles import MAKERS, Wordings
from memread.train.data.splits import deal, share
from memread.train.episode import NOT_SAID, Episode, Split

SPLITS: tuple[Split, ...] = get_args(Split)


class Words:
    """A tokenizer of words: fast, and good enough to cut by."""

    def count(self, text: str) -> int:
        return len(re.findall(r"\w+|[^\w\s]", text))


SETTINGS = Settings(segment_tokens=(60, 200), segments=(1, 8), puzzles=(1, 3))


def maker(split: Split, folder: Path | None = None, **changes: Any) -> Maker:
    kept = {name: getattr(SETTINGS, name) for name in SETTINGS.__struct_fields__}
    return Maker(split, 7, Words(), Settings(**kept | changes), folder)


def episodes(split: Split, number: int = 120, folder: Path | None = None, **changes: Any) -> list[Episode]:
    made = maker(split, folder, **changes)
    return [e for index in range(number) for e in made.family(index)]


def test_the_same_anywhere_any_time() -> None:
    first, again = maker("train"), maker("train")
    again.family(3)
    assert first.family(5) == again.family(5) != first.family(6)
    assert first.family(5) != Maker("train", 8, Words(), SETTINGS).family(5)
    taken = list(itertools.islice(first.episodes(4), 3))
    assert [e.id.rpartition("/")[0] for e in taken] == ["train/7/4", "train/7/5", "train/7/6"]


@pytest.mark.parametrize("with_files", [False, True])
@pytest.mark.parametrize("split", SPLITS)
def test_every_episode_is_right(split: Split, with_files: bool, folder: Path) -> None:
    found = episodes(split, 80, folder if with_files else None)
    for episode in found:
        text = "".join(episode.segments)
        assert len(episode.memories) == len(episode.segments) >= 1
        assert episode.split == split and episode.question.strip()
        # A statement says what it is about, then quotes what was read so far.
        read = ""
        for segment, memory in zip(episode.segments, episode.memories, strict=True):
            read += segment
            for line in memory.split("\n"):
                assert line in read or line.partition(": ")[2] in read, (line, read)
        if not episode.answers:
            assert episode.memories[-1] == "" and episode.reply == f"\\boxed{{{NOT_SAID}}}"
            continue
        known = episode.memories[-1].lower()
        wanted = episode.answers if episode.need_all else episode.answers[:1]
        if episode.kind != "multi-hop":
            assert all(answer.lower() in known for answer in wanted), episode
            assert all(answer.lower() in text.lower() for answer in wanted)
        assert all(answer in episode.reply for answer in wanted)
        assert episode.reply.startswith("\\boxed{") and episode.reply.endswith("}")


def test_kinds_of_questions(folder: Path) -> None:
    kinds = {episode.kind for episode in episodes("train", 250, folder)}
    assert kinds >= {
        *("needle", "story", "multi-key", "multi-value", "multi-query", "corrected", "chain"),
        *("not-in-text", "real", "multi-hop", "cloze", "about"),
    }


def test_segments_within_their_budget_and_as_many_as_asked_for() -> None:
    found = episodes("train", 100, segment_tokens=(80, 80), segments=(10, 10), cut=0.0)
    assert all(Words().count(segment) <= 80 for episode in found for segment in episode.segments)
    assert all(8 <= len(episode.segments) <= 24 for episode in found)
    assert any("" in e.memories[3:] and e.answers for e in found), "empty stretches of several segments"
    assert {len(e.segments) for e in episodes("train", 60, segments=(1, 1))} <= {1, 2, 3, 4, 5, 6}


def test_a_fact_cut_in_two_is_remembered_in_two() -> None:
    parts = 0
    for episode in episodes("train", 60, cut=1.0):
        for before, after in itertools.pairwise(episode.memories):
            last, grown = before.rpartition("\n")[2], after.split("\n")
            parts += bool(last) and any(line.startswith(last) and line != last for line in grown)
    assert parts > 20


def test_a_correction_replaces_what_it_corrects() -> None:
    replaced = 0
    for episode in episodes("train", 400):
        if episode.kind == "corrected":
            assert "\n" not in episode.memories[-1]
            steps = [memory for memory in dict.fromkeys(episode.memories) if memory]
            replaced += len(steps) > 1
            assert episode.answers[0] in steps[-1]
    assert replaced > 3


def test_memories_are_merged_not_replaced() -> None:
    grown = 0
    for episode in episodes("train", 200):
        if episode.kind == "multi-value":
            for before, after in itertools.pairwise(m for m in episode.memories if m):
                assert after.startswith(before.rpartition("\n")[0])
                grown += after.count("\n") > before.count("\n")
    assert grown > 10


def test_splits_share_no_wording() -> None:
    lines = [{s: frames.frames(s) for s in SPLITS}[split] for split in SPLITS]
    for field in set(frames.Frames._fields) - {"attributes"}:
        found = [set(getattr(one, field)) for one in lines]
        assert all(found), f"{field}: a split has none"
        assert not any(a & b for a, b in itertools.combinations(found, 2)), field
    attributes = [
        {name for group in one.attributes.values() for names in group for name in names} for one in lines
    ]
    assert not any(a & b for a, b in itertools.combinations(attributes, 2))
    told = [
        {text for one in relations.relations(split) for text in (*one.statements, *one.questions)}
        for split in SPLITS
    ]
    assert all(told) and not any(a & b for a, b in itertools.combinations(told, 2))
    # RULER's own wordings are evaluated with.
    for line in (questions.RULER_STATEMENT, questions.RULER_QUESTION, questions.RULER_CHAIN_QUESTION):
        assert not any(line in getattr(lines[0], field) for field in frames.Frames._fields)


def test_splits_share_no_entity() -> None:
    for name, found in words.LISTS.items():
        if name not in ("MONTHS", "ONSETS", "VOWELS", "CODAS", "ENDINGS"):
            shares = [set(share(found, split)) for split in SPLITS]
            assert all(shares), name
            assert sum(map(len, shares)) == len(set(found)), f"{name}: a word twice"

    def entities(split: Split) -> set[str]:
        w = words.Words(random.Random(3), split)
        makers = (w.person, w.place, w.made_up, w.holder)
        return {make() for make in makers for _ in range(400)}

    found = [entities(split) for split in SPLITS]
    # "room A5" and its like are no names: everything else must differ.
    found = [{name for name in names if not re.search(r"[A-Z]\d", name)} for names in found]
    assert not any(a & b for a, b in itertools.combinations(found, 2))


def test_splits_share_no_text(folder: Path) -> None:
    corpora = [Corpus(split, folder) for split in SPLITS]
    texts = [
        {p.text for p in c.paragraphs}
        | {a.context for a in c.asked}
        | {" ".join(sentences) for m in c.multi_hop for _, sentences, _ in m.gold}
        | {text.partition("\n")[2] for m in c.multi_hop for text in m.others}
        | {source.run[source.at] for item in c.written for source in item.sources}
        | {block for run in c.books for block in run}
        for c in corpora
    ]
    assert all(texts) and all(c.multi_hop and c.asked for c in corpora)
    assert not any(a & b for a, b in itertools.combinations(texts, 2))
    titles = [{p.title for p in c.paragraphs} | {g[0] for m in c.multi_hop for g in m.gold} for c in corpora]
    assert not any(a & b for a, b in itertools.combinations(titles, 2))
    assert not any("EVALUATION" in text for found in texts for text in found)


def test_the_haystack_may_come_from_beside_the_questions(folder: Path) -> None:
    often = dict.fromkeys([*MAKERS, *real.MAKERS], 0.0) | {"written": 1.0}

    def shared(beside: float) -> float:
        found = episodes("train", 60, folder, often=often, beside=beside, segments=(6, 8), puzzles=(1, 1))
        about = [e for e in found if "What ended with chapter" in e.question]
        ended = [len(re.findall(r"End of chapter", "".join(e.segments))) for e in about]
        return sum(ended) / len(ended)

    assert shared(1.0) > shared(0.0) + 2


def test_the_number_of_wordings() -> None:
    lines = frames.frames("train")
    attributes = sum(len(names) for group in lines.attributes.values() for names in group)
    assert len(lines.statements) * (len(lines.wraps) + 1) * attributes > 400_000
    r = random.Random(0)
    w = Wordings(words.Words(r, "train"), lines)
    shapes = set()
    for _ in range(1000):
        plant = MAKERS["needle"][0](w).plants[0]
        shapes.add(re.sub(r"[A-Z0-9][\w,.:/-]*", "X", plant.text))
    assert len(shapes) > 850


def test_a_line_stays_in_its_split_when_others_are_added() -> None:
    lines = [f"line {n}" for n in range(40)]
    for split in SPLITS:
        assert set(deal(lines[:30], split)) <= set(deal(lines, split))
        assert set(share(lines[::2], split)) <= set(share(lines, split))


@pytest.mark.parametrize(
    ("sentence", "asked", "answers", "quoted"),
    [
        (
            "By the way, the colour of Zorn is red.",
            "What is the colour of Zorn?",
            ["red"],
            "colour of Zorn is red.",
        ),
        ("We heard that Red is the colour of Zorn.", "Zorn's colour?", ["red"], "Red is the colour of Zorn."),
        ("Nobody saw it coming.", "What is the colour of Zorn?", [], "Nobody saw it coming."),
        ("Some said Ann was there with 12 others.", "Who was with Ann?", [], "Ann was there with 12 others."),
        (
            "There were those which would be there.",
            "Which were there?",
            [],
            "There were those which would be there.",
        ),
    ],
)
def test_a_quotation_begins_where_it_tells_something(
    sentence: str, asked: str, answers: list[str], quoted: str
) -> None:
    assert sentence[quotes.begins(sentence, asked, answers) :] == quoted


def test_how_often_each_maker_is_used_may_be_said() -> None:
    every = [*MAKERS, *real.MAKERS]
    only = Settings(segment_tokens=(60, 200), often=dict.fromkeys(every, 0.0) | {"chain": 1.0})
    maker = Maker("train", 7, Words(), only)
    assert {episode.kind for number in range(20) for episode in maker.family(number)} == {"chain"}
    with pytest.raises(ConfigError, match="there is no maker nedle"):
        Maker("train", 7, Words(), Settings(often={"nedle": 1.0}))


def test_sets_that_were_written() -> None:
    texts = {split: {line for each in told.sets(split) for line in each.lines} for split in SPLITS}
    for one, other in itertools.combinations(SPLITS, 2):
        assert texts[one] and texts[other] and not texts[one] & texts[other]
    asked: list[str] = []
    for split in SPLITS:
        for each in told.sets(split):
            asked += [*each.unsaid, *(a.question for a in each.asked)]
            assert len(set(each.lines)) == len(each.lines) and each.unsaid
            for question, answers, needs in each.asked:
                said = [each.lines[number] for number in needs]
                assert answers and any(answer in line for answer in answers for line in said), question
                assert answers[0] not in question
    assert len(set(asked)) == len(asked) and all(question.endswith("?") for question in asked)

    only = dict.fromkeys([*MAKERS, *real.MAKERS], 0.0) | {"told": 1.0}
    found = [
        e for number in range(20) for e in maker("dev", often=only, cut=0.0, puzzles=(1, 1)).family(number)
    ]
    assert {episode.kind for episode in found} == {"told", "not-in-text"}
    for episode in found:
        text = "".join(episode.segments)
        (mine,) = (each for each in told.sets("dev") if all(line in text for line in each.lines))
        wanted = {each.question: each.answers for each in mine.asked} | dict.fromkeys(mine.unsaid, ())
        assert wanted[episode.question] == episode.answers
