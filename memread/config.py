"""The settings: flags over `MEMREAD_*` variables over `config.toml` over defaults; and where files live.

One table, `SETTINGS`, is all there is: `--help`, the documentation and `memread config` are written from it.
"""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import msgspec
import platformdirs

from memread.errors import ConfigError
from memread.text import without_credentials
from memread.types import Limits

PREFIX: Final = "MEMREAD_"
FILE_VARIABLE: Final = "MEMREAD_CONFIG"
_OTHER_VARIABLES: Final = {FILE_VARIABLE, "MEMREAD_DEBUG", "MEMREAD_API_KEY"}


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
        "Attention without large intermediates.",
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
_FIELDS: Final = {"models.path": "extra_folders"}
"""Fields of Config that are not called as the last part of their setting's name."""
_BY_NAME: Final = {setting.name: setting for setting in SETTINGS}


class Config(msgspec.Struct, frozen=True):
    """What is set, and where. None: leave it to the profile, or to what is found."""

    model: str | None
    profile: str | None
    url: str | None
    """Of a server. May hold a password: `text.without_credentials` before it is shown."""
    tokenizer: str | None
    timeout: float
    threads: int
    gpu_layers: int | Literal["auto"]
    context: int
    flash_attention: str
    kv_type: str
    batch: int
    copy_ahead: int
    worker: bool
    page_seconds: float
    memory_mib: int
    segment: int | None
    memory: int | None
    answer: int | None
    lanes: int
    temperature: float | None
    top_p: float | None
    seed: int | None
    extra_folders: tuple[Path, ...]
    data_dir: Path
    journal: bool
    evidence: bool
    origins: dict[str, str]
    warnings: tuple[str, ...] = ()
    """Such as a variable that sets nothing. For standard error."""

    def value(self, name: str) -> object:
        """The value of the setting called `name`."""
        return getattr(self, _FIELDS.get(name) or name.rpartition(".")[2])

    def origin(self, name: str) -> str:
        """Where a setting was set: "--model", "MEMREAD_MODEL", "/home/me/…/config.toml" or "default"."""
        return self.origins[name]

    @property
    def limits(self) -> Limits:
        """What a page may cost its reader."""
        return Limits(self.page_seconds, self.memory_mib << 20)

    @property
    def models_dir(self) -> Path:
        """memread's own folder of models. Under data, not cache: caches get emptied."""
        return self.data_dir / "models"

    @property
    def model_folders(self) -> tuple[Path, ...]:
        """Every folder that is searched for models, memread's own first."""
        return (self.models_dir, *self.extra_folders)

    @property
    def journal_path(self) -> Path:
        return self.data_dir / "journal.sqlite3"


def config_dir() -> Path:
    """The folder of `config.toml` and of `profiles/*.toml`."""
    return platformdirs.user_config_path("memread", appauthor=False)


def default_data_dir() -> Path:
    return platformdirs.user_data_path("memread", appauthor=False)


def cache_dir() -> Path:
    """What can be computed again."""
    return platformdirs.user_cache_path("memread", appauthor=False)


def digest_cache() -> Path:
    """Where the hashes of weights are remembered."""
    return cache_dir() / "digests.json"


def profiles_dir() -> Path:
    """The user's own profiles."""
    return config_dir() / "profiles"


def load(flags: Mapping[str, object] | None = None, environ: Mapping[str, str] | None = None) -> Config:
    """The settings in force. `flags`: by setting name; None is a flag that was not given.

    Raises ConfigError, which names the place, the setting and what it accepts.
    """
    environ = os.environ if environ is None else environ
    file = Path(environ[FILE_VARIABLE]).expanduser() if environ.get(FILE_VARIABLE) else None
    settled = {setting.name: (setting.default, "default") for setting in SETTINGS}
    settled.update(_from_file(file or config_dir() / "config.toml", required=file is not None))
    known = {setting.variable for setting in SETTINGS} | _OTHER_VARIABLES
    warnings = tuple(
        f"{name} sets nothing{_close(name, known)}"
        for name in sorted(environ)
        if name.startswith(PREFIX) and name not in known
    )
    for setting in SETTINGS:
        text = environ.get(setting.variable, "")
        if text:
            settled[setting.name] = _parsed(setting, text, setting.variable), setting.variable
    for name, value in (flags or {}).items():
        if value is not None:
            if name not in _BY_NAME:
                raise ConfigError(f"there is no setting {name!r}{_close(name, _BY_NAME)}", _names())
            setting = _BY_NAME[name]
            settled[name] = _parsed(setting, value, setting.flag), setting.flag
    values = {name: value for name, (value, _) in settled.items()}
    return Config(
        model=values["model"],
        profile=values["profile"],
        url=values["engine.url"],
        tokenizer=values["engine.tokenizer"],
        timeout=values["engine.timeout"],
        threads=values["engine.threads"],
        gpu_layers=values["engine.gpu_layers"],
        context=values["engine.context"],
        flash_attention=values["engine.flash_attention"],
        kv_type=values["engine.kv_type"],
        batch=values["engine.batch"],
        copy_ahead=values["engine.copy_ahead"],
        worker=values["engine.worker"],
        page_seconds=values["ingest.page_seconds"],
        memory_mib=values["ingest.memory_mib"],
        segment=values["budget.segment"],
        memory=values["budget.memory"],
        answer=values["budget.answer"],
        lanes=values["lanes"],
        temperature=values["sampling.temperature"],
        top_p=values["sampling.top_p"],
        seed=values["sampling.seed"],
        extra_folders=values["models.path"],
        data_dir=values["data_dir"] or default_data_dir(),
        journal=values["journal"],
        evidence=values["evidence"],
        origins={name: origin for name, (_, origin) in settled.items()},
        warnings=warnings,
    )


def _from_file(path: Path, required: bool) -> dict[str, tuple[Any, str]]:
    """What `config.toml` sets; relative paths start at its folder."""
    try:
        content = msgspec.toml.decode(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        if required:
            raise ConfigError(f"{path}: there is no such file", f"{FILE_VARIABLE} names it") from error
        return {}
    except (OSError, ValueError) as error:  # ValueError: not UTF-8, or TOML with its line and column
        raise ConfigError(f"{path}: cannot be read as TOML ({error})") from error
    found: dict[str, tuple[Any, str]] = {}
    for name, value in _flat(content):
        setting = _BY_NAME.get(name)
        if setting is None:
            raise ConfigError(f"{path}: there is no setting {name!r}{_close(name, _BY_NAME)}", _names())
        parsed = _parsed(setting, value, str(path))
        if isinstance(parsed, Path):
            parsed = path.parent / parsed
        elif setting.name == "models.path":
            parsed = tuple(path.parent / folder for folder in parsed)
        elif setting.name in ("model", "profile", "engine.tokenizer") and parsed.endswith((".gguf", ".toml")):
            parsed = str(path.parent / Path(parsed).expanduser())
        found[name] = parsed, str(path)
    return found


def _flat(content: Mapping[str, object], prefix: str = "") -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = []
    for key, value in content.items():
        found.extend(_flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [(prefix + key, value)])
    return found


def _parsed(setting: Setting, value: object, where: str) -> Any:
    try:
        return setting.parse(value)
    except (ValueError, TypeError, KeyError, OverflowError, RuntimeError) as error:
        shown = without_credentials(repr(value))
        shown = shown if len(shown) <= 60 else shown[:60] + "…"
        name = "" if where in (setting.flag, setting.variable) else f" {setting.name}"
        raise ConfigError(f"{where}:{name} must be {setting.accepts}, not {shown}") from error


def _close(name: str, among: Mapping[str, object] | set[str]) -> str:
    close = difflib.get_close_matches(name, sorted(among), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _names() -> str:
    return "Settings: " + ", ".join(_BY_NAME)
