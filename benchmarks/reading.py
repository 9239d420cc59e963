"""Benchmarks of reading, in one process: against bare prefill, plain decoding, one context, one question."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks.measure import Clock, Row, figure, paired, ratio, seconds
from benchmarks.models import Bare, KnownReplies, answer, as_type, memory_of, passages
from memread import prompts
from memread.asking import Task
from memread.engine.llamacpp.engine import LlamaEngine, Settings
from memread.engine.llamacpp.library import cpu_threads
from memread.engine.llamacpp.model import Model
from memread.events import Answered
from memread.journal import Journal
from memread.profile import Profile, Wording
from memread.segment import segments
from memread.sidebyside import reading_for
from memread.types import Budget, DocumentInfo, Request, Sampling, Segment

PLAIN = Wording(
    update="Problem: {prompt}\n\nMemory: {memory}\n\nText:\n{chunk}\n\nWrite the memory again.",
    answer="Problem: {prompt}\n\nMemory: {memory}\n\nWrite the answer in \\boxed{{}}.",
)
SECTION_FIRST = Wording(
    update="Text:\n{chunk}\n\nProblem: {prompt}\n\nMemory: {memory}\n\nWrite the memory again.",
    answer=PLAIN.answer,
)
QUESTION = "Who stole the tarts?"


class Options(msgspec.Struct, frozen=True):
    """What the parts have in common."""

    model: Path
    types: tuple[str, ...]
    """GGUF types of the model to measure with; "" is the file as it is."""
    folder: Path
    threads: int
    """0: one a physical core."""
    runs: int
    minutes: float
    """Of one part."""
    segments: int
    """Segments of a reading."""
    sizes: tuple[int, ...]
    """Tokens of a segment, where a reading is compared with bare prefill."""
    before: tuple[int, ...]
    """Tokens in the context before a batch whose cost is measured."""
    lengths: tuple[int, ...]
    """Tokens, where a text is read in one context."""
    long: int
    """Tokens of the long reading that is compared with one of a twentieth."""
    questions: int

    @property
    def clock(self) -> Clock:
        return Clock(60 * self.minutes)

    def models(self) -> Iterator[tuple[str, Path]]:
        for name in self.types:
            yield name or "as it is", as_type(self.model, name, self.folder) if name else self.model


@contextmanager
def reader(
    model: Model,
    memory: str,
    *,
    threads: int,
    copy_ahead: int = 63,
    slots: int = 1,
    context: int = 8192,
    brief: bool = False,
) -> Iterator[KnownReplies]:
    settings = Settings(context=context, slots=slots, copy_ahead=copy_ahead, threads=threads, brief=brief)
    made = KnownReplies(model, settings, memory=memory)
    try:
        yield made
    finally:
        made.close()


def profile_of(memory: str, segment: int, budget: int, wording: Wording = PLAIN) -> Profile:
    wording = msgspec.structs.replace(wording, initial_memory=memory)
    return Profile("benchmark", wording, budget=Budget(segment=segment, memory=budget, answer=64))


def read(
    engine: LlamaEngine,
    profile: Profile,
    model: Model,
    tokens: int,
    folder: Path,
    questions: int = 1,
    lanes: int = 1,
) -> None:
    """A reading as `memread ask` does it, journal and all."""
    asked = tuple(f"{QUESTION} ({number})" for number in range(questions))
    text = iter(passages(model, tokens))
    task = Task((DocumentInfo("a book", "text"),), ("a book",), text, asked, profile, lanes=lanes)
    with (
        tempfile.TemporaryDirectory(dir=folder) as home,
        Journal.open(Path(home) / "journal.sqlite3") as journal,
    ):
        last = None
        for event in reading_for(task, engine, journal, fresh=True).events():
            last = event
    if not (isinstance(last, Answered) and last.answer.coverage.complete and not last.answer.coverage.kept):
        raise SystemExit(f"the reading did not end well: {last}")


def overhead(options: Options) -> Iterator[Row]:
    """A reading ÷ bare prefill of exactly its prompts, one after the other, with the same settings."""
    targets = {64: ("≤ 1.15", "≤ 1.05"), 512: ("≤ 1.5", "≤ 1.20")}
    cases = [(size, tokens, targets[tokens][size >= 5000]) for size in options.sizes for tokens in targets]
    for name, path in options.models():
        with Model(path) as model:
            for segment, size, target in cases:
                memory = memory_of(model, size)
                profile = profile_of(memory, segment, 2 * size)
                # Full segments: a last one that is short would have more overhead than others.
                tokens = options.segments * segment * 24 // 25
                with reader(model, memory, threads=options.threads) as engine:
                    used = engine.info.settings
                    batch, flash = int(used["batch"]), str(used["flash"])
                    bare = Bare(model, context=8192, batch=batch, threads=engine.info.threads, flash=flash)
                    ids: list[list[int]] = []

                    def prefill() -> float:
                        ids[:] = [model.vocabulary.encode_prompt(each.prompt) for each in engine.requests]
                        return sum(map(bare.prefill, ids))

                    def whole() -> float:
                        engine.requests.clear()
                        return seconds(lambda: read(engine, profile, model, tokens, options.folder))

                    pairs = paired(whole, prefill, options.runs, options.clock)
                    bare.close()
                yield ratio(
                    "overhead",
                    f"reading ÷ bare prefill of its prompts, segments of {segment:,}, "
                    f"memory of {size} unchanged, {name}",
                    target,
                    pairs,
                    f"{len(ids) - 1} segments, {sum(map(len, ids)):,} prompt tokens, "
                    f"{min(b for _, b in pairs):.1f} s bare",
                )


def rewrite(options: Options) -> Iterator[Row]:
    """Rewriting an unchanged memory of 512 tokens: copying ahead ÷ plain decoding, the reply alone."""
    for name, path in options.models():
        with Model(path) as model:
            memory = memory_of(model, 512)
            profile = profile_of(memory, 1500, 1024)
            text = "".join(passage.text for passage in passages(model, 1400))
            prompt = prompts.update(profile, model.frame, question=QUESTION, memory=memory, section=text)
            request = Request("update", prompt, 1024, Sampling(), prompts.SHARED, memory, (text,))
            with (
                reader(model, memory, context=4096, threads=options.threads) as ahead,
                reader(model, memory, context=4096, threads=options.threads, copy_ahead=0) as plain,
            ):
                batches: dict[str, int] = {}

                def run(engine: KnownReplies, which: str, batches: dict[str, int] = batches) -> float:
                    reply, batches[which], took = answer(engine, request)
                    assert reply.text == memory
                    return took

                pairs = paired(
                    lambda: run(ahead, "ahead"), lambda: run(plain, "plain"), options.runs, options.clock
                )
            yield ratio(
                "rewrite",
                f"rewriting an unchanged memory of 512 tokens, copy-ahead ÷ plain, {name}",
                "≤ 0.35 (CPU), ≤ 0.10 (GPU)",
                pairs,
                f"{batches['ahead']} batches against {batches['plain']}",
            )


def ties(options: Options) -> Iterator[Row]:
    """How often a real reply is another one because tokens were computed ahead."""
    clock = options.clock
    for name, path in options.models():
        with Model(path) as model:
            for sampling in (Sampling(), Sampling(temperature=0.7, top_p=0.95, seed=1)):
                settings = Settings(context=2048, threads=options.threads)
                ahead = LlamaEngine(model, settings, name="", digest="")
                settings = msgspec.structs.replace(settings, copy_ahead=0)
                plain = LlamaEngine(model, settings, name="", digest="")
                replies = other = tokens = accepted = 0
                try:
                    cut = segments(iter(passages(model, 12_000)), model.vocabulary, 300)
                    for segment in cut:
                        if not isinstance(segment, Segment) or (clock.over and replies):
                            break
                        # Something to copy: the small model repeats what it is told to repeat.
                        memory = " ".join(segment.text.split()[-70:])
                        profile = profile_of(memory, 300, 128, COPYING)
                        prompt = prompts.update(
                            profile, model.frame, question=QUESTION, memory=memory, section=segment.text
                        )
                        request = Request(
                            "update", prompt, 128, sampling, prompts.SHARED, memory, (segment.text,)
                        )
                        expected, _, _ = answer(plain, request)
                        reply, _, _ = answer(ahead, request)
                        replies, other = replies + 1, other + (reply.text != expected.text)
                        tokens += reply.counts.reply_tokens
                        accepted += reply.counts.accepted_tokens
                finally:
                    plain.close()
                    ahead.close()
                yield figure(
                    "ties",
                    f"replies that differ with copy-ahead, temperature {sampling.temperature:g}, {name}",
                    "few; stated",
                    [100 * other / replies],
                    "%",
                    f"{other} of {replies} replies, {tokens:,} tokens, {accepted:,} of them accepted guesses",
                )


COPYING = Wording(
    update="Text:\n{chunk}\n\nProblem: {prompt}\n\nRepeat this text word for word:\n\n{memory}",
    answer=PLAIN.answer,
)


def questions(options: Options) -> Iterator[Row]:
    """Many questions over one text ÷ one question: section first, sections of 2,000, memories of 64."""
    many = options.questions
    for name, path in options.models():
        with Model(path) as model:
            memory = memory_of(model, 64)
            profile = profile_of(memory, 2000, 128, SECTION_FIRST)
            tokens = options.segments * 2000 * 24 // 25
            with (
                reader(model, memory, slots=many, context=2600, threads=options.threads) as all_at_once,
                reader(model, memory, context=2600, threads=options.threads) as one,
            ):
                folder = options.folder
                pairs = paired(
                    lambda: seconds(lambda: read(all_at_once, profile, model, tokens, folder, many)),
                    lambda: seconds(lambda: read(one, profile, model, tokens, folder)),
                    options.runs,
                    options.clock,
                )
            yield ratio(
                "questions",
                f"{many} questions ÷ 1, section first, sections of 2,000, memories of 64, {name}",
                "≤ 4",
                pairs,
                f"{min(b for _, b in pairs):.1f} s for one",
            )


def context(options: Options) -> Iterator[Row]:
    """A reading ÷ the whole text in one llama.cpp context, each in a process of its own: time and memory."""
    for name, path in options.models():
        for length in options.lengths:
            ours = _child(path, "read", length, options.threads)
            whole = _child(path, "whole", length, options.threads)
            details = {
                "seconds": f"{ours['seconds']:.0f} s against {whole['seconds']:.0f} s",
                "peak": f"{ours['peak'] / 2**20:.0f} MiB against {whole['peak'] / 2**20:.0f} MiB",
            }
            for key, said in (("seconds", "time"), ("peak", "peak memory")):
                row = figure(
                    "context",
                    f"reading ÷ the text in one context, {length:,} tokens, {name}: {said}",
                    "< 1 from 32K up",
                    [ours[key] / whole[key]],
                    detail=details[key],
                )
                yield msgspec.structs.replace(row, figures=(length, ours[key], whole[key]))


def linear(options: Options) -> Iterator[Row]:
    """A long reading ÷ one of a twentieth: seconds per 1,000 tokens, and peak memory."""
    short = max(2000, options.long // 20)
    for name, path in options.models():
        small = _child(path, "read", short, options.threads)
        large = _child(path, "read", options.long, options.threads)
        yield figure(
            "linear",
            f"seconds per 1,000 tokens at {options.long:,} ÷ at {short:,}, {name}",
            "1.00 ± 0.05",
            [large["seconds"] / options.long / (small["seconds"] / short)],
            detail=f"{large['seconds']:.0f} s and {small['seconds']:.0f} s",
        )
        yield figure(
            "linear",
            f"peak memory at {options.long:,} ÷ at {short:,}, {name}",
            "1.00 ± 0.02",
            [large["peak"] / small["peak"]],
            detail=f"{large['peak'] / 2**20:.0f} MiB and {small['peak'] / 2**20:.0f} MiB",
        )


def _child(path: Path, what: str, tokens: int, threads: int) -> dict[str, float]:
    """Seconds and peak bytes of `what`, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.reading", str(path), what, str(tokens), str(threads)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=Path(__file__).parent.parent)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _measure(path: Path, what: str, tokens: int, threads: int) -> dict[str, float]:
    with Model(path) as model, tempfile.TemporaryDirectory() as folder:
        memory = memory_of(model, 64)
        if what == "read":
            with reader(model, memory, context=2048, threads=threads) as engine:
                took = seconds(
                    lambda: read(engine, profile_of(memory, 1500, 128), model, tokens, Path(folder))
                )
        else:
            bare = Bare(model, context=tokens + 64, threads=threads or cpu_threads())
            text = "".join(passage.text for passage in passages(model, tokens))
            took = bare.prefill(model.vocabulary.encode(text)[:tokens], _progress)
            bare.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {"seconds": took, "peak": float(peak)}


def _progress(tokens: int, took: float) -> None:
    """Says how far one context has come: hours may pass before a long one is done."""
    if tokens % 4096 == 0:
        print(f"{tokens:,} tokens in one context after {took:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    print(json.dumps(_measure(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
