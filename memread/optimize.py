"""The fastest way of reading with a model on this machine that keeps its quality: `memread models optimize`.

Types first, then threads, batch, attention and the KV cache's type. All are measured against what there is
now, in turns, so that a machine whose speed drifts is fair to both; a change has to win by 3 % at the median.
What may change a prediction is kept only if the predictions over a text stay within LIMIT of the original's.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from memread import machine, tensors, tuning, weights
from memread.compose import chosen_profile, engine_settings
from memread.config import Config
from memread.errors import MemreadError
from memread.rates import rewritten, sample
from memread.registry import InstalledModel
from memread.tuning import Choice

if TYPE_CHECKING:
    from memread.engine.llamacpp.bare import Bare
    from memread.engine.llamacpp.engine import Settings
    from memread.engine.llamacpp.fidelity import Fidelity
    from memread.engine.llamacpp.model import Model

LIMIT: Final = 0.02
"""Nats of mean Kullback-Leibler divergence from the original's predictions. Rounding to F16, BF16 or Q8_0
costs 0.003 to 0.006 on the embedded model, Q4_0 made from its Q4_1 costs 0.3 (docs/NOTES.md)."""
KINDS: Final = ("F16", "BF16", "Q8_0", "Q4_0")
GAIN: Final = 1.03
"""How much faster a change must be."""
_COMPARED: Final = 384
"""Tokens of text over which predictions are compared."""
_ROUNDS: Final = 3

Say = weights.Say
_Turn = tuple[float, float]
"""Seconds of a prompt, and of one decoded token after it."""


class Row(msgspec.Struct, frozen=True):
    """One thing that was tried."""

    what: str
    """ "type" or a setting's name."""
    value: str
    size: int = 0
    """Bytes of the file."""
    prefill: float = 0.0
    """Tokens a second; 0: not measured."""
    decode: float = 0.0
    gain: float = 1.0
    """How many times as fast as what it was measured against, at the median of the rounds."""
    divergence: float | None = None
    agreement: float | None = None
    verdict: str = ""
    """Why it was not taken; "" for what was."""


class Outcome(msgspec.Struct, frozen=True):
    choice: Choice
    rows: tuple[Row, ...]
    prompt: int
    """Tokens of the prompts that were measured."""


def optimize(
    config: Config,
    found: InstalledModel,
    *,
    seconds: float,
    keep: bool,
    say: Say,
    tell: Callable[[Row], None],
) -> Outcome:
    """Measure, and with `keep` remember: the file is made, and read from now on.

    seconds: about what measuring may take, besides making and comparing the files. say: told how far a file
    is; tell: told each row when it is there. Raises ModelError, OutOfMemory, EngineFailed, ConfigError.
    """
    trial = _Trial(config, found, seconds, say, tell)
    try:
        kind = trial.types()
        choice = trial.settings(kind)
        if keep:
            tuning.remember(config.data_dir, trial.sources.digest, choice)
        return Outcome(choice, tuple(trial.rows), trial.prompt)
    finally:
        trial.tidy(keep)


def undo(config: Config, found: InstalledModel) -> bool:
    """Forget what was measured for a model; whether there was anything. What was made of it goes too."""
    sources, _ = weights.sources_of(found)
    known = tuning.load(config.data_dir).get(sources.digest)
    if known is None:
        return False
    tuning.remember(config.data_dir, sources.digest, None)
    if known.kind and (found.recipe is None or found.recipe.kind != known.kind):
        weights.discard(sources.file(weights.folder_of(config), known.kind))
    return True


class _Trial:
    def __init__(
        self, config: Config, found: InstalledModel, seconds: float, say: Say, tell: Callable[[Row], None]
    ) -> None:
        self.config, self.found, self._say, self._tell = config, found, say, tell
        self.sources, _ = weights.sources_of(found)
        self.rows: list[Row] = []
        self.prompt = 0
        self._profile = chosen_profile(config, found)
        # Five types and seven settings in pairs, every round.
        self._turn = max(0.05, seconds / (_ROUNDS * (5 + 2 * 7)))
        self._made: dict[str, Path] = {}
        self._before = {path.name for path in self._folder.glob("*.gguf")} if self._folder.is_dir() else set()
        self._text = sample(16 * _COMPARED)
        self._kept = ""

    @property
    def _folder(self) -> Path:
        return weights.folder_of(self.config)

    def types(self) -> str:
        """The type to read in; "" as it is."""
        from memread.engine.llamacpp import fidelity

        own = self.found.description.quantization
        original = fidelity.predictions(
            self.sources.base,
            self._text,
            adapter=self.sources.adapter,
            tokens=_COMPARED,
            settings=self._settings(None),
        )
        faithful: dict[str, Fidelity] = {"": fidelity.compare(original, original)}
        for kind in KINDS:
            if kind == own and self.sources.adapter is None:
                continue
            try:
                path = self._make(kind)
                faithful[kind] = fidelity.compare(
                    original,
                    fidelity.predictions(path, self._text, tokens=_COMPARED, settings=self._settings(None)),
                )
            except (MemreadError, OSError) as error:
                weights.discard(self.sources.file(self._folder, kind))
                self._add(Row("type", kind, verdict=getattr(error, "message", None) or str(error)))
        del original
        fast = [kind for kind, found in faithful.items() if found.divergence <= LIMIT]
        speeds = self._race(fast)
        gains = {kind: self._gain(speeds[""], speeds[kind]) for kind in fast}
        best = max(fast, key=lambda kind: gains[kind])
        best = best if gains[best] >= GAIN else ""
        for kind, found in faithful.items():
            if kind == best:
                verdict = ""
            elif kind not in fast:
                verdict = f"predicts otherwise (over {LIMIT})"
            else:
                verdict = "slower" if kind else "as it is"
            size = self.found.size if not kind else self._made[kind].stat().st_size
            row = Row("type", kind or (own or "unknown"), size=size, verdict=verdict)
            row = msgspec.structs.replace(row, divergence=found.divergence, agreement=found.agreement)
            if kind in speeds:
                prefill, decode = _rates(speeds[kind], self.prompt)
                row = msgspec.structs.replace(row, prefill=prefill, decode=decode, gain=gains[kind])
            self._add(row)
        self._kept = best
        return best

    def settings(self, kind: str) -> Choice:
        """Threads, batch, attention and KV type, one after the other, each against the best so far."""
        from memread.engine.llamacpp.library import cpu_threads
        from memread.engine.llamacpp.model import Model

        known = tuning.choice_for(self.config.data_dir, self.sources.digest)
        segment = known.segment if known else 0  # what memread bench --write chose stays
        choice = Choice(tuning.fingerprint(), name=self.found.name, kind=kind, segment=segment)
        cores = cpu_threads()
        tried: list[tuple[str, str, Sequence[int | str]]] = [
            ("threads", "threads", sorted({max(1, cores // 2), cores * 2} - {cores})),
            ("batch", "batch", (256, 1024)),
            ("flash", "flash_attention", ("on", "off")),
            ("kv", "kv_type", ("bf16", "q8_0")),
        ]
        # What the user has set is not to be chosen.
        values = {
            name: each
            for name, setting, each in tried
            if self.config.origin(f"engine.{setting}") == "default"
        }
        path, adapter = self._weights(kind)
        with Model(path, adapter=adapter) as model:
            ids = model.vocabulary.encode(self._text)
            for name, value in [(key, value) for key in values for value in values[key]]:
                other = msgspec.structs.replace(choice, **{name: value})
                try:
                    row = self._against(model, ids, choice, other, Row(name, str(value)))
                    if not row.verdict and name in ("flash", "kv"):
                        row = self._same(path, adapter, other, row)
                except MemreadError as error:  # such as a KV type that this model cannot have
                    row = Row(name, str(value), verdict=error.message)
                if not row.verdict:
                    choice = other
                self._add(row)
        return choice

    def _against(self, model: Model, ids: list[int], choice: Choice, other: Choice, row: Row) -> Row:
        turns = [
            (self._turn_of(model, ids, choice), self._turn_of(model, ids, other)) for _ in range(_ROUNDS)
        ]
        gain = self._gain([one for one, _ in turns], [two for _, two in turns])
        return msgspec.structs.replace(row, gain=gain, verdict="" if gain >= GAIN else "no faster")

    def _same(self, path: Path, adapter: Path | None, choice: Choice, row: Row) -> Row:
        """The row, with what the setting does to the predictions."""
        from memread.engine.llamacpp import fidelity

        exact, other = (
            fidelity.predictions(
                path, self._text, adapter=adapter, tokens=_COMPARED, settings=self._settings(each)
            )
            for each in (None, choice)
        )
        found = fidelity.compare(exact, other)
        return msgspec.structs.replace(
            row,
            divergence=found.divergence,
            agreement=found.agreement,
            verdict="" if found.divergence <= LIMIT else f"predicts otherwise (over {LIMIT})",
        )

    def tidy(self, keep: bool) -> None:
        """Remove the files that were made and are not to be read."""
        recipe = self.found.recipe.kind if self.found.recipe else ""
        for kind, path in self._made.items():
            if (path.name not in self._before and not (keep and kind == self._kept)) or (
                keep and kind != self._kept and kind != recipe
            ):
                weights.discard(path)

    def _make(self, kind: str) -> Path:
        path = self.sources.file(self._folder, kind)
        free = machine.memory().available
        count = sum(tensor.count for tensor in tensors.tensors(self.sources.base).values())
        if free and count * weights.bits(kind) / 8 > 0.8 * free:
            raise OSError("larger than the free memory")
        weights.made(
            self._folder, self.sources, kind, lambda text, share: self._say(f"Writing {kind}", share)
        )
        self._made[kind] = path
        return path

    def _weights(self, kind: str) -> tuple[Path, Path | None]:
        return (self._made[kind], None) if kind else (self.sources.base, self.sources.adapter)

    def _race(self, kinds: Sequence[str]) -> dict[str, list[_Turn]]:
        """Seconds of a prompt and of a decoded token, of every type, in turns."""
        from memread.engine.llamacpp.model import Model

        times: dict[str, list[_Turn]] = {kind: [] for kind in kinds}
        for turn in range(_ROUNDS):
            for kind in kinds if turn % 2 == 0 else [*reversed(kinds)]:
                path, adapter = self._weights(kind)
                with Model(path, adapter=adapter) as model:
                    ids = model.vocabulary.encode(self._text)
                    if not self.prompt:
                        self.prompt = self._length(model, ids)
                    times[kind].append(self._turn_of(model, ids, None))
        return times

    def _length(self, model: Model, ids: list[int]) -> int:
        """As many tokens of prompt as fit into a turn, at most a segment's."""
        with self._context(model, 160, None) as context:
            context.prefill(ids[:32])
            rate = 128 / context.prefill(ids[:128])
        # Half of a turn is for the prompt, a quarter for loading, a quarter for decoding.
        return max(64, min(self._profile.budget.segment, len(ids) - 32, round(rate * self._turn / 2)))

    def _turn_of(self, model: Model, ids: list[int], choice: Choice | None) -> _Turn:
        """Seconds of the prompt, and of one decoded token after it."""
        with self._context(model, self.prompt + 32, choice) as context:
            context.prefill(ids[:32])
            prompt = context.prefill(ids[: self.prompt])
            decoded = [context.decode(ids[:1], self.prompt + i) for i in range(6)]
        return prompt, statistics.median(decoded)

    def _gain(self, one: Sequence[_Turn], other: Sequence[_Turn]) -> float:
        """How many times as fast a reading is with the other, at the median of the rounds.

        The memory that is rewritten counts as in rates.py, in proportion to the prompt.
        """
        budget = self._profile.budget
        tokens = budget.memory * rewritten(self._profile) * self.prompt / budget.segment
        return statistics.median(
            (first[0] + tokens * first[1]) / (second[0] + tokens * second[1])
            for first, second in zip(one, other, strict=True)
        )

    def _settings(self, choice: Choice | None) -> Settings:
        return engine_settings(self.config, choice, self._profile, context=self._profile.budget.segment + 64)

    @contextmanager
    def _context(self, model: Model, tokens: int, choice: Choice | None) -> Iterator[Bare]:
        from memread.engine.llamacpp.bare import Bare

        settings = msgspec.structs.replace(self._settings(choice), context=tokens)
        with Bare(model, settings) as context:
            yield context

    def _add(self, row: Row) -> None:
        self.rows.append(row)
        self._tell(row)


def _rates(times: Sequence[tuple[float, float]], prompt: int) -> tuple[float, float]:
    """Tokens a second: of the prompt, and decoded."""
    return (
        prompt / statistics.median(first for first, _ in times),
        1 / statistics.median(second for _, second in times),
    )
