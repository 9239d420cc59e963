"""The table of all settings, and how the text or value of each is read.

`--help`, the documentation and `memread config` are written from it; `config.load` fills it in.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

PREFIX: Final = "MEMREAD_"


class Setting(msgspec.Struct, frozen=True):
    """One setting. `accepts` reads it in words after "must be"."""

    name: str
    default: Any
    accepts: str
    help: str
    parse: Callable[[object], Any]
    """From a TOML value, or the text of a variable or flag. Raises ValueError, TypeError."""

    option: str = ""
    """The flag, where it is not called as the last part of the name."""

    @property
    def variable(self) -> str:
        """Such as MEMREAD_ENGINE_THREADS."""
        return PREFIX + self.name.upper().replace(".", "_")

    @property
    def flag(self) -> str:
        """Such as --gpu-layers."""
        return self.option or "--" + self.name.rpartition(".")[2].replace("_", "-")


def _whole(least: int, most: int) -> Callable[[object], int]:
    def parse(value: object) -> int:
        number = int(value) if isinstance(value, str) else value
        if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= most:
            raise ValueError
        return number

    return parse


def _real(least: float, most: float) -> Callable[[object], float]:
    def parse(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            raise TypeError
        number = float(value)
        if not math.isfinite(number) or not least <= number <= most:
            raise ValueError
        return number

    return parse


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError
    return value


def expanded(path: str | Path) -> Path:
    """`path` with a "~name" at its start replaced; as it is where there is no such name."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def is_file(path: str | Path) -> bool:
    """Whether there is such a file. No error for what can be no file's name, such as thousands of letters."""
    return os.path.isfile(path)  # noqa: PTH113 - Path.is_file raises for them before Python 3.14


def _path(value: object) -> Path:
    return Path(value if isinstance(value, Path) else _text(value)).expanduser()


def _paths(value: object) -> tuple[Path, ...]:
    if isinstance(value, str):
        value = [part for part in value.split(os.pathsep) if part]
    if not isinstance(value, (list, tuple)):
        raise TypeError
    return tuple(_path(item) for item in value)


def _switch(value: object) -> bool:
    words = {
        "1": True,
        "true": True,
        "yes": True,
        "on": True,
        "0": False,
        "false": False,
        "no": False,
        "off": False,
    }
    return value if isinstance(value, bool) else words[_text(value).strip().lower()]


def _word(*words: str) -> Callable[[object], str]:
    def parse(value: object) -> str:
        word = _text(value).strip().lower()
        if word not in words:
            raise ValueError
        return word

    return parse


def _url(value: object) -> str:
    """Of an OpenAI-compatible API. Without a path, "/v1" is meant."""
    text = _text(value).strip().rstrip("/")
    parts = urlsplit(text)
    # .port raises ValueError where it is no number; "//" alone gives a path of the host's name
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError
    if parts.query or parts.fragment or any(sign.isspace() for sign in text):
        raise ValueError
    return text if parts.path else text + "/v1"


def _layers(value: object) -> int | Literal["auto"]:
    return "auto" if value == "auto" else _whole(0, 10_000)(value)


_MILLIONS: Final = 1 << 24

SETTINGS: Final = (
    Setting("model", None, "a model's name, or the path of a .gguf file", "The model that reads.", _text),
    Setting(
        "profile",
        None,
        "a profile's name, or the path of a .toml file",
        "Wording, budgets and sampling.",
        _text,
    ),
    Setting(
        "engine.url",
        None,
        "the http:// or https:// address of an OpenAI-compatible API",
        "A server that runs the model; without it, llama.cpp does in this process.",
        _url,
        "--engine",
    ),
    Setting(
        "engine.tokenizer",
        None,
        "a model's name, or the path of a .gguf file",
        "A local model with the vocabulary of the server's: tokens are then counted exactly.",
        _text,
    ),
    Setting(
        "engine.timeout",
        600.0,
        "1 to 86400",
        "Seconds without a token after which a server is given up.",
        _real(1, 86400),
    ),
    Setting("engine.threads", 0, "0 (the physical cores) to 1024", "Threads of the CPU.", _whole(0, 1024)),
    Setting(
        "engine.gpu_layers",
        "auto",
        'a number of layers, or "auto" (as many as fit)',
        "Layers of the model on the GPU; 0 is the CPU alone.",
        _layers,
    ),
    Setting(
        "engine.context",
        0,
        "0 (what the profile's budget needs) to 16777216",
        "Tokens of context; more than needed costs memory only.",
        _whole(0, _MILLIONS),
    ),
    Setting(
        "engine.flash_attention",
        "auto",
        "auto, on or off",
        "Attention in tiles, without large intermediates; auto: not on x86 processors, where it is slower.",
        _word("auto", "on", "off"),
    ),
    Setting(
        "engine.kv_type",
        "auto",
        "auto (f16, or what was measured), f16, bf16 or q8_0",
        "The type of the numbers that the context keeps.",
        _word("auto", "f16", "bf16", "q8_0"),
    ),
    Setting("engine.batch", 512, "1 to 65536", "Prompt tokens computed at a time.", _whole(1, 1 << 16)),
    Setting(
        "engine.copy_ahead",
        63,
        "0 (off) to 4096",
        "Tokens of a reply guessed from the old memory and the section, and checked at once.",
        _whole(0, 4096),
    ),
    Setting(
        "engine.worker",
        True,
        "true or false",
        "Run the model in a process of its own: when it crashes, the reading goes on.",
        _switch,
    ),
    Setting(
        "ingest.page_seconds",
        120.0,
        "0.1 to 86400",
        "Seconds that a page, chapter or message may take its reader; longer, and it is left out and named.",
        _real(0.1, 86400),
    ),
    Setting(
        "ingest.memory_mib",
        4096,
        "64 to 16777216",
        "MiB of address space that a document's reader may take (on Linux).",
        _whole(64, _MILLIONS),
    ),
    Setting(
        "budget.segment",
        None,
        "16 to 16777216",
        "Tokens of a segment.",
        _whole(16, _MILLIONS),
    ),
    Setting(
        "budget.memory",
        None,
        "8 to 16777216",
        "Tokens of the memory.",
        _whole(8, _MILLIONS),
    ),
    Setting(
        "budget.answer",
        None,
        "8 to 16777216",
        "Tokens of the answer.",
        _whole(8, _MILLIONS),
    ),
    Setting(
        "lanes",
        1,
        "1 to 64",
        "Parts of a text read side by side, their memories then merged; for GPUs and servers.",
        _whole(1, 64),
    ),
    Setting(
        "skim",
        False,
        "true or false",
        "The model sees only the sentences nearest to the question: a quick look, in seconds.",
        _switch,
    ),
    Setting(
        "sampling.temperature",
        None,
        "0 to 100",
        "0 takes the likeliest token always. Over the profile's.",
        _real(0, 100),
    ),
    Setting("sampling.top_p", None, "above 0, up to 1", "Over the profile's.", _real(1e-9, 1)),
    Setting("sampling.seed", None, "0 to 4294967295", "Over the profile's.", _whole(0, 0xFFFFFFFF)),
    Setting(
        "models.path",
        (),
        f"a list of folders (in a variable: separated by {os.pathsep!r})",
        "More folders with .gguf files.",
        _paths,
    ),
    Setting("data_dir", None, "a folder", "Where models and the journal are kept.", _path),
    Setting("journal", True, "true or false", "Record readings, so that they can be resumed.", _switch),
    Setting(
        "evidence", True, "true or false", "Print under an answer what in the text speaks for it.", _switch
    ),
)
