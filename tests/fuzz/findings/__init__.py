"""What fuzzing found, kept: every file here is run through its target by the tests (tests/fuzz/test_fuzz.py).

`TARGET/HASH` is an input, `TARGET/HASH.txt` what it did when it was found.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from tests.fuzz.bounds import Finding

FOLDER = Path(__file__).parent
_MACHINE = re.compile(r'File "[^"]*/(?=(?:memread|tests|site-packages|python3\.\d+)/)')
"""Where things are on the machine that found it."""


def kept(target: str) -> list[Path]:
    """The inputs of a target."""
    return sorted(path for path in (FOLDER / target).glob("*") if path.suffix != ".txt")


def keep(target: str, data: bytes, found: Finding) -> Path:
    """Write it down, unless the same fault is there already; the shorter input is kept."""
    path = FOLDER / target / hashlib.sha256(found.key.encode()).hexdigest()[:12]
    path.parent.mkdir(exist_ok=True)
    if not path.exists() or len(data) < path.stat().st_size:
        path.write_bytes(data)
        trace = _MACHINE.sub('File "', found.trace[-4000:])
        path.with_suffix(".txt").write_text(f"{found.key}\n\n{trace}", encoding="utf-8")
    return path
