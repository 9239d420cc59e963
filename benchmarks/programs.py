"""Benchmarks of whole programs: memread's start, and a server that is asked once a segment."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.measure import Clock, Row, figure, paired, ratio, seconds
from benchmarks.models import embedded, ending, memory_of, passages
from benchmarks.reading import QUESTION, Options, profile_of, reader
from memread import prompts
from memread.driver import drive
from memread.engine.llamacpp.library import cpu_threads
from memread.engine.llamacpp.model import Model
from memread.loop import flow
from memread.profile import shipped
from memread.segment import segments
from memread.types import Segment

_STARTING = 120
"""Seconds a server may take until it answers."""


def start(options: Options) -> Iterator[Row]:
    """`memread --help`, and `memread stat` on a book of 1 MB."""
    with Model(options.model, vocabulary_only=True) as model:
        text = "".join(passage.text for passage in passages(model, 200_000))
    book = options.folder / "book.txt"
    book.write_text((text * (1 + 1_000_000 // len(text)))[:1_000_000], encoding="utf-8")
    environment = {**os.environ, "XDG_DATA_HOME": str(options.folder), "XDG_CACHE_HOME": str(options.folder)}
    for arguments, target in (
        (["--help"], "≤ 0.25 s"),
        (["stat", str(book), "-m", str(options.model)], "≤ 1.5 s"),
    ):
        command = [sys.executable, "-m", "memread", *arguments]
        clock = options.clock
        _run(command, environment)  # the first run reads the disk
        values = [seconds(lambda: _run(command, environment))]
        while len(values) < 2 * options.runs + 1 and not clock.over:
            values.append(seconds(lambda: _run(command, environment)))
        shown = "memread --help" if arguments == ["--help"] else "memread stat, a book of 1 MB"
        yield figure("start", f"`{shown}`", target, values, "s")


def _run(command: list[str], environment: dict[str, str]) -> None:
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def server(options: Options) -> Iterator[Row]:
    """memread ÷ one chat completion a segment over HTTP to llama-cpp-python's server, same file and segments.

    memread leaves a memory of 512 tokens unchanged; the server writes 512 tokens, one by one, as it does
    whatever they say: it may not end before. So both write a memory of 512 tokens after each segment, and
    then an answer of the same length.
    """
    for name, path in options.models():
        with Model(path) as model:
            memory = memory_of(model, 512)
            profile = profile_of(memory, 1500, 1024)
            cut = segments(iter(passages(model, options.segments * 1500)), model.vocabulary, 1500)
            texts = [item for item in cut if isinstance(item, Segment)][: options.segments]
            written = len(model.vocabulary.encode(memory))
            end = ending(model)
            fields = {"prompt": QUESTION, "memory": memory}
            wordings = [prompts.fill(profile.wording.update, chunk=text.text, **fields) for text in texts]
            last = prompts.fill(profile.wording.answer, **fields)
            threads = options.threads or cpu_threads()
            with (
                _serving(path, 4096, threads) as address,
                reader(model, memory, context=4096, threads=threads) as engine,
            ):

                def ours() -> float:
                    reading = flow(QUESTION, texts, profile, engine.frame, engine.tokenizer)
                    return seconds(lambda: [*drive(engine, [reading])])

                def theirs() -> float:
                    return seconds(write)

                def write() -> None:
                    for text in wordings:
                        _complete(address, text, written, end)
                    _complete(address, last, engine.answer_tokens, end)

                theirs_once = _complete(address, wordings[0], 1, end)
                assert theirs_once == 1
                pairs = paired(ours, theirs, options.runs, options.clock)
            yield ratio(
                "server",
                f"memread ÷ a chat completion a segment over HTTP, segments of 1,500, memory of 512, {name}",
                "≤ 0.70 (CPU), ≤ 0.35 (GPU)",
                pairs,
                f"{len(texts)} segments, {min(b for _, b in pairs):.1f} s over HTTP",
            )


def box(options: Options) -> Iterator[Row]:
    """memread ÷ the published quick start, each as its user runs it: its own defaults, real replies.

    The quick start is that of MemAgent: sections of 5,000 tokens, its wording, replies of up to 1,024 tokens
    at temperature 0.7, a chat completion each, here to llama-cpp-python's server with the same file.
    """
    published = next(each for each in shipped() if each.name == "rl-memoryagent-7b")
    budget, sampling = published.budget, {"temperature": 0.7, "top_p": 0.95}
    tokens = options.segments * budget.segment * 24 // 25
    with Model(options.model, vocabulary_only=True) as model:
        parts = passages(model, tokens)
        cut = segments(iter(parts), model.vocabulary, budget.segment)
        texts = [item.text for item in cut if isinstance(item, Segment)]
    (options.folder / "book.txt").write_text("".join(part.text for part in parts), encoding="utf-8")
    (options.folder / "short.txt").write_text(texts[0][:500], encoding="utf-8")
    own = [] if options.model == embedded() else ["-m", str(options.model)]
    environment = {**os.environ, "MEMREAD_DATA_DIR": str(options.folder)}

    def ask(name: str) -> None:
        book = str(options.folder / name)
        _run([sys.executable, "-m", "memread", "ask", book, QUESTION, "--quiet", *own], environment)

    def quick_start(address: str) -> None:
        memory = published.wording.initial_memory
        for text in texts:
            message = published.wording.update.format(prompt=QUESTION, memory=memory, chunk=text)
            memory, written = chat(address, message, max_tokens=budget.memory, **sampling)
            replies.append(written)
        message = published.wording.answer.format(prompt=QUESTION, memory=memory)
        chat(address, message, max_tokens=budget.answer, **sampling)

    replies: list[int] = []
    ask("short.txt")  # the first use makes the weights ready, once and for all
    with _serving(options.model, 8192) as address:
        pairs = paired(
            lambda: seconds(lambda: ask("book.txt")),
            lambda: seconds(lambda: quick_start(address)),
            options.runs,
            options.clock,
        )
    ours, theirs = (min(pair[which] for pair in pairs) for which in (0, 1))
    yield ratio(
        "box",
        "`memread ask` ÷ the published quick start over HTTP, each out of the box, replies as they come",
        "≤ 0.35",
        pairs,
        f"{tokens:,} tokens, {ours:.1f} s (with its start) against {theirs:.1f} s, whose memories have "
        f"{sum(replies) / len(replies):.0f} tokens on average",
    )


@contextmanager
def _serving(path: Path, context: int, threads: int = 0) -> Iterator[str]:
    """llama-cpp-python's server with a model, as its documentation starts it; its address.

    threads: 0 leaves them to it.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "llama_cpp.server", "--model", str(path), "--port", str(port)]
    command += ["--n_ctx", str(context)]
    if threads:
        command += ["--n_threads", str(threads), "--n_threads_batch", str(threads)]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet)
    try:
        clock = Clock(_STARTING)
        address = f"http://127.0.0.1:{port}"
        while True:
            try:
                urllib.request.urlopen(f"{address}/v1/models", timeout=5).read()
                break
            except OSError as error:
                if clock.over or process.poll() is not None:
                    raise SystemExit(
                        "llama-cpp-python's server does not start: pip install 'llama-cpp-python[server]'"
                    ) from error
                time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait(30)


def _complete(address: str, message: str, tokens: int, end: int) -> int:
    """One chat completion of exactly so many tokens; how many they were."""
    return chat(address, message, max_tokens=tokens, temperature=0.0, logit_bias={str(end): -100})[1]


def chat(address: str, message: str, **settings: object) -> tuple[str, int]:
    """One chat completion: its text, and of how many tokens."""
    found = completion(address, message, **settings)
    return found["choices"][0]["message"]["content"], found["usage"]["completion_tokens"]


def completion(address: str, message: str, **settings: object) -> Any:
    """What a server says to one message, as it says it."""
    body = {"messages": [{"role": "user", "content": message}], **settings}
    request = urllib.request.Request(
        f"{address}/v1/chat/completions",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=3600) as response:
        return json.load(response)
