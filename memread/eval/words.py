"""RULER's two tasks of counting: the common words of a list, the frequent words of a coded text.

The answer is in no one place, so Gold names each word that the answer needs where it first stands. A memory
without the word has lost it for certain; one that holds it may still lack its count.
"""

from __future__ import annotations

import functools
import math
from bisect import bisect_right
from collections.abc import Iterator
from importlib import resources
from itertools import accumulate

from memread.errors import UsageError
from memread.eval.draw import Draw, Permutation
from memread.eval.item import Gold, Item
from memread.eval.lengths import Text, fit, passages
from memread.protocols import Tokenizer

_COMMON = 10
_COUNTED = 8_000
"""Words whose tokens are counted one by one; further ones are taken to be like them."""
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_CODED = 6
_ZETA2 = math.pi * math.pi / 6


@functools.cache
def listed(kind: str) -> tuple[str, ...]:
    """The words that ship: "adjectives", "nouns" or "verbs", sorted."""
    file = resources.files("memread.eval").joinpath(f"data/{kind}.txt")
    return tuple(file.read_text(encoding="utf-8").split())


class Pairs:
    """Every "adjective-noun", in an order that `seed` decides: millions, none twice, none held."""

    def __init__(self, seed: str) -> None:
        self._adjectives, self._nouns = listed("adjectives"), listed("nouns")
        self._order = Permutation(len(self._adjectives) * len(self._nouns), seed)

    def __len__(self) -> int:
        return self._order.size

    def __getitem__(self, index: int) -> str:
        adjective, noun = divmod(self._order[index], len(self._nouns))
        return f"{self._adjectives[adjective]}-{self._nouns[noun]}"


class _Singles:
    """Every listed word, in an order that `seed` decides."""

    def __init__(self, seed: str) -> None:
        self._words = sorted({*listed("adjectives"), *listed("nouns"), *listed("verbs")})
        self._order = Permutation(len(self._words), seed)

    def __len__(self) -> int:
        return self._order.size

    def __getitem__(self, index: int) -> str:
        return self._words[self._order[index]]


class _List:
    """The numbered list: ten words often, all others seldom, shuffled."""

    def __init__(self, words: Pairs | _Singles, often: int, seldom: int, tokenizer: Tokenizer) -> None:
        self.words, self.often, self.seldom = words, often, seldom
        self._count = tokenizer.count
        # A common word within another would be scored as found whenever the other is.
        self.common: list[str] = []
        self.first = 0
        """The first word that is not common."""
        while len(self.common) < _COMMON:
            word = words[self.first]
            self.first += 1
            if not any(word in other or other in word for other in self.common):
                self.common.append(word)
        self._heads = often * sum(self._count(" " + word) for word in self.common)
        self._sums = [0]
        self._number: dict[int, float] = {}

    @property
    def limit(self) -> int:
        """The most entries the words last for."""
        return _COMMON * self.often + self.seldom * (len(self.words) - self.first)

    def tokens(self, entries: int) -> float:
        """Of a list with so many entries, numbers included."""
        words, rest = divmod(entries - _COMMON * self.often, self.seldom)
        tail = self.seldom * self._others(words) + rest * (self._others(words + 1) - self._others(words))
        return self._heads + tail + self._numbers(entries)

    def _others(self, words: int) -> float:
        """The tokens of so many of the other words."""
        while len(self._sums) <= min(words, _COUNTED):
            word = self.words[self.first + len(self._sums) - 1]
            self._sums.append(self._sums[-1] + self._count(" " + word))
        return self._sums[words] if words < len(self._sums) else self._sums[-1] / _COUNTED * words

    def _numbers(self, entries: int) -> float:
        """The tokens of " 1." … up to `entries`, from samples beyond three digits."""
        found = 0.0
        for digits in range(1, len(str(entries)) + 1):
            least = 10 ** (digits - 1)
            if digits not in self._number:
                draw = Draw(f"numbers/{digits}")
                some = [least + draw.below(9 * least) for _ in range(1000)] if digits > 3 else []
                # With a word and then without it: some tokenizers put a token of their own before any text.
                counts = [self._count(f" {number}. a") for number in some or range(least, 10 * least)]
                self._number[digits] = sum(counts) / len(counts) - self._count(" a")
            found += (min(entries, 10 * least - 1) - least + 1) * self._number[digits]
        return found

    def word(self, slot: int) -> str:
        """The word of an entry before shuffling."""
        if slot < _COMMON * self.often:
            return self.common[slot // self.often]
        return self.words[self.first + (slot - _COMMON * self.often) // self.seldom]


def common_words(id: str, length: int, seed: int, tokenizer: Tokenizer) -> Item:
    """cwe: ten words stand 30 times each among words that stand 3 times (6 and 1 below 4096 tokens).

    RULER's words last for a list of about 8,000; beyond, every word is an "adjective-noun". Raises
    UsageError for a length that the ten words alone exceed.
    """
    often, seldom = (30, 3) if length >= 4096 else (6, 1)
    salt = f"cwe/{id}/{seed}"
    entries = _List(_Singles(salt), often, seldom, tokenizer)
    pairs = entries.tokens(entries.limit) < 1.01 * length
    if pairs:
        entries = _List(Pairs(salt), often, seldom, tokenizer)
    least = _COMMON * often + 1

    def build(tokens: float) -> Text:
        low, high = least, entries.limit
        if entries.tokens(low) > tokens:
            raise UsageError(
                f"cwe: {length} tokens are too few for its words, which take {entries.tokens(low):.0f}",
                "Ask for a longer text.",
            )
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if entries.tokens(middle) <= tokens else (low, middle - 1)
        order = Permutation(low, salt)

        def pieces() -> Iterator[str]:
            for place in range(low):
                yield f" {place + 1}. {entries.word(order[place])}"

        slots = [range(number * often, (number + 1) * often) for number in range(_COMMON)]
        marks = [min(map(order.index, slot)) / low for slot in slots]
        return Text(pieces, low, entries.tokens(low), tuple(marks))

    text = fit(length, tokenizer, build)
    gold = [Gold(word, (word,), mark) for word, mark in zip(entries.common, text.marks, strict=True)]
    return Item(
        id=id,
        task="cwe",
        length=length,
        seed=seed,
        question="The text is a numbered list of words. What are the 10 most common words in it?",
        answers=tuple(entries.common),
        metric="all",
        text=passages(text),
        gold=tuple(gold),
        details={
            "tokens": round(text.tokens),
            "entries": text.count,
            "often": often,
            "seldom": seldom,
            "words": "adjective-noun" if pairs else "listed",
        },
    )


def frequent_words(id: str, length: int, seed: int, tokenizer: Tokenizer) -> Item:
    """fwe: coded words drawn from a zeta distribution with exponent 2, the most frequent one printed as dots.

    The k-th word stands n / (k² ζ(2)) times, rounded down, of at most length / 50 words, as in RULER. Raises
    UsageError for a length at which the fourth and the fifth word are equally frequent.
    """
    salt = f"fwe/{id}/{seed}"
    draw = Draw(salt)
    vocabulary: list[str] = ["..."]
    while len(vocabulary) < max(length // 50, 5):
        if (word := "".join(draw.choice(_LETTERS) for _ in range(_CODED))) not in vocabulary:
            vocabulary.append(word)
        if len(vocabulary) ** 2 * _ZETA2 > 2 * length:  # no later word could stand even once
            break
    sizes = [tokenizer.count(" " + word) for word in vocabulary]

    def counts(drawn: int) -> list[int]:
        return [int(drawn / ((rank + 1) ** 2 * _ZETA2)) for rank in range(len(vocabulary))]

    def total(drawn: int) -> int:
        return sum(count * size for count, size in zip(counts(drawn), sizes, strict=True))

    def build(tokens: float) -> Text:
        low, high = 0, 2 * length + 100
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if total(middle) <= tokens else (low, middle - 1)
        found = counts(low)
        if found[3] <= found[4]:
            raise UsageError(
                f"fwe: {length} tokens are too few for three most frequent words", "Ask for more."
            )
        ends = list(accumulate(found))
        order = Permutation(ends[-1], salt)

        def word(place: int) -> int:
            return bisect_right(ends, order[place])

        def pieces() -> Iterator[str]:
            for place in range(ends[-1]):
                yield " " + vocabulary[word(place)]

        marks = [next(p for p in range(ends[-1]) if word(p) == rank) / ends[-1] for rank in (1, 2, 3)]
        return Text(pieces, ends[-1], float(total(low)), tuple(marks))

    text = fit(length, tokenizer, build)
    answers = tuple(vocabulary[1:4])
    return Item(
        id=id,
        task="fwe",
        length=length,
        seed=seed,
        question="The text is made of coded words. Ignore the dots '...'. "
        "What are the three most frequent coded words?",
        answers=answers,
        metric="all",
        text=passages(text),
        gold=tuple(Gold(word, (word,), mark) for word, mark in zip(answers, text.marks, strict=True)),
        details={"tokens": round(text.tokens), "entries": text.count, "exponent": 2.0},
    )
