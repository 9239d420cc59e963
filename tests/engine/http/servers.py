"""Real servers of the tiny model, in processes of their own, on loopback; they end with their input."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LLAMA_SERVER = """
import sys, xllamacpp
p = xllamacpp.CommonParams()
p.model.path, p.model_alias, p.port = sys.argv[1], {"tiny"}, int(sys.argv[2])
p.n_ctx, p.n_parallel, p.n_gpu_layers, p.warmup = 8192, 2, 0, False
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = 1
p.api_keys = sys.argv[3:]
server = xllamacpp.Server(p)
sys.stdin.read()
"""
_PYTHON_SERVER = """
import os, sys, threading
import uvicorn
from llama_cpp.server.app import create_app
from llama_cpp.server.settings import ModelSettings, ServerSettings
model = ModelSettings(
    model=sys.argv[1], model_alias="tiny", n_ctx=2048, n_threads=1, n_threads_batch=1, n_gpu_layers=0,
    chat_format=None, verbose=False,
)
key = sys.argv[3] if sys.argv[3:] else None
app = create_app(server_settings=ServerSettings(api_key=key), model_settings=[model])
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="error")
"""


@contextmanager
def llama_server(model: Path, *keys: str, port: int = 0) -> Iterator[str]:
    """llama.cpp's own server (through xllamacpp), two slots of 4,096 tokens. Its URL."""
    with _process(_LLAMA_SERVER, model, *keys, port=port) as url:
        yield url


@contextmanager
def python_server(model: Path, *keys: str) -> Iterator[str]:
    """llama-cpp-python's server, one context of 2,048 tokens. Its URL."""
    with _process(_PYTHON_SERVER, model, *keys) as url:
        yield url


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        number: int = listener.getsockname()[1]
        return number


@contextmanager
def _process(program: str, model: Path, *keys: str, port: int = 0) -> Iterator[str]:
    port = port or free_port()
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", program, str(model), str(port), *keys],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert process.stdin and process.stderr
    try:
        url = f"http://127.0.0.1:{port}/v1"
        _wait(url, process)
        yield url
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stderr.close()


def _wait(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert process.poll() is None, process.stderr and process.stderr.read().decode()
        try:
            with urllib.request.urlopen(f"{url}/models", timeout=5):
                return
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 401:  # it is there, and wants a key
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"no server at {url}")
