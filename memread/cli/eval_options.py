"""What the commands of `memread eval` have in common on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from memread.errors import UsageError

OutOption = Annotated[
    Path | None,
    typer.Option(
        "-o", "--out", help="The result file. If it is there, it is gone on with.", show_default=False
    ),
]
MethodsOption = Annotated[
    str,
    typer.Option(
        "--method",
        help="memread, skim, full, truncate, bm25, refine, mapreduce, notes: one, a list, or all.",
    ),
]
SweepOption = Annotated[
    list[str] | None,
    typer.Option(
        "--sweep", help="memory=128,256, segment=…, answer=… or lanes=1,4; repeatable.", show_default=False
    ),
]
SamplesOption = Annotated[int, typer.Option("--samples", "-n", help="Items for each task and length.")]
LengthsOption = Annotated[
    str, typer.Option("--lengths", help="Of the texts, in tokens of the model: 8k,32k,1m.")
]
SeedOption = Annotated[int, typer.Option("--seed", help="Of the items.")]
ParallelOption = Annotated[
    int | None,
    typer.Option(
        "--parallel",
        min=1,
        max=256,
        help="Items at a time. Default: 1 on a CPU, where results can then be repeated exactly; 4 on a GPU, "
        "as many as a server (MEMREAD_ENGINE_URL) takes. Where all are about one document, each section is "
        "then read once for them.",
        show_default=False,
    ),
]
WindowOption = Annotated[
    str | None,
    typer.Option(
        "--window",
        help="Tokens of one context, for full and truncate. Default: what the model was trained to.",
        show_default=False,
    ),
]
HaystackOption = Annotated[
    str | None,
    typer.Option(
        "--haystack", help="A document to hide needles in. Default: the book that ships.", show_default=False
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the table.")]
FilesOption = Annotated[
    list[Path],
    typer.Argument(metavar="RESULTS...", help="Files that memread eval wrote.", show_default=False),
]


def parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def sizes(text: str) -> list[int]:
    """ "8k,3.5m,5000" in tokens: k is 1,024, m is 1,024 of those. Raises UsageError."""
    found = []
    for part in parts(text.lower()):
        unit = {"k": 1 << 10, "m": 1 << 20}.get(part[-1], 1)
        try:
            number = float(part[:-1] if unit > 1 else part) * unit
        except ValueError:
            number = 0.0
        if not 16 <= number < 1 << 31:
            raise UsageError(f"{part!r} is not a length", "Such as: 8k, 3.5m, 5000")
        found.append(round(number))
    if not found:
        raise UsageError("no length is named", "Such as: 8k,32k")
    return list(dict.fromkeys(found))


def numbers(text: str, flag: str, least: int, most: int) -> list[int]:
    found = []
    for part in parts(text):
        if not part.isdecimal() or not least <= int(part) <= most:
            raise UsageError(f"{flag}: {part!r} is not a number from {least} to {most}")
        found.append(int(part))
    if not found:
        raise UsageError(f"{flag}: nothing is named")
    return list(dict.fromkeys(found))
