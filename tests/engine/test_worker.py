"""The model in a process of its own: the same replies, and no harm when that process dies. Real llama.cpp."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from memread import bpe, gguf
from memread.engine.llamacpp.engine import LlamaEngine, Settings
from memread.engine.llamacpp.model import Model
from memread.engine.worker import engine as worker
from memread.engine.worker import wire
from memread.engine.worker.engine import WorkerEngine, WorkerModel
from memread.engine.worker.process import Process
from memread.errors import ContextTooSmall, EngineFailed, ModelUnloadable, OutOfMemory
from memread.protocols import Decoded, Done, Engine, Output, Prefill, Restarted
from memread.types import Part, Reply, Request, Sampling
from tests.fixtures.gguf_model import restate, write_tiny_gguf

SETTINGS = Settings(context=1024, batch=64, threads=1)
TEXT = "The ship sailed to the west that day, and the captain said nothing. " * 12


@pytest.fixture
def model(tiny_gguf: Path) -> Iterator[WorkerModel]:
    with WorkerModel(tiny_gguf) as opened:
        yield opened


@pytest.fixture
def engine(model: WorkerModel) -> WorkerEngine:
    return WorkerEngine(model, SETTINGS, name="tiny", digest="sha256:tiny")


@pytest.fixture
def expected(tiny_gguf: Path) -> Iterator[LlamaEngine]:
    """The same in this process."""
    with Model(tiny_gguf) as here:
        made = LlamaEngine(here, SETTINGS, name="tiny", digest="sha256:tiny")
        yield made
        made.close()


def request(text: str = TEXT, most: int = 40, seed: int | None = 7) -> Request:
    sampling = Sampling(temperature=1.0, seed=seed) if seed is not None else Sampling()
    prompt = (Part("<|im_start|>user\n", marker=True), Part("Read this. "), Part(text))
    return Request("update", prompt, most, sampling, shared=(2,))


def run(
    engine: Engine, requests: Sequence[Request], watch: Callable[[Output], None] = lambda output: None
) -> tuple[list[Reply], list[Output]]:
    """The replies in the order of the requests, and all that was told."""
    for ticket, each in enumerate(requests):
        engine.submit(ticket, each)
    told: list[Output] = []
    while sum(isinstance(output, Done) for output in told) < len(requests):
        for output in engine.step():
            told.append(output)
            watch(output)
    replies = {output.ticket: output.reply for output in told if isinstance(output, Done)}
    return [replies[ticket] for ticket in range(len(requests))], told


def texts(replies: Sequence[Reply]) -> list[tuple[str, str]]:
    return [(reply.text, reply.finish) for reply in replies]


def test_a_reply_that_is_weighed_is_the_same(model: WorkerModel, tiny_gguf: Path) -> None:
    beside = tuple((text, request(text).prompt) for text in ("The ship is Anna.", "The captain is Bo."))
    asked = msgspec.structs.replace(
        request(most=12, seed=None), refusal=("\\boxed{", "none}"), beside=beside, likely_from=1e-300
    )
    settings = msgspec.structs.replace(SETTINGS, weighs=True)
    apart = WorkerEngine(model, settings, name="tiny", digest="sha256:tiny")
    ((there,), _) = run(apart, [asked])
    with Model(tiny_gguf) as here:
        own = LlamaEngine(here, settings, name="tiny", digest="sha256:tiny")
        ((expected,), _) = run(own, [asked])
        own.close()
    assert there.text == expected.text and there.likely == expected.likely


def kill(engine: WorkerEngine) -> None:
    os.kill(engine.pid, signal.SIGKILL)


def test_the_replies_are_those_of_an_engine_in_this_process(
    engine: WorkerEngine, expected: LlamaEngine
) -> None:
    assert engine.info == expected.info and engine.frame == expected.frame
    requests = [request(), request(seed=None), request("Ümläut, 雪, \ud800 and <|im_end|>"), request("x", 3)]
    found, told = run(engine, requests)
    here, at_home = run(expected, requests)
    assert texts(found) == texts(here)
    assert [reply.counts.prompt_tokens for reply in found] == [reply.counts.prompt_tokens for reply in here]
    strip = [output for output in told if not isinstance(output, Done)]
    assert strip == [output for output in at_home if not isinstance(output, Done)]


def test_what_cannot_fit_is_refused(engine: WorkerEngine) -> None:
    with pytest.raises(ContextTooSmall, match="do not fit into the context of 1024"):
        engine.submit(0, request(TEXT * 10))
    assert run(engine, [request("after it", 4)])[0][0].text


def test_killed_at_any_moment_the_replies_are_the_same(engine: WorkerEngine, expected: LlamaEngine) -> None:
    """Once in a reply: while the prompt is read, while the reply is written, and before it is asked for."""
    moments = random.Random(3)
    whole, undisturbed = run(expected, [request(most=60)])
    wanted, last = texts(whole), len(undisturbed) - 1  # after the last there is nothing to kill
    assert last > 8
    for turn, most in enumerate((0, 4, 8, last)):
        at, seen = moments.randint(most // 2, most), 0

        def watch(output: Output, at: int = at) -> None:
            nonlocal seen
            seen += 1
            if seen == at:
                kill(engine)

        if at == 0:
            kill(engine)
        replies, told = run(engine, [request(most=60)], watch)
        assert texts(replies) == wanted, (turn, at)
        assert "".join(output.text for output in told if isinstance(output, Decoded)) == replies[0].text
        progress = [output.done for output in told if isinstance(output, Prefill)]
        assert progress == sorted(set(progress))  # nothing is told twice
        (restarted,) = [output for output in told if isinstance(output, Restarted)]
        assert "SIGKILL" in restarted.message and "\n" not in restarted.message


def test_killed_with_several_replies_under_way(engine: WorkerEngine, expected: LlamaEngine) -> None:
    requests = [request(seed=1), request("Another text. " * 9, seed=2), request("One that waits.", seed=3)]
    pieces = 0

    def watch(output: Output) -> None:
        nonlocal pieces
        pieces += isinstance(output, Decoded)
        if pieces == 9:
            kill(engine)
            pieces += 1

    replies, told = run(engine, requests, watch)
    assert [isinstance(output, Restarted) for output in told].count(True) == 1
    for ticket, reply in enumerate(replies):
        said = "".join(o.text for o in told if isinstance(o, Decoded) and o.ticket == ticket)
        assert said == reply.text
    assert texts(replies) == texts(run(expected, requests)[0])


def test_a_reply_that_was_stopped_ends_at_the_same_place_after_a_crash(
    engine: WorkerEngine, slow_gguf: Path
) -> None:
    del engine

    def stopped(crash: bool) -> str:
        with WorkerModel(slow_gguf) as model:
            made = WorkerEngine(model, SETTINGS, name="slow", digest="")
            pieces = 0

            def watch(output: Output) -> None:
                nonlocal pieces
                pieces += isinstance(output, Decoded)
                if pieces == 10 and isinstance(output, Decoded):
                    made.stop(0, "loop")
                    if crash:
                        kill(made)

            (reply,), _ = run(made, [request(most=200)], watch)
            assert reply.finish == "loop"
            return reply.text

    assert stopped(crash=True) == stopped(crash=False) != ""


def test_a_second_crash_of_the_same_request_is_reported(engine: WorkerEngine) -> None:
    engine.submit(0, request())
    kill(engine)
    assert any(isinstance(output, Restarted) for output in engine.step())
    kill(engine)
    with pytest.raises(EngineFailed, match=r"crashed again \(signal SIGKILL") as failed:
        engine.step()
    assert "\n" not in failed.value.message and "goes on from there" in failed.value.hint


def test_crashes_of_different_requests_are_survived(engine: WorkerEngine) -> None:
    for _ in range(2):
        kill(engine)
        assert any(isinstance(output, Restarted) for output in run(engine, [request("x", 2)])[1])


def test_an_interrupt_ends_every_reply(engine: WorkerEngine) -> None:
    engine.submit(0, request(most=700))
    engine.submit(1, request(most=700))
    while not any(isinstance(output, Decoded) for output in engine.step()):
        pass
    engine.interrupt()
    told: list[Output] = []
    while sum(isinstance(output, Done) for output in told) < 2:
        told += engine.step()
    assert {output.reply.finish for output in told if isinstance(output, Done)} == {"cancelled"}
    assert run(engine, [request("x", 3)])[0][0].finish != "cancelled"


def test_an_interrupt_and_a_crash_at_once(engine: WorkerEngine) -> None:
    """Nothing is started again for a reply that nobody wants; the next one is answered."""
    engine.submit(0, request(most=700))
    while not any(isinstance(output, Decoded) for output in engine.step()):
        pass
    kill(engine)
    engine.interrupt()
    (done,) = [output for output in engine.step() if isinstance(output, Done)]
    assert done.reply.finish == "cancelled" and done.reply.text
    assert run(engine, [request("x", 3)])[0][0].finish != "cancelled"


def test_an_interrupt_ends_a_batch_that_is_being_computed(smollm2: Path) -> None:
    with WorkerModel(smollm2) as model:
        large = Settings(context=1800, batch=1600, threads=1)
        engine = WorkerEngine(model, large, name="smollm2", digest="")
        engine.submit(0, request("The ship sailed to the west. " * 200, 10))
        begun = time.monotonic()
        timer = threading.Timer(0.4, engine.interrupt)
        timer.start()
        told: list[Output] = []
        while not any(isinstance(output, Done) for output in told):
            told += engine.step()
        timer.join()
        assert isinstance(told[-1], Done) and told[-1].reply.finish == "cancelled"
        assert not any(isinstance(output, Prefill) and output.done == output.total for output in told)
        assert time.monotonic() - begun < 60


# ── models that are not what they should be ──


def test_a_model_that_makes_llama_cpp_abort_while_it_reads(tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "aborts.gguf")
    restate(path, "llama.attention.layer_norm_rms_epsilon", -1.0)
    with WorkerModel(path) as model:
        engine = WorkerEngine(model, SETTINGS, name="x", digest="")
        engine.submit(0, request())
        with pytest.raises(EngineFailed, match=r"SIGABRT: ops\.cpp:\d+: GGML_ASSERT\(eps >= 0") as failed:
            while True:
                engine.step()
        assert "\n" not in failed.value.message


def test_a_model_that_makes_llama_cpp_abort_while_it_is_loaded(tmp_path: Path) -> None:
    path = restate(write_tiny_gguf(tmp_path / "aborts.gguf"), "llama.block_count", 4_000_000_000)
    with (
        WorkerModel(path) as model,
        pytest.raises(ModelUnloadable, match=r"aborts.gguf makes llama.cpp crash \(signal SIGABRT: llama-"),
    ):
        model.frame  # noqa: B018


def test_errors_of_loading_are_what_they_are_in_this_process(tmp_path: Path, tiny_gguf: Path) -> None:
    path = tmp_path / "half.gguf"
    path.write_bytes(tiny_gguf.read_bytes()[:-100])
    with WorkerModel(path) as model, pytest.raises(ModelUnloadable, match=r"cannot be loaded.*corrupted"):
        model.frame  # noqa: B018


@pytest.mark.parametrize(
    "template",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
        "{{ 'x' * 100000000000 }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.append(1) }}",
        "{% include '/etc/passwd' %}",
    ],
    ids=["endless", "memory", "dunder", "mutation", "file"],
)
def test_hostile_chat_templates(tmp_path: Path, template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_TEMPLATE_SECONDS", 2.0)
    path = write_tiny_gguf(tmp_path / "m.gguf", chat_template=template)
    with WorkerModel(path) as model, pytest.raises(ModelUnloadable, match="chat template") as refused:
        model.frame  # noqa: B018
    assert "\n" not in refused.value.message


def test_killed_while_it_loads(tiny_gguf: Path) -> None:
    with WorkerModel(tiny_gguf) as model:
        model.process.kill()
        with pytest.raises(OutOfMemory, match="memory has most likely run out"):
            model.frame  # noqa: B018


# ── tokens are counted where the model is not ──

COUNTED = (
    TEXT,
    "",
    "<think>a</think>",
    "<|im_start|>user\n<|im_end|>",
    "a <tool_call> b <tool_call><tool_call>",
    "  \n\n\t x\r\n\r\n   ",
    "雪が降る。" * 40,
    "\ud800 lone",
    "1234567890 3.14 0x1F",
    "don't can't I'LL",
)


@pytest.mark.parametrize("given", [(), (300, 301, 500)])
def test_counts_are_those_of_the_model(tmp_path: Path, given: tuple[int, ...]) -> None:
    path = write_tiny_gguf(tmp_path / "m.gguf", user_defined=given)
    header = gguf.read_header(path)
    own = bpe.letter_tokenizer(header)
    assert own is not None
    spelled = [str(header.array("tokenizer.ggml.tokens")[number]).replace("Ġ", " ") for number in given]
    with Model(path, vocabulary_only=True) as model:
        for text in (*COUNTED, " ".join(spelled), "".join(spelled) * 3):
            assert own.encode(text) == model.vocabulary.encode(text), text
            assert own.count(text) == model.vocabulary.count(text), text


def test_vocabularies_that_only_llama_cpp_knows_are_counted_by_a_second_process(tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "spm.gguf", vocab="spm")
    assert bpe.letter_tokenizer(gguf.read_header(path)) is None
    with WorkerModel(path) as model, Model(path, vocabulary_only=True) as here:
        for text in COUNTED:
            assert model.vocabulary.count(text) == here.vocabulary.count(text), text


def test_a_vocabulary_that_cannot_be_loaded_leaves_no_process(
    tmp_path: Path, tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "half.gguf"
    path.write_bytes(tiny_gguf.read_bytes()[:1000])
    begun: list[Process] = []

    def spawned(flag: wire.Flag) -> Process:
        begun.append(Process(flag))
        return begun[0]

    monkeypatch.setattr(worker, "spawned", spawned)
    with pytest.raises(ModelUnloadable):
        worker._ChildVocabulary(path)
    assert not _alive(begun[0].pid)


# ── processes ──

HOLDS = """
import sys, time
from pathlib import Path
from memread.engine.worker.engine import WorkerModel
model = WorkerModel(Path(sys.argv[1]))
model.vocabulary
print(model.process.pid, model._vocabulary._process.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_processes_end_when_their_parent_is_killed(tiny_gguf: Path) -> None:
    command = [sys.executable, "-c", HOLDS, str(tiny_gguf)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        children = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(children) == 2
        parent.kill()
    deadline = time.monotonic() + 10
    while any(_alive(pid) for pid in children):
        assert time.monotonic() < deadline, "a child lives on"
        time.sleep(0.02)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_closing_ends_the_processes_and_an_interrupt_after_it_does_no_harm(tiny_gguf: Path) -> None:
    model = WorkerModel(tiny_gguf)
    engine = WorkerEngine(model, SETTINGS, name="tiny", digest="")
    pid = engine.pid
    for _ in range(2):
        engine.close()
    engine.interrupt()
    assert not _alive(pid)
