"""`memread train`: teach a model the workflow. Needs the extra `train` (torch)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memread.errors import ConfigError, UsageError

if TYPE_CHECKING:
    from memread.train.recipe import Run
    from memread.train.stages import Bench

app = typer.Typer(
    help="Teach a model to keep a memory: supervised first, then reinforced over whole readings.",
    no_args_is_help=False,
    rich_markup_mode=None,
)

_Folder = Annotated[Path, typer.Argument(help="Where everything of this run is kept.", metavar="FOLDER")]
_Config = Annotated[
    str | None,
    typer.Option("--config", help="A TOML file of settings, or a recipe's name.", show_default=False),
]
_Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="A setting, such as reinforce.steps=20; again for more.", show_default=False),
]
_From = Annotated[
    Path | None,
    typer.Option(
        "--from",
        help="LoRA to go on from: lora.safetensors, or a GGUF.",
        show_default=False,
    ),
]


@app.callback(invoke_without_command=True)
def _train(
    context: typer.Context,
    smoke: Annotated[
        bool, typer.Option("--smoke", help="Two steps of each stage with a tiny random model, then stop.")
    ] = False,
    folder: Annotated[
        Path | None, typer.Option("--folder", help="With --smoke: keep its files here.", show_default=False)
    ] = None,
) -> None:
    if context.invoked_subcommand is not None:
        return
    if not smoke:
        typer.echo(context.get_help())
        raise typer.Exit(2)
    _need_torch()
    import tempfile

    from memread.train.smoke import smoke as run

    with tempfile.TemporaryDirectory(prefix="memread-smoke-") as temporary:
        for line in run(folder or Path(temporary), _show):
            typer.echo(line)


@app.command()
def supervise(
    folder: _Folder,
    config: _Config = None,
    set_: _Set = None,
    start: _From = None,
    minutes: Annotated[
        float | None,
        typer.Option("--minutes", help="Stop after the step that ends later.", show_default=False),
    ] = None,
) -> None:
    """Warm start: learn from ideal memories. The same command goes on where it was stopped."""
    run = _run(config, set_)
    import time

    from memread.train.stages import run_supervision

    ends = time.monotonic() + 60 * minutes if minutes is not None else None
    run_supervision(_bench(run, start), folder, _show, lambda: ends is not None and time.monotonic() >= ends)


@app.command()
def reinforce(folder: _Folder, config: _Config = None, set_: _Set = None, start: _From = None) -> None:
    """Multi-Conv DAPO over whole readings. The same command goes on where it was stopped."""
    run = _run(config, set_)
    from memread.train.stages import run_reinforcement

    run_reinforcement(_bench(run, start), folder, _show)


@app.command()
def rollout(
    folder: _Folder,
    config: _Config = None,
    set_: _Set = None,
    start: _From = None,
    split: Annotated[str, typer.Option("--split", help="train or dev.")] = "dev",
    count: Annotated[int, typer.Option("--count", help="Questions.")] = 4,
    first: Annotated[int, typer.Option("--first", help="The number of the first.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a rollout.")] = False,
) -> None:
    """Let the model read, and show what it wrote into its memory and what that was worth."""
    run = _run(config, set_)
    if split not in ("train", "dev"):
        raise UsageError(f"--split must be train or dev, not {split!r}", "test is kept for the evaluation.")
    from memread.text import one_line
    from memread.train.rewards import outcome
    from memread.train.stages import run_rollouts
    from memread.views.json import dumps

    bench = _bench(run, start)
    groups = run_rollouts(
        bench, folder, split="train" if split == "train" else "dev", count=count, start=first
    )
    rewards: list[float] = []
    for group in groups:
        episode = group[0].episode
        if not json:
            wanted = " / ".join(episode.answers) or "(not in the text)"
            typer.echo(f"{episode.id} · {episode.kind} · {one_line(episode.question, 160)} → {wanted}")
        for one in group:
            rewards.append(outcome(episode, one.answer, run.reinforce.reward))
            if json:
                row = {
                    "episode": episode.id,
                    "kind": episode.kind,
                    "question": episode.question,
                    "answers": episode.answers,
                    "reward": rewards[-1],
                    "answer": one.answer.text,
                    "boxed": one.answer.boxed,
                    "memories": one.memories,
                    "rejected": sum(one.rejected),
                }
                typer.echo(dumps(row))
                continue
            typer.echo(f"  {rewards[-1]:.2f}  {one_line(one.answer.raw, 120)}")
            for number, memory in enumerate(one.memories):
                typer.echo(f"      {number + 1}: {one_line(memory, 200)}")
    typer.echo(f"mean reward {sum(rewards) / max(1, len(rewards)):.3f} of {len(rewards)} rollouts", err=True)


@app.command()
def export(
    weights: Annotated[
        Path, typer.Argument(help="LoRA weights: lora.safetensors, or a GGUF.", metavar="WEIGHTS")
    ],
    out: Annotated[Path, typer.Argument(help="The GGUF file to write.", metavar="OUT")],
    config: _Config = None,
    set_: _Set = None,
    merged: Annotated[bool, typer.Option("--merged", help="The whole model, not the adapter alone.")] = False,
    kind: Annotated[str, typer.Option("--type", help="F16 or F32; with --merged also BF16 or Q8_0.")] = "F16",
    rank: Annotated[
        int,
        typer.Option("--rank", min=0, help="The adapter nearest to it of this rank; 0: as it was learned."),
    ] = 0,
    name: Annotated[str, typer.Option("--name", help="The model's name in the file.")] = "",
) -> None:
    """Write what was learned as a GGUF: an adapter for llama.cpp, or the merged model."""
    run = _run(config, set_)
    from typing import cast

    from memread.train.stages import run_export

    if kind not in ("F16", "F32", "BF16", "Q8_0"):
        raise UsageError(f"--type must be F16, F32, BF16 or Q8_0, not {kind!r}")
    base, _ = _base(run)
    path = run_export(
        base, weights, out, whole=merged, kind=cast(Any, kind), name=name or out.stem, rank=rank
    )
    typer.echo(f"{path}: {path.stat().st_size:,} bytes")


@app.command()
def figure(
    metrics: Annotated[
        list[Path],
        typer.Argument(help="metrics.jsonl of a run; of several, lines side by side.", metavar="METRICS..."),
    ],
    out: Annotated[Path, typer.Argument(help="The figure to write: .png or .svg.", metavar="OUT")],
) -> None:
    """Draw what a run measured, by update."""
    _need_torch()
    from memread.train import metrics as measured

    if out.suffix not in (".png", ".svg"):
        raise UsageError(f"{out}: must end with .png or .svg")
    runs = {}
    for path in metrics:
        name = path.parent.name if path.name == "metrics.jsonl" else path.stem
        runs[name if name not in runs else str(path)] = rows = measured.read(path)
        if not rows:
            raise ConfigError(f"{path}: nothing was measured there")
    measured.draw(runs, out)
    typer.echo(str(out))


@app.command()
def settings(config: _Config = None, set_: _Set = None) -> None:
    """Print every setting with its value, as --set takes them."""
    import msgspec

    for line in _lines(msgspec.to_builtins(_run(config, set_))):
        typer.echo(line)


def _lines(table: Mapping[str, Any], prefix: str = "") -> list[str]:
    import json

    found: list[str] = []
    for name, value in table.items():
        if isinstance(value, Mapping):
            found += _lines(value, f"{prefix}{name}.")
        else:
            found.append(f"{prefix}{name}={json.dumps(value)}")
    return found


def _run(config: str | None, changes: list[str] | None) -> Run:
    """The settings, once it is known that training can run here."""
    _need_torch()
    from memread.train.recipe import read_run, recipe_file

    return read_run(recipe_file(config) if config is not None else None, changes or ())


def _bench(run: Run, start: Path | None) -> Bench:
    from memread.settings import is_file
    from memread.train.stages import Bench

    if start is not None and not is_file(start):
        raise ConfigError(f"{start}: there is no such file", "--from takes a lora.safetensors, or a GGUF.")
    base, profile = _base(run)
    return Bench(run, base, profile, start)


def _base(run: Run) -> tuple[Path, Any]:
    """The GGUF that is trained, and the profile."""
    from memread import config as configuration
    from memread import registry

    config = configuration.load({"model": run.model, "profile": run.profile})
    found = registry.find(config.model, config.model_folders)
    profile = registry.profile_for(found.header.metadata, config.profile, configuration.profiles_dir())
    return found.path, profile


def _need_torch() -> None:
    import importlib.util

    missing = [
        name for name in ("torch", "transformers", "peft", "gguf") if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise ConfigError(
            f"training needs packages that are not installed: {', '.join(missing)}",
            'pip install "memread[train]"',
        )


def _show(row: Mapping[str, Any]) -> None:
    """One line an update, on stderr; all of it is in metrics.jsonl."""
    names = ("step", "loss", "reward", "kl", "entropy", "memory_tokens", "rejected", "tokens_per_second")
    parts = []
    for name in names:
        if name in row:
            value = row[name]
            parts.append(f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}")
    typer.echo("  ".join(parts), err=True)
