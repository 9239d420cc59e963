"""What may have changed between two sittings of a reading, and folders in which nothing can be written."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from memread import events
from tests.cli.conftest import DEADLINE, Ended, Memread, answer, done, log, memories

if sys.platform == "win32":
    pytest.skip("needs Unix signals", allow_module_level=True)

QUESTION = "how far did the ship sail?"
COMMANDS = (("runs",), ("models",), ("doctor",))


def started(ended: Ended) -> events.RunStarted:
    assert ended.code == 0, ended.err
    first = ended.events[0]
    assert isinstance(first, events.RunStarted)
    return first


def killed(memread: Memread, at: int = 3) -> str:
    """A reading that ended with kill -9 after segment `at`; its run."""
    running = memread.start("ask", "a.txt", QUESTION)
    running.wait_for(done(at))
    running.signal(signal.SIGKILL)
    running.end()
    first = running.events[0]
    assert isinstance(first, events.RunStarted)
    return first.run


def test_the_model_is_replaced(memread: Memread) -> None:
    """By one of the same name, size and time: the old reading stays, and is gone on with when it is back."""
    memread.write("a.txt", log(30))
    shutil.copy2(memread.model, memread.folder / "model.gguf")
    memread.model = memread.folder / "model.gguf"
    status = memread.model.stat()
    original = memread.model.read_bytes()
    first = killed(memread)
    other = bytearray(original)
    other[-4:] = bytes(b ^ 1 for b in other[-4:])  # a weight
    with memread.model.open("r+b") as file:
        file.write(other)
    os.utime(memread.model, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert memread.model.stat().st_size == status.st_size
    replaced = memread("ask", "a.txt", QUESTION, "--events")
    now = started(replaced)
    assert now.resumed == 0 and now.run != first
    assert any(
        isinstance(event, events.Notice)
        and first in event.message
        and "read with another model:" in event.message
        for event in replaced.events
    )
    shown = memread("runs", "show", first)
    assert shown.code == 0 and "Not finished" in shown.out
    with memread.model.open("r+b") as file:
        file.write(original)
    back = memread("ask", "a.txt", QUESTION, "--events")
    assert started(back).run == first and started(back).resumed >= 4


def test_the_settings_are_others(memread: Memread) -> None:
    """Said once, and not of a reading that is over, of another question, or when it is asked for."""
    memread.write("a.txt", log(30))
    first = killed(memread)
    other = {"MEMREAD_BUDGET_MEMORY": "32"}
    said = f"Run {first}, which stopped after"
    assert said not in memread("ask", "a.txt", "another question?", env=other).err
    assert said not in memread("ask", "a.txt", QUESTION, "--fresh", env=other).err
    changed = memread("ask", "a.txt", QUESTION, "--reread", "--no-journal", env=other)
    assert said not in changed.err
    changed = memread("ask", "a.txt", QUESTION, env=other)
    assert changed.code == 0 and changed.err.count(said) == 1 and "read with other settings:" in changed.err
    assert memread("ask", "a.txt", QUESTION).code == 0
    assert said not in memread("ask", "a.txt", QUESTION, env=other).err


UPGRADED = """
import memread, memread.asking as changed
memread.__version__ = "99.0"
{change}
from memread.__main__ import main
main()
"""


def test_memread_is_upgraded(memread: Memread) -> None:
    """To one that does the same: it goes on. To one that reads otherwise: afresh, and nothing is mixed."""
    memread.write("a.txt", log(40))
    undisturbed = memread("ask", "a.txt", QUESTION, "--events", "--no-journal").events
    first = killed(memread)
    newer = ("-c", UPGRADED.format(change="changed.LOOP_VERSION += 1"))
    other = started(memread("ask", "a.txt", QUESTION, "--events", python=newer))
    assert other.resumed == 0 and other.run != first
    same = ("-c", UPGRADED.format(change=""))
    again = memread("ask", "a.txt", QUESTION, "--events", python=same)
    assert started(again).run == first and started(again).resumed >= 4
    assert answer(again.events) == answer(undisturbed)
    assert memories(again.events).items() <= memories(undisturbed).items()


CLOCK = """
import datetime, memread.journal.recording as recording
class Back(datetime.datetime):
    at = datetime.datetime(1999, 1, 1, tzinfo=datetime.timezone.utc)
    @classmethod
    def now(cls, tz=None):
        cls.at -= datetime.timedelta(hours=5)  # and further back at every look
        return cls.at
recording.datetime = type("clock", (), dict(datetime=Back, timezone=datetime.timezone))
from memread.__main__ import main
main()
"""


def test_the_clock_goes_back(memread: Memread) -> None:
    """Between two sittings, and while it reads."""
    memread.write("a.txt", log(40))
    undisturbed = memread("ask", "a.txt", QUESTION, "--events", "--no-journal").events
    first = killed(memread)
    ended = memread("ask", "a.txt", QUESTION, "--events", python=("-c", CLOCK))
    assert started(ended).run == first and started(ended).resumed >= 4
    assert answer(ended.events) == answer(undisturbed)
    newer = started(memread("ask", "a.txt", "where to?", "--events", python=("-c", CLOCK))).run
    listed = memread("runs").out
    assert listed.index(newer) < listed.index(first), "the order of beginning, not that of a clock"
    assert memread("runs", "show", newer).code == memread("runs", "show", first).code == 0


# ── nothing can be written ──


def complaints(ended: Ended) -> None:
    assert "Traceback" not in ended.err + ended.out, ended.err
    assert ended.code in (0, 19, 20), (ended.code, ended.err)


def test_a_home_that_is_no_folder(memread: Memread) -> None:
    memread.write("a.txt", log(3))
    home = str(memread.write("home", ""))
    names = ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR")
    env = {"HOME": home, **{name: f"{home}/{name}" for name in names}}
    ended = memread("ask", "a.txt", QUESTION, env=env)
    assert ended.code == 0 and ended.out.strip()
    assert "not recorded" in ended.err and "Traceback" not in ended.err
    for command in COMMANDS:
        complaints(memread(*command, env=env))


def test_a_read_only_home(memread: Memread, home: Path) -> None:
    """Mounted so, where nobody else sees it: also root cannot write there."""
    memread.write("a.txt", log(3))
    assert memread("ask", "a.txt", "another question?").code == 0
    script = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" && shift && exec "$@"'
    read_only = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", str(home)]
    try:
        tried = subprocess.run(
            [*read_only, "touch", str(home / "x")], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        pytest.skip("this system lets nobody mount")
    if "Read-only" not in tried.stderr:
        pytest.skip("this system lets nobody mount")

    def run(*arguments: str) -> Ended:
        ended = subprocess.run(
            [*read_only, sys.executable, "-m", "memread", *arguments],
            capture_output=True,
            text=True,
            cwd=memread.folder,
            env=memread.environment(),
            timeout=DEADLINE,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    asked = run("ask", "a.txt", QUESTION)
    assert asked.code == 0 and asked.out.strip(), asked.err
    assert "not recorded" in asked.err and "Traceback" not in asked.err
    for command in COMMANDS:
        complaints(run(*command))
