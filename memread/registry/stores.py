"""Models that other programs have downloaded: found where they lie, never copied.

Ollama keeps manifests (JSON) that name blobs by digest; LM Studio publisher/model/file.gguf; the Hugging Face
cache models--owner--name/snapshots/commit/file.gguf; llama.cpp a flat folder (since 2026 the Hugging Face
cache). What is in these folders is not memread's: a manifest may be damaged or point outside its store.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from memread import gguf
from memread.errors import ModelError
from memread.registry.catalogue import Source
from memread.registry.local import gguf_files
from memread.settings import expanded
from memread.tensors import tensors
from memread.text import one_line

_OLLAMA_MODEL = "application/vnd.ollama.image.model"
_DIGEST = re.compile(r"sha256[:-]([0-9a-f]{64})")
_MAX_MANIFEST = 1 << 20


class Found(msgspec.Struct, frozen=True):
    """A model that llama.cpp may be able to load: its header was read."""

    name: str
    path: Path
    """Of a split model the first file."""
    source: Source


class Unusable(msgspec.Struct, frozen=True):
    """What looked like a model and is none, or not all of it."""

    where: str
    reason: str


Item = Found | Unusable


class _Layer(msgspec.Struct, rename="camel"):
    media_type: str = ""
    digest: str = ""
    size: int = 0


class _Manifest(msgspec.Struct):
    layers: list[_Layer] = []


def scan(environ: Mapping[str, str], home: Path) -> Iterator[Item]:
    """What is in the stores of Ollama, LM Studio, Hugging Face and llama.cpp, the same file once.

    environ: where these programs are told to keep models (OLLAMA_MODELS, HF_HUB_CACHE, LLAMA_CACHE, …).
    """
    seen: set[Path] = set()
    for folder in _existing(ollama_folders(environ, home)):
        yield from _once(_ollama(folder), seen)
    others: dict[Source, list[Path]] = {
        "lm-studio": lm_studio_folders(home),
        "hugging-face": hugging_face_folders(environ, home),
        "llama.cpp": llama_cpp_folders(environ, home),
    }
    for source, folders in others.items():
        for folder in _existing(folders):
            yield from _once(scan_folder(folder, source), seen)


def scan_folder(folder: Path, source: Source) -> Iterator[Item]:
    """Every model in a folder and its sub-folders, by its file's name."""
    for path in gguf_files(folder, deepest=6):
        yield _checked(gguf.stem(path), path, source)


def ollama_folders(environ: Mapping[str, str], home: Path) -> list[Path]:
    """$OLLAMA_MODELS, the user's own folder, and those of the Linux service."""
    if environ.get("OLLAMA_MODELS"):
        return [expanded(environ["OLLAMA_MODELS"])]
    services = [Path("/usr/share/ollama/.ollama/models"), Path("/var/lib/ollama/models")]
    return [home / ".ollama" / "models", *(services if sys.platform == "linux" else [])]


def lm_studio_folders(home: Path) -> list[Path]:
    """LM Studio's folders: where its pointer file says, where its settings say, and the usual ones."""
    homes = [home / ".lmstudio", home / ".cache" / "lm-studio"]
    pointed = _text(home / ".lmstudio-home-pointer").strip()
    if pointed:
        homes.insert(0, Path(pointed))
    found = []
    for place in homes:
        try:
            settings = msgspec.json.decode(_text(place / "settings.json"), type=dict[str, object])
        except msgspec.DecodeError:
            settings = {}
        chosen = settings.get("downloadsFolder")
        found += [Path(chosen)] if isinstance(chosen, str) and chosen else []
        found.append(place / "models")
    return found


def hugging_face_folders(environ: Mapping[str, str], home: Path) -> list[Path]:
    """The one cache that is in force, as huggingface_hub's documentation has it."""
    for variable, below in (("HF_HUB_CACHE", ""), ("HUGGINGFACE_HUB_CACHE", ""), ("HF_HOME", "hub")):
        if environ.get(variable):
            return [expanded(environ[variable]) / below]
    cache = Path(environ["XDG_CACHE_HOME"]) if environ.get("XDG_CACHE_HOME") else home / ".cache"
    return [cache / "huggingface" / "hub"]


def llama_cpp_folders(environ: Mapping[str, str], home: Path) -> list[Path]:
    """$LLAMA_CACHE, or the cache folder of the system."""
    if environ.get("LLAMA_CACHE"):
        return [expanded(environ["LLAMA_CACHE"])]
    if sys.platform == "darwin":
        return [home / "Library" / "Caches" / "llama.cpp"]
    if sys.platform == "win32":
        return [Path(environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "llama.cpp"]
    return [Path(environ.get("XDG_CACHE_HOME") or home / ".cache") / "llama.cpp"]


def _ollama(folder: Path) -> Iterator[Item]:
    root = folder / "manifests"

    def refused(error: OSError) -> None:
        refusals.append(Unusable(str(error.filename or root), error.strerror or str(error)))

    refusals: list[Unusable] = []
    for at, folders, files in os.walk(root, onerror=refused):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for file in sorted(files):
            path = Path(at, file)
            parts = path.relative_to(root).parts
            if file.startswith(".") or not 2 <= len(parts) <= 8:
                continue
            # As `ollama list` prints it: registry.ollama.ai and "library" go without saying.
            short = parts[1:] if parts[0] == "registry.ollama.ai" else parts
            short = short[1:] if short[0] == "library" and len(short) > 2 else short
            name = "/".join(short[:-1]) + ":" + short[-1]
            yield _from_manifest(path, one_line(name, 120), folder / "blobs")
    yield from refusals


def _from_manifest(path: Path, name: str, blobs: Path) -> Found | Unusable:
    try:
        if not stat.S_ISREG(path.stat().st_mode) or path.stat().st_size > _MAX_MANIFEST:
            return Unusable(str(path), "not a manifest: too large, or not a file")
        manifest = msgspec.json.decode(path.read_bytes(), type=_Manifest)
    except OSError as error:
        return Unusable(str(path), error.strerror or str(error))
    except (ValueError, RecursionError) as error:
        return Unusable(str(path), f"a damaged manifest ({error})")
    layers = [layer for layer in manifest.layers if layer.media_type == _OLLAMA_MODEL]
    if len(layers) != 1:
        return Unusable(str(path), f"it names {len(layers) or 'no'} GGUF files, not one")
    digest = _DIGEST.fullmatch(layers[0].digest)
    if digest is None:
        return Unusable(str(path), f"a digest that is none: {one_line(layers[0].digest, 80)!r}")
    blob = blobs / f"sha256-{digest[1]}"
    try:
        size = blob.stat().st_size
    except OSError as error:
        return Unusable(str(path), f"{blob.name}: {error.strerror or error}")
    if layers[0].size and size != layers[0].size:
        return Unusable(str(path), f"{blob.name} has {size:,} bytes instead of {layers[0].size:,}")
    return _checked(name, blob, "ollama")


def _checked(name: str, path: Path, source: Source) -> Found | Unusable:
    try:
        files = gguf.shards(path)
        if not all(stat.S_ISREG(file.stat().st_mode) for file in files):
            return Unusable(str(path), "not a file")  # opening a pipe would wait for ever
        header = gguf.read_header(path)
    except OSError as error:
        return Unusable(str(path), error.strerror or str(error))
    except ModelError as error:
        return Unusable(str(path), error.message.removeprefix(f"{path}: "))
    kind = header.text("general.type")
    if kind not in ("", "model"):
        return Unusable(str(path), f"not a model by itself, but: {one_line(kind, 40)}")
    architecture = header.text("general.architecture")
    if architecture in ("", "clip"):
        return Unusable(str(path), "not a language model")
    if not header.count("tokenizer.ggml.tokens"):
        return Unusable(str(path), "it has no vocabulary")
    if any(_cut_short(file) for file in files):
        return Unusable(str(path), "it ends before its weights do: an unfinished download, perhaps")
    return Found(one_line(name, 120), files[0], source)


def _cut_short(path: Path) -> bool:
    """Whether weights begin beyond the end of a file. (How long the last one is, llama.cpp knows.)"""
    try:
        places = [tensor.offset for tensor in tensors(path).values()]
    except ModelError:
        return True
    return max(places, default=0) >= path.stat().st_size


def _once(found: Iterator[Item], seen: set[Path]) -> Iterator[Item]:
    for each in found:
        if isinstance(each, Found):
            real = each.path.resolve()
            if real in seen:
                continue
            seen.add(real)
        yield each


def _existing(folders: list[Path]) -> Iterator[Path]:
    known = set()
    for folder in folders:
        try:
            real = folder.resolve()
            if real not in known and folder.is_dir():
                known.add(real)
                yield folder
        except OSError:
            continue


def _text(path: Path) -> str:
    """The beginning of a small text file; "" where there is none."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return ""
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(_MAX_MANIFEST)
    except OSError:
        return ""
