"""Copying ahead and shared KV in the llama.cpp engine: the same replies for less work."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from gguf import GGMLQuantizationType

from memread import prompts
from memread.engine.llamacpp.engine import LlamaEngine, Settings
from memread.engine.llamacpp.library import library
from memread.engine.llamacpp.model import Model
from memread.engine.llamacpp.quoting import Quoting
from memread.profile import shipped
from memread.protocols import Decoded, Done, Prefill
from memread.types import Part, Reply, Request, Sampling
from tests.fixtures.gguf_model import write_tiny_gguf

GREEDY = Sampling()
DRAWN = Sampling(temperature=1.2, top_p=0.95, seed=11)
BOOK = "Call me Ishmael. Some years ago, never mind how long precisely, having little or no money. " * 12


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    """Its replies run to their limit; its weights are F16."""
    with Model(write_tiny_gguf(tmp_path_factory.mktemp("models") / "endless.gguf", ends=-99)) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def model(halves: Model, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    """The same, quantized: llama.cpp then computes a token alike alone and among others of its sequence."""
    api = library().api
    params = api.llama_model_quantize_default_params()
    params.ftype = api.LLAMA_FTYPE_MOSTLY_Q8_0
    params.pure = True
    params.output_tensor_type = params.token_embedding_type = GGMLQuantizationType.Q8_0
    target = tmp_path_factory.mktemp("models") / "endless-q8_0.gguf"
    assert api.llama_model_quantize(bytes(halves.path), bytes(target), ctypes.byref(params)) == 0
    with Model(target) as loaded:
        yield loaded


@contextmanager
def engine(
    model: Model,
    copy_ahead: int,
    slots: int = 1,
    context: int = 2048,
    batch: int = 64,
    flash: str = "auto",
) -> Iterator[LlamaEngine]:
    settings = Settings(
        context=context, slots=slots, batch=batch, threads=1, copy_ahead=copy_ahead, flash=flash
    )
    made = LlamaEngine(model, settings, name="tiny", digest="")
    try:
        yield made
    finally:
        made.close()


def ask(text: str, sampling: Sampling = GREEDY, rewrites: str = "", quotes: tuple[str, ...] = ()) -> Request:
    parts = (Part("<|im_start|>", marker=True), Part(text))
    return Request("update", parts, 96, sampling, rewrites=rewrites, quotes=quotes)


def run(engine: LlamaEngine, *requests: Request) -> tuple[list[Reply], int]:
    """The replies, and in how many batches they were computed."""
    for ticket, request in enumerate(requests):
        engine.submit(ticket, request)
    replies: dict[int, Reply] = {}
    streamed = dict.fromkeys(range(len(requests)), "")
    batches = 0
    while len(replies) < len(requests):
        batches += 1
        assert batches < 5000
        for output in engine.step():
            match output:
                case Decoded(ticket, text):
                    streamed[ticket] += text
                case Done(ticket, reply):
                    replies[ticket] = reply
    assert streamed == {ticket: reply.text for ticket, reply in replies.items()}
    return [replies[ticket] for ticket in range(len(requests))], batches


def hints(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """What may be expected of a reply that will be `text`: all of it, parts of it, something else."""
    half = len(text) // 2
    return [
        (text, ()),
        (text[:half] + " and something else " + text[half:], (BOOK,)),
        ("", (text,)),
        (BOOK, (text, BOOK)),
        (BOOK, ()),
    ]


@pytest.mark.parametrize("sampling", [GREEDY, DRAWN], ids=["greedy", "drawn"])
def test_the_reply_is_the_same_whatever_is_expected_of_it(model: Model, sampling: Sampling) -> None:
    same = accepted = total = 0
    with engine(model, 0) as plain, engine(model, 60) as ahead:
        for number in range(6):
            text = BOOK[number * 31 : number * 31 + 60 + 200 * number]
            (expected,), _ = run(plain, ask(text, sampling))
            for rewrites, quotes in hints(expected.text):
                (reply,), _ = run(ahead, ask(text, sampling, rewrites, quotes))
                total += 1
                # Batches of other shapes may break a tie between two tokens differently: seldom.
                same += reply.text == expected.text
                accepted += reply.counts.accepted_tokens
                assert reply.counts.accepted_tokens <= reply.counts.drafted_tokens
                assert reply.counts.reply_tokens == expected.counts.reply_tokens == 96
    assert same >= 0.9 * total  # on some processors other operations may break a tie differently
    assert accepted > 500


def test_a_request_can_be_repeated_in_the_same_batches(model: Model) -> None:
    """What a resumed reading needs: after other requests, or first, it is computed alike."""
    with engine(model, 60) as ahead:
        request = ask(BOOK, GREEDY, "Call me Ishmael.", (BOOK,))
        first = run(ahead, request)
        run(ahead, ask(BOOK[:300], DRAWN, BOOK[40:100]))
        (again,), batches = run(ahead, request)
    with engine(model, 60) as fresh:
        run(fresh, ask(BOOK[100:400], GREEDY, BOOK[:50]))
        other = run(fresh, request)
    assert first[0][0].text == again.text == other[0][0].text
    assert first[1] == other[1] >= batches


def test_several_slots_guess_at_once(halves: Model) -> None:
    with engine(halves, 0) as plain:
        asked = [ask(BOOK[n * 13 : n * 90 + 50]) for n in range(7)]
        texts = [run(plain, request)[0][0].text for request in asked]
    hinted = [
        msgspec.structs.replace(request, rewrites=text, quotes=(BOOK,))
        for request, text in zip(asked, texts, strict=True)
    ]
    for copy_ahead in (0, 60):
        with engine(halves, copy_ahead, slots=3, context=512) as several:
            replies, _ = run(several, *hinted)
            # The KV of other slots lies between: a tie between two tokens may break differently, seldom.
            assert sum(reply.text == text for reply, text in zip(replies, texts, strict=True)) >= 5
            drafted = sum(reply.counts.drafted_tokens for reply in replies)
            assert (drafted > 0) == (copy_ahead > 0)


def test_a_reply_that_is_guessed_past_its_limit_ends_at_it(model: Model) -> None:
    with engine(model, 0) as plain, engine(model, 60) as ahead:
        for limit in (1, 2, 3, 31, 33):
            request = msgspec.structs.replace(ask("the whale"), max_tokens=limit)
            (expected,), _ = run(plain, request)
            (reply,), _ = run(ahead, msgspec.structs.replace(request, rewrites=expected.text + BOOK))
            assert (reply.text, reply.finish) == (expected.text, "length")
            assert reply.counts.reply_tokens == limit


def test_the_context_is_used_to_its_last_token(model: Model) -> None:
    with engine(model, 60, context=256) as ahead:
        prompt = len(model.vocabulary.encode_prompt(ask("the whale").prompt))
        request = msgspec.structs.replace(ask("the whale", GREEDY, BOOK, (BOOK,)), max_tokens=256 - prompt)
        (reply,), _ = run(ahead, request)
        assert reply.counts.reply_tokens == 256 - prompt


def test_stop_and_interrupt_while_guessing(model: Model) -> None:
    with engine(model, 0) as plain, engine(model, 60) as ahead:
        (expected,), _ = run(plain, ask("the sea"))
        request = ask("the sea", rewrites=expected.text)
        ahead.submit(0, request)
        while not any(isinstance(output, Decoded) for output in ahead.step()):
            pass
        ahead.stop(0, "loop")
        (done,) = (output for output in ahead.step() if isinstance(output, Done))
        assert done.reply.finish == "loop" and expected.text.startswith(done.reply.text)
        ahead.stop(0, "loop")  # it has ended: this must not hit the next request
        assert run(ahead, request)[0][0].text == expected.text
        ahead.submit(0, request)
        ahead.step()
        ahead.interrupt()
        (done,) = (output for output in ahead.step() if isinstance(output, Done))
        assert done.reply.finish == "cancelled"
        assert run(ahead, request)[0][0].text == expected.text


def test_a_model_that_cannot_forget_a_part_does_not_guess(tmp_path: Path) -> None:
    with Model(write_tiny_gguf(tmp_path / "mamba.gguf", architecture="mamba", ends=-99)) as recurrent:
        with engine(recurrent, 0) as plain:
            (expected,), _ = run(plain, ask(BOOK))
        with engine(recurrent, 60, slots=2, context=1024) as ahead:
            assert ahead.info.settings["copy_ahead"] == 0  # which is recorded, and part of the identity
            replies, _ = run(ahead, *[ask(BOOK, GREEDY, BOOK, (BOOK,))] * 2)
            assert [reply.text for reply in replies] == [expected.text] * 2
            assert not any(reply.counts.drafted_tokens or reply.counts.cached_tokens for reply in replies)


@pytest.mark.parametrize("sampling", [GREEDY, DRAWN])
def test_a_reply_made_of_quotations_says_nothing_else(model: Model, sampling: Sampling) -> None:
    free = ask(BOOK, sampling, quotes=(BOOK,))
    bound = msgspec.structs.replace(free, verbatim=(BOOK, "the code is 42."), words=("Same",))
    said = []
    for copy_ahead in (0, 60):
        with engine(model, copy_ahead) as made:
            (unbound, reply), _ = run(made, free, bound)
        assert not Quoting(("Same",), bound.verbatim).fits(unbound.text.encode())
        assert len(reply.text) > 20 and Quoting(("Same",), bound.verbatim).fits(reply.text.encode())
        said.append(reply.text)
    assert said[0] == said[1]


@pytest.mark.parametrize("sampling", [GREEDY, DRAWN])
def test_a_refusal_is_drawn_from_its_probability_on(model: Model, sampling: Sampling) -> None:
    encode, piece = model.vocabulary.encode, model.vocabulary.piece
    with engine(model, 0) as made:

        def replied(prompt: str, *refusal: str, least: float = 0.0) -> str:
            begins, goes_on = refusal or ("nobody begins so", "")
            request = msgspec.structs.replace(ask(prompt, sampling), refusal=(begins, goes_on))
            (reply,), _ = run(made, msgspec.structs.replace(request, max_tokens=8, refused_from=least))
            return reply.text

        tried = 0
        for prompt in BOOK.split(". "):
            said = replied(prompt)
            first = piece(encode(said)[0])
            # Replies of random weights are letters of all kinds: those that are tokenized as they were drawn.
            if not said.isascii() or replied(prompt, "", said) != said:
                continue
            tried += 1
            other = next(word for word in ("sea", "whale") if encode(word)[0] != encode(said)[0])
            assert replied(prompt, "", other).encode().startswith(piece(encode(other)[0]))
            assert replied(prompt, "", other, least=1.0) == said
            assert replied(prompt, "", said, least=1.0) != said
            begun = piece(encode(first.decode() + other)[1])
            assert replied(prompt, first.decode(), other).encode().startswith(first + begun)
        assert tried


@pytest.mark.tiny
def test_an_unchanged_memory_costs_a_few_batches(smollm2: Path) -> None:
    memory = (
        "Alice was beginning to get very tired of sitting by her sister on the bank, and of having nothing "
        "to do. Once or twice she had peeped into the book her sister was reading, but it had no pictures."
    )
    with Model(smollm2) as real:
        frame = real.frame
        parts = (
            Part(frame.before, marker=True),
            Part("Repeat this text word for word:\n\n" + memory),
            Part(frame.after, marker=True),
        )
        plain = Request("update", parts, 96, GREEDY)
        with engine(real, 0) as without:
            (expected,), slow = run(without, plain)
        with engine(real, 60) as ahead:
            (reply,), fast = run(ahead, msgspec.structs.replace(plain, rewrites=memory))
    assert reply.text == expected.text == memory and reply.finish == "stop"
    tokens = reply.counts.reply_tokens
    assert reply.counts.accepted_tokens >= tokens - 3
    assert slow >= tokens and fast <= 5


# ── KV that several requests share ──


def shared(section: str, question: str) -> Request:
    parts = (Part("<|im_start|>", marker=True), Part("Text: "), Part(section), Part(question))
    return Request("update", parts, 24, GREEDY, shared=(2, 3))


def test_questions_about_one_section_read_it_once(model: Model) -> None:
    section = BOOK + "\nQuestion: "
    questions = ["who?", "where was he?", "how much money had he, and why?", "when?"]
    requests = [shared(section, question) for question in questions]
    with engine(model, 0) as alone:
        expected = []
        for request in requests:
            run(alone, ask("something else"))  # leaves nothing of the section behind
            expected += run(alone, request)[0]
    with engine(model, 0, slots=4, context=512) as together:
        replies, batches = run(together, *requests)
    texts = zip(replies, expected, strict=True)
    assert sum(reply.text == one.text for reply, one in texts) >= len(requests) - 1
    read = len(model.vocabulary.encode_prompt(requests[0].prompt[:3])) - 1
    assert [reply.counts.cached_tokens for reply in replies] == [0, read, read, read]
    assert batches <= read // 64 + 2 + len(requests) + 24


@pytest.mark.parametrize(("question", "batches"), [("who?", 2), ("who? " * 80, 3)])
def test_alone_few_tokens_have_no_batch_of_their_own(model: Model, question: str, batches: int) -> None:
    request = shared(BOOK + "\nQuestion: ", question)
    counts = {}
    for flash, slots in (("on", 1), ("off", 1), ("on", 2)):
        with engine(model, 0, slots=slots, batch=512, flash=flash) as made:
            made.submit(0, request)
            outputs = [output for _ in range(batches) for output in made.step()]
        counts[flash, slots] = [output.done for output in outputs if isinstance(output, Prefill)]
    # The beginning that all requests share, the section, the rest of the prompt.
    apart, together = counts["off", 1], counts["on", 1]
    assert len(together) == batches and together[0] == apart[0]
    if batches == 2:
        assert together[-1] > apart[1] == counts["on", 2][1]
    else:
        assert together == apart == counts["on", 2]


def test_a_request_takes_over_what_another_slot_is_still_computing(model: Model) -> None:
    section = BOOK + "\nQuestion: "
    with engine(model, 0, slots=2, context=512) as two:
        two.submit(0, shared(section, "who?"))
        assert any(isinstance(output, Prefill) for output in two.step())
        two.submit(1, shared(section, "why?"))
        done: dict[int, Reply] = {}
        while len(done) < 2:
            done.update({output.ticket: output.reply for output in two.step() if isinstance(output, Done)})
        assert (
            done[1].counts.cached_tokens
            == len(model.vocabulary.encode_prompt(shared(section, "").prompt[:3])) - 1
        )
    with engine(model, 0) as alone:
        assert run(alone, shared(section, "why?"))[0][0].text == done[1].text


def test_a_memory_before_the_section_is_read_again_only_when_it_changed(model: Model) -> None:
    default = next(each for each in shipped() if each.name == "default")

    def update(memory: str, section: str) -> Request:
        parts = prompts.update(default, model.frame, question="who?", memory=memory, section=section)
        return Request("update", parts, 24, GREEDY, shared=prompts.SHARED)

    memory = "The memory of a longer reading, of some sentences. " * 6
    asked = [update(memory, "One. " + BOOK), update(memory, "Two. " + BOOK), update("Other.", BOOK)]
    with engine(model, 0) as reading:
        replies = [run(reading, request)[0][0] for request in asked]
    alone = []
    for request in asked:
        with engine(model, 0) as fresh:
            alone += run(fresh, request)[0]
    assert [reply.text for reply in replies] == [reply.text for reply in alone]
    fixed, whole = (len(model.vocabulary.encode_prompt(asked[0].prompt[:n])) - 1 for n in prompts.SHARED)
    assert whole > fixed + 60
    assert [reply.counts.cached_tokens for reply in replies] == [0, whole, fixed]


def test_prompts_that_part_early_share_nothing(model: Model) -> None:
    with engine(model, 0, slots=2, context=512) as two:
        replies, _ = run(two, shared("One. " + BOOK, "who?"), shared("Two. " + BOOK, "who?"))
        fixed = len(model.vocabulary.encode_prompt(shared("", "").prompt[:2])) - 1
        assert [reply.counts.cached_tokens for reply in replies] == [0, fixed]
    with engine(model, 0) as alone:
        run(alone, shared("One. " + BOOK, "who?"))
        (again,), _ = run(alone, shared("Two. " + BOOK, "who?"))
    assert again.text == replies[1].text and again.counts.cached_tokens == fixed
