"""The llama.cpp shared library: loaded once, its log kept off the terminal, its devices counted."""

from __future__ import annotations

import ctypes
import os
import sys
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from memread.errors import EngineFailed

_LOG_LINES = 400


class Device(msgspec.Struct, frozen=True):
    """A ggml backend device. Bytes; 0 where the backend does not say."""

    name: str
    description: str
    gpu: bool
    free: int
    total: int


class Library:
    """The loaded library. `api` is llama_cpp's module of C functions; `log` its last lines."""

    def __init__(self) -> None:
        # OpenMP's threads wait for each other hundreds of times a token, spinning. With another busy process
        # on the machine the one that is waited for does not run, and decoding falls to a thirtieth; after a
        # short spin it is better to sleep (docs/NOTES.md has the figures). Read when the library is loaded.
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
        try:
            import llama_cpp
        except Exception as error:  # a missing or foreign shared library raises OSError, RuntimeError, …
            raise EngineFailed(
                f"llama.cpp cannot be loaded ({error})",
                "Reinstall it: pip install --force-reinstall --no-cache-dir llama-cpp-python",
            ) from error
        self.api: Any = llama_cpp
        self.version: str = llama_cpp.__version__
        self.log: deque[str] = deque(maxlen=_LOG_LINES)
        self.verbose = False
        self.listener: Callable[[str], None] | None = None
        """Told every line of the log, if there is one."""
        # llama-cpp-python's own handler writes to stderr and its `verbose=False` redirects whole file
        # descriptors, either of which wrecks a live view. Kept as an attribute: C holds no reference.
        self._callback = llama_cpp.llama_log_callback(self._on_log)
        llama_cpp.llama_log_set(self._callback, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()

    def _on_log(self, level: int, text: bytes, _: object) -> None:
        line = text.decode("utf-8", "replace")
        if self.verbose:
            sys.stderr.write(line)
        if self.listener is not None:
            self.listener(line)
        if level == 5 and self.log:  # GGML_LOG_LEVEL_CONT
            self.log[-1] += line
        else:
            self.log.append(line)

    def last_error(self) -> str:
        """The newest log line that says what failed, or ""."""
        lines = [line.strip() for line in self.log if line.strip()]
        telling = [line for line in lines if "error" in line.lower() or "failed" in line.lower()]
        # The first such line of a failing load names the cause, later ones only pass it on.
        return telling[0].split(": ", 1)[-1] if telling else (lines[-1] if lines else "")

    def out_of_memory(self) -> bool:
        """Whether the log of the last operation tells of an allocation that failed."""
        words = ("failed to allocate", "unable to allocate", "out of memory", "cannot allocate", "bad_alloc")
        return any(word in line.lower() for line in self.log for word in words)

    def system_info(self) -> str:
        """llama.cpp's own line about backends and CPU features."""
        info: bytes = self.api.llama_print_system_info()
        return info.decode("utf-8", "replace").strip()

    @property
    def repacks(self) -> bool:
        """Whether weights may be laid out anew for this processor. Not where that would bring in llama.cpp's
        AMX code: compiled by gcc 12 (others were not tried) it multiplies with tiles whose sizes were never
        set, which crashes or, worse, computes something else (llama.cpp#20824 and #26954; docs/NOTES.md).
        """
        return not uses_amx(self.system_info())

    @property
    def gpu_build(self) -> bool:
        """Whether this build could use a GPU at all."""
        return bool(self.api.llama_supports_gpu_offload())

    def devices(self) -> list[Device]:
        """The devices this build found on this machine; [] where ggml's registry cannot be asked."""
        try:
            folder = Path(self.api.__file__).parent / "lib"
            registry, base = _open(folder, "ggml"), _open(folder, "ggml-base")
            registry.ggml_backend_dev_count.restype = ctypes.c_size_t
            registry.ggml_backend_dev_get.restype = ctypes.c_void_p
            registry.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
            for function in (base.ggml_backend_dev_name, base.ggml_backend_dev_description):
                function.restype, function.argtypes = ctypes.c_char_p, [ctypes.c_void_p]
            base.ggml_backend_dev_type.restype, base.ggml_backend_dev_type.argtypes = (
                ctypes.c_int,
                [ctypes.c_void_p],
            )
            base.ggml_backend_dev_memory.restype = None
            base.ggml_backend_dev_memory.argtypes = [ctypes.c_void_p] + [ctypes.POINTER(ctypes.c_size_t)] * 2
            return [self._device(registry, base, i) for i in range(registry.ggml_backend_dev_count())]
        except (OSError, AttributeError):
            return []

    @staticmethod
    def _device(registry: Any, base: Any, index: int) -> Device:
        handle = registry.ggml_backend_dev_get(index)
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        base.ggml_backend_dev_memory(handle, ctypes.byref(free), ctypes.byref(total))
        return Device(
            name=(base.ggml_backend_dev_name(handle) or b"").decode("utf-8", "replace"),
            description=(base.ggml_backend_dev_description(handle) or b"").decode("utf-8", "replace"),
            gpu=base.ggml_backend_dev_type(handle) in (1, 2),  # GGML_BACKEND_DEVICE_TYPE_GPU, _IGPU
            free=free.value,
            total=total.value,
        )


def uses_amx(features: str) -> bool:
    """Whether llama.cpp's line about the processor's features says that it was built for AMX."""
    return "AMX_INT8 = 1" in features


@lru_cache(maxsize=1)
def library() -> Library:
    """The library, loaded at the first call. Raises EngineFailed."""
    return Library()


def _open(folder: Path, name: str) -> Any:
    for pattern in (f"lib{name}.so", f"lib{name}.dylib", f"{name}.dll"):
        if (folder / pattern).exists():
            return ctypes.CDLL(str(folder / pattern))
    raise OSError(f"no {name} library in {folder}")


def cpu_threads() -> int:
    """Threads that compute fastest: one a physical core that this process may use."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return max(1, min(usable, _physical_cores() or usable))


def _physical_cores() -> int:
    """Physical cores on Linux, performance cores on Apple silicon; 0 where the system does not say."""
    siblings = set()
    for path in Path("/sys/devices/system/cpu").glob("cpu[0-9]*/topology/thread_siblings_list"):
        try:
            siblings.add(path.read_text())
        except OSError:
            return 0
    if sys.platform == "darwin":
        value, size = ctypes.c_int(0), ctypes.c_size_t(4)
        for name in (b"hw.perflevel0.physicalcpu", b"hw.physicalcpu"):
            if not ctypes.CDLL(None).sysctlbyname(name, ctypes.byref(value), ctypes.byref(size), None, 0):
                return value.value
    return len(siblings)
