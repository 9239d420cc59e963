"""The Hugging Face Hub: which files a name means, how long they are, their SHA-256.

Through the Hub's own library, so that HF_ENDPOINT (mirrors), HF_TOKEN and HF_HUB_OFFLINE hold as everywhere.
The files are fetched by `download`: huggingface_hub deletes what has arrived when its process ends.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from memread import __version__, gguf
from memread.errors import ConfigError, DownloadFailed, ModelMissing, UsageError
from memread.registry.download import TRIES, Remote, Watch
from memread.registry.faults import Fatal, Transient, host, of_exception, of_status, plain, unusable
from memread.text import one_line

_PREFERRED = ("Q4_K_M", "Q4_K_S", "Q4_0", "Q5_K_M", "Q8_0", "F16", "BF16")
"""What is taken when nobody says: the most widely used balance of size and quality first."""
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_HOSTS = ("huggingface.co", "hf.co", "www.huggingface.co")
_NO_MODEL = re.compile(r"mmproj|imatrix", re.IGNORECASE)
_TIMEOUT = 30.0


class Spec(msgspec.Struct, frozen=True):
    """What `hf:owner/repo@revision:which` says."""

    repository: str
    which: str = ""
    """A quantization ("Q4_K_M") or the path of a file in the repository; "": memread chooses."""
    revision: str = ""


class Chosen(msgspec.Struct, frozen=True):
    """A model in a repository: one file, or all parts of a split one."""

    repository: str
    commit: str
    names: tuple[str, ...]
    """Paths in the repository, in order."""
    files: tuple[Remote, ...]
    licence: str = ""
    others: tuple[str, ...] = ()
    """The other models of the repository, when memread chose."""


def parse(text: str, endpoint: str = "") -> Spec | None:
    """A reference to the Hub: "hf:owner/repo[@revision][:quantization or file]", "hf.co/owner/repo…", or the
    address of a page or file of it. None: something else.

    Raises UsageError for a broken reference or address, ConfigError for a broken endpoint.
    """
    for prefix in ("hf:", "hf.co/", "huggingface.co/"):
        if text.startswith(prefix):
            rest, _, which = text.removeprefix(prefix).removeprefix("//").partition(":")
            repository, _, revision = rest.partition("@")
            return _spec(text, repository, which, revision)
    try:
        parts = urlsplit(text)
        place = parts.hostname, parts.port
    except ValueError as error:  # it is not quoted: what is no port may be a part of a password
        raise UsageError(
            "the host or port of that address cannot be read", "Write https://…/model.gguf"
        ) from error
    if parts.scheme not in ("http", "https"):
        return None
    try:
        own = urlsplit(endpoint)
        is_own = bool(endpoint) and place == (own.hostname, own.port)
    except ValueError as error:
        raise ConfigError("HF_ENDPOINT is not an address") from error
    if parts.hostname not in _HOSTS and not is_own:
        return None
    steps = [unquote(step) for step in parts.path.strip("/").split("/")]
    if len(steps) == 2:
        return _spec(text, "/".join(steps))
    if len(steps) >= 5 and steps[2] in ("blob", "resolve"):
        return _spec(text, "/".join(steps[:2]), "/".join(steps[4:]), steps[3])
    if len(steps) == 4 and steps[2] == "tree":
        return _spec(text, "/".join(steps[:2]), "", steps[3])
    return None


def _spec(text: str, repository: str, which: str = "", revision: str = "") -> Spec:
    if not _REPOSITORY.fullmatch(repository) or ".." in repository or ".." in which or ".." in revision:
        raise UsageError(
            f"{one_line(text)!r} names no repository",
            "Write hf:owner/repository, or hf:owner/repository:Q4_K_M",
        )
    return Spec(repository, which, revision)


def choose(
    spec: Spec, watch: Watch, endpoint: str | None = None, sleep: Callable[[float], object] = time.sleep
) -> Chosen:
    """The files that `spec` means, by the Hub's records. endpoint: None is HF_ENDPOINT, or the Hub itself.

    Raises DownloadFailed, ModelMissing (no such file in the repository), ConfigError.
    """
    import huggingface_hub

    api = huggingface_hub.HfApi(endpoint=endpoint, library_name="memread", library_version=__version__)
    watch.say(f"asking {host(api.endpoint)} for {spec.repository}")
    info = _asked(
        lambda: api.model_info(
            spec.repository, revision=spec.revision or None, files_metadata=True, timeout=_TIMEOUT
        ),
        spec.repository,
        api.endpoint,
        watch,
        sleep,
    )
    commit = info.sha or spec.revision or "main"
    records = {each.rfilename: each for each in info.siblings or () if _is_model(each.rfilename)}
    models = _models(records)
    key = _pick(spec, models)
    token = huggingface_hub.get_token()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    files = []
    for name in models[key]:
        record = records[name]
        lfs = getattr(record, "lfs", None)
        digest = str(getattr(lfs, "sha256", "") or "").lower()
        files.append(
            Remote(
                huggingface_hub.hf_hub_url(spec.repository, name, revision=commit, endpoint=api.endpoint),
                getattr(lfs, "size", None) or record.size,
                digest if re.fullmatch("[0-9a-f]{64}", digest) else "",
                headers,
            )
        )
    licence = getattr(getattr(info, "card_data", None), "license", "") or ""
    others = tuple(_label(each) for each in models if each != key) if not spec.which else ()
    return Chosen(spec.repository, commit, models[key], tuple(files), one_line(str(licence), 60), others)


def conversions(
    base: str, watch: Watch, endpoint: str | None = None, sleep: Callable[[float], object] = time.sleep
) -> list[str]:
    """Repositories of GGUF files made from `base`, most downloaded first.

    Raises DownloadFailed, ConfigError.
    """
    import huggingface_hub

    api = huggingface_hub.HfApi(endpoint=endpoint, library_name="memread", library_version=__version__)
    tags = [f"base_model:quantized:{base}", "gguf"]

    def ask() -> list[str]:
        return [model.id for model in api.list_models(filter=tags, sort="downloads", limit=5)]

    found: list[str] = _asked(ask, base, api.endpoint, watch, sleep)
    return [name for name in found if _REPOSITORY.fullmatch(name)]


def _asked(
    ask: Callable[[], Any], what: str, endpoint: str, watch: Watch, sleep: Callable[[float], object]
) -> Any:
    """The Hub's answer, after as many tries as it takes within reason."""
    import httpx2
    from huggingface_hub import errors

    where = host(endpoint)
    for attempt in range(1, TRIES + 1):
        try:
            return ask()
        except errors.OfflineModeIsEnabled as error:
            raise DownloadFailed(
                "HF_HUB_OFFLINE is set, so nothing is downloaded", "Unset it, or: memread models scan"
            ) from error
        except errors.GatedRepoError as error:
            raise DownloadFailed(
                f"{what} is only for people who have accepted its terms",
                f"Accept them at {plain(endpoint)}/{what}, then set HF_TOKEN to a token of that account",
            ) from error
        except errors.RevisionNotFoundError as error:
            raise ModelMissing(f"{what} has no such revision") from error
        except errors.RepositoryNotFoundError as error:
            raise ModelMissing(
                f"{where} has no repository {what}, or it is private", "For a private one set HF_TOKEN"
            ) from error
        except errors.HFValidationError as error:
            raise UsageError(f"{what!r} names no repository") from error
        except errors.HfHubHTTPError as error:
            answer = error.response
            if answer.status_code == 404:
                raise ModelMissing(f"{where} has no repository {what}") from error
            fault = of_status(answer.status_code, endpoint, answer.headers.get("Retry-After", ""))
            cause: Exception = error
        except httpx2.HTTPError as error:
            fault, cause = of_exception(error, endpoint), error
        except (OSError, ImportError, httpx2.InvalidURL) as error:  # such as a proxy that needs a package
            raise unusable(error) from error
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DownloadFailed(
                f"{where} answers with something else than the Hub's records", "Is HF_ENDPOINT right?"
            ) from error
        if isinstance(fault, Fatal):
            raise fault.error from cause
        _pause(fault, attempt, watch, sleep, cause)
    raise AssertionError("unreachable")


def _pause(
    fault: Transient, attempt: int, watch: Watch, sleep: Callable[[float], object], cause: Exception
) -> None:
    pause = fault.wait if fault.wait is not None else min(30.0, 2.0 ** (attempt - 1))
    if attempt == (TRIES if fault.answered else 3) or pause > 300:
        asks = f"; it asks to wait {pause:,.0f} seconds" if pause > 300 else ""
        raise DownloadFailed(f"{fault.reason}{asks}") from cause
    watch.say(f"{fault.reason}; trying again in {pause:.0f} s")
    sleep(pause)


def _is_model(name: str) -> bool:
    return name.lower().endswith(".gguf") and not _NO_MODEL.search(name)


def _models(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The files of each model, by the path without .gguf and number; split ones that lack a part left out."""
    models: dict[str, list[str]] = {}
    for name in sorted(names):
        key, _, _ = gguf.split_name(name)
        models.setdefault(key, []).append(name)
    return {
        key: tuple(files)
        for key, files in models.items()
        if [gguf.split_name(name)[1] for name in files] == [*range(1, gguf.split_name(files[0])[2] + 1)]
    }


def _pick(spec: Spec, models: dict[str, tuple[str, ...]]) -> str:
    """The key of the model that is meant. Raises ModelMissing, naming what there is."""
    labels = [_label(key) for key in models]
    labels = labels if len(set(labels)) == len(labels) else [*models]
    there = f"It has {', '.join(one_line(label, 80) for label in labels[:20])}"
    if not models:
        raise ModelMissing(
            f"{spec.repository} holds no GGUF model", "Look for a repository whose name ends in -GGUF"
        )
    if not spec.which:
        for wanted in _PREFERRED:
            found = _of_type(wanted, models)
            if len(found) == 1:
                return found[0]
        if len(models) == 1:
            return next(iter(models))
        raise ModelMissing(f"{spec.repository} holds several models; say which one", there)
    exact = [key for key, files in models.items() if spec.which in (key, *files)]
    names = [
        key for key in models if key.rpartition("/")[2].lower() == gguf.split_name(spec.which)[0].lower()
    ]
    found = exact or names or _of_type(spec.which, models)
    if len(found) == 1:
        return found[0]
    what = "has no" if not found else f"has {len(found)} models called"
    raise ModelMissing(f"{spec.repository} {what} {one_line(spec.which, 80)}", there)


def _of_type(quantization: str, models: Iterable[str]) -> list[str]:
    """The models of one quantization, by the end of their names: "UD-Q4_K_M" is not "Q4_K_M"."""
    pattern = re.compile(rf"(^|.*[-._/]){re.escape(quantization)}", re.IGNORECASE)
    found = [key for key in models if pattern.fullmatch(key.rpartition("/")[2])]
    plain = [key for key in found if not re.search(rf"UD-{re.escape(quantization)}$", key, re.IGNORECASE)]
    return plain or found


def _label(key: str) -> str:
    """The part of a name that says which of a repository's models it is."""
    match = re.search(r"((UD-)?(IQ|Q|TQ)\d\w*|BF16|F16|F32|MXFP4\w*)$", key, re.IGNORECASE)
    return match[0] if match else key
