"""How much memory this machine has, and how much of it is free."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NamedTuple


class Memory(NamedTuple):
    """Bytes. 0: the system does not say."""

    total: int
    available: int


def memory(proc: Path = Path("/proc/meminfo"), group: Path = Path("/sys/fs/cgroup")) -> Memory:
    """The memory of this machine; in a container with a limit, of that.

    proc, group: where Linux tells it (control groups of version 2).
    """
    if sys.platform == "win32":
        return _windows()
    try:
        found = {
            name: int(value.split()[0]) * 1024
            for name, _, value in (line.partition(":") for line in proc.read_text().splitlines())
            if name in ("MemTotal", "MemAvailable")
        }
        total, available = found["MemTotal"], found["MemAvailable"]
    except (OSError, ValueError, KeyError, IndexError):
        try:
            total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (OSError, ValueError, AttributeError):
            return Memory(0, 0)
        available = 0  # macOS tells it through its own calls only
    limit, used = _number(group / "memory.max"), _number(group / "memory.current")
    if limit is not None and limit < total:
        total, available = limit, min(available, max(0, limit - (used or 0)))
    return Memory(total, available)


def _number(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _windows() -> Memory:
    import ctypes

    class Status(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            ("total", ctypes.c_ulonglong),
            ("available", ctypes.c_ulonglong),
            ("others", ctypes.c_ulonglong * 5),
        )

    status = Status(length=ctypes.sizeof(Status))
    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009 - the type checker knows other systems too
    if not kernel.GlobalMemoryStatusEx(ctypes.byref(status)):
        return Memory(0, 0)
    return Memory(status.total, status.available)
