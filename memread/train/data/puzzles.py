"""Facts to plant and questions about them, made from wordings."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Literal

import msgspec

from memread.train.data.frames import Frames, fill, sentence, stamp, wrapped
from memread.train.data.relations import TIMES, Relation, relations
from memread.train.data.splits import deal
from memread.train.data.words import Words

Form = Literal["sentence", "line", "block"]


class Plant(msgspec.Struct, frozen=True):
    """A piece of text that holds a fact."""

    text: str
    form: Form = "sentence"
    """Where it may stand: between two sentences, on its own line, or with `before` and `after` as a block."""
    before: str = ""
    after: str = ""
    title: str = ""
    """Put before the text in a memory that would not say what it is about."""


class Query(msgspec.Struct, frozen=True):
    """A question about plants."""

    kind: str
    question: str
    answers: tuple[str, ...]
    evidence: tuple[int, ...] = ()
    """Which plants of the puzzle the answer needs. () for a question that the text does not answer."""
    supersedes: tuple[tuple[int, int], ...] = ()
    """(new, old): once the new plant is read, it stands in the memory instead of the old one."""
    need_all: bool = False
    as_read: bool = False
    """The answers belong to the evidence one by one, and are given in the order of reading."""
    parts: tuple[str, ...] = ()
    """Of each plant of `evidence`, the part of its text that the answer needs. (): all."""


class Puzzle(msgspec.Struct, frozen=True):
    plants: tuple[Plant, ...]
    """In the order in which they stand in the text, when `ordered`."""
    queries: tuple[Query, ...]
    ordered: bool = False
    beside: tuple[str, ...] = ()
    """Texts about the same things that answer nothing: what surrounds the plants where they come from."""


class Wordings:
    """One split's wordings and words, drawn from one random stream."""

    def __init__(self, words: Words, frames: Frames) -> None:
        self.words, self.frames = words, frames
        self.random = words.random
        self._relations = relations(words.split)
        self._times = deal(TIMES, words.split)

    def attribute(self) -> tuple[str, str, str]:
        """(kind of value, the attribute as a text says it, as a question does): at times two words for it."""
        kind = self.random.choice(list(self.frames.attributes))
        names = self.random.choice(self.frames.attributes[kind])
        said = self.random.choice(names)
        return kind, said, self.random.choice(names) if self.random.random() < 0.4 else said

    def plant(self, attribute: str, holder: str, value: str) -> Plant:
        """The fact as a sentence, perhaps wrapped, or as a line of a log, a table, a program."""
        r = self.random
        if r.random() < 0.25:
            line = fill(r.choice(self.frames.lines), A=attribute, H=holder, V=value)
            return Plant(line, "line", before=self._prefix())
        text = sentence(fill(r.choice(self.frames.statements), A=attribute, H=holder, V=value))
        return self.dressed(text)

    def dressed(self, text: str) -> Plant:
        """A sentence as it stands, wrapped, or on a line."""
        r = self.random
        luck = r.random()
        if luck < 0.35:
            return Plant(sentence(wrapped(r.choice(self.frames.wraps), text, self.words.person())))
        if luck < 0.45:
            return Plant(text, "line", before=self._prefix())
        return Plant(text)

    def question(self, attribute: str, holder: str) -> str:
        return sentence(fill(self.random.choice(self.frames.questions), A=attribute, H=holder))

    def relation(self) -> tuple[Relation, str, dict[str, str]]:
        """(relation, holder, further fields)"""
        relation = self.random.choice(self._relations)
        holder = self.words.fresh(lambda: self._holder(relation))
        return relation, holder, {"T": self.words.pick("NOUNS")}

    def another(self, relation: Relation, holder: str) -> str:
        """Another holder of a relation; at times with a word of `holder` in its name."""
        first = holder.split()

        def made() -> str:
            words = self._holder(relation).split()
            if len(words) == len(first) > 1 and relation.holder != "ship" and self.random.random() < 0.5:
                at = self.random.randrange(len(words))
                words[at] = first[at]
            return " ".join(words)

        return self.words.fresh(made)

    def _holder(self, relation: Relation) -> str:
        words = self.words
        makers: dict[str, Callable[[], str]] = {
            "person": words.person,
            "place": words.place,
            "company": lambda: f"{words.made_up()} {words.pick('COMPANY')}",
            "ship": lambda: f"the {words.made_up()}",
            "thing": lambda: f"{words.pick('ADJECTIVES')} {words.pick('NOUNS')}",
        }
        return makers[relation.holder]()

    def told(self, relation: Relation, holder: str, value: str, fields: dict[str, str]) -> Plant:
        text = fill(self.random.choice(relation.statements), H=holder, V=value, **fields)
        if self.random.random() < 0.2:
            text = f"{self.random.choice(self._times)} {text}"
        return self.dressed(sentence(text) + ("" if text.endswith((".", "!", "?")) else "."))

    def asked(self, relation: Relation, holder: str, fields: dict[str, str]) -> str:
        return sentence(fill(self.random.choice(relation.questions), H=holder, **fields))

    def value(self, kind: str) -> str:
        words = self.words
        if kind == "company":
            return words.fresh(lambda: f"{words.made_up()} {words.pick('COMPANY')}")
        return words.value(kind)

    def indent(self, form: Form) -> str:
        """What stands before a line of a program or a log."""
        return self._prefix() if form == "line" else ""

    def _prefix(self) -> str:
        if self.random.random() < 0.5:
            return ""
        prefix = self.random.choice(self.frames.prefixes)
        return fill(prefix, D=stamp(self.random), K=str(self.random.randint(1, 300))) + " "


def needle(w: Wordings) -> Puzzle:
    """One fact of the kind "the A of H is V"; sometimes a question about another A of the same H."""
    kind, said, asked = w.attribute()
    holder, value = w.words.holder(), w.value(kind)
    queries = [Query("needle", w.question(asked, holder), (value,), (0,))]
    if w.random.random() < 0.3:
        other = w.attribute()[2]
        if other not in (said, asked):
            queries.append(Query("not-in-text", w.question(other, holder), ()))
    return Puzzle((w.plant(said, holder, value),), tuple(queries))


def story(w: Wordings) -> Puzzle:
    """One fact told by a verb; sometimes a question about somebody else."""
    relation, holder, fields = w.relation()
    value = w.value(relation.value)
    queries = [Query("story", w.asked(relation, holder, fields), (value,), (0,))]
    if w.random.random() < 0.3:
        _, other, _ = next(found for found in iter(w.relation, None) if found[0].holder == relation.holder)
        queries.append(Query("not-in-text", w.asked(relation, other, fields), ()))
    return Puzzle((w.told(relation, holder, value, fields),), tuple(queries))


def twins(w: Wordings) -> Puzzle:
    """The same told of several; one or two are asked for, and at times one of whom it is not told."""
    relation, first, fields = w.relation()
    holders = [first, *(w.another(relation, first) for _ in range(w.random.randint(1, 4)))]
    values = [w.value(relation.value) for _ in holders]
    plants = tuple(w.told(relation, h, v, fields) for h, v in zip(holders, values, strict=True))
    chosen = w.random.sample(range(len(holders)), 2)
    queries = [Query("story", w.asked(relation, holders[i], fields), (values[i],), (i,)) for i in chosen]
    if w.random.random() < 0.6:
        queries.append(Query("not-in-text", w.asked(relation, w.another(relation, first), fields), ()))
    return Puzzle(plants, tuple(queries))


def look_alikes(w: Wordings) -> Puzzle:
    """The same attribute of several holders that look alike; one or two are asked for, or one not there."""
    kind, said, asked = w.attribute()
    first = w.words.holder()
    holders = [first, *(w.words.resembling(first) for _ in range(w.random.randint(2, 6)))]
    values = [w.value(kind) for _ in holders]
    plants = tuple(w.plant(said, holder, value) for holder, value in zip(holders, values, strict=True))
    chosen = w.random.sample(range(len(holders)), 2)
    queries = [Query("multi-key", w.question(asked, holders[i]), (values[i],), (i,)) for i in chosen]
    if w.random.random() < 0.5:
        queries.append(Query("not-in-text", w.question(asked, w.words.resembling(first)), ()))
    return Puzzle(plants, tuple(queries))


def several_values(w: Wordings) -> Puzzle:
    """One holder with the same attribute several times; all values are asked for."""
    kind, said, asked = w.attribute()
    holder = w.words.holder()
    values = [w.value(kind) for _ in range(w.random.randint(2, 4))]
    frame = w.random.choice(w.frames.several_values)
    number = {2: "two", 3: "three", 4: "four"}[len(values)]
    question = sentence(fill(frame, A=asked, H=holder, N=number))
    plants = tuple(w.plant(said, holder, value) for value in values)
    return Puzzle(
        plants,
        (
            Query(
                "multi-value", question, tuple(values), tuple(range(len(values))), need_all=True, as_read=True
            ),
        ),
    )


def several_holders(w: Wordings) -> Puzzle:
    """The same attribute of several holders, asked for in one question, among others."""
    kind, said, asked = w.attribute()
    holders = [w.words.holder() for _ in range(w.random.randint(2, 5))]
    values = [w.value(kind) for _ in holders]
    last = " and " if len(holders) == 2 else w.random.choice((" and ", ", and "))
    listed = f"{', '.join(holders[:-1])}{last}{holders[-1]}"
    question = sentence(fill(w.random.choice(w.frames.several_holders), A=asked, H=listed))
    plants = tuple(w.plant(said, holder, value) for holder, value in zip(holders, values, strict=True))
    one = w.random.randrange(len(holders))
    return Puzzle(
        plants,
        (
            Query("multi-query", question, tuple(values), tuple(range(len(values))), need_all=True),
            Query("multi-key", w.question(asked, holders[one]), (values[one],), (one,)),
        ),
    )


def corrected(w: Wordings) -> Puzzle:
    """A fact, and later what holds instead."""
    kind, said, asked = w.attribute()
    holder, old, new = w.words.holder(), w.value(kind), w.value(kind)
    frame = w.random.choice(w.frames.corrections)
    later = Plant(sentence(fill(frame, A=said, H=holder, V=new, O=old)))
    return Puzzle(
        (w.plant(said, holder, old), later),
        (Query("corrected", w.question(asked, holder), (new,), (0, 1), ((1, 0),)),),
        ordered=True,
    )


def chain(w: Wordings) -> Puzzle:
    """A value handed on from variable to variable, in order; all that have it are asked for."""
    r = w.random
    names = [w.words.fresh(lambda: w.words.made_up().upper()[:5]) for _ in range(r.randint(2, 4))]
    value = w.value("number")
    step = r.choice(w.frames.chain_steps)
    form: Form = "sentence" if step.endswith(".") else "line"
    pairs = [(value, names[0]), *pairwise(names)]
    first = step.replace("VAR {A}", "{A}")
    plants = tuple(
        Plant(sentence(fill(first if a == value else step, A=a, B=b)), form, before=w.indent(form))
        for a, b in pairs
    )
    question = fill(r.choice(w.frames.chain_questions), V=value)
    return Puzzle(
        plants,
        (Query("chain", question, tuple(names), tuple(range(len(names))), need_all=True),),
        ordered=True,
    )


MAKERS: dict[str, tuple[Callable[[Wordings], Puzzle], float]] = {
    "needle": (needle, 6.0),
    "story": (story, 4.0),
    "twins": (twins, 2.0),
    "look_alikes": (look_alikes, 2.0),
    "several_values": (several_values, 1.5),
    "several_holders": (several_holders, 1.5),
    "corrected": (corrected, 1.0),
    "chain": (chain, 0.7),
}
"""Makers that need no files, and how often each is used."""
