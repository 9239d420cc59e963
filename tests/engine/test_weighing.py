"""A reply that several prompts are asked for together, against what each of them predicts by itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from memread.engine.llamacpp.bare import Bare
from memread.engine.llamacpp.engine import LlamaEngine, Settings
from memread.engine.llamacpp.model import Model
from memread.engine.llamacpp.slot import common
from memread.engine.llamacpp.weighing import WIDTH, Weighed, Weighing
from memread.types import Part, Reply, Request, Sampling
from tests.engine.replies import finish

OPENING, REST = "\\boxed{", "not there}"
LINES = [
    "The cook is Ada.",
    "Bo keeps the keys, and has kept them for years.",
    "Who has the lamp?",
    "Nobody knows.",
]
LIMIT = 14


@pytest.fixture(scope="module")
def model(tiny_gguf: Path) -> Iterator[Model]:
    with Model(tiny_gguf) as loaded:
        yield loaded


@pytest.fixture
def engine(model: Model) -> Iterator[LlamaEngine]:
    yield from made(model)


def made(model: Model, slots: int = 1) -> Iterator[LlamaEngine]:
    settings = Settings(context=512, slots=slots, batch=32, weighs=True)
    found = LlamaEngine(model, settings, name="tiny", digest="")
    yield found
    found.close()


def prompt(memory: str) -> tuple[Part, ...]:
    return (Part("<|im_start|>", marker=True), Part("Question: who has the keys?\n\nMemory: "), Part(memory))


def ask(lines: Sequence[str], likely_from: float, standing: str = "", refused_from: float = 1.0) -> Request:
    """standing: what stands in the last of the parts that the lines are of, beside them."""
    parts = [*lines[:-1], f"{lines[-1]} {standing}"]
    return Request(
        "answer",
        prompt("\n".join(lines)),
        LIMIT,
        Sampling(),
        refusal=(OPENING, REST),
        refused_from=refused_from,
        beside=tuple(zip(parts, map(prompt, lines), strict=True)),
        likely_from=likely_from,
    )


class Hand:
    """What each prompt of a request replies, and how likely each makes every reply: every prompt computed
    anew for every token."""

    def __init__(self, model: Model, request: Request) -> None:
        self.model = model
        refused = model.vocabulary.encode(OPENING + REST)
        self.opening = refused[: common(model.vocabulary.encode(OPENING), refused)]
        prompts = [request.prompt, *(parts for _, parts in request.beside[:WIDTH])]
        encoded = [model.vocabulary.encode_prompt(parts) for parts in dict.fromkeys(prompts)]
        with Bare(model, Settings(context=512, batch=32)) as bare:

            def shares(prompt: list[int], tokens: list[int]) -> Any:
                row = bare.logits([*prompt, *self.opening, *tokens])[-1].astype(np.float64)
                found = np.exp(row - row.max())
                return found / found.sum()

            self.refusing = float(shares(encoded[0], [])[refused[len(self.opening)]])
            self.candidates: list[list[int]] = []
            for prompt in encoded:
                tokens: list[int] = []
                while len(self.opening) + len(tokens) < LIMIT and not self.ended(tokens):
                    row = shares(prompt, tokens)
                    row[refused[len(self.opening)]] *= bool(tokens)
                    tokens.append(int(row.argmax()))
                self.candidates.append(tokens)
            self.chances = [
                [
                    float(np.prod([shares(prompt, tokens[:n])[token] for n, token in enumerate(tokens)]))
                    for prompt in encoded
                ]
                for tokens in self.candidates
            ]

    def ended(self, tokens: list[int]) -> bool:
        return bool(tokens) and self.model.vocabulary.ends(tokens[-1])

    @property
    def whole(self) -> str:
        """The reply to the prompt alone, without its opening."""
        return self.said(0).text.removeprefix(OPENING)

    @property
    def best(self) -> Reply:
        """The likeliest with all."""
        return self.said(max(range(len(self.chances)), key=lambda n: sum(self.chances[n])))

    def said(self, number: int) -> Reply:
        tokens, chances = self.candidates[number], self.chances[number]
        pieces = map(self.model.vocabulary.piece, tokens[: -1 if self.ended(tokens) else None])
        text = OPENING + b"".join(pieces).decode("utf-8", "replace")
        likely = (chances[0] + max(chances[1:], default=chances[0])) / 2
        return Reply(text, "stop" if self.ended(tokens) else "length", likely=likely)


def backwards(text: str) -> str:
    return " ".join(reversed(re.findall(r"\w+", text)))


def reply(engine: LlamaEngine, request: Request) -> Reply:
    engine.submit(0, request)
    return finish(engine, 0)[0]


@pytest.mark.parametrize("count", [1, 2, 4, WIDTH + 4])
def test_the_reply_is_what_all_prompts_make_likeliest(model: Model, engine: LlamaEngine, count: int) -> None:
    lines = [*LINES, *(f"Line {number} says little." for number in range(count))][:count]
    hand = Hand(model, ask(lines, 1e-300))
    got = reply(engine, ask(lines, 1e-300, standing=hand.whole))
    assert (got.text, got.finish) == (hand.best.text, hand.best.finish)
    assert got.likely == pytest.approx(hand.best.likely, rel=1e-3)
    if count == 4:
        assert hand.best.text != hand.said(0).text, "the lines have no say"
    # What has words that stand in no part is weighed too; what is of several parts is not.
    assert reply(engine, ask(lines, 1e-300)).text == got.text
    got = reply(engine, ask(lines, 1.0, standing=backwards(hand.whole)))
    assert got.text == hand.said(0).text and got.likely is None


def test_an_unlikely_reply_is_a_refusal(model: Model, engine: LlamaEngine) -> None:
    hand = Hand(model, ask(LINES, 1))
    likely = hand.best.likely
    assert likely is not None and 0 < likely < 1
    assert reply(engine, ask(LINES, likely * 0.98, hand.whole)).text == hand.best.text
    refused = reply(engine, ask(LINES, likely * 1.02, hand.whole))
    assert refused.text == OPENING + REST and refused.likely == pytest.approx(likely, rel=1e-3)


def test_what_is_not_weighed_is_refused_by_the_prompt(model: Model, engine: LlamaEngine) -> None:
    hand = Hand(model, ask(LINES, 1))
    assert 0 < hand.refusing < 1
    apart = backwards(hand.whole)
    assert reply(engine, ask(LINES, 1, apart, refused_from=hand.refusing * 1.02)).text == hand.said(0).text
    for standing in (apart, hand.whole):
        refused = reply(engine, ask(LINES, 1e-300, standing, refused_from=hand.refusing * 0.98))
        assert refused.text == OPENING + REST


def test_what_is_collected_from_parts(engine: LlamaEngine) -> None:
    def collected(text: str, *parts: str) -> bool:
        assert engine._weighing is not None
        return engine._weighing._collected(tuple(engine._model.vocabulary.encode(text)), parts)

    for text, part in (("the Lamp}", "Who has THE LAMP?"), ("12", "It is 12."), (" 12 }", "12")):
        assert not collected(text, part), "it stands in one"
    for text in ("a, b}", "\\boxed{a, B and c}", "}"):
        assert collected(text, "c b", "A")
    for text, part in (("12}", "It is 3125."), ("a.c}", "abc"), ("a, d}", "a b c"), ("no}", "a")):
        assert not collected(text, part), "it has words of none"
    assert collected("12, 35 and 99}", "a 12", "a 35", "a 98"), "all but one of a list"
    for text in ("12, 99}", "12, 34, 99}", "99, 98}"):
        assert not collected(text, "a 12, b 34", "c 35"), "its entries stand in one part, or in none"


def test_the_mean_of_the_whole_and_the_best_line() -> None:
    assert Weighed([], True, False, [0.2, 0.1, 0.6]).likely == pytest.approx(0.4)
    assert Weighed([], True, False, [0.2]).likely == pytest.approx(0.2)
    assert Weighed([], True, False, []).likely is None


def test_others_go_on_as_if_alone(model: Model) -> None:
    def plain(text: str) -> Request:
        return Request("update", (Part("<|im_start|>", marker=True), Part(text * 9)), 20, Sampling())

    whole, part = (Hand(model, ask(lines, 1)).whole for lines in (LINES, LINES[1:]))
    weighed = [ask(LINES, 1e-300, whole), ask(LINES[1:], 1e-300, part), ask(LINES, 1.0, whole)]
    requests = dict(enumerate([weighed[0], plain("a sea "), weighed[1], plain("harbour "), weighed[2]]))
    for engine in made(model, slots=3):
        for ticket, request in requests.items():
            engine.submit(ticket, request)
        together = finish(engine, *requests)
    for single in made(model):
        # Batches of other shapes may break a tie between two tokens differently: seldom.
        alike = [reply(single, request).text == together[n].text for n, request in requests.items()]
        assert sum(alike) >= 4
    assert together[4].text == OPENING + REST


def test_nothing_is_left_behind(model: Model, engine: LlamaEngine) -> None:
    plain = Request("answer", prompt("\n".join(LINES)), 20, Sampling())
    reply(engine, ask(LINES, 1e-300))
    again = reply(engine, plain)
    for fresh in made(model):
        assert reply(fresh, plain).text == again.text


def test_an_interrupt_ends_it(model: Model, engine: LlamaEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = Weighing._computed

    def interrupted(self: Weighing, *arguments: Any) -> Any:
        engine.interrupt()
        return computed(self, *arguments)

    expected = reply(engine, ask(LINES, 1e-300)).text
    with monkeypatch.context() as patch:
        patch.setattr(Weighing, "_computed", interrupted)
        assert reply(engine, ask(LINES, 1e-300)).finish == "cancelled"
    assert reply(engine, ask(LINES, 1e-300)).text == expected
