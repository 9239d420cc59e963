"""Readings in groups: the same flow, prompts and guard as inference, and every conversation kept."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from memread.engine.llamacpp.engine import LlamaEngine, Settings
from memread.engine.llamacpp.model import Model
from memread.gguf import read_header
from memread.profile import Profile, Wording
from memread.prompts import answer, update
from memread.train.episode import Episode
from memread.train.vocabulary import HeaderVocabulary, open_vocabulary
from memread.types import Budget, ChatFrame

torch = pytest.importorskip("torch", reason="torch is not installed (pip install 'memread[train]')")
pytest.importorskip("transformers", reason="transformers is not installed (pip install 'memread[train]')")

from memread.train.decoder import Decoder  # noqa: E402
from memread.train.engine import EngineSettings, TorchEngine  # noqa: E402
from memread.train.rollout import Recorder, Rollout, roll  # noqa: E402
from tests.train.models import tiny_llama  # noqa: E402

FRAME = ChatFrame("<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n")
PROFILE = Profile(
    "test",
    Wording("Q {prompt} M {memory} T {chunk}", "Q {prompt} M {memory}", initial_memory="Nothing yet."),
    budget=Budget(64, 64, 12, 12),
)
EPISODES = [
    Episode(
        f"e{number}",
        "train",
        "needle",
        f"Who stole the {what}?",
        ("the Knave",),
        (f"The Queen made some {what}.", f"The Knave stole those {what}.", " "),
        ("", "", ""),
        "\\boxed{the Knave}",
    )
    for number, what in enumerate(("tarts", "spoons"))
]


@pytest.fixture(scope="module")
def vocabulary(tiny_gguf: Path) -> HeaderVocabulary:
    return HeaderVocabulary(read_header(tiny_gguf))


@pytest.fixture(scope="module")
def engine(vocabulary: HeaderVocabulary) -> TorchEngine:
    return TorchEngine(Decoder(tiny_llama()), vocabulary, FRAME, EngineSettings(rows=5, context=256))


def test_every_conversation_is_there(engine: TorchEngine, vocabulary: HeaderVocabulary) -> None:
    groups = roll(engine, EPISODES, PROFILE, rollouts=3, seed=1)
    assert [[rollout.number for rollout in group] for group in groups] == [[0, 1, 2], [0, 1, 2]]
    for group in groups:
        for rollout in group:
            _check(rollout, vocabulary)
    first = [rollout.conversations[0] for rollout in groups[0]]
    assert len({talk.prompt for talk in first}) == 1
    assert len({talk.reply for talk in first}) == 3


def test_a_reading_may_begin_with_a_memory(engine: TorchEngine, vocabulary: HeaderVocabulary) -> None:
    known = [
        msgspec.structs.replace(EPISODES[0], segments=(), memories=(), known="The Knave stole those tarts."),
        msgspec.structs.replace(EPISODES[0], segments=(), memories=(), known=""),
        msgspec.structs.replace(EPISODES[1], segments=EPISODES[1].segments[1:2], known="Some spoons."),
    ]
    groups = roll(engine, known, PROFILE, rollouts=2, seed=1)
    starts = ["The Knave stole those tarts.", "Nothing yet.", "Some spoons."]
    for group, episode, memory in zip(groups, known, starts, strict=True):
        for rollout in group:
            first = rollout.conversations[0]
            if episode.segments:
                section = episode.segments[0]
                prompt = update(PROFILE, FRAME, question=episode.question, memory=memory, section=section)
            else:
                assert {talk.kind for talk in rollout.conversations} == {"answer"}
                assert rollout.answer.memory == memory
                prompt = answer(PROFILE, FRAME, question=episode.question, memory=memory)
            assert list(first.prompt) == vocabulary.encode_prompt(prompt)


def _check(rollout: Rollout, vocabulary: HeaderVocabulary) -> None:
    """Follow the reading by its records: prompts from memories, memories from replies."""
    episode, memory = rollout.episode, PROFILE.wording.initial_memory
    talks = list(zip(rollout.conversations, rollout.rejected, strict=True))
    assert len(rollout.memories) == len(episode.segments)
    for section, after in zip(episode.segments, rollout.memories, strict=True):
        if not section.strip():
            assert after == memory  # a blank section is not asked about
            continue
        prompt = update(PROFILE, FRAME, question=episode.question, memory=memory, section=section)
        for _ in range(2):
            talk, refused = talks.pop(0)
            assert talk.kind == "update" and list(talk.prompt) == vocabulary.encode_prompt(prompt)
            assert (
                talk.logprobs is not None and len(talk.logprobs) == len(talk.reply) <= PROFILE.budget.memory
            )
            if not refused:
                break
        said = talk.reply[:-1] if talk.finish == "stop" else talk.reply
        text = b"".join(map(vocabulary.piece, said)).decode("utf-8", "replace").strip()
        assert after == (memory if refused else text)
        assert (talk.finish == "stop") == vocabulary.ends(talk.reply[-1])
        memory = after
    assert all(talk.kind == "answer" and not refused for talk, refused in talks) and 1 <= len(talks) <= 2
    prompt = answer(PROFILE, FRAME, question=episode.question, memory=memory)
    assert list(talks[-1][0].prompt) == vocabulary.encode_prompt(prompt)
    assert rollout.answer.memory == memory and rollout.memory_tokens == vocabulary.count(memory)
    assert len(rollout.trained("train")) == len(rollout.conversations)
    assert len(rollout.trained("skip")) == len(rollout.conversations) - sum(rollout.rejected)


def test_what_is_drawn_depends_on_the_seed_alone(engine: TorchEngine) -> None:
    one, two = (roll(engine, EPISODES, PROFILE, rollouts=2, seed=7, width=width) for width in (0, 1))
    assert [[r.answer.raw for r in group] for group in one] == [
        [r.answer.raw for r in group] for group in two
    ]
    assert [[r.memories for r in group] for group in one] == [[r.memories for r in group] for group in two]
    other = roll(engine, EPISODES, PROFILE, rollouts=2, seed=8)
    assert [[r.memories for r in group] for group in one] != [[r.memories for r in group] for group in other]


def test_llama_cpp_can_roll_out_too(tiny_gguf: Path) -> None:
    vocabulary, frame = open_vocabulary(tiny_gguf)
    with Model(tiny_gguf) as model:
        inner = LlamaEngine(
            model, Settings(context=256, slots=4, batch=64, threads=1), name="tiny", digest=""
        )
        engine = Recorder(inner, vocabulary, "<|im_end|>")
        try:
            (group,) = roll(engine, EPISODES[:1], PROFILE, rollouts=3, seed=1)
        finally:
            engine.close()
    assert frame == model.frame if model.handle else frame == FRAME
    for rollout in group:
        assert [talk.kind for talk in rollout.conversations][-1] == "answer"
        for talk in rollout.conversations:
            assert talk.logprobs is None
            assert (talk.finish == "stop") == vocabulary.ends(talk.reply[-1])
