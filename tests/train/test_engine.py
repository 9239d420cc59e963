"""Generation in torch against transformers' own forward pass and llama.cpp."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from memread.engine.llamacpp.engine import LlamaEngine, Settings
from memread.engine.llamacpp.model import Model
from memread.errors import ContextTooSmall
from memread.gguf import read_header
from memread.protocols import Decoded, Done, Engine
from memread.train.vocabulary import HeaderVocabulary
from memread.types import ChatFrame, Part, Reply, Request, Sampling

torch = pytest.importorskip("torch", reason="torch is not installed (pip install 'memread[train]')")
pytest.importorskip("transformers", reason="transformers is not installed (pip install 'memread[train]')")

from memread.train.decoder import Decoder  # noqa: E402
from memread.train.engine import EngineSettings, TorchEngine  # noqa: E402
from memread.train.likelihood import score  # noqa: E402
from memread.train.rows import row  # noqa: E402
from tests.train.models import tiny_llama, with_lora  # noqa: E402

PROMPTS = (
    "The tarts were stolen.",
    "A much longer prompt, about the Queen of Hearts and all her tarts.",
    "Hm",
)


def _request(text: str, sampling: Sampling = Sampling(), tokens: int = 12) -> Request:  # noqa: B008
    frame = ("<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n")
    return Request(
        "update", (Part(frame[0], marker=True), Part(text), Part(frame[1], marker=True)), tokens, sampling
    )


def _answers(engine: Engine, requests: list[Request]) -> list[Reply]:
    for ticket, request in enumerate(requests):
        engine.submit(ticket, request)
    replies: dict[int, Reply] = {}
    while len(replies) < len(requests):
        replies |= {output.ticket: output.reply for output in engine.step() if isinstance(output, Done)}
    return [replies[ticket] for ticket in range(len(requests))]


@pytest.fixture(scope="module")
def vocabulary(tiny_gguf: Path) -> HeaderVocabulary:
    return HeaderVocabulary(read_header(tiny_gguf))


def _engine(vocabulary: HeaderVocabulary, model: object = None, **changes: object) -> TorchEngine:
    settings = EngineSettings(**{"rows": 3, "context": 256, "prefill": 64, "burst": 3, **changes})
    return TorchEngine(Decoder(model or tiny_llama()), vocabulary, ChatFrame("", ""), settings)


REQUESTS = [
    _request(text, Sampling(temperature, top_p, 0, seed), 5 + 4 * seed)
    for text in PROMPTS
    for seed, temperature, top_p in ((0, 0.0, 1.0), (1, 1.0, 1.0), (2, 0.8, 0.9), (1, 1.0, 1.0))
]


@pytest.fixture(scope="module")
def alone(vocabulary: HeaderVocabulary) -> list[Reply]:
    """Each request's reply from an engine that has nothing else to do."""
    engine = _engine(vocabulary)
    return [_answers(engine, [request])[0] for request in REQUESTS]


@pytest.mark.parametrize(
    "changes", [{}, {"rows": 1, "burst": 1}, {"prefill": 1}, {"rows": 8, "prefill": 999}]
)
def test_a_reply_does_not_depend_on_how_it_is_batched(
    vocabulary: HeaderVocabulary, alone: list[Reply], changes: dict[str, int]
) -> None:
    together = _answers(_engine(vocabulary, **changes), REQUESTS)
    assert [(reply.text, reply.finish) for reply in together] == [(r.text, r.finish) for r in alone]
    assert together[1].text == together[3].text
    assert len({reply.text for reply in together}) > 6


def test_greedy_replies_and_logprobs_are_those_of_transformers(vocabulary: HeaderVocabulary) -> None:
    model = tiny_llama()
    engine = _engine(vocabulary, model)
    _answers(engine, [_request(text) for text in PROMPTS])
    for ticket in range(len(PROMPTS)):
        (conversation,) = engine.taken(ticket)
        ids = list(conversation.prompt)
        for token in conversation.reply:
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([ids])).logits[0, -1]
            assert int(logits.argmax()) == token
            ids.append(token)
        with torch.no_grad():
            logprobs, _ = score(model, row([conversation]))
        assert torch.allclose(logprobs, torch.tensor(conversation.logprobs), atol=1e-4)
    assert engine.taken(0) == []


def test_what_prompts_begin_with_is_read_once(vocabulary: HeaderVocabulary, monkeypatch: Any) -> None:
    """Two sections with questions, one asked twice, one empty, and a prompt like no other."""
    sections = (
        "The Queen of Hearts, she made some tarts, all on a summer day. ",
        "It was the best of times. " * 3,
    )
    texts = [
        section + question for section in sections for question in ("Who?", "What did she make?", "Who?", "")
    ]
    requests = [_request(text) for text in (*texts, "Something else, of about the length of the others.")]
    alone = [_answers(_engine(vocabulary), [request])[0] for request in requests]
    engine = _engine(vocabulary, rows=16, prefill=9999)
    read: list[int] = []
    for name in ("prefill", "extend"):
        plain = getattr(engine.decoder, name)

        def counted(ids: Any, *rest: Any, plain: Any = plain) -> Any:
            read.append(int(rest[0 if plain.__name__ == "prefill" else 1].sum()))
            return plain(ids, *rest)

        monkeypatch.setattr(engine.decoder, name, counted)
    together = _answers(engine, requests)
    assert [reply.text for reply in together] == [reply.text for reply in alone]
    whole = sum(reply.counts.prompt_tokens for reply in together)
    cached = sum(reply.counts.cached_tokens for reply in together)
    assert len(read) == 2 and sum(read) == whole - cached and sum(read) < 0.65 * whole
    for ticket, reply in enumerate(together):
        (conversation,) = engine.taken(ticket)
        with torch.no_grad():
            logprobs, _ = score(tiny_llama(), row([conversation]))
        assert torch.allclose(logprobs, torch.tensor(conversation.logprobs), atol=1e-4), reply


def test_greedy_replies_are_llama_cpps(tiny_gguf: Path) -> None:
    """The same weights, prompts and ends of replies; llama.cpp keeps keys and values in half precision, so a
    reply may part where two tokens are about as likely."""
    with Model(tiny_gguf) as model:
        frame, theirs = model.frame, model.vocabulary
        requests = [
            Request("update", (Part(frame.before, True), Part(text), Part(frame.after, True)), 30, Sampling())
            for text in PROMPTS
        ]
        llama = LlamaEngine(model, Settings(context=256, slots=3, batch=64, threads=1), name="t", digest="")
        expected = _answers(llama, requests)
        llama.close()
        engine = TorchEngine(Decoder(tiny_llama()), theirs, frame, EngineSettings(rows=3, context=256))
        found = _answers(engine, requests)
    agreeing = [
        one.text == other.text and one.finish == other.finish
        for one, other in zip(found, expected, strict=True)
    ]
    assert sum(agreeing) >= 2
    for one, other in zip(found, expected, strict=True):
        assert one.text[:8] == other.text[:8]
        assert one.counts.prompt_tokens == other.counts.prompt_tokens


def test_sampling_follows_the_distribution(vocabulary: HeaderVocabulary) -> None:
    model = tiny_llama()
    engine = _engine(vocabulary, model, rows=64, prefill=4096)
    _answers(engine, [_request("Hm", Sampling(1.0, 1.0, 0, seed), 1) for seed in range(2000)])
    drawn = [engine.taken(ticket)[0] for ticket in range(2000)]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([drawn[0].prompt])).logits[0, -1]
    chances = logits.softmax(-1)
    for token in chances.topk(5).indices.tolist():
        share = sum(conversation.reply[0] == token for conversation in drawn) / len(drawn)
        assert share == pytest.approx(float(chances[token]), abs=4 * (0.25 / 2000) ** 0.5)


def test_a_narrow_top_p_is_greedy(vocabulary: HeaderVocabulary) -> None:
    engine = _engine(vocabulary)
    narrow, greedy = _answers(engine, [_request("Hm", Sampling(1.0, 1e-6, 0, 7)), _request("Hm")])
    assert narrow.text == greedy.text
    one, greedy = _answers(engine, [_request("Hm", Sampling(1.0, 1.0, 1, 7)), _request("Hm")])
    assert one.text == greedy.text


def test_lora_is_folded_in_and_refreshed(vocabulary: HeaderVocabulary) -> None:
    model = with_lora(tiny_llama())
    engine = _engine(vocabulary, model)
    before = _answers(engine, [_request(PROMPTS[0])])
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.5, generator=torch.Generator().manual_seed(1))
    engine.refresh()
    after = _answers(engine, [_request(PROMPTS[0])])
    assert after[0].text != before[0].text
    conversation = engine.taken(0)[-1]
    with torch.no_grad():
        logprobs, _ = score(model, row([conversation]))
    assert torch.allclose(logprobs, torch.tensor(conversation.logprobs), atol=1e-3)


def test_text_can_be_streamed_stopped_and_interrupted(vocabulary: HeaderVocabulary) -> None:
    engine = _engine(vocabulary, stream=True, burst=1)
    engine.submit(0, _request(PROMPTS[0], tokens=40))
    engine.submit(1, _request(PROMPTS[1], tokens=40))
    text, done = "", None
    for _ in range(6):
        for output in engine.step():
            text += output.text if isinstance(output, Decoded) and output.ticket == 0 else ""
    engine.stop(0, "loop")
    for output in engine.step():
        if isinstance(output, Done) and output.ticket == 0:
            done = output.reply
    assert done is not None and done.finish == "loop" and done.text.startswith(text) and text
    engine.interrupt()
    (cancelled,) = engine.step()
    assert isinstance(cancelled, Done) and cancelled.reply.finish == "cancelled"
    assert list(engine.step()) == []


def test_what_cannot_fit_is_refused(vocabulary: HeaderVocabulary) -> None:
    with pytest.raises(ContextTooSmall):
        _engine(vocabulary).submit(0, _request("tarts " * 300))
