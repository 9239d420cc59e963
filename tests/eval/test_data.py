"""What ships for evaluation is in the wheel, with its licences."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "memread" / "eval" / "data"


def test_the_wheel_holds_the_data(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    build = "import sys; from hatchling import build as b; b.build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, tmp_path], cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"memread/eval/data/{path.name}" for path in DATA.iterdir() if path.is_file()} <= names


def test_every_file_of_data_is_in_the_licence() -> None:
    """Texts and questions of others; what is memread's own is TOML."""
    licence = (DATA / "LICENSE").read_text(encoding="utf-8")
    for path in DATA.iterdir():
        if path.is_file() and path.name != "LICENSE" and path.suffix != ".toml":
            assert path.name in licence
