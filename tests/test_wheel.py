"""What is built can be installed, and works away from the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from memread import __version__

ROOT = Path(__file__).resolve().parents[1]
PROFILES = {path.name for path in (ROOT / "models").glob("*.toml")}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist, made by the build backend itself: nothing is downloaded."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("dist")
    build = (
        "import sys; from hatchling import build as b; b.build_wheel(sys.argv[1]); b.build_sdist(sys.argv[1])"
    )
    subprocess.run([sys.executable, "-c", build, folder], cwd=ROOT, check=True, capture_output=True)
    return folder


def test_the_wheel_holds_everything(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.rpartition("/")[2] for name in names if name.startswith("memread/_models/")} >= PROFILES
    assert "memread/_models/tiny/model.toml" in names
    assert len(PROFILES) >= 4
    assert "memread/py.typed" in names
    packaged = {name for name in names if name.endswith(".py")}
    own = {str(path.relative_to(ROOT).as_posix()) for path in (ROOT / "memread").rglob("*.py")}
    assert packaged == own
    licences = {name.rpartition("/licenses/")[2] for name in names if "/licenses/" in name}
    expected = {"LICENSE", *(f"examples/{path.name}" for path in (ROOT / "examples").glob("*.LICENSE"))}
    assert licences >= expected
    for name in names:
        assert name.startswith(("memread/", f"memread-{__version__}.dist-info/")), name
        assert "__pycache__" not in name


def test_the_sdist_can_be_built_and_tested_from(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"models/{name}" for name in PROFILES} <= names
    for name in (
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "Makefile",
        "memread/py.typed",
        "tests/conftest.py",
    ):
        assert name in names, name
    assert {"examples/alice.epub", "tests/fixtures/vocabulary.json"} <= names
    assert not [name for name in names if name.startswith((".", "shared")) and name != ".gitignore"]


def test_the_installed_wheel_works_elsewhere(built: Path, tmp_path: Path, tiny_gguf: Path) -> None:
    (wheel,) = built.glob("*.whl")
    place = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-compile"]
    subprocess.run([*pip, "--target", place, wheel], check=True, capture_output=True)
    (tmp_path / "a.txt").write_text("The ship sailed to the west that day.\n" * 4, encoding="utf-8")
    env = {**os.environ, "PYTHONPATH": str(place), "MEMREAD_MODEL": str(tiny_gguf), "PYTHONUTF8": "1"}

    def memread(*arguments: str) -> str:
        command = [sys.executable, "-m", "memread", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=env, check=True, capture_output=True, text=True, encoding="utf-8"
        ).stdout

    where = "import memread.profile as p; print(p.shipped_dir())"
    shipped = subprocess.run(
        [sys.executable, "-c", where], cwd=tmp_path, env=env, check=True, capture_output=True, text=True
    ).stdout
    assert Path(shipped.strip()) == place / "memread" / "_models"
    assert memread("--version") == f"memread {__version__}\n"
    assert "profile default" in memread("models")
    assert memread("ask", "a.txt", "where?", "--segment", "64", "--memory", "24", "--answer", "16").strip()


def test_the_checkout_uses_its_own_profiles() -> None:
    from memread.profile import shipped, shipped_dir

    assert shipped_dir() == ROOT / "models"
    assert len(shipped()) == len(PROFILES)
