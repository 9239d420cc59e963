"""Questions about documents among documents: RULER-HotpotQA as MemAgent builds it, and RULER's two QA tasks.

The documents are numbered and follow each other in random order: the supporting ones, those that the data set
itself put beside them (they look like them), and others from a corpus. Once the corpus is used up it is used
again, in another order, which Item.repeated counts; a supporting document is never there twice.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Literal

from memread.errors import UsageError
from memread.eval.draw import Draw, Permutation
from memread.eval.item import Gold, Item
from memread.eval.lengths import Text, cut, fit, measured, passages
from memread.eval.qa import Dataset, Paragraph, Pool, Question
from memread.protocols import Tokenizer

_LEAST = 8
"""Tokens of a document that are worth beginning one for."""


def pick(dataset: Dataset, task: str, count: int, seed: int) -> list[Question]:
    """`count` questions, the same at every length, so that lengths can be compared. Raises UsageError."""
    if count > len(dataset.questions):
        raise UsageError(
            f"{task}: {count} samples are too many, {dataset.name} has {len(dataset.questions)} questions",
            "Ask for fewer samples, or give a larger question set.",
        )
    return [
        dataset.questions[index] for index in Draw(f"{task}/{seed}").sample(len(dataset.questions), count)
    ]


def by_documents(
    id: str, question: Question, documents: int, seed: int, pool: Pool, tokenizer: Tokenizer
) -> Item:
    """The RULER-HotpotQA item with so many documents; Item.length is what it has in tokens.

    Scored by `substring`, as MemAgent does. Raises UsageError for fewer documents than the question needs, or
    when there is nothing to distract with.
    """
    shelf = _Shelf(f"hotpotqa/{id}/{seed}", question, pool, tokenizer)
    text = measured(shelf.text(documents, 0.0), tokenizer)
    return _item("hotpotqa", id, question, round(text.tokens), seed, shelf, text, documents, "substring")


def by_length(
    task: str, id: str, question: Question, length: int, seed: int, pool: Pool, tokenizer: Tokenizer
) -> Item:
    """RULER's qa_1 (SQuAD) or qa_2 (HotpotQA) item of `length` tokens: whole documents, the last one cut.

    Scored by `part`, as RULER does. Raises UsageError when the supporting documents alone exceed `length`.
    """
    shelf = _Shelf(f"{task}/{id}/{seed}", question, pool, tokenizer)
    text = fit(length, tokenizer, lambda tokens: shelf.fill(tokens, task, length))
    return _item(task, id, question, length, seed, shelf, text, text.count, "part")


class _Shelf:
    """The documents around one question."""

    def __init__(self, salt: str, question: Question, pool: Pool, tokenizer: Tokenizer) -> None:
        self._salt, self._pool, self._tokenizer, self._id = salt, pool, tokenizer, question.id
        needed = {fact.paragraph for fact in question.facts}
        self.gold = [question.paragraphs[index] for index in sorted(needed)]
        beside = [paragraph for index, paragraph in enumerate(question.paragraphs) if index not in needed]
        self._own = self.gold + Draw(f"{salt}/own").shuffled(beside)
        self._sizes = [tokenizer.count(paragraph.body) for paragraph in self._own]
        self._excluded = {index for paragraph in self._own for index in pool.like(paragraph)}
        self._heads: dict[int, float] = {}
        self._facts: list[tuple[int, float]] = []
        """For each fact: in which of self.gold, and after which share of it."""
        for fact in question.facts:
            which = sorted(needed).index(fact.paragraph)
            body = self.gold[which].body
            self._facts.append((which, max(body.find(fact.text), 0) / len(body)))

    def repeated(self, documents: int) -> int:
        """How many of so many documents stand there again."""
        available = len(self._pool.paragraphs) - len(self._excluded)
        return max(documents - len(self._own) - available, 0)

    def fill(self, tokens: float, task: str, length: int) -> Text:
        """As many documents as `tokens` have room for."""
        used, documents = 0.0, 0
        needed = max(len(self.gold), 1)
        for size in itertools.chain(self._sizes, map(self._size, self._others())):
            more = self._head(documents + 1) + size
            if used + more > tokens:
                break
            used, documents = used + more, documents + 1
        else:
            raise UsageError(
                f"{task}: there are too few documents to distract with for {length} tokens",
                "Give a corpus of distractors.",
            )
        if documents < needed:
            raise UsageError(
                f"{task}: {length} tokens are too few for the documents that question {self._id} needs",
                "Ask for a longer text.",
            )
        return self.text(documents, tokens - used)

    def text(self, documents: int, rest: float) -> Text:
        """So many documents in random order; then the beginning of one more, `rest` tokens of it."""
        if documents < max(len(self.gold), 1):
            raise UsageError(
                f"{documents} documents are too few: the question needs {len(self.gold)}", "Ask for more."
            )
        if documents > len(self._own) and len(self._excluded) == len(self._pool.paragraphs):
            raise UsageError("there are no documents to distract with", "Give a corpus of distractors.")
        own = min(len(self._own), documents)
        places = Draw(f"{self._salt}/places").sample(documents, own)
        standing = dict(zip(places, range(own), strict=True))  # place in the text → which of its own
        tail = self._tail(documents, own, rest)

        def rows() -> Iterator[tuple[Paragraph, int]]:
            others = self._others()
            for place in range(documents):
                if place in standing:
                    yield self._own[standing[place]], self._sizes[standing[place]]
                else:
                    index = next(others)
                    yield self._pool.paragraphs[index], self._size(index)

        def pieces() -> Iterator[str]:
            for number, (paragraph, _) in enumerate(rows(), start=1):
                yield f"\n\nDocument {number}:\n{paragraph.body}"
            if tail:
                yield tail

        starts = [0.0] * len(self.gold)
        total = 0.0
        for place, (_, size) in enumerate(rows()):
            head = self._head(place + 1)
            if (which := standing.get(place, own)) < len(self.gold):
                starts[which] = total + head
            total += head + size
        total += self._tokenizer.count(tail) if tail else 0
        marks = [(starts[which] + share * self._sizes[which]) / total for which, share in self._facts]
        return Text(pieces, documents + bool(tail), total, tuple(marks))

    def _tail(self, documents: int, own: int, rest: float) -> str:
        if rest < self._head(documents + 1) + _LEAST:
            return ""
        after = next(itertools.islice(self._others(), documents - own, None), None)
        paragraph = self._own[own] if own < len(self._own) else None
        if paragraph is None:
            if after is None:
                return ""
            paragraph = self._pool.paragraphs[after]
        return cut(f"\n\nDocument {documents + 1}:\n{paragraph.body}", rest, self._tokenizer)

    def _others(self) -> Iterator[int]:
        """Of the pool, each once in random order, then again in another, for ever; none if it is empty."""
        size = len(self._pool.paragraphs)
        if size == len(self._excluded):
            return
        for turn in itertools.count():
            order = Permutation(size, f"{self._salt}/{turn}")
            for place in range(size):
                if (index := order[place]) not in self._excluded:
                    yield index

    def _size(self, index: int) -> int:
        return self._pool.count(index, self._tokenizer)

    def _head(self, number: int) -> float:
        """The tokens of a document's number, from a sample of numbers of as many digits."""
        digits = len(str(number))
        if digits not in self._heads:
            least = 10 ** (digits - 1)
            numbers = range(least, 10 * least, max(least // 7, 1))
            # With a word and then without it: some tokenizers put a token of their own before any text.
            counts = [self._tokenizer.count(f"\n\nDocument {each}:\nA") for each in numbers]
            self._heads[digits] = sum(counts) / len(counts) - self._tokenizer.count("A")
        return self._heads[digits]


def _item(
    task: str,
    id: str,
    question: Question,
    length: int,
    seed: int,
    shelf: _Shelf,
    text: Text,
    documents: int,
    metric: Literal["part", "substring"],
) -> Item:
    return Item(
        id=id,
        task=task,
        length=length,
        seed=seed,
        question=question.text,
        answers=question.answers,
        metric=metric,
        text=passages(text),
        gold=tuple(
            Gold(fact.text, fact.keys, mark) for fact, mark in zip(question.facts, text.marks, strict=True)
        ),
        documents=documents,
        repeated=shelf.repeated(documents),
        details={
            "tokens": round(text.tokens),
            "question_id": question.id,
            "kind": question.kind,
            "supporting": len(shelf.gold),
        },
    )
