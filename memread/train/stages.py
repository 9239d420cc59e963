"""The stages of training put together from a Run: supervise, reinforce, roll out, export."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from importlib import metadata as packages
from pathlib import Path
from typing import Any

import msgspec
import torch

from memread import __version__
from memread.engine.llamacpp.conversion import convert
from memread.errors import ConfigError
from memread.profile import Profile
from memread.train import export, reinforce, supervise, weights
from memread.train.data.compose import Maker
from memread.train.data.compose import Settings as Texts
from memread.train.decoder import Decoder
from memread.train.engine import TorchEngine
from memread.train.episode import Episode, Split
from memread.train.recipe import Run
from memread.train.rollout import Recorder, Recording, Rollout, roll
from memread.train.vocabulary import PromptVocabulary, open_vocabulary
from memread.types import ChatFrame

Report = Callable[[Mapping[str, Any]], None]


class Bench:
    """A model with LoRA on its device, its vocabulary and the profile: what every stage works with."""

    def __init__(self, run: Run, base: Path, profile: Profile, start: Path | None = None) -> None:
        """base: the GGUF. start: LoRA weights to go on from (export.read). Raises ModelError."""
        self.run, self.base, self.profile = run, base, profile
        if run.threads:
            torch.set_num_threads(run.threads)
        self.vocabulary: PromptVocabulary
        self.frame: ChatFrame
        self.vocabulary, self.frame = open_vocabulary(base)
        gpu = torch.cuda.is_available() if run.device == "auto" else run.device == "cuda"
        self.device = torch.device("cuda" if gpu else "cpu")
        half = run.dtype == "bfloat16" or (run.dtype == "auto" and gpu)
        self.dtype = torch.bfloat16 if half else torch.float32
        state, self.lora = export.read(base, start) if start else (None, run.lora)
        self.model = weights.with_lora(weights.load(base, self.dtype), self.lora, run.reinforce.seed)
        if state is not None:
            weights.load_lora_state(self.model, state)
        self.model.to(self.device)

    def ready(self, stack: ExitStack, folder: Path) -> reinforce.Ready:
        """What gives an engine with the model's present weights. folder: for files on the way."""
        if self.run.rollouts == "llama.cpp":
            return _Llama(self, stack, folder)
        decoder = Decoder(self.model, dtype=self.dtype)
        engine = TorchEngine(decoder, self.vocabulary, self.frame, self.run.engine, name=self.base.stem)
        stack.callback(engine.close)

        def ready() -> Recording:
            engine.refresh()
            return engine

        return ready

    def episodes(self, split: Split = "train", seed: int = 0) -> reinforce.Episodes:
        """The n-th question of a split: one of those about text number n."""
        folder = Path(self.run.data) if self.run.data else None
        maker = Maker(split, seed, self.vocabulary, self._texts(), folder)
        sections = self.run.reinforce.sections
        if sections is None:
            return maker.episode
        teacher = supervise.teacher(self.base, self.profile)

        def begun(number: int) -> Episode:
            return teacher.begun(maker.episode(number), sections, self.run.supervise.choice, str(seed))

        return begun

    def save_lora(self, path: Path) -> None:
        """Write the present LoRA weights; a kill leaves the old file or the new one."""
        temporary = path.with_name(path.name + ".part")
        weights.save_lora(temporary, self.model)
        temporary.replace(path)

    def record(self, folder: Path, stage: str) -> None:
        """Write down everything that the run is made of.

        Raises ConfigError where the folder has a checkpoint of a run that is made of something else.
        """
        folder.mkdir(parents=True, exist_ok=True)
        names = ("torch", "transformers", "peft", "numpy", "gguf")
        facts = {
            "stage": stage,
            "memread": __version__,
            "packages": {name: packages.version(name) for name in names},
            "python": platform.python_version(),
            "device": torch.cuda.get_device_name() if self.device.type == "cuda" else platform.processor(),
            "model": str(self.base),
            "profile": msgspec.to_builtins(self.profile),
            "settings": msgspec.to_builtins(self.run),
        }
        path, written = folder / f"{stage}.json", msgspec.json.format(msgspec.json.encode(facts))
        if any((folder / name).exists() for name in _BEGUN) and path.exists():
            try:
                before = _made_of(msgspec.json.decode(path.read_bytes()))
            except (msgspec.DecodeError, KeyError, TypeError) as error:
                raise ConfigError(f"{path}: cannot be read ({error})", "Take another folder.") from error
            now = _made_of(msgspec.json.decode(written))
            if other := sorted(name for name in {*before, *now} if before.get(name) != now.get(name)):
                raise ConfigError(
                    f"{folder}: was trained with other settings: {', '.join(other)}", "Take another folder."
                )
        path.write_bytes(written)

    def _texts(self) -> Texts:
        """As set, but nothing that is longer than the profile's budgets."""
        budget, texts = self.profile.budget, self.run.texts
        low, high = (min(tokens, budget.segment) for tokens in texts.segment_tokens)
        return msgspec.structs.replace(
            texts, segment_tokens=(low, high), memory_tokens=min(texts.memory_tokens, budget.memory - 1)
        )


_BEGUN = ("checkpoint.safetensors", "checkpoints")
_FREE = {
    "": ("threads", "device", "rollouts", "engine", "data"),
    "supervise": ("steps", "checkpoint_every", "dev_families"),
    "reinforce": ("steps", "checkpoint_every", "keep"),
}
"""Settings of a run, by table, that may be others when it is gone on with: how fast, how long, and where the
texts are."""


def _made_of(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What a run that is gone on with must share, by name."""
    found: dict[str, Any] = {"profile": facts["profile"], "texts given": bool(facts["settings"]["data"])}
    for name, value in facts["settings"].items():
        own = _FREE.get(name, ())
        if name not in _FREE[""]:
            found[name] = {k: v for k, v in value.items() if k not in own} if own else value
    return found


def run_supervision(bench: Bench, folder: Path, report: Report, until: Callable[[], bool]) -> None:
    """The warm start. Leaves lora.safetensors in the folder."""
    bench.record(folder, "supervise")
    recipe = bench.run.supervise
    if not bench.lora.rank and bench.dtype != torch.float32 and not recipe.autocast:
        raise ConfigError(
            "weights that are learned are in float32, the others in bfloat16",
            "Without LoRA (lora.rank=0) take supervise.autocast=true, or dtype=float32.",
        )
    teacher = supervise.teacher(bench.base, bench.profile)
    data = Path(bench.run.data) if bench.run.data else None
    lessons = supervise.Lessons(teacher, bench.vocabulary, recipe, data, "train")
    dev = supervise.Lessons(teacher, bench.vocabulary, recipe, data, "dev")
    supervise.learn(bench.model, lessons, folder, until=until, dev=dev, report=report)


def run_reinforcement(bench: Bench, folder: Path, report: Report) -> None:
    """Multi-Conv DAPO. Leaves lora.safetensors in the folder, of the last checkpoint."""
    settings = bench.run.reinforce
    if not bench.lora.rank:
        raise ConfigError("reinforcement learns a LoRA, but lora.rank is 0", "Begin from the merged model.")
    bench.record(folder, "reinforce")
    with ExitStack() as stack:
        reinforce.reinforce(
            bench.model,
            bench.ready(stack, folder),
            bench.episodes("train", settings.seed),
            bench.profile,
            bench.vocabulary,
            settings,
            folder,
            report=report,
            saved=lambda: bench.save_lora(folder / "lora.safetensors"),
        )


def run_rollouts(bench: Bench, folder: Path, *, split: Split, count: int, start: int) -> list[list[Rollout]]:
    """Groups of rollouts of `count` episodes, to be looked at."""
    settings = bench.run.reinforce
    episodes = bench.episodes(split, settings.seed)
    with ExitStack() as stack:
        engine = bench.ready(stack, folder)()
        return roll(
            engine,
            [episodes(start + number) for number in range(count)],
            bench.profile,
            rollouts=settings.rollouts,
            seed=settings.seed,
            temperature=settings.temperature,
            top_p=settings.top_p,
        )


def run_export(
    base: Path, start: Path, out: Path, *, whole: bool, kind: export.Kind, name: str, rank: int = 0
) -> Path:
    """What was learned, in `start`, as a GGUF adapter for `base` (of a lower `rank`, if given), or the merged
    model. Raises ConfigError."""
    state, lora = export.read(base, start)
    if whole:
        if rank:
            raise ConfigError("--rank is of an adapter, not of a merged model")
        return export.merged(base, state, lora, out, name=name, kind=kind)
    if kind not in ("F16", "F32"):
        raise ConfigError(f"an adapter can be F16 or F32, not {kind}")
    if not lora.rank and not rank:
        raise ConfigError(
            f"{start}: whole weights, not a LoRA", "Take --merged, or --rank for an adapter near them."
        )
    return export.adapter(base, state, lora, out, name=name, kind=kind, rank=rank)


class _Llama:
    """llama.cpp with the present weights: the base, written once, and an adapter that is written and loaded
    anew for every step. (Merging them took 10 s of a step, writing the adapter 3.)"""

    def __init__(self, bench: Bench, stack: ExitStack, folder: Path) -> None:
        self._bench = bench
        self._base, self._adapter = folder / "rollouts.gguf", folder / "rollouts-lora.gguf"
        self._inner = stack.enter_context(ExitStack())
        folder.mkdir(parents=True, exist_ok=True)
        for path in (self._base, self._adapter):
            stack.callback(path.unlink, missing_ok=True)
        # F16 reads about as fast as any type on a CPU, and the reference must not be requantized.
        convert(bench.base, self._base, "F16")

    def __call__(self) -> Recording:
        from memread.engine.llamacpp.engine import LlamaEngine, Settings
        from memread.engine.llamacpp.model import Model

        self._inner.close()
        bench, settings = self._bench, self._bench.run.engine
        state = weights.lora_state(bench.model)
        export.adapter(bench.base, state, bench.lora, self._adapter, name="rollouts", kind="F32")
        model = self._inner.enter_context(Model(self._base, adapter=self._adapter))
        engine = LlamaEngine(
            model,
            Settings(
                context=settings.context,
                slots=settings.rows,
                threads=settings.threads,
                copy_ahead=settings.copy_ahead,
            ),
            name=bench.base.stem,
            digest="",
        )
        self._inner.callback(engine.close)
        return Recorder(engine, model.vocabulary, model.vocabulary.eos)
