"""Writes docs/tour.md: every command of the list below, run for real, and what it printed.

    python docs/make_tour.py

In a home of its own, with the embedded model and the book that ships; some minutes. Needs bash, jq and the
extras tiny, formats, llm. What is shown is what was printed, but for paths of that home, which become "~",
and for outputs longer than some lines, which are cut and say so.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINES = 24
WIDTH = 110

LOG = (
    "".join(
        f"2026-11-20 {hour:02}:{minute:02} {service} {said}\n"
        for hour in (8, 9)
        for minute, service, said in (
            (1, "payment", "INFO accepted an order of 30 crowns"),
            (7, "mail", "INFO sent a receipt"),
            (12, "payment", "INFO accepted an order of 12 crowns"),
            (31, "disk", "INFO 71 % full"),
        )
    )
    + "2026-11-20 10:02 payment ERROR the certificate of the bank has expired; restarting\n"
)

TOUR: list[tuple[str, list[str]]] = [
    (
        "What is in it, and how long it will take",
        [
            "memread stat alice.epub",
            "memread text alice.epub --contents",
            "memread text alice.epub --chapters 11 --locators | head -n 5",
        ],
    ),
    (
        "A question",
        [
            'memread ask alice.epub --chapters 11 "Who stole the tarts?"',
            'memread ask alice.epub --chapters 11 -q "Who is the judge?" -q "Who is the Hatter?" --quiet',
            'memread ask alice.epub --skim "What did the Caterpillar smoke?"',
            'cat service.log | memread ask - "Why did the payment service restart?"',
            'memread ask alice.epub --chapters 11 -q "Who is accused?" --json --quiet | jq .answer',
            'find . -name "*.log" -print0 | memread ask -0 "How full is the disk?"',
        ],
    ),
    (
        "Looking at a reading",
        [
            "memread runs",
            "memread runs --json | head -n 1 | jq -r .run_id > id",
            "memread runs show $(cat id) --memory",
            'memread runs ask $(cat id) "What else is known?"',
            "memread report $(cat id) -o run.html",
            "memread runs backup kept.sqlite3",
            "memread runs prune --keep 1",
        ],
    ),
    (
        "Models",
        [
            "memread models",
            "memread models info tiny",
            "memread models profiles",
            "memread bench alice.epub --seconds 15",
        ],
    ),
    (
        "From other programs",
        [
            'python -c \'import memread; print(memread.ask("service.log", "Which service failed?").text)\'',
            'llm memread ask service.log "Which service failed?"',
            "memread doctor",
        ],
    ),
    (
        "What it says when something is wrong",
        [
            'memread ask nothing.epub "who?"; echo "exit code $?"',
            'memread ask alice.epub --pages 3 "who?"; echo "exit code $?"',
            'head -c 30000 alice.epub > half.epub; memread ask half.epub "who?"; echo "exit code $?"',
            'memread ask alice.epub "who?" --model service.log; echo "exit code $?"',
        ],
    ),
]


def main() -> None:
    said = [
        "# A tour",
        "",
        "Every command below was run by [`make_tour.py`](make_tour.py), which wrote this page. The embedded",
        "model is small, and its answers are what they are.",
        "",
    ]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        home.mkdir()
        shutil.copy(ROOT / "examples" / "alice.epub", home)
        (home / "service.log").write_text(LOG, encoding="utf-8")
        environment = {
            "HOME": str(home),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "LANG": "C.UTF-8",
            "COLUMNS": str(WIDTH),
        }
        for title, commands in TOUR:
            said += [f"## {title}", ""]
            for command in commands:
                print("$", command, flush=True)
                done = subprocess.run(
                    ["bash", "-c", command],
                    cwd=home,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    text=True,
                    timeout=1200,
                )
                said += ["```console", f"$ {command}", *_shown(done.stdout, home), "```", ""]
    (ROOT / "docs" / "tour.md").write_text("\n".join(said).rstrip() + "\n", encoding="utf-8")


def _shown(output: str, home: Path) -> list[str]:
    text = output.replace(str(home.resolve()), "~").replace(str(home), "~")
    text = re.sub(r"\S*/site-packages", "~/venv/site-packages", text)
    lines = [re.sub(r"\s+$", "", line) for line in text.splitlines()]
    if len(lines) > LINES:
        lines = [*lines[: LINES - 1], f"… ({len(lines) - LINES + 1} more lines)"]
    return lines


if __name__ == "__main__":
    main()
