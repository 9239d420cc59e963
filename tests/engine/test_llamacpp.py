"""The llama.cpp engine, on a real file of random weights."""

from __future__ import annotations

import platform
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from memread.engine.llamacpp.engine import LlamaEngine, Settings, resolved
from memread.engine.llamacpp.library import uses_amx
from memread.engine.llamacpp.model import Model, fitting_layers
from memread.engine.llamacpp.template import chat_frame
from memread.engine.llamacpp.vocabulary import Vocabulary
from memread.errors import ContextTooSmall, EngineFailed, FileMissing, ModelUnloadable, NotGguf
from memread.protocols import Decoded, Done, Prefill
from memread.types import ChatFrame, Part, Reply, Request, Sampling
from tests.engine.replies import finish

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="module")
def model(tiny_gguf: Path) -> Iterator[Model]:
    with Model(tiny_gguf) as loaded:
        yield loaded


@pytest.fixture
def engine(model: Model) -> Iterator[LlamaEngine]:
    made = LlamaEngine(model, Settings(context=2048, batch=64), name="tiny", digest="")
    yield made
    made.close()


GREEDY = Sampling()


def ask(text: str, tokens: int = 24, sampling: Sampling = GREEDY) -> Request:
    return Request("update", (Part("<|im_start|>", marker=True), Part(text)), tokens, sampling)


def reply(engine: LlamaEngine, request: Request) -> Reply:
    engine.submit(0, request)
    return finish(engine, 0)[0]


def test_llamas_amx_code_is_left_alone(model: Model) -> None:
    """It computes nonsense or crashes; other processors keep the layouts that llama.cpp makes for them."""
    sapphire = "CPU : AVX512_VNNI = 1 | AVX512_BF16 = 1 | AMX_INT8 = 1 | LLAMAFILE = 1 | REPACK = 1 | "
    assert uses_amx(sapphire) and not uses_amx(sapphire.replace("AMX_INT8 = 1 | ", ""))
    assert not any("AMX" in line for line in model.lib.log if "buffer size" in line)


def greedy_by_hand(model: Model, prompt: list[int], tokens: int) -> list[int]:
    """Plain decoding, one token at a time, a fresh context each time: what the engine must agree with."""
    api = model.lib.api
    params = api.llama_context_default_params()
    params.n_ctx, params.n_batch, params.n_ubatch = 2048, 64, 64
    context = api.llama_init_from_model(model.handle, params)
    made: list[int] = []
    try:
        todo = prompt
        while len(made) < tokens:
            for start in range(0, len(todo), 64):
                chunk = todo[start : start + 64]
                assert (
                    api.llama_decode(
                        context, api.llama_batch_get_one((api.llama_token * len(chunk))(*chunk), len(chunk))
                    )
                    == 0
                )
            logits = api.llama_get_logits_ith(context, -1)[: model.vocabulary.size]
            token = max(range(len(logits)), key=logits.__getitem__)
            if model.vocabulary.ends(token):
                break
            made.append(token)
            todo = [token]
    finally:
        api.llama_free(context)
    return made


def test_greedy_text_is_what_plain_decoding_gives(model: Model, engine: LlamaEngine) -> None:
    for text in ("the whale", "Call me Ishmael. " * 30, "日本語 é 🐋"):
        request = ask(text)
        expected = greedy_by_hand(model, model.vocabulary.encode_prompt(request.prompt), 24)
        got = reply(engine, request)
        assert got.text == b"".join(map(model.vocabulary.piece, expected)).decode("utf-8", "replace")
        assert got.finish == ("length" if len(expected) == 24 else "stop")
        assert got.counts.reply_tokens == len(expected)


def test_reused_kv_gives_the_same_reply_as_a_fresh_context(model: Model, engine: LlamaEngine) -> None:
    shared = "It was the best of times, it was the worst of times. " * 20
    first = reply(engine, ask(shared + "one"))
    again = reply(engine, ask(shared + "two"))
    assert first.counts.cached_tokens == 0
    assert again.counts.cached_tokens > 0 and again.counts.cached_tokens % 64 == 0
    fresh = LlamaEngine(model, Settings(context=2048, batch=64), name="tiny", digest="")
    try:
        assert reply(fresh, ask(shared + "two")).text == again.text
    finally:
        fresh.close()


def test_the_fixed_part_of_a_prompt_is_computed_once(model: Model, engine: LlamaEngine) -> None:
    def prompt(section: str) -> Request:
        parts = (Part("<|im_start|>", marker=True), Part("Find the whale. "), Part(section))
        return Request("update", parts, 16, Sampling(), shared=(2,))

    first = reply(engine, prompt("It is white. " * 20))
    second = reply(engine, prompt("The sea is wide. " * 30))
    fixed = len(model.vocabulary.encode_prompt(prompt("x").prompt[:2]))
    assert first.counts.cached_tokens == 0 and fixed - 1 <= second.counts.cached_tokens <= fixed
    fresh = LlamaEngine(model, Settings(context=2048, batch=64), name="tiny", digest="")
    try:
        assert reply(fresh, prompt("The sea is wide. " * 30)).text == second.text
    finally:
        fresh.close()


def test_many_requests_at_a_time_and_more_than_there_are_slots(model: Model) -> None:
    engine = LlamaEngine(model, Settings(context=512, slots=3, batch=64), name="tiny", digest="")
    alone = LlamaEngine(model, Settings(context=512, batch=64), name="tiny", digest="")
    try:
        requests = {n: ask(f"number {n} " * (n * 7 + 1)) for n in range(7)}
        for ticket, request in requests.items():
            engine.submit(ticket, request)
        together = finish(engine, *requests)
        texts = {ticket: reply(alone, request).text for ticket, request in requests.items()}
        # Batches of other shapes may break a tie between two tokens differently: seldom.
        assert sum(together[ticket].text == texts[ticket] for ticket in requests) >= 6
        assert all(together[ticket].counts.reply_tokens for ticket in requests)
    finally:
        engine.close()
        alone.close()


@pytest.mark.parametrize("slots", [1, 3])
def test_of_requests_with_one_prompt_the_prompt_is_computed_once(model: Model, slots: int) -> None:
    engine = LlamaEngine(model, Settings(context=512, slots=slots, batch=64), name="tiny", digest="")
    alone = LlamaEngine(model, Settings(context=512, batch=64), name="tiny", digest="")
    text = "The sea is wide, and the ship is small. " * 9
    try:
        requests = {n: ask(text, 6, Sampling(temperature=0.7, seed=n)) for n in range(8)}
        requests[8] = ask(text + "?", 6)
        for ticket, request in requests.items():
            engine.submit(ticket, request)
        together = finish(engine, *requests)
        texts = {ticket: reply(alone, request).text for ticket, request in requests.items()}
        assert len({texts[n] for n in range(8)}) > 4
        # Batches of other shapes may break a tie between two tokens differently: seldom.
        assert sum(together[ticket].text == texts[ticket] for ticket in requests) >= 8
        whole = together[0].counts.prompt_tokens
        assert [together[n].counts.cached_tokens for n in range(8)] == [0] + [whole] * 7
        assert all(together[n].counts.prefill_seconds == 0 for n in range(1, 8))
        assert 0 < together[8].counts.cached_tokens < whole
    finally:
        engine.close()
        alone.close()


def test_sampling_follows_its_seed(engine: LlamaEngine) -> None:
    def sampled(seed: int) -> str:
        return reply(engine, ask("the sea", 16, Sampling(temperature=1.5, top_p=0.99, seed=seed))).text

    assert sampled(1) == sampled(1)
    assert len({sampled(seed) for seed in range(6)}) > 1


def test_progress_of_the_prefill_is_told(engine: LlamaEngine) -> None:
    engine.submit(5, ask("word " * 300, 4))
    seen = []
    while not any(isinstance(output, Done) for output in seen):
        seen += engine.step()
    prefill = [output for output in seen if isinstance(output, Prefill)]
    assert len(prefill) >= 4 and prefill[-1].done == prefill[-1].total
    assert [output.done for output in prefill] == sorted(output.done for output in prefill)


def test_a_reply_can_be_stopped(engine: LlamaEngine) -> None:
    engine.submit(0, ask("go on", 400))
    while not any(isinstance(output, Decoded) for output in engine.step()):
        pass
    engine.stop(0, "loop")
    assert finish_with_rest(engine).finish == "loop"


def finish_with_rest(engine: LlamaEngine) -> Reply:
    while True:
        for output in engine.step():
            if isinstance(output, Done):
                return output.reply


def test_an_interrupt_ends_everything_and_the_engine_goes_on_working(engine: LlamaEngine) -> None:
    expected = reply(engine, ask("after the storm")).text
    engine.submit(0, ask("word " * 700, 300))
    engine.submit(1, ask("another", 300))
    assert isinstance(engine.step()[0], Prefill)
    interrupter = threading.Thread(target=engine.interrupt)
    interrupter.start()
    interrupter.join()
    assert finish_loose(engine, 2) == {0: "cancelled", 1: "cancelled"}
    engine.interrupt()  # nothing runs: it must not hit the next request
    assert reply(engine, ask("after the storm")).text == expected


@pytest.mark.tiny
def test_an_interrupt_ends_a_batch_that_is_being_computed(smollm2: Path) -> None:
    with Model(smollm2) as real:
        engine = LlamaEngine(real, Settings(context=1800, batch=1600), name="smollm2", digest="")
        try:
            engine.submit(0, ask("The whale. " * 500, 16))
            timer = threading.Timer(0.2, engine.interrupt)
            timer.start()
            began = time.monotonic()
            assert finish_loose(engine, 1) == {0: "cancelled"}
            aborted = time.monotonic() - began
            # The same batch to its end takes seconds; what the abort left in the KV must not show.
            short = ask("The capital of France is", 5)
            got = reply(engine, short).text
        finally:
            engine.close()
        fresh = LlamaEngine(real, Settings(context=1800, batch=1600), name="smollm2", digest="")
        try:
            began = time.monotonic()
            reply(fresh, ask("The whale. " * 500, 1))
            assert aborted < (time.monotonic() - began) / 2
            assert reply(fresh, short).text == got
        finally:
            fresh.close()


def finish_loose(engine: LlamaEngine, count: int) -> dict[int, str]:
    done: dict[int, str] = {}
    while len(done) < count:
        for output in engine.step():
            if isinstance(output, Done):
                done[output.ticket] = output.reply.finish
    return done


def test_attention_is_plain_where_that_is_faster_and_fits(model: Model) -> None:
    x86 = platform.machine().lower() in ("x86_64", "amd64")

    def chosen(**changes: Any) -> str:
        return resolved(model, Settings(**{"context": 2048, **changes})).flash

    assert chosen() == ("off" if x86 else "auto")
    assert chosen(flash="on") == "on" and chosen(flash="off") == "off"
    assert chosen(brief=True) == ("on" if x86 else "auto"), "prompts are what takes time"
    assert chosen(kv="q8_0") == "auto", "which needs it"
    assert chosen(slots=2) == "auto"
    assert chosen(context=1 << 24) == "auto", "gibibytes of scores"
    engine = LlamaEngine(model, Settings(context=512), name="tiny", digest="")
    try:
        assert engine.info.settings["flash"] == chosen()
    finally:
        engine.close()


def test_what_cannot_fit_is_refused_before_it_is_read(engine: LlamaEngine) -> None:
    with pytest.raises(ContextTooSmall, match="2048"):
        engine.submit(0, ask("word " * 3000))
    with pytest.raises(ContextTooSmall):
        engine.submit(0, ask("word", 2048))


def test_files_that_are_no_models(tmp_path: Path, tiny_gguf: Path) -> None:
    with pytest.raises(FileMissing):
        Model(tmp_path / "none.gguf")
    text = tmp_path / "text.gguf"
    text.write_text("not a model")
    with pytest.raises(NotGguf):
        Model(text)
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(tiny_gguf.read_bytes()[:20_000])
    with pytest.raises(ModelUnloadable) as caught:
        Model(cut)
    assert "\n" not in caught.value.message


def test_llama_cpp_says_nothing_on_the_terminal(tiny_gguf: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with Model(tiny_gguf) as model:
        engine = LlamaEngine(model, Settings(context=256), name="tiny", digest="")
        reply(engine, ask("hello", 4))
        engine.close()
    assert capfd.readouterr() == ("", "")


def test_a_model_can_be_closed_while_another_thread_tokenizes(tiny_gguf: Path) -> None:
    for _ in range(5):
        model = Model(tiny_gguf, vocabulary_only=True)
        vocabulary, errors = model.vocabulary, []

        def work(vocabulary: Vocabulary = vocabulary, errors: list[EngineFailed] = errors) -> None:
            try:
                while True:
                    vocabulary.count("Call me Ishmael. " * 2000)
            except EngineFailed as error:
                errors.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        time.sleep(0.02)
        model.close()
        thread.join(10)
        assert errors and not thread.is_alive()


def test_layers_fit_the_free_memory() -> None:
    assert fitting_layers(free=0, weights=100, layers=9, kv=0) == 0
    assert fitting_layers(free=50, weights=100, layers=9, kv=0) == 5
    assert fitting_layers(free=10**9, weights=100, layers=9, kv=50) == 10


def test_chat_frames() -> None:
    assert chat_frame(CHATML, bos="", eos="") == ChatFrame(
        "<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n"
    )
    assert chat_frame("", bos="", eos="") == ChatFrame("", "")
    stripping = chat_frame(
        "{{ bos_token }}[INST] {{ messages[0].content | trim }} [/INST]", bos="<s>", eos=""
    )
    assert stripping == ChatFrame("<s>[INST] ", " [/INST]", strips=True)
    thinking = chat_frame(
        CHATML + "{% if enable_thinking is false %}<think></think>{% endif %}", bos="", eos=""
    )
    assert thinking.after.endswith("<think></think>")


@pytest.mark.parametrize(
    "template",
    [
        "{{ nope(",
        "{{ raise_exception('no') }}",
        "{{ ''.__class__.__mro__ }}{{ messages[0].content }}",
        "fixed",
    ],
)
def test_templates_that_cannot_be_used(template: str) -> None:
    with pytest.raises(ModelUnloadable) as caught:
        chat_frame(template, bos="", eos="")
    assert "\n" not in caught.value.message
