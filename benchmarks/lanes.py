"""Parts of a text read side by side against one reading from its beginning to its end."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.measure import Row, paired, ratio, seconds
from benchmarks.models import memory_of
from benchmarks.reading import Options, profile_of, read, reader
from memread.engine.llamacpp.model import Model

_LANES = (2, 4)
_SEGMENT = 1000
"""Tokens."""


def lanes(options: Options) -> Iterator[Row]:
    """Time with lanes ÷ time with one: of texts of 8 segments, memories of 64 tokens written again.

    Below 1 lanes are faster. The memory is the same throughout, so that merging is one short step: what
    lanes can save, not what they come to.
    """
    for name, path in options.models():
        with Model(path) as model:
            memory = memory_of(model, 64)
            profile = profile_of(memory, _SEGMENT, 128)
            tokens = 8 * _SEGMENT * 24 // 25
            for many in _LANES:
                context = _SEGMENT + 600
                with (
                    reader(model, memory, slots=many, context=context, threads=options.threads) as abreast,
                    reader(model, memory, context=context, threads=options.threads) as one,
                ):
                    folder = options.folder
                    pairs = paired(
                        lambda abreast=abreast, many=many: seconds(  # type: ignore[misc]
                            lambda: read(abreast, profile, model, tokens, folder, lanes=many)
                        ),
                        lambda one=one: seconds(lambda: read(one, profile, model, tokens, folder)),  # type: ignore[misc]
                        options.runs,
                        options.clock,
                    )
                yield ratio(
                    "lanes",
                    f"{many} lanes ÷ 1, segments of {_SEGMENT:,}, memories of 64, {name}",
                    "–",
                    pairs,
                    f"{tokens / min(a for a, _ in pairs):.0f} tokens/s with {many}, "
                    f"{tokens / min(b for _, b in pairs):.0f} with 1",
                )
