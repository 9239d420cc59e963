"""What facts stand in: endless blocks of text of one kind."""

from __future__ import annotations

from collections.abc import Iterator

from memread.train.data.corpus import Corpus
from memread.train.data.frames import Frames, fill, sentence, stamp
from memread.train.data.words import Words

REAL = ("encyclopaedia", "encyclopaedia", "prose", "prose")
MADE = ("log", "code", "list", "noise", "facts", "story")
LINES = frozenset({"log", "code", "list"})
"""Kinds whose blocks are lines."""


def kinds(corpus: Corpus) -> tuple[str, ...]:
    """The kinds there are, likelier ones several times."""
    real = tuple(kind for kind in REAL if (corpus.paragraphs if kind == "encyclopaedia" else corpus.books))
    return real * 2 + MADE


def blocks(kind: str, words: Words, corpus: Corpus, frames: Frames) -> Iterator[str]:
    """Blocks of `kind`, without end."""
    r = words.random
    if kind == "encyclopaedia":
        while True:
            paragraph = r.choice(corpus.paragraphs)
            yield f"{paragraph.title}\n{paragraph.text}" if r.random() < 0.3 else paragraph.text
    elif kind == "prose":
        while True:
            run = r.choice(corpus.books)
            yield from run[r.randrange(len(run)) :]
    makers = {"log": _log, "code": _code, "list": _list, "noise": _noise, "facts": _facts, "story": _story}
    while True:
        yield makers[kind](words, frames)


def _log(words: Words, frames: Frames) -> str:
    r = words.random
    service = words.pick("NOUNS")
    return r.choice(
        (
            f"{stamp(r)} INFO {service}: request {r.randint(100, 99999)} done in {r.randint(1, 900)} ms",
            f"{stamp(r)} DEBUG [{words.pick('NOUNS')}-{r.randint(1, 9)}] cache hit, {r.randint(1, 99)} left",
            f"{stamp(r)} WARN {service}.worker retry {r.randint(1, 5)} of 5",
            f'10.0.{r.randint(0, 255)}.{r.randint(1, 254)} "GET /{words.pick("NOUNS")}" 200',
            f"{stamp(r)} INFO user {words.pick('LAST').lower()} logged in",
            f"{stamp(r)} ERROR {service}: timeout after {r.randint(1, 60)} s",
        )
    )


def _code(words: Words, frames: Frames) -> str:
    r = words.random
    a, b, c = (words.pick("NOUNS") for _ in range(3))
    return r.choice(
        (
            f"def {a}_{b}({c}):\n    return {c} * {r.randint(2, 99)}",
            f"for {a} in range({r.randint(2, 500)}):\n    {b}.append({a})",
            f"if {a} > {r.randint(1, 9999)}:\n    {b} = {c}",
            f"{a} = {b}.get('{c}', {r.randint(0, 99)})",
            f"class {a.capitalize()}{b.capitalize()}:\n    {c} = {r.randint(0, 9)}",
            f"assert {a}({b}) == {r.randint(0, 9999)}",
            f"import {a}",
        )
    )


def _list(words: Words, frames: Frames) -> str:
    r = words.random
    return r.choice(
        (
            f"- {words.pick('ADJECTIVES')} {words.pick('NOUNS')}, {r.randint(1, 40)} pieces",
            f"{words.person()}, {words.pick('JOBS')}, {words.place()}",
            f"{words.place()} {r.randint(1000, 99999)} {words.pick('COLORS')}",
            f"{r.randint(1, 200)}. {words.pick('NOUNS')} and {words.pick('NOUNS')}",
            f"{words.pick('FOODS')}, {words.money()}",
        )
    )


def _noise(words: Words, frames: Frames) -> str:
    r = words.random
    sentences = (
        lambda: f"The {words.pick('NOUNS')} is {words.pick('ADJECTIVES')}.",
        lambda: f"There goes the {words.pick('NOUNS')}.",
        lambda: f"Every {words.pick('NOUNS')} needs a {words.pick('NOUNS')}.",
        lambda: f"{words.pick('ADJECTIVES').capitalize()}, {words.pick('ADJECTIVES')}, on and on.",
        lambda: " ".join(words.pick("NOUNS") for _ in range(r.randint(3, 12))) + ".",
    )
    return " ".join(r.choice(sentences)() for _ in range(r.randint(4, 12)))


def _facts(words: Words, frames: Frames) -> str:
    """Facts nobody asks for: what a question is asked about must be told from these."""
    r = words.random
    made = []
    for _ in range(r.randint(1, 5)):
        kind = r.choice(list(frames.attributes))
        attribute = r.choice(r.choice(frames.attributes[kind]))
        text = fill(r.choice(frames.statements), A=attribute, H=words.holder(), V=words.value(kind))
        made.append(sentence(text))
    return " ".join(made)


def _story(words: Words, frames: Frames) -> str:
    r = words.random
    hero = words.person()
    sentences = (
        lambda: f"{hero} looked at the {words.pick('NOUNS')} and said nothing.",
        lambda: f"It was a {words.pick('ADJECTIVES')} morning.",
        lambda: f"The {words.pick('JOBS')} came back with some {words.pick('FOODS')}.",
        lambda: (
            f"They walked past the {words.pick('ADJECTIVES')} {words.pick('NOUNS')} towards {words.place()}."
        ),
        lambda: f"Nobody in {words.place()} had seen {hero} before.",
        lambda: f'"We will need a {words.pick("NOUNS")}," said {words.pick("FIRST")}.',
        lambda: f"For {r.randint(2, 30)} days {hero} waited for the {words.pick('JOBS')}.",
    )
    return " ".join(r.choice(sentences)() for _ in range(r.randint(3, 9)))
