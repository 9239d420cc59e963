"""Child processes: spawned, never forked, out of reach of the terminal's Ctrl-C."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def spawn(
    module: str,
    arguments: Sequence[str] = (),
    *,
    stderr: int = subprocess.DEVNULL,
    keep: Sequence[int] = (),
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """`python -m module arguments`, with pipes for standard input and output.

    keep: file descriptors that the child inherits (POSIX). Raises OSError.
    """
    # `-m` puts the working directory first on the path: it must be memread's own, not the user's.
    home = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-m", module, *arguments]
    if sys.platform == "win32":
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            cwd=home,
            env=environment,
            creationflags=subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW,
        )
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        cwd=home,
        env=environment,
        pass_fds=keep,
        start_new_session=True,
    )


def end(child: subprocess.Popen[bytes]) -> None:
    """Kill it and close the pipe to it; the pipe from it belongs to whoever reads."""
    with contextlib.suppress(OSError):
        child.kill()
    with contextlib.suppress(OSError):
        if child.stdin is not None:
            child.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(5)


def how_it_ended(child: subprocess.Popen[bytes]) -> str:
    """Such as "signal SIGSEGV" or "exit code 3"."""
    code = child.returncode
    if code is None or code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:  # a real-time signal
        return f"signal {-code}"
