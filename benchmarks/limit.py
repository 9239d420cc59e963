"""Tokens of a book read a second, against the best that bare llama.cpp does with prompts of any length."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from benchmarks.measure import Row, paired, ratio, seconds
from benchmarks.models import Bare, memory_of, passages
from benchmarks.reading import Options, profile_of, read, reader
from memread.engine.llamacpp.model import Model
from memread.profile import Profile, load, shipped_dir

LENGTHS = (128, 256, 512, 1024, 2048, 4096)
"""Tokens of the prompts among which the best rate is looked for."""
_MEMORY = 64


def limit(options: Options) -> Iterator[Row]:
    """Bare prefill at its best ÷ a reading, seconds for a token of the book: 1 is the limit."""
    for name, path in options.models():
        with Model(path) as model:
            memory = memory_of(model, _MEMORY)
            ids = model.vocabulary.encode("".join(part.text for part in passages(model, 3 * max(LENGTHS))))
            # Full segments, and as many tokens whatever their size.
            tokens = options.segments * max(options.sizes) * 24 // 25
            for profile in _profiles(options, memory):
                segment, reply = profile.budget.segment, profile.wording.unchanged or memory
                brief = bool(profile.wording.unchanged)
                with reader(model, reply, threads=options.threads, brief=brief) as engine:
                    bare = Bare(model, context=8192, threads=engine.info.threads)
                    rates: dict[int, float] = {}

                    def best() -> float:
                        for length in LENGTHS:
                            took = bare.prefill(ids[-length:])
                            rates[length] = max(rates.get(length, 0.0), length / took)
                        return tokens / max(rates.values())

                    def whole() -> float:
                        return seconds(lambda: read(engine, profile, model, tokens, options.folder))

                    pairs = paired(best, whole, options.runs, options.clock)
                    bare.close()
                fastest = max(rates, key=lambda length: rates[length])
                yield ratio(
                    "limit",
                    f"tokens of the book a second ÷ the best bare prefill rate, profile {profile.name}, "
                    f"segments of {segment:,}, memory of {_MEMORY} unchanged, {name}",
                    "≥ 0.8",
                    pairs,
                    f"{tokens / min(b for _, b in pairs):.0f} tokens/s against {rates[fastest]:.0f} tokens/s "
                    f"with prompts of {fastest:,}",
                )


def _profiles(options: Options, memory: str) -> Iterator[Profile]:
    """The published workflow with segments of `options.sizes`; then the bundled reader as it ships. `memory`
    is all that they know from the beginning to the end."""
    for segment in options.sizes:
        yield profile_of(memory, segment, 2 * _MEMORY)
    bundled = load(shipped_dir() / "tiny" / "profile.toml")
    wording = msgspec.structs.replace(bundled.wording, initial_memory=memory)
    yield msgspec.structs.replace(bundled, wording=wording)
