"""`memread eval`: measure a reader, and say why it failed."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memread import interrupts
from memread.cli.errors import note
from memread.cli.eval_options import (
    FilesOption,
    HaystackOption,
    JsonOption,
    LengthsOption,
    MethodsOption,
    OutOption,
    ParallelOption,
    SamplesOption,
    SeedOption,
    SweepOption,
    WindowOption,
    numbers,
    parts,
    sizes,
)
from memread.cli.options import (
    AnswerOption,
    LayersOption,
    MemoryOption,
    ModelOption,
    ProfileOption,
    SegmentOption,
    ThreadsOption,
    VerboseOption,
)

if TYPE_CHECKING:
    from memread.eval.evaluate import Planned
    from memread.eval.results import Result
    from memread.protocols import Tokenizer
    from memread.types import Limits

app = typer.Typer(
    help="Measure a reader from thousands to millions of tokens, and say why it failed.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def ruler(
    tasks: Annotated[
        str, typer.Option("--tasks", help="niah, vt, cwe, fwe, qa, single tasks, or all.")
    ] = "all",
    lengths: LengthsOption = "4k,8k,16k",
    samples: SamplesOption = 10,
    haystack: HaystackOption = None,
    corpus: Annotated[
        str | None,
        typer.Option("--distractors", help="More paragraphs for the QA tasks.", show_default=False),
    ] = None,
    method: MethodsOption = "memread",
    sweep: SweepOption = None,
    out: OutOption = None,
    seed: SeedOption = 0,
    parallel: ParallelOption = None,
    window: WindowOption = None,
    model: ModelOption = None,
    profile: ProfileOption = None,
    segment: SegmentOption = None,
    memory: MemoryOption = None,
    answer: AnswerOption = None,
    threads: ThreadsOption = None,
    gpu_layers: LayersOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """RULER's thirteen tasks (arXiv 2404.06654), made from a seed at any length."""
    from itertools import chain

    from memread.eval import tasks as made
    from memread.eval.evaluate import Planned

    names, wanted = made.expand(parts(tasks)), sizes(lengths)

    def plan(tokenizer: Tokenizer, limits: Limits) -> Planned:
        sources = made.Sources(prose=haystack, corpus=corpus, limits=limits)
        cells = [(task, length) for length in wanted for task in names]
        items = chain.from_iterable(
            [made.make(task, length, samples, seed, tokenizer, sources) for task, length in cells]
        )
        used = any(task.startswith("qa") for task in names)
        notices = [str(bad) for bad in sources.malformed()] if used else []
        return Planned(items, tuple(length for _, length in cells for _ in range(samples)), _skipped(notices))

    _run("ruler", plan, max(wanted), **_given(locals()))


@app.command()
def grid(
    lengths: LengthsOption = "4k,8k,16k",
    depths: Annotated[str, typer.Option("--depths", help="Of the needle, in percent.")] = "0,25,50,75,100",
    samples: SamplesOption = 3,
    haystack: HaystackOption = None,
    method: MethodsOption = "memread",
    sweep: SweepOption = None,
    out: OutOption = None,
    seed: SeedOption = 0,
    parallel: ParallelOption = None,
    window: WindowOption = None,
    model: ModelOption = None,
    profile: ProfileOption = None,
    segment: SegmentOption = None,
    memory: MemoryOption = None,
    answer: AnswerOption = None,
    threads: ThreadsOption = None,
    gpu_layers: LayersOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """A needle at every depth of texts of every length."""
    from memread.eval import tasks as made
    from memread.eval.evaluate import Planned

    wanted = sizes(lengths)
    places = [number / 100 for number in numbers(depths, "--depths", 0, 100)]

    def plan(tokenizer: Tokenizer, limits: Limits) -> Planned:
        items = made.make_grid(
            wanted, places, samples, seed, tokenizer, made.Sources(prose=haystack, limits=limits)
        )
        return Planned(items, tuple(length for length in wanted for _ in range(len(places) * samples)))

    _run("grid", plan, max(wanted), **_given(locals()))


@app.command()
def hotpotqa(
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="[DATA]",
            help="HotpotQA, 2WikiMultihopQA or MuSiQue as published. Default: the questions that ship.",
            show_default=False,
        ),
    ] = None,
    distractors: Annotated[
        str | None, typer.Option("--distractors", help="A corpus of more paragraphs.", show_default=False)
    ] = None,
    docs: Annotated[str, typer.Option("--docs", help="How many paragraphs: 50,100,200.")] = "50",
    samples: SamplesOption = 10,
    method: MethodsOption = "memread",
    sweep: SweepOption = None,
    out: OutOption = None,
    seed: SeedOption = 0,
    parallel: ParallelOption = None,
    window: WindowOption = None,
    model: ModelOption = None,
    profile: ProfileOption = None,
    segment: SegmentOption = None,
    memory: MemoryOption = None,
    answer: AnswerOption = None,
    threads: ThreadsOption = None,
    gpu_layers: LayersOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """RULER-HotpotQA as MemAgent has it: gold paragraphs among others, by their number."""
    from itertools import chain

    from memread.eval import qa
    from memread.eval import tasks as made
    from memread.eval.evaluate import Planned

    counts = numbers(docs, "--docs", 1, 1_000_000)
    dataset = qa.load_questions(data or qa.shipped("hotpotqa"))
    corpus = qa.load_pool(distractors) if distractors else None
    pool = qa.distractors(dataset, corpus)

    def plan(tokenizer: Tokenizer, limits: Limits) -> Planned:
        items = [made.make_hotpotqa(dataset, pool, count, samples, seed, tokenizer) for count in counts]
        notices = [str(bad) for bad in (*dataset.malformed, *(corpus.malformed if corpus else ()))]
        lengths = tuple(_PARAGRAPH * count for count in counts for _ in range(samples))
        return Planned(chain.from_iterable(items), lengths, _skipped(notices))

    _run("hotpotqa", plan, None, **_given(locals()))


@app.command()
def file(
    questions: Annotated[
        str,
        typer.Argument(
            metavar="QUESTIONS",
            help='JSONL: {"path" or "context", "question", "answers"}; LongBench\'s files work as they are.',
        ),
    ],
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="The first so many.", show_default=False)
    ] = None,
    document: Annotated[
        str | None,
        typer.Option("--document", help="The text of the questions that name none.", show_default=False),
    ] = None,
    method: MethodsOption = "memread",
    sweep: SweepOption = None,
    out: OutOption = None,
    parallel: ParallelOption = None,
    window: WindowOption = None,
    model: ModelOption = None,
    profile: ProfileOption = None,
    segment: SegmentOption = None,
    memory: MemoryOption = None,
    answer: AnswerOption = None,
    threads: ThreadsOption = None,
    gpu_layers: LayersOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Your own questions about your own texts."""
    from memread.eval import files
    from memread.eval.evaluate import Planned
    from memread.settings import is_file

    if not is_file(questions):
        from memread.errors import FileMissing

        raise FileMissing(f"{questions}: there is no such file")

    def plan(tokenizer: Tokenizer, limits: Limits) -> Planned:
        loaded = files.load(questions, tokenizer, limit=limit, document=document, limits=limits)
        notices = _skipped([str(bad) for bad in loaded.malformed])
        items, documents = loaded.items, {item.document for item in loaded.items}
        one_text = len(documents) == 1 and "" not in documents
        return Planned(iter(items), tuple(item.length for item in items), notices, one_text)

    _run("file", plan, None, **_given(locals()))


@app.command()
def show(results: FilesOption, json: JsonOption = False) -> None:
    """The table of result files: accuracy, cost, and why items failed."""
    _show(_read(results), json)


@app.command()
def plot(
    results: FilesOption,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="A folder. Default: that of the first file.", show_default=False),
    ] = None,
    terminal: Annotated[bool, typer.Option("--terminal", help="Bars in the terminal; no files.")] = False,
) -> None:
    """Figures of result files, as PNG and SVG: accuracy by length, the depth grid, the failures.

    Several files are drawn together, and several models as lines of one figure.
    """
    from memread.eval import plots, report

    if not terminal:
        plots.require()
    found = _read(results)
    if terminal:
        typer.echo(report.bars(found, shutil.get_terminal_size().columns))
        return
    first = results[0]
    written = plots.plot(found, out or first.parent, first.name.removesuffix(".jsonl") or "results")
    for path in written:
        typer.echo(str(path))
    if not written:
        note("memread: nothing was answered, there is nothing to draw")


_PARAGRAPH = 130
"""Tokens of a paragraph of HotpotQA, about: for the expected duration."""
_SHOWN = 5


def _run(
    name: str,
    plan: Callable[[Tokenizer, Limits], Planned],
    longest: int | None,
    *,
    method: str,
    sweep: list[str] | None,
    out: Path | None,
    parallel: int | None,
    window: str | None,
    json: bool,
    verbose: bool,
    flags: dict[str, object],
) -> None:
    from memread import config as configuration
    from memread.eval.evaluate import Options, evaluate
    from memread.eval.methods import chosen
    from memread.text import one_line

    methods = tuple(chosen(method))
    config = configuration.load(flags)
    path = out or Path(f"{name}.jsonl")
    options = Options(
        methods=methods,
        out=path,
        sweeps=tuple(sweep or ()),
        parallel=parallel,
        window=sizes(window)[0] if window else None,
        longest=longest,
        command=shlex.join(["memread", *sys.argv[1:]]),
        verbose=verbose,
    )
    for warning in config.warnings:
        note(f"memread: {one_line(warning)}")
    try:
        interrupts.check()
        evaluate(config, plan, options, lambda line: note(f"memread: {one_line(line, 1000)}"))
    except KeyboardInterrupt:
        note(f"memread: stopped. What was done is kept: the same command goes on, to {path}")
        raise
    _show(_read([path]), json)


def _given(values: dict[str, Any]) -> dict[str, Any]:
    """The options that all evaluations have, out of a command's own."""
    own = {name: values[name] for name in ("method", "sweep", "out", "parallel", "window", "json", "verbose")}
    flags = {
        "model": values["model"],
        "profile": values["profile"],
        "engine.threads": values["threads"],
        "engine.gpu_layers": values["gpu_layers"],
        "budget.segment": values["segment"],
        "budget.memory": values["memory"],
        "budget.answer": values["answer"],
    }
    return {**own, "flags": flags}


def _read(paths: Sequence[Path]) -> list[Result]:
    """The results of all files, each counted once; what was not measured alike is told apart."""
    from memread.eval.report import told_apart
    from memread.eval.results import read

    found: dict[str, Result] = {}
    for path in paths:
        results, notices = read(path)
        found |= {result.key: result for result in results}
        for notice in notices:
            note(f"memread: {notice}")
    return told_apart(list(found.values()))


def _show(results: Sequence[Result], json: bool) -> None:
    from memread.eval import report
    from memread.views.json import dumps

    if json:
        typer.echo(dumps(report.as_data(results)))
    elif results:
        typer.echo(report.table(results))
    else:
        note("memread: there are no results")


def _skipped(malformed: Sequence[str]) -> tuple[str, ...]:
    """Malformed records, named and counted: the first of them, and how many in all."""
    if not malformed:
        return ()
    more = len(malformed) - _SHOWN
    shown = [f"skipped: {each}" for each in malformed[:_SHOWN]]
    if more > 0:
        shown.append(f"skipped: … and {more} more")
    return (*shown, f"{len(malformed)} malformed records were skipped in all")
