"""The options of every command that runs a model, and of those that open documents."""

from __future__ import annotations

from typing import Annotated

import typer

ModelOption = Annotated[
    str | None, typer.Option("-m", "--model", help="A model's name or a .gguf file.", show_default=False)
]
ProfileOption = Annotated[
    str | None, typer.Option("--profile", help="A profile's name or a .toml file.", show_default=False)
]
SegmentOption = Annotated[
    int | None, typer.Option("--segment", help="Tokens of a segment.", show_default=False)
]
MemoryOption = Annotated[
    int | None, typer.Option("--memory", help="Tokens of the memory.", show_default=False)
]
AnswerOption = Annotated[
    int | None, typer.Option("--answer", help="Tokens of the answer.", show_default=False)
]
ThreadsOption = Annotated[int | None, typer.Option("--threads", help="Of the CPU.", show_default=False)]
LayersOption = Annotated[
    str | None, typer.Option("--gpu-layers", help="A number, or auto.", show_default=False)
]
VerboseOption = Annotated[bool, typer.Option("--verbose", help="Show llama.cpp's own log.")]
PasswordOption = Annotated[
    str | None, typer.Option("--password", help="Of an encrypted PDF.", show_default=False)
]
