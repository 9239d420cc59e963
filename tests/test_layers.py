"""What the tools enforce, enforced with the tests: layers, style, types. None of these is ever skipped."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CHECKS = {
    "layers": ["-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
    "style": ["-m", "ruff", "check", "--no-cache"],
    "format": ["-m", "ruff", "format", "--check", "--no-cache"],
    "types": ["-m", "mypy"],
}


@pytest.mark.parametrize("check", CHECKS)
def test_the_code_passes(check: str) -> None:
    done = subprocess.run(
        [sys.executable, *CHECKS[check]],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
