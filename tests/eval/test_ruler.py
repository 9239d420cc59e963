"""RULER's thirteen tasks: what the paper defines, at the length asked for, as a stream, always the same."""

from __future__ import annotations

import hashlib
import math
import re
import tracemalloc
from collections import Counter
from itertools import chain

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from memread.bpe import BpeTokenizer
from memread.errors import EmptyInput, InputError, UsageError
from memread.eval import haystack, lengths, niah, words
from memread.eval.item import Item
from memread.eval.lengths import cut, parse_length
from memread.eval.scores import score
from memread.eval.tasks import GROUPS, RULER, Sources, expand, make, make_grid
from memread.segment import segments
from memread.types import Segment

NEEDLE = re.compile(r"One of the special magic (\w+) for (\S+) is: (\S+)\.")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def read(item: Item) -> str:
    return "".join(passage.text for passage in item.text())


def one(task: str, length: int, tokenizer: BpeTokenizer, sources: Sources, seed: int = 0) -> Item:
    return next(make(task, length, 1, seed, tokenizer, sources))


@pytest.mark.parametrize("length", [1024, 8192, 131072])
@pytest.mark.parametrize("task", RULER)
def test_lengths_are_within_one_percent(
    task: str, length: int, tokenizer: BpeTokenizer, sources: Sources
) -> None:
    item = one(task, length, tokenizer, sources)
    text = read(item)
    assert tokenizer.count(text) == pytest.approx(length, rel=0.01)
    assert item.details["tokens"] == pytest.approx(length, rel=0.01)
    assert item.length == length
    for gold in item.gold:
        assert text.count(gold.text) >= 1
        # Characters and tokens are not spread alike: of a short text, the needles are a large part.
        assert text.index(gold.text) / len(text) == pytest.approx(
            gold.depth, abs=0.08 if length < 8192 else 0.03
        )
        assert gold.keys


class Prefixing:
    """Counts one more for any text, as SentencePiece vocabularies do: pieces do not add up."""

    def __init__(self, inner: BpeTokenizer) -> None:
        self._inner = inner

    def count(self, text: str) -> int:
        return self._inner.count(text) + bool(text)


@pytest.mark.parametrize("task", RULER)
def test_lengths_hold_where_pieces_do_not_add_up(task: str, tokenizer: BpeTokenizer) -> None:
    other = Prefixing(tokenizer)
    item = next(make(task, 131_072, 1, 0, other, Sources()))
    assert other.count(read(item)) == pytest.approx(131_072, rel=0.01)


@pytest.mark.parametrize("task", RULER)
def test_items_differ_and_a_right_reply_scores_one(
    task: str, tokenizer: BpeTokenizer, sources: Sources
) -> None:
    items = [*make(task, 4096, 3, 7, tokenizer, sources)]
    assert [item.id for item in items] == [f"{task}/4096/{index}" for index in range(3)]
    assert len({item.question + read(item) for item in items}) == 3
    for item in items:
        assert score(item, ", ".join(item.answers)) == 1
        assert score(item, "I do not know") == 0


GOLDEN = {
    "niah_single_1": "bcc67d8260c69b4a",
    "niah_single_2": "fc340b88ba877d87",
    "niah_single_3": "577bbf71c61f27f3",
    "niah_multikey_1": "e8818c22eec4b624",
    "niah_multikey_2": "fef124fe8d613ec4",
    "niah_multikey_3": "1986a5250764f180",
    "niah_multivalue": "40beebf6f78d10c4",
    "niah_multiquery": "f02bba48a094d1de",
    "vt": "ea18cde2da63a2bd",
    "cwe": "aaea49c772a5a7d4",
    "fwe": "a08bdb38039a668d",
    "qa_1": "d539fdec847ba35e",
    "qa_2": "b887952dda1a2f09",
}


@pytest.mark.parametrize("task", RULER)
def test_items_never_change(task: str, tokenizer: BpeTokenizer, sources: Sources) -> None:
    """The same on any platform and Python; where a change is meant, results before it cannot be compared."""
    item = one(task, 2048, tokenizer, sources, seed=1)
    content = "\0".join(
        [read(item), item.question, *item.answers, *(f"{gold.depth:.6f}" for gold in item.gold)]
    )
    assert hashlib.sha256(content.encode()).hexdigest()[:16] == GOLDEN[task]


@settings(max_examples=25)
@given(task=st.sampled_from(GROUPS["niah"]), length=st.integers(1024, 6000), seed=st.integers(0, 10**9))
def test_needles_stand_in_the_text_as_they_are(
    task: str, length: int, seed: int, tokenizer: BpeTokenizer, sources: Sources
) -> None:
    kind = niah.KINDS[task]
    item = one(task, length, tokenizer, sources, seed)
    text = read(item)
    found = NEEDLE.findall(text)
    if kind.haystack != "needles":
        assert len(found) == kind.keys * kind.values == item.details["needles"]
    assert {valued for valued, _, _ in found} == {kind.valued}
    pairs = {(key, value) for _, key, value in found}
    assert len({value for _, value in pairs}) == len(found)  # no value twice
    assert len({key for key, _ in pairs}) == (len(found) if kind.values == 1 else 1)
    assert len(item.answers) == len(item.gold) == kind.asked * kind.values
    for gold, answer in zip(item.gold, item.answers, strict=True):
        assert text.count(gold.text) == 1
        assert gold.keys == (answer,)
        (match,) = NEEDLE.findall(gold.text)
        assert match[2] == answer
        assert match[1] in item.question
    shape = UUID if kind.valued == "uuids" else re.compile(r"[1-9]\d{6}")
    assert all(shape.fullmatch(answer) for answer in item.answers)


def test_needles_stand_between_sentences_of_the_book(tokenizer: BpeTokenizer, sources: Sources) -> None:
    item = one("niah_multiquery", 8192, tokenizer, sources)
    text = read(item)
    for gold in item.gold:
        text = text.replace(gold.text, "", 1)
    plain = " ".join("".join(sources.prose.units).split())
    kept = " ".join(text.split())
    assert kept in f"{plain} {plain}"


def test_the_book_repeats_and_says_so(tokenizer: BpeTokenizer, sources: Sources) -> None:
    assert one("niah_single_2", 8192, tokenizer, sources).details["haystack_repeats"] in (0, 1)
    item = one("niah_single_2", 131072, tokenizer, sources)
    book = sum(map(tokenizer.count, sources.prose.units))
    assert item.details["haystack_repeats"] == pytest.approx(131072 / book - 1, abs=1)
    assert read(item).count("Down the Rabbit-Hole") in (2, 3)


def test_variables_can_be_followed(tokenizer: BpeTokenizer, sources: Sources) -> None:
    item = one("vt", 4096, tokenizer, sources)
    values: dict[str, str] = {}
    for line in read(item).split("\n"):
        if found := re.fullmatch(r"VAR ([A-Z]{5}) = (?:VAR ([A-Z]{5})|(\d{5}))", line):
            values[found[1]] = found[3] or values[found[2]]  # a source always stands before its use
        else:
            assert "The grass is green. The sky is blue.".startswith(line[:36])
    assert tuple(values) == item.answers
    assert set(values.values()) == {item.details["value"]}
    assert len(values) == 5
    assert f"value {item.details['value']}," in item.question


@pytest.mark.parametrize(("length", "often", "seldom"), [(1024, 6, 1), (8192, 30, 3), (131072, 30, 3)])
def test_common_words(
    length: int, often: int, seldom: int, tokenizer: BpeTokenizer, sources: Sources
) -> None:
    item = one("cwe", length, tokenizer, sources)
    entries = re.findall(r"(\d+)\. (\S+)", read(item))
    assert [int(number) for number, _ in entries] == list(range(1, len(entries) + 1))
    counts = Counter(word for _, word in entries)
    assert {word for word, count in counts.items() if count == often} == set(item.answers)
    others = [count for word, count in counts.items() if word not in item.answers]
    assert len(item.answers) == 10
    assert max(others) == seldom
    assert sum(count < seldom for count in others) <= 1  # the last one
    # Beyond the listed words, all are pairs, the common ones too.
    assert (item.details["words"] == "adjective-noun") == all("-" in word for word in counts)
    assert not any(a in b for a in item.answers for b in item.answers if a != b)


def test_frequent_words_follow_the_zeta_distribution(tokenizer: BpeTokenizer, sources: Sources) -> None:
    item = one("fwe", 32768, tokenizer, sources)
    counts = Counter(read(item).split(" ")).most_common()
    assert counts[0][0] == "..."
    assert tuple(word for word, _ in counts[1:4]) == item.answers
    drawn = counts[0][1] * math.pi**2 / 6
    for rank, (word, count) in enumerate(counts[:20], start=1):
        assert count == pytest.approx(drawn / (rank * rank * math.pi**2 / 6), abs=1)
        assert word == "..." or re.fullmatch("[a-z]{6}", word)


def test_passages_say_where_they_are(tokenizer: BpeTokenizer, sources: Sources) -> None:
    for task in RULER:
        item = one(task, 16384, tokenizer, sources)
        passages = [*item.text()]
        before = ""
        last = 0.0
        for passage in passages:
            assert passage.locator.line == before.count("\n") + 1
            assert passage.fraction is not None
            assert passage.fraction > last
            last = passage.fraction
            before += passage.text
        assert last == 1
        assert before == before.lstrip()
        assert (
            "".join(
                part.text for part in segments(iter(passages), tokenizer, 2000) if isinstance(part, Segment)
            )
            == before
        )
        assert [*item.text()] == passages  # as often as one likes


def test_the_grid_has_its_needles_where_it_says(tokenizer: BpeTokenizer, sources: Sources) -> None:
    depths = [0, 0.25, 0.5, 0.75, 1]
    items = [*make_grid([8192, 16384], depths, 2, 0, tokenizer, sources)]
    assert len(items) == 20
    assert len({item.id for item in items}) == 20
    for item in items:
        (gold,) = item.gold
        text = read(item)
        assert text.index(gold.text) / len(text) == pytest.approx(float(item.details["cell"]), abs=0.03)
        assert gold.depth == pytest.approx(float(item.details["cell"]), abs=0.03)
    with pytest.raises(UsageError, match="depth"):
        make_grid([8192], [1.5], 1, 0, tokenizer, sources)


@pytest.mark.parametrize(
    ("task", "length"),
    [
        ("niah_single_2", 1_048_576),
        ("qa_2", 1_048_576),
        ("niah_multikey_2", 524_288),
        ("cwe", 262_144),
        ("fwe", 262_144),
    ],
)
def test_memory_does_not_grow_with_the_text(
    task: str, length: int, tokenizer: BpeTokenizer, sources: Sources, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is really counted has a limit too; with a low one, a text that is held would be seen.
    monkeypatch.setattr(lengths, "_PROBE", 20_000)
    monkeypatch.setattr(words, "_COUNTED", 500)
    one(task, 1024, tokenizer, sources)  # what is loaded or counted once is not the text's

    def peak(length: int) -> int:
        tracemalloc.start()
        for _ in one(task, length, tokenizer, sources).text():
            pass
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    short, long = peak(65_536), peak(length)
    assert long < 1.1 * short + 200_000  # the text has about 3 bytes a token


def test_impossible_lengths_are_refused_at_once(tokenizer: BpeTokenizer, sources: Sources) -> None:
    with pytest.raises(UsageError, match="out of range"):
        make("niah_single_1", 100, 1, 0, tokenizer, sources)
    with pytest.raises(UsageError, match="out of range"):
        make("niah_single_1", 10**9, 1, 0, tokenizer, sources)
    for task in ("niah_multiquery", "niah_multikey_3"):
        with pytest.raises(UsageError, match="too few"):
            niah.needles(task, "x", 60, 0, tokenizer, sources.prose)
    with pytest.raises(UsageError, match="too few"):
        words.common_words("x", 200, 0, tokenizer)
    with pytest.raises(UsageError, match="too few"):
        words.frequent_words("x", 60, 0, tokenizer)
    with pytest.raises(UsageError, match="0 samples"):
        make("vt", 4096, 0, 0, tokenizer, sources)
    with pytest.raises(UsageError, match="not one of"):
        make("vtt", 4096, 1, 0, tokenizer, sources)


def test_names() -> None:
    assert len(RULER) == 13
    assert len(GROUPS["niah"]) == 8
    assert expand(["all"]) == RULER
    assert expand(["qa", "vt", "qa_1"]) == ("vt", "qa_1", "qa_2")
    with pytest.raises(UsageError) as caught:
        expand(["niah_singel_1"])
    assert "niah_single_1" in caught.value.hint


def test_lengths_as_they_are_written() -> None:
    assert [parse_length(text) for text in ("8k", "128K", "3.5m", " 5000 ")] == [8192, 131072, 3670016, 5000]
    for text in ("", "k", "-1", "0", "8kb", "1e3"):
        with pytest.raises(UsageError):
            parse_length(text)


def test_any_prose_can_be_the_haystack(tokenizer: BpeTokenizer, tmp_path: object) -> None:
    text = (
        "First line\nwrapped. “Why?” asked he! Then — e.g. now.\n\n\nA heading\n\n"
        + "word " * 1500
        + "。終。"
    )
    hay = haystack.prose("mine", text)
    assert "".join(hay.units).split() == text.split()
    assert hay.units[1] == " “Why?” asked he!"
    assert "\n\nA heading" in hay.units
    assert max(map(len, hay.units)) <= 2010
    item = niah.needles("niah_single_2", "x", 5000, 0, tokenizer, hay)
    assert item.details["haystack"] == "mine"
    assert tokenizer.count(read(item)) == pytest.approx(5000, rel=0.01)
    with pytest.raises(EmptyInput):
        haystack.prose("mine", " \n\n ")
    with pytest.raises(InputError):
        haystack.load("/no/such/book.txt")
    book = haystack.load(__file__)
    assert NEEDLE.pattern in "".join(chain(book.units))


def test_cutting(tokenizer: BpeTokenizer) -> None:
    text = "\n" + "The grass is green. " * 9
    short = cut(text, 20, tokenizer)
    assert text.startswith(short)
    assert 16 <= tokenizer.count(short) <= 20
    assert text[len(short)] == " "
    number = " 550e8400-e29b-41d4-a716-446655440000" * 2
    assert 9 <= tokenizer.count(cut(number, 10, tokenizer)) <= 10  # within a word longer than that
    assert cut(text, 0, tokenizer) == ""


def test_the_book_and_the_words_ship() -> None:
    assert haystack.book().units[0] == "\n\nI. Down the Rabbit-Hole"
    for kind in ("adjectives", "nouns", "verbs"):
        found = words.listed(kind)
        assert list(found) == sorted(set(found))
        assert all(re.fullmatch("[a-z]{3,12}", word) for word in found)
