"""`python -m benchmarks`: measure, print the table, write it as Markdown and JSON."""

from __future__ import annotations

import argparse
import datetime
import os
import sys
import tempfile
from pathlib import Path

import msgspec

from benchmarks import programs, reading
from benchmarks.batches import batches
from benchmarks.lanes import lanes
from benchmarks.limit import limit
from benchmarks.measure import Row, machine, table
from benchmarks.models import FILE_TYPES, embedded
from benchmarks.peers import peers
from memread.engine.llamacpp.library import library

PARTS = {
    "overhead": reading.overhead,
    "rewrite": reading.rewrite,
    "batches": batches,
    "ties": reading.ties,
    "questions": reading.questions,
    "lanes": lanes,
    "context": reading.context,
    "linear": reading.linear,
    "limit": limit,
    "server": programs.server,
    "peers": peers,
    "box": programs.box,
    "start": programs.start,
}

OTHERS = {"server", "peers", "box", "start"}
"""Parts that run other programs: this process's clock does not tell their processor time."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all when none is named"
    )
    parser.add_argument("--model", type=Path, help="a .gguf file; the embedded model when none is named")
    parser.add_argument(
        "--types", default="f16,", help="of the model, made from the file; an empty one: as it is"
    )
    parser.add_argument("--threads", type=int, default=0, help="0: one a physical core")
    parser.add_argument(
        "--clock", choices=("wall", "cpu"), default="wall", help="cpu, with --threads 1: on a busy machine"
    )
    parser.add_argument("--runs", type=int, default=3, help="pairs of each figure")
    parser.add_argument("--minutes", type=float, default=5.0, help="after so long no further pair is begun")
    parser.add_argument("--segments", type=int, default=2, help="of a reading")
    parser.add_argument("--sizes", default="5000,1500", help="tokens of a segment, against bare prefill")
    parser.add_argument("--before", default="1024", help="tokens before a batch whose cost is measured")
    parser.add_argument("--lengths", default="8192", help="tokens in one context, such as 32768,65536,131072")
    parser.add_argument(
        "--long", type=int, default=40_000, help="tokens of the long reading; 1000000 is the target"
    )
    parser.add_argument("--questions", type=int, default=16)
    parser.add_argument("--out", type=Path, default=Path("build/bench"), help="results go here")
    given = parser.parse_args()
    os.environ["MEMREAD_BENCH_CLOCK"] = given.clock
    types = tuple(given.types.split(","))
    for name in [name for name in types if name and name not in FILE_TYPES]:
        parser.error(f"no GGUF type {name!r}: of {', '.join(FILE_TYPES)}")
    for name in [name for name in given.parts if name not in PARTS]:
        parser.error(f"no part {name!r}: of {', '.join(PARTS)}")
    parts = given.parts or list(PARTS)
    if given.clock == "cpu" and (timed := [name for name in parts if name in OTHERS]):
        parser.error(f"{', '.join(timed)}: other programs' processor time is not seen; --clock wall")
    with tempfile.TemporaryDirectory(prefix="memread-bench-") as folder:
        options = reading.Options(
            model=given.model or embedded(),
            types=types,
            folder=Path(folder),
            threads=given.threads,
            runs=given.runs,
            minutes=given.minutes,
            segments=given.segments,
            sizes=tuple(int(size) for size in given.sizes.split(",")),
            before=tuple(int(count) for count in given.before.split(",")),
            lengths=tuple(int(length) for length in given.lengths.split(",")),
            long=given.long,
            questions=given.questions,
        )
        where = f"{machine()}, llama-cpp-python {library().version}, {options.model.name}"
        print(f"{datetime.date.today()}, {where}\n", flush=True)
        rows: list[Row] = []
        for name in parts:
            for row in PARTS[name](options):
                rows.append(row)
                print(
                    f"{row.part:10} {row.what}: {row.shown()} (target {row.target}) {row.detail}", flush=True
                )
    given.out.mkdir(parents=True, exist_ok=True)
    command = " ".join(["python -m benchmarks", *sys.argv[1:]])
    text = f"{datetime.date.today()}, {where}. `{command}`\n\n{table(rows)}\n"
    (given.out / "results.md").write_text(text, encoding="utf-8")
    (given.out / "results.json").write_bytes(msgspec.json.encode(rows))
    print(f"\n{table(rows)}\n\nWritten to {given.out}/results.md and results.json")


if __name__ == "__main__":
    main()
