"""A whole evaluation: engine, methods, items, results, and what is said of it."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from memread import interrupts
from memread.compose import engine_for, outline
from memread.config import Config
from memread.errors import UsageError
from memread.eval import progress
from memread.eval.arms import Arm, arms
from memread.eval.item import Item
from memread.eval.methods import Method, Setup, search
from memread.eval.methods.wording import shipped
from memread.eval.report import tokens
from memread.eval.results import ResultFile
from memread.eval.runner import Runner
from memread.protocols import Engine, Tokenizer
from memread.types import Limits

_WORDING = 512
"""Tokens for a method's wording and the chat template, at the most."""
_SERVED = 4
"""Items at a time where a server does not tell how many it takes."""
_SHORT = 1.02
"""A text may be this much longer than was asked for."""


class Planned(msgspec.Struct, frozen=True):
    """Items, and what is known of them before they are made."""

    items: Iterator[Item]
    lengths: tuple[int, ...]
    """Of each item, in tokens."""
    notices: tuple[str, ...] = ()
    one_text: bool = False
    """All items ask about the same text: those that run at a time then read it side by side."""


class Options(msgspec.Struct, frozen=True):
    methods: tuple[Method, ...]
    out: Path
    sweeps: tuple[str, ...] = ()
    parallel: int | None = None
    """Items at a time; None: 1 on a CPU (a second one gains little there, and takes its repeatability), 4 on
    a GPU, as many as a server takes."""
    window: int | None = None
    """Tokens for the methods with one context; None: what the model was trained to."""
    longest: int | None = None
    """Tokens of the longest text, where it is known: the context is made no larger than it takes."""
    command: str = ""
    verbose: bool = False


def evaluate(
    config: Config,
    plan: Callable[[Tokenizer, Limits], Planned],
    options: Options,
    say: Callable[[str], None],
) -> None:
    """Do what the result file does not have yet. `say` is told lines for the user.

    Raises UsageError when none of it can be done, and whatever stops an engine from being used.
    """
    if any(method.name in ("bm25", "notes") for method in options.methods):
        search.require()
    found = outline(config)
    compared = arms(options.methods, found.profile, options.sweeps)
    trained = found.context
    window = min(options.window or trained, trained) if trained else options.window or 8192
    need = min(_context(compared, window, options.longest), max(trained, window))
    slots = options.parallel or (found.slots or _SERVED if config.url else _parallel(config))

    def told(text: str, share: float | None) -> None:
        if share is None or share == 0:
            say(text)

    with ResultFile(options.out) as file:
        own = msgspec.structs.replace(config, context=max(need, config.context))
        with (
            engine_for(own, slots=slots, verbose=options.verbose, say=told) as ready,
            interrupts.held(ready.engine.interrupt),
        ):
            interrupts.check()
            for notice in ready.notices:
                say(notice)
            planned = plan(ready.engine.tokenizer, config.limits)
            for notice in planned.notices:
                say(notice)
            abreast = min(slots, len(planned.lengths)) if planned.one_text else 1
            shown = _foretell(ready.engine, compared, planned, window, max(abreast, 1), say)
            interrupts.check()
            runner = Runner(
                ready.engine,
                file,
                window=window,
                trained=trained or window,
                width=slots,
                abreast=planned.one_text,
                command=options.command,
                tell=shown,
            )
            try:
                runner.run(planned.items, compared)
            finally:
                shown.end()
        file.close(complete=True)


def _context(compared: Sequence[Arm], window: int, longest: int | None) -> int:
    """Tokens of the largest prompt and reply that any arm will ask for."""
    needs = []
    for arm in compared:
        budget = arm.profile.budget
        fixed = budget.query + _WORDING
        if arm.method.name in ("full", "truncate"):
            text = window if longest is None else min(window, round(longest * _SHORT))
            needs.append(min(text + fixed + budget.answer, window))
        else:
            needs.append(fixed + budget.segment + budget.memory + max(budget.memory, budget.answer))
    return max(needs)


def _parallel(config: Config) -> int:
    from memread.engine.llamacpp.library import library

    return 4 if config.gpu_layers != 0 and library().gpu_build else 1


def _foretell(
    engine: Engine,
    compared: Sequence[Arm],
    planned: Planned,
    window: int,
    abreast: int,
    say: Callable[[str], None],
) -> progress.Progress:
    """Say what cannot be done and how long the rest will take. abreast: items read side by side over one
    text. Raises UsageError if nothing can be done."""
    setups = [Setup(arm.profile, shipped(), engine.tokenizer, engine.frame, window) for arm in compared]
    misfits: dict[str, Counter[int]] = {}
    for arm, setup in zip(compared, setups, strict=True):
        longest = arm.method.longest(setup)
        long = [length for length in planned.lengths if longest is not None and length > longest]
        if long:
            misfits[f"{arm.name} (at most {longest:,} tokens)"] = Counter(long)
    count = sum(sum(lengths.values()) for lengths in misfits.values())
    results = len(planned.lengths) * len(compared)
    if results and count == results:
        raise UsageError(
            f"none of these texts fits: {'; '.join(misfits)}", "Shorter --lengths, or other --method."
        )
    for name, lengths in misfits.items():
        said = ", ".join(f"{number} of {tokens(length)}" for length, number in sorted(lengths.items()))
        say(f"Does not fit, and is marked so: {name}: {said}")
    speed = progress.measure(engine, max(arm.profile.budget.segment for arm in compared))
    by_name = {arm.name: setup for arm, setup in zip(compared, setups, strict=True)}

    def due(arm: Arm, length: int, share: float | None = None) -> float:
        return progress.expected(arm, length, by_name[arm.name], speed, share, abreast)

    total = sum(due(arm, length) for arm in compared for length in planned.lengths)
    most = sum(due(arm, length, 1.0) for arm in compared for length in planned.lengths)
    say(
        f"{len(planned.lengths)} items × {len(compared)} methods and settings = {results} results: about "
        f"{progress.duration(total)} (at most about {progress.duration(most)}), at "
        f"{speed.prefill:.0f} tokens/s read and {speed.decode:.0f} written, measured just now"
    )
    return progress.Progress(total, results, due, sys.stderr)
