"""`memread models pull`: from a name or an address to a registered model."""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from memread import __version__, gguf
from memread.errors import ConfigError, DownloadFailed, ModelError, ModelMissing, NoSpace, UsageError
from memread.profile import Profile
from memread.registry import catalogue, digests, hub, registering
from memread.registry.download import Remote, Watch, begun, download
from memread.registry.faults import plain, unusable
from memread.registry.local import InstalledModel, model_at, part_of
from memread.text import one_line

_MARGIN = 64 << 20
"""Bytes of the disk left for others."""
_FILE_NAME = re.compile(
    r"[^\x00-\x1f\x7f/\\:*?\"<>|.][^\x00-\x1f\x7f/\\:*?\"<>|]{0,199}\.gguf", re.IGNORECASE
)
_CONNECT, _SILENCE = 20.0, 60.0
"""Seconds to wait for a connection, and for the next byte."""


class Plan(msgspec.Struct, frozen=True):
    """What will be downloaded, and where to."""

    files: tuple[Remote, ...]
    targets: tuple[Path, ...]
    origin: str
    """For people and the catalogue: where it is from, without secrets."""
    name: str = ""
    """What the model will be called; "": after its file."""
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> int | None:
        """Bytes of all files, if they are known."""
        sizes = [file.size for file in self.files]
        return None if None in sizes else sum(size or 0 for size in sizes)


class Pulled(msgspec.Struct, frozen=True):
    model: InstalledModel
    origin: str
    fetched: int
    """How many of its files had to be downloaded."""
    verified: bool
    """Every file has the SHA-256 that its publisher (or the user) states."""


def plan(
    wanted: str,
    folder: Path,
    profiles: Sequence[Profile],
    watch: Watch,
    *,
    sha256: str = "",
    endpoint: str | None = None,
    sleep: Callable[[float], object] = time.sleep,
) -> Plan:
    """What `wanted` means: the name of a profile, "hf:owner/repo…", or an address.

    folder: memread's own folder of models. endpoint: None is HF_ENDPOINT, or the Hub itself.
    Raises UsageError, ModelMissing, DownloadFailed, ConfigError.
    """
    try:
        from huggingface_hub import constants
    except ValueError as error:  # it looks into the variable as soon as it is imported
        raise ConfigError("HF_ENDPOINT is not an address") from error
    if sha256 and not re.fullmatch(r"[0-9a-fA-F]{64}", sha256):
        raise UsageError("--sha256 takes 64 hexadecimal digits")
    known = next((profile for profile in profiles if profile.name.lower() == wanted.lower()), None)
    name, notes = "", []
    spec = hub.parse(wanted, endpoint or constants.ENDPOINT)
    if spec is None and "://" in wanted:
        return _of_address(wanted, folder, sha256.lower())
    if spec is None:
        if known is None:
            names = ", ".join(profile.name for profile in profiles if profile.weights.files)
            raise ModelMissing(
                f"{one_line(wanted)!r} is no model that memread knows",
                f"It knows {names}. Or: hf:owner/repository:Q4_K_M, or https://…/model.gguf",
            )
        name = known.name
        spec = _of_profile(known, watch, endpoint, sleep)
    chosen = hub.choose(spec, watch, endpoint, sleep)
    if known is not None and not _as_recorded(known, chosen):
        notes.append("the repository's files are not those that the profile was written for")
    if chosen.others:
        notes.append(f"of {spec.repository} it takes {_base(chosen.names[0])}; there are also: ")
        notes[-1] += ", ".join(one_line(other, 60) for other in chosen.others[:12])
    if chosen.licence:
        notes.append(f"licence: {chosen.licence}")
    files = chosen.files
    if sha256:
        if len(files) != 1:
            raise UsageError("--sha256 is for models of one file")
        files = (msgspec.structs.replace(files[0], sha256=sha256.lower()),)
    place = folder.joinpath(*spec.repository.split("/"))
    targets = tuple(place / _file_name(each) for each in chosen.names)
    origin = f"hf:{spec.repository}@{chosen.commit[:12]}:{one_line(chosen.names[0], 200)}"
    return _apart(Plan(files, targets, origin, name, tuple(notes)), folder)


def pull(
    planned: Plan,
    folders: Sequence[Path],
    watch: Watch,
    *,
    digest_cache: Path | None = None,
    fresh: bool = False,
    sleep: Callable[[float], object] = time.sleep,
) -> Pulled:
    """Download what is not here yet, verify it, register it. `fresh`: also what is here.

    Raises DownloadFailed, DownloadCorrupt, NoSpace, NotGguf, ModelUnloadable, UsageError, ConfigError.
    """
    import httpx2

    missing = [
        (file, target)
        for file, target in zip(planned.files, planned.targets, strict=True)
        if fresh or not _is_here(file, target, watch, digest_cache)
    ]
    _check_space(missing, folders[0])
    try:
        client = httpx2.Client(
            follow_redirects=True,
            timeout=httpx2.Timeout(_SILENCE, connect=_CONNECT),
            headers={"User-Agent": f"memread/{__version__}", "Accept-Encoding": "identity"},
        )
    except (OSError, ValueError, ImportError, httpx2.InvalidURL) as error:
        raise unusable(error) from error
    with client:
        for file, target in missing:
            digest = download(file, target, client, watch, sleep)
            digests.remember(target, f"sha256:{digest}", digest_cache)
    model = model_at(planned.targets[0], "pulled", planned.name, planned.origin)
    try:
        header = model.header
    except ModelError as error:
        raise DownloadFailed(f"what was downloaded is no model that can be used: {error.message}") from error
    if not header.text("general.architecture"):
        raise DownloadFailed(f"{model.path}: a GGUF file, but not a model")
    try:
        registering.add(model, planned.name or None, folders, planned.origin)
    except UsageError:  # the name is taken by a file elsewhere
        name = registering.add(model, _other_name(model.name), folders, planned.origin)
        model = msgspec.structs.replace(model, name=name)
    return Pulled(model, planned.origin, len(missing), all(file.sha256 for file in planned.files))


def _apart(planned: Plan, folder: Path) -> Plan:
    """`planned`; under other names where files from elsewhere have its own. Raises ConfigError."""
    origins: dict[Path, list[str]] = {}
    for entry in catalogue.load([folder]).models.values():
        origins.setdefault(Path(entry.path), []).append(_unversioned(entry.origin))
    others = tuple(_marked(target, planned.origin) for target in planned.targets)
    known = origins.get(planned.targets[0].absolute(), [])
    if _unversioned(planned.origin) in known:
        return planned
    if not others[0].exists():
        if not any(target.exists() for target in planned.targets):
            return planned
        # Of a file that nobody registered the Hub's records tell whether it is the right one. A split model's
        # parts are not registered before the last is here.
        if not any(known) and (
            planned.origin.startswith("hf:") or any(map(begun, planned.files, planned.targets))
        ):
            return planned
    note = f"{planned.targets[0].name} is here from elsewhere, so this one is called {others[0].name}"
    return msgspec.structs.replace(planned, targets=others, notes=(*planned.notes, note))


def _unversioned(origin: str) -> str:
    """Without the commit: a newer version of a file takes the place of the older."""
    return re.sub(r"^(hf:[^@:]*)@[^:]*", r"\1", origin)


def _marked(target: Path, origin: str) -> Path:
    """`target` with a short hash of `origin` in its name."""
    stem, _, _ = gguf.split_name(target.name)
    mark = hashlib.sha256(_unversioned(origin).encode()).hexdigest()[:8]
    return target.with_name(f"{stem}-{mark}{target.name[len(stem) :]}")


def _other_name(name: str) -> str:
    return "-".join(name.split()) + "@pulled"


def _of_profile(
    profile: Profile, watch: Watch, endpoint: str | None, sleep: Callable[[float], object]
) -> hub.Spec:
    weights = profile.weights
    if weights.repository and weights.files:
        return hub.Spec(weights.repository, weights.files[0].name)
    if not weights.base:
        raise ModelMissing(f"the profile {profile.name} names no weights", "Its description may say more")
    found = hub.conversions(weights.base, watch, endpoint, sleep)
    pulls = ", or ".join(f"memread models pull hf:{name}" for name in found)
    raise ModelMissing(
        f"no GGUF files of {weights.base} have been checked for memread",
        f"Others have converted it; choose whom you trust: {pulls}"
        if found
        else "Convert it with llama.cpp's convert_hf_to_gguf.py, then: memread models add FILE",
    )


def _as_recorded(profile: Profile, chosen: hub.Chosen) -> bool:
    expected = [(file.size, file.sha256) for file in profile.weights.files]
    found = [(file.size, file.sha256) for file in chosen.files]
    return len(expected) == len(found) and all(
        size == there and (not digest or digest == stated)
        for (size, digest), (there, stated) in zip(expected, found, strict=True)
    )


def _of_address(url: str, folder: Path, sha256: str) -> Plan:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{one_line(plain(url))!r} cannot be downloaded", "Write https://…/model.gguf")
    names, urls = [_file_name(unquote(parts.path))], [url]
    _, number, total = gguf.split_name(names[0])
    if total > 1:
        if sha256:
            raise UsageError("--sha256 is for models of one file")
        if not 1 <= number <= total <= 1000:
            raise UsageError(f"{one_line(names[0])!r} is not the name of a part")
        old = f"-{number:05d}-of-{total:05d}."
        parts_of = [f"-{each:05d}-of-{total:05d}." for each in range(1, total + 1)]
        names = [names[0].replace(old, new) for new in parts_of]
        urls = [parts._replace(path=parts.path.replace(old, new)).geturl() for new in parts_of]
    notes = []
    if parts.scheme == "http" and not sha256:
        notes.append("the address is not encrypted: anyone on the way could change the file (--sha256 tells)")
    files = tuple(Remote(each, sha256=sha256) for each in urls)
    planned = Plan(files, tuple(folder / name for name in names), plain(url), "", tuple(notes))
    return _apart(planned, folder)


def _file_name(path: str) -> str:
    """The last part of a path that others chose, if it can be a file's name anywhere. Raises UsageError."""
    name = _base(path)
    if not _FILE_NAME.fullmatch(name) or name != one_line(name, 300):
        raise UsageError(f"{one_line(name, 100)!r} cannot be the name of a .gguf file")
    return name


def _base(path: str) -> str:
    return path.rpartition("/")[2]


def _is_here(file: Remote, target: Path, watch: Watch, cache: Path | None) -> bool:
    """Whether the very file is complete already. Without a SHA-256 its name has to do."""
    if not target.is_file() or (file.size is not None and target.stat().st_size != file.size):
        return False
    if not file.sha256:
        return True
    watch.say(f"{target.name} is here; checking it")
    return digests.file_digest(target, cache) == f"sha256:{file.sha256}"


def _check_space(missing: Sequence[tuple[Remote, Path]], folder: Path) -> None:
    need = 0
    for file, target in missing:
        part = part_of(target)
        here = part.stat().st_size if part.is_file() else 0
        need += max(0, (file.size or 0) - here)
    place = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(place).free
    if need and need + _MARGIN > free:
        raise NoSpace(
            f"{need / 1e9:,.1f} GB are needed and {free / 1e9:,.1f} GB are free in {place}",
            "MEMREAD_DATA_DIR puts models elsewhere",
        )
