"""Texts and questions from files: found where they belong, asked with what stands around them."""

from __future__ import annotations

import itertools
import json
import random
import re
from pathlib import Path

from memread.train.data import frames, real, words
from memread.train.data.corpus import Corpus, Paragraph, split_sentences
from memread.train.data.puzzles import Wordings
from memread.train.data.splits import SPLITS


def test_written_questions_are_found_by_what_they_quote(folder: Path) -> None:
    corpora = [Corpus(split, folder) for split in SPLITS]
    found = [item for corpus in corpora for item in corpus.written]
    asked = [item.question for item in found]
    assert len(asked) == len(set(asked)) and "Who else?" not in asked
    assert sum("chapter" in question for question in asked) == 199
    for item in found:
        for quote, source in zip(item.quotes, item.sources, strict=True):
            assert quote in source.run[source.at]
            assert source.title == "" or source.run[source.at].startswith(source.title)


def test_written_questions_about_a_text_are_asked_together(folder: Path) -> None:
    corpus = Corpus("train", folder)
    wordings = Wordings(words.Words(random.Random(1), "train"), frames.frames("train"))
    made = [puzzle for _ in range(300) if (puzzle := real.written(wordings, corpus)) is not None]
    kinds = {query.kind for puzzle in made for query in puzzle.queries}
    assert kinds == {"real", "multi-hop", "not-in-text"}
    assert max(len(puzzle.queries) for puzzle in made) == 4
    texts = {item.question: item for item in corpus.written}
    for puzzle in made:
        whole = "".join(plant.before + plant.text + plant.after.replace("\0", " ") for plant in puzzle.plants)
        for query in puzzle.queries:
            item = texts[query.question]
            assert all(quote in whole for quote in item.quotes)
            read = " ".join(puzzle.plants[i].text for i in query.evidence)
            assert query.answers == item.answers
            assert not query.answers or all(quote in read for quote in item.quotes)
        # A few pages of a book, in its order, and what surrounds them.
        if "End of chapter" in whole:
            numbers = [int(n) for n in re.findall(r"End of chapter (\d+)\.", whole)]
            assert numbers == list(range(numbers[0], numbers[-1] + 1))
            around = {int(n) for text in puzzle.beside for n in re.findall(r"End of chapter (\d+)\.", text)}
            assert around and not around.intersection(numbers)
            assert around <= set(range(numbers[0] - 6, numbers[-1] + 7))


def test_a_question_has_one_split_and_one_place() -> None:
    corpus = Corpus("dev")
    corpus.books = [["A is b.", "Here too C is d."], ["E is f.", "C is d."]]

    def asked(*quotes: str) -> list[tuple[tuple[str, ...], int]]:
        line = json.dumps({"question": "Who?", "answers": ["x"], "quotes": quotes}).encode()
        found = corpus._find([line], [["G is h. E is f."]])
        return [(source.run, source.at) for item in found for source in item.sources]

    first, last = map(tuple, corpus.books)
    assert asked("A is b.", "C is d.") == [(first, 0), (first, 1)]
    assert asked("C is d.", "E is f.") == [
        (last, 1),
        (last, 0),
    ]  # not in the run where the first stands first
    assert asked("A is b.", "E is f.") == []  # nothing is asked about two runs
    assert asked("E is f.") == []  # an earlier split says it


def test_what_an_earlier_split_says_is_in_no_other(folder: Path) -> None:
    said = [{block for run in Corpus(split, folder).books for block in run} for split in SPLITS]
    assert all(said) and not any(a & b for a, b in itertools.combinations(said, 2))


def test_each_question_needs_its_own_part_of_a_plant() -> None:
    text = "The tin soldier, who had one leg, stood firm. He said nothing to anybody."
    quotes = [["who had one leg"], ["one leg, stood firm. He said"], ["The tin"]]
    (plant,) = (p for p in real._planted("", text, itertools.chain(*quotes)) if "leg" in p.text)
    assert plant.text == "who had one leg, stood firm. He said"
    assert [real._part(plant.text, each) for each in quotes[:2]] == [
        "who had one leg,",
        "one leg, stood firm. He said",
    ]


def test_what_needs_two_paragraphs_stands_among_others_that_are_alike(folder: Path) -> None:
    corpus = Corpus("train", folder)
    wordings = Wordings(words.Words(random.Random(1), "train"), frames.frames("train"))
    made = [puzzle for _ in range(60) if (puzzle := real.written_hops(wordings, corpus)) is not None]
    assert made
    texts = {f"{p.title}\n{p.text}": p.title for p in corpus.paragraphs}
    for puzzle in made:
        first = puzzle.queries[0]
        assert first.kind == "multi-hop" and len(first.evidence) == 2
        beside = {texts[text] for text in puzzle.beside}
        assert beside and len(beside) <= 6
        assert not any(title in first.question for title in beside)  # those it is about


def test_paragraphs_are_alike_by_their_rarer_words() -> None:
    corpus = Corpus("train")
    about = ["a ship of iron", "a ship of wood", "a ship of wood and iron", "a town by a river"]
    corpus.paragraphs = [Paragraph(f"T{n}", f"It is {text}.") for n, text in enumerate(about)]
    # "ship" stands in three paragraphs, "iron" in two; the town has nothing of it.
    assert corpus.alike("Which ship is of iron?", ()) == (
        "T0\nIt is a ship of iron.",
        "T2\nIt is a ship of wood and iron.",
        "T1\nIt is a ship of wood.",
    )
    assert corpus.alike("Which ship is of iron?", ("T0", "T1")) == ("T2\nIt is a ship of wood and iron.",)
    assert corpus.alike("Who else?", ()) == ()


def test_overlapping_quotations_are_one_plant() -> None:
    text = "The tin soldier, who had one leg, stood firm. He said nothing.\n\nNobody saw it."
    plants = [*real._planted("", text, ["who had one leg", "one leg, stood firm.", "Nobody saw it.", "gone"])]
    assert [plant.text for plant in plants] == ["who had one leg, stood firm.", "Nobody saw it."]
    assert plants[0].before == "The tin soldier, " and plants[0].after == "\0"
    assert plants[1].after == ""


def test_sentences_are_not_cut_at_initials() -> None:
    text = 'J. R. R. Tolkien wrote it. It came out in 1937. "So it did." He smiled.'
    assert split_sentences(text) == [
        "J. R. R. Tolkien wrote it.",
        "It came out in 1937.",
        '"So it did."',
        "He smiled.",
    ]


PARAGRAPHS = {
    "The Bowen River is a river located in North Queensland.": "The Bowen River a river located",
    "He was the eldest legitimate son of Duke Henry Tuchet.": "Al Moe",
    "Gordon Flemyng directed six theatrical features in Leeds.": "how many theatrical features",
    "It was composed in January by Clara Schumann, who played it in Vienna.": "Al Moe",
    "The museum opened in 1932 with little ado; Her brother Ned paid.": "The museum opened in",
}


def test_sentences_ask_about_themselves() -> None:
    found: dict[str, set[tuple[str, str]]] = {text: set() for text in PARAGRAPHS}
    for split in SPLITS:
        corpus = Corpus(split)
        for text, made in found.items():
            corpus.paragraphs = [Paragraph("Al Moe (painter)", text)]
            for seed in range(60):
                w = Wordings(words.Words(random.Random(seed), split), frames.frames(split))
                puzzle = real.in_place(w, corpus)
                if puzzle is not None:
                    (query,) = puzzle.queries
                    made.add((query.question, *query.answers))
    for text, made in found.items():
        assert any(PARAGRAPHS[text] in question for question, _ in made), (text, made)
        for question, answer in made:
            assert answer in text and answer not in question
            assert not re.match("(?:He|Her|In what was He|It was comp)", question), question
    questions = {question for made in found.values() for question, _ in made}
    assert any(re.match(r"Of .* was Al Moe the eldest legitimate son\?", question) for question in questions)
    assert any(
        re.match("(?:Who|What) or (?:who|what|which) directed six", question) for question in questions
    )
