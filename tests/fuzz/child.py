"""One target under atheris (libFuzzer), in a process of its own: __main__.py starts it."""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path

import atheris

# Packages beside memread whose branches are counted. The loader that counts must be the first to load them.
_COUNTED = {
    "pdf": ["pypdf"],
    "epub": ["ebooklib", "zipfile"],
    "docx": ["mammoth", "zipfile"],
    "mail": ["email"],
    "decoding": ["charset_normalizer"],
}

with atheris.instrument_imports(include=["memread", *_COUNTED.get(sys.argv[1].partition("-")[0], [])]):
    from tests.fuzz.bounds import run
    from tests.fuzz.findings import keep
    from tests.fuzz.targets import TARGETS


def main() -> None:
    name, folder, executions, seconds, seed = sys.argv[1:]
    target = TARGETS[name]
    logging.disable()
    warnings.simplefilter("ignore")
    place = Path(folder)
    seeds = place / "seeds"
    seeds.mkdir()
    for number, data in enumerate(target.seeds()):
        (seeds / str(number)).write_bytes(data)
    (place / "corpus").mkdir()
    words = place / "words"
    words.write_text("".join(f'"{_escaped(word)}"\n' for word in target.words))
    log = (place / "executions").open("w")
    done = 0

    def one(data: bytes) -> None:
        nonlocal done
        done += 1
        found = run(target.run, data)
        if found is not None:
            keep(name, data, found)
        if done % 50 == 0 or found is not None:
            log.seek(0)
            log.write(str(done))
            log.flush()

    options = [
        *(f"-runs={executions}", f"-max_total_time={seconds}", f"-seed={seed}", f"-max_len={target.longest}"),
        *("-timeout=60", "-rss_limit_mb=3000", "-print_final_stats=1", f"-artifact_prefix={place}/died-"),
        *([f"-dict={words}"] if target.words else []),
        *(str(place / "corpus"), str(seeds)),
    ]
    atheris.Setup([sys.argv[0], *options], one)
    atheris.Fuzz()


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)


if __name__ == "__main__":
    main()
