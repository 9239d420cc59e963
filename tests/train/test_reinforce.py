"""The loop: what it writes, and that a killed run goes on as if it had not been."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from memread.errors import ConfigError
from memread.gguf import read_header
from memread.train.episode import Episode
from memread.train.vocabulary import HeaderVocabulary

torch = pytest.importorskip("torch", reason="torch is not installed (pip install 'memread[train]')")
pytest.importorskip("transformers", reason="transformers is not installed (pip install 'memread[train]')")
pytest.importorskip("peft", reason="peft is not installed (pip install 'memread[train]')")

from memread.train import checkpoint, metrics, reinforce  # noqa: E402
from memread.train.decoder import Decoder  # noqa: E402
from memread.train.engine import EngineSettings, TorchEngine  # noqa: E402
from memread.train.recipe import Reinforcement  # noqa: E402
from tests.train.models import tiny_llama, with_lora  # noqa: E402
from tests.train.test_rollout import EPISODES, FRAME, PROFILE  # noqa: E402

SETTINGS = Reinforcement(
    steps=4,
    questions=2,
    rollouts=3,
    learning_rate=1e-2,
    warmup=2,
    minibatches=2,
    kl=0.01,
    micro_tokens=200,
    overlong=8,
    information=0.5,
    checkpoint_every=1,
)


@pytest.fixture(scope="module")
def vocabulary(tiny_gguf: Path) -> HeaderVocabulary:
    return HeaderVocabulary(read_header(tiny_gguf))


def _episode(number: int) -> Episode:
    return EPISODES[number % 2]


def _lucky(episode: Episode, answer: Any, rule: str) -> float:
    """A rule that random replies meet now and then."""
    return float(len(answer.raw) % 2)


class _Killed(BaseException):
    pass


def _run(
    folder: Path,
    vocabulary: HeaderVocabulary,
    settings: Reinforcement = SETTINGS,
    episodes: Callable[[int], Episode] = _episode,
) -> dict[str, Any]:
    """Train with everything made anew, as another process would; the trained parameters."""
    torch.manual_seed(99)
    model = with_lora(tiny_llama())
    for name, parameter in model.named_parameters():
        if "lora_B" in name:  # off from zero, so that the reference is not the bare model
            torch.nn.init.normal_(parameter, 0, 0.05, generator=torch.Generator().manual_seed(1))
    engine = TorchEngine(Decoder(model), vocabulary, FRAME, EngineSettings(rows=6, context=256))

    def ready() -> TorchEngine:
        engine.refresh()
        return engine

    reinforce.reinforce(model, ready, episodes, PROFILE, vocabulary, settings, folder)
    return checkpoint.copied(checkpoint.trainable(model))


def _rows(folder: Path) -> list[metrics.Row]:
    return [
        {name: value for name, value in row.items() if "second" not in name}
        for row in metrics.read(folder / "metrics.jsonl")
    ]


@pytest.mark.parametrize("moment", ["rollout", "saving", "after the metrics"])
def test_a_killed_run_goes_on_as_if_it_had_not_been(
    tmp_path: Path, vocabulary: HeaderVocabulary, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    monkeypatch.setattr(reinforce, "outcome", _lucky)
    monkeypatch.setattr(metrics, "draw", lambda *_: None)  # a second each time, and shown elsewhere
    expected = _run(tmp_path / "whole", vocabulary)
    with monkeypatch.context() as patch:
        if moment == "rollout":
            killer: Callable[[int], Episode] = lambda n: _episode(n) if n < 5 else _die()  # noqa: E731
        else:
            killer = _episode
            saves = iter([False, False, True])
            place = "fsync" if moment == "saving" else "copied"
            owner = checkpoint.os if moment == "saving" else checkpoint
            real = getattr(owner, place)
            # metrics.append syncs too; the checkpoint's own syncs are every second one.
            count = iter(range(99))
            patch.setattr(
                owner,
                place,
                lambda *a: (
                    _die() if (moment != "saving" or next(count) % 2) and next(saves, True) else real(*a)
                ),
            )
        with pytest.raises(_Killed):
            _run(tmp_path / "cut", vocabulary, episodes=killer)
    before = checkpoint.latest(tmp_path / "cut" / "checkpoints")
    assert before is None or before["step"] < 4
    found = _run(tmp_path / "cut", vocabulary)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert _rows(tmp_path / "cut") == _rows(tmp_path / "whole")
    assert [row["step"] for row in _rows(tmp_path / "cut")] == [1, 2, 3, 4]


def _die() -> Any:
    raise _Killed


def test_a_run_learns_and_says_how(
    tmp_path: Path, vocabulary: HeaderVocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rewarded for an early end of the answer, it ends earlier; the folder holds what the run was."""
    monkeypatch.setattr(
        reinforce, "outcome", lambda episode, answer, rule: max(0.0, 1 - len(answer.raw) / 60)
    )
    settings = Reinforcement(
        steps=12, questions=2, rollouts=8, learning_rate=2e-2, warmup=1, kl=0.0, checkpoint_every=6
    )
    _run(tmp_path, vocabulary, settings)
    rows = metrics.read(tmp_path / "metrics.jsonl")
    first, last = (sum(row["reward"] for row in part) / 3 for part in (rows[:3], rows[-3:]))
    assert last > first + 0.1
    assert rows[-1]["learning_rate"] == 2e-2
    assert {panel[0] for panel in metrics.REINFORCED} - {"kl"} <= rows[0].keys()
    assert rows[0]["engine_gap"] < 1e-3 and rows[0]["tokens_per_second"] > 0
    assert (tmp_path / "metrics.png").read_bytes()[1:4] == b"PNG"
    assert [path.name for path in sorted((tmp_path / "checkpoints").iterdir())] == [
        "step-000006.pt",
        "step-000012.pt",
    ]
    with pytest.raises(ConfigError, match="other settings"):
        _run(tmp_path, vocabulary, SETTINGS)


def test_dynamic_sampling_asks_on_until_there_is_something_to_learn(
    vocabulary: HeaderVocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = TorchEngine(Decoder(tiny_llama()), vocabulary, FRAME, EngineSettings(rows=6, context=256))
    settings = Reinforcement(questions=1, rollouts=2, dynamic_sampling=True, dynamic_limit=3)
    asked: list[int] = []

    def episodes(number: int) -> Episode:
        asked.append(number)
        return _episode(number)

    monkeypatch.setattr(reinforce, "outcome", lambda *_: 0.0)
    groups, position, count = reinforce.gather(engine, episodes, PROFILE, settings, 0, 10)
    assert (len(groups), position, count, asked) == (1, 13, 3, [10, 11, 12])
    flip = iter([0.0, 0.0, 0.0, 1.0])
    monkeypatch.setattr(reinforce, "outcome", lambda *_: next(flip))
    groups, position, count = reinforce.gather(engine, episodes, PROFILE, settings, 0, 10)
    assert (len(groups), position, count) == (1, 12, 2)
    assert groups[0][0].episode.id == _episode(11).id


def test_the_engine_can_say_where_the_ratio_starts(
    tmp_path: Path, vocabulary: HeaderVocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reinforce, "outcome", _lucky)
    monkeypatch.setattr(metrics, "draw", lambda *_: None)
    settings = Reinforcement(steps=1, questions=1, rollouts=2, old="engine", average="groups")
    _run(tmp_path, vocabulary, settings)
    (row,) = metrics.read(tmp_path / "metrics.jsonl")
    assert row["clip_fraction"] == 0.0 and row["engine_gap"] == 0.0


def test_a_damaged_last_line_is_left_out(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    log.write_text('{"step": 1}\n{"step": 2}\n{"st')
    assert metrics.read(log) == [{"step": 1}, {"step": 2}]
    metrics.cut(log, 1)
    assert log.read_text() == '{"step": 1}\n'
    assert metrics.smoothed([2.0, 2.0, 2.0]) == pytest.approx([2.0, 2.0, 2.0])
