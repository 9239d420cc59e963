"""The long version: `python -m tests.torture [--random N] [--chosen N] [--downloads N] [--minutes M]…`."""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from pathlib import Path

from tests.fixtures.gguf_model import write_tiny_gguf
from tests.torture import downloads
from tests.torture.harness import points, torture

SEGMENTS = 8


def text(segments: int = SEGMENTS) -> str:
    return "".join(
        f"Line {n}: the ship sailed {n * 37 % 101} miles to the west that day.\n" for n in range(segments * 2)
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--random", type=int, default=320)
    parser.add_argument("--chosen", type=int, default=160)
    parser.add_argument("--downloads", type=int, default=999, help="points at which downloads are killed")
    parser.add_argument("--minutes", type=float, default=45)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--part", default="1/1", help="such as 2/3: to run three of them side by side")
    options = parser.parse_args()
    part, parts = map(int, options.part.split("/"))
    print(f"seed {options.seed}, part {options.part}", flush=True)
    chosen = points(SEGMENTS)
    random.Random(options.seed).shuffle(chosen)
    begun = time.monotonic()
    places = downloads.points()
    random.Random(options.seed).shuffle(places)
    places = places[: options.downloads][part - 1 :: parts]
    with tempfile.TemporaryDirectory(prefix="memread-torture-") as folder:
        killed, late = downloads.torture_downloads(Path(folder), places, 60 * options.minutes / 4)
    print(
        f"Downloads: {killed} kills at chosen points; {late} came too late. Every file was whole.", flush=True
    )
    if not options.random and not chosen[: options.chosen]:
        return
    with tempfile.TemporaryDirectory(prefix="memread-torture-") as folder:
        model = write_tiny_gguf(Path(folder) / "tiny.gguf")
        counts = torture(
            Path(folder) / "cases",
            model,
            text(),
            random_kills=len(range(part - 1, options.random, parts)),
            chosen=chosen[: options.chosen][part - 1 :: parts],
            seed=options.seed + part,
            seconds=60 * options.minutes,
            worker=0.1,
            tell=lambda line: print(line, flush=True),
        )
    print(
        f"{counts.random_kills} random kills and {counts.chosen_kills} at chosen points; "
        f"{counts.taken_over} segments taken over and not read again; {counts.missed} kills came too late. "
        f"Every reading ended as the undisturbed one. {time.monotonic() - begun:.0f} s."
    )


if __name__ == "__main__":
    main()
