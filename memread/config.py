"""What is set: flags over `MEMREAD_*` variables over `config.toml` over the defaults; and where files live.

`settings.SETTINGS` says what there is to set.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import platformdirs

from memread.errors import ConfigError
from memread.settings import PREFIX, SETTINGS, Setting, expanded
from memread.text import without_credentials
from memread.types import Limits

FILE_VARIABLE: Final = "MEMREAD_CONFIG"
_OTHER_VARIABLES: Final = {FILE_VARIABLE, "MEMREAD_DEBUG", "MEMREAD_API_KEY"}


_FIELDS: Final = {"models.path": "extra_folders"}
"""Fields of Config that are not called as the last part of their setting's name."""
_BEFORE_HOST: Final = re.compile(r"^(\W?(?:\w[\w+.-]*://)?).*@", re.DOTALL)
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
    skim: bool
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
    file = expanded(environ[FILE_VARIABLE]) if environ.get(FILE_VARIABLE) else None
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
        skim=values["skim"],
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
            parsed = str(path.parent / expanded(parsed))
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
        if setting.name == "engine.url":  # what is no address may have its password anywhere before the "@"
            shown = _BEFORE_HOST.sub(r"\1", shown)
        shown = shown if len(shown) <= 60 else shown[:60] + "…"
        name = "" if where in (setting.flag, setting.variable) else f" {setting.name}"
        raise ConfigError(f"{where}:{name} must be {setting.accepts}, not {shown}") from error


def _close(name: str, among: Mapping[str, object] | set[str]) -> str:
    close = difflib.get_close_matches(name, sorted(among), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _names() -> str:
    return "Settings: " + ", ".join(_BY_NAME)
