"""memread against what others run a GGUF with: the same memories rewritten, replies as the model gives them.

The embedded reader rewrites a memory of some sentences over sections that have nothing for its question.
llama.cpp's server (through xllamacpp) gets the same prompts as chat completions, plain and with each of its
ways of guessing from what it has seen (n-gram self-speculation, llama.cpp#18471 and #19164). `llm` (with
llm-gguf) gets them as its users give them, a command a section, and in one process that keeps the model.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from benchmarks.measure import Row, paired, ratio, seconds
from benchmarks.models import answer, passages
from benchmarks.programs import chat
from benchmarks.reading import Options
from memread import prompts, weights
from memread.compose import chosen_profile
from memread.config import load
from memread.engine.llamacpp.engine import LlamaEngine, Settings
from memread.engine.llamacpp.library import cpu_threads
from memread.engine.llamacpp.model import Model
from memread.registry import find
from memread.segment import segments
from memread.types import Request, Segment

QUESTION = "What is the code of the eastern gate?"
MEMORY = """The code of the eastern gate is 7431, as the porter told the two sisters in the year of the flood.
The eastern gate was built by Aldous Merriweather, who kept its code in a ledger bound in green leather.
The code of the eastern gate was changed once before, when the miller's son had told it to a pedlar."""
WAYS = ("NONE", "NGRAM_SIMPLE", "NGRAM_MAP_K", "NGRAM_MAP_K4V", "NGRAM_MOD")
"""Of xllamacpp.common_speculative_type."""
_SERVER = """
import sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.n_parallel = sys.argv[1], 4096, 1
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = int(sys.argv[2])
params.verbosity, params.port = 0, 0
way = "COMMON_SPECULATIVE_TYPE_" + sys.argv[3]
params.speculative.types = [getattr(xllamacpp.common_speculative_type, way)]
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
"""

_ASKING = """
import json, llm, sys
model = llm.get_model("gguf/reader")
for line in sys.stdin:
    print(json.dumps(model.prompt(json.loads(line)).text()), flush=True)
"""


def peers(options: Options) -> Iterator[Row]:
    """memread ÷ llama.cpp's server, with each of its ways of guessing; memread ÷ `llm`."""
    config = load(environ={**os.environ, "MEMREAD_DATA_DIR": str(options.folder)})
    found = find(None, config.model_folders)
    profile = chosen_profile(config, found)
    path = weights.prepare(config, found).path
    threads = options.threads or cpu_threads()
    with Model(path) as model:
        size = profile.budget.segment
        cut = segments(iter(passages(model, options.segments * size)), model.vocabulary, size)
        texts = [item.text for item in cut if isinstance(item, Segment)][: options.segments]
        asked = [
            Request(
                "update",
                prompts.update(profile, model.frame, question=QUESTION, memory=MEMORY, section=text),
                profile.budget.memory,
                profile.sampling,
                rewrites=MEMORY,
                quotes=(text,),
            )
            for text in texts
        ]
        wordings = [
            prompts.fill(profile.wording.update, prompt=QUESTION, memory=MEMORY, chunk=text) for text in texts
        ]
        engine = LlamaEngine(model, Settings(context=4096, threads=threads), name="", digest="")
        ours: list[str] = []

        def read() -> None:
            ours[:] = [answer(engine, request)[0].text for request in asked]

        def beside(peer: str, reply: Callable[[str], str]) -> Row:
            """memread ÷ a peer's `reply` to every prompt."""
            theirs: list[str] = []

            def serve() -> None:
                theirs[:] = map(reply, wordings)

            pairs = paired(lambda: seconds(read), lambda: seconds(serve), options.runs, options.clock)
            same = sum(a.strip() == b.strip() for a, b in zip(ours, theirs, strict=True))
            mine, other = (sum(map(model.vocabulary.count, said)) / len(said) for said in (ours, theirs))
            best = min(a for a, _ in pairs), min(b for _, b in pairs)
            return ratio(
                "peers",
                f"memread ÷ {peer}: {len(texts)} memories rewritten",
                "< 1",
                pairs,
                f"{best[0]:.1f} s against {best[1]:.1f} s; {same} of {len(texts)} replies the same, "
                f"{mine:.0f} and {other:.0f} tokens on average",
            )

        limit = profile.budget.memory
        try:
            for way in WAYS:
                with _serving(path, threads, way) as address:
                    yield beside(
                        f"llama.cpp's server, {way.lower()}",
                        lambda text: chat(address, text, max_tokens=limit, temperature=0.0)[0],
                    )
            home = {**os.environ, "LLM_USER_PATH": str(options.folder / "llm")}
            with _llm(path, home) as keeping:
                yield beside(
                    "`llm`, a command a section", lambda text: _command(home, "prompt", *_MODEL, given=text)
                )
                yield beside("`llm`, one process", keeping)
        finally:
            engine.close()


_MODEL = ("-m", "gguf/reader", "--no-log")


def _command(home: dict[str, str], *arguments: str, given: str = "") -> str:
    """What `llm` prints."""
    command = [sys.executable, "-m", "llm", *arguments]
    done = subprocess.run(command, input=given, env=home, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"llm: {done.stderr.strip()[-200:]} (pip install --group test)")
    return done.stdout


@contextmanager
def _llm(path: Path, home: dict[str, str]) -> Iterator[Callable[[str], str]]:
    """`llm` in one process that keeps the model: prompt → reply."""
    _command(home, "gguf", "register-model", "reader", str(path))
    with _python(_ASKING, env=home) as (asked, said):

        def reply(text: str) -> str:
            print(json.dumps(text), file=asked, flush=True)
            return str(json.loads(said.readline()))

        reply("Hello")  # loads the model
        yield reply


@contextmanager
def _serving(path: Path, threads: int, way: str) -> Iterator[str]:
    """llama.cpp's own server with a model; its address."""
    with _python(_SERVER, str(path), str(threads), way) as (_, said):
        address = said.readline().strip()
        if not address:
            raise SystemExit("llama.cpp's server does not start: pip install --group test")
        yield address


@contextmanager
def _python(
    code: str, *arguments: str, env: dict[str, str] | None = None
) -> Iterator[tuple[IO[str], IO[str]]]:
    """A Python program that runs meanwhile: its standard input and output."""
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    command = [sys.executable, "-c", code, *arguments]
    process = subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, stderr=nothing, text=True)
    assert process.stdin is not None and process.stdout is not None
    try:
        yield process.stdin, process.stdout
    finally:
        process.stdin.close()
        process.terminate()
        process.wait(30)
