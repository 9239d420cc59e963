"""What is built can be installed, and works away from the checkout."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
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
        page = f"memread-{__version__}.data/data/share/man/man1/memread.1"
        assert name == page or name.startswith(("memread/", f"memread-{__version__}.dist-info/")), name
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


@pytest.fixture(scope="module", params=["whl", "tar.gz"])
def installed(request: pytest.FixtureRequest, built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a fresh environment that has the wheel, or what pip makes of the sdist.

    Its dependencies are those of the environment the tests run in: nothing is downloaded.
    """
    (package,) = built.glob(f"*.{request.param}")
    place = tmp_path_factory.mktemp("fresh") / "venv"
    venv.create(place, with_pip=False)
    scheme = "nt" if os.name == "nt" else "posix_prefix"
    paths = {name: sysconfig.get_path(name, scheme, {"base": str(place)}) for name in ("purelib", "scripts")}
    others = [path for path in sys.path if path and Path(path).resolve() != ROOT]
    (Path(paths["purelib"]) / "others.pth").write_text("\n".join(others), encoding="utf-8")
    python = next(Path(paths["scripts"]).glob("python*"))
    options = [
        "--quiet",
        "--no-deps",
        "--no-index",
        "--no-build-isolation",
        "--ignore-installed",
        "--no-compile",
    ]
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", *options, str(package)]
    subprocess.run(
        command, check=True, capture_output=True, env={**os.environ, "PIP_CONFIG_FILE": os.devnull}
    )
    return Path(paths["scripts"])


def test_the_installed_program_works_elsewhere(installed: Path, tmp_path: Path, tiny_gguf: Path) -> None:
    (tmp_path / "a.txt").write_text("The ship sailed to the west that day.\n" * 4, encoding="utf-8")
    env = {**os.environ, "MEMREAD_MODEL": str(tiny_gguf), "MEMREAD_ENGINE_THREADS": "1", "PYTHONUTF8": "1"}

    def run(*command: str | Path) -> str:
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, encoding="utf-8")
        assert done.returncode == 0, done.stderr
        return done.stdout

    python, memread = next(installed.glob("python*")), next(installed.glob("memread*"))
    where = "import memread, memread.profile as p; print(memread.__file__); print(p.shipped_dir())"
    package, profiles = map(Path, run(python, "-c", where).splitlines())
    environment = installed.parent.resolve()
    assert package.resolve().is_relative_to(environment), "the checkout was found, not what was installed"
    assert profiles.resolve().is_relative_to(environment) and profiles.name == "_models"
    assert {path.name for path in profiles.glob("*.toml")} == PROFILES
    assert (environment / "share" / "man" / "man1" / "memread.1").exists()
    assert run(memread, "--version") == f"memread {__version__}\n"
    assert "profile default" in run(memread, "models")
    small = ("--segment", "64", "--memory", "24", "--answer", "16")
    assert run(memread, "ask", "a.txt", "where?", *small).strip()


def test_the_checkout_uses_its_own_profiles() -> None:
    from memread.profile import shipped, shipped_dir

    assert shipped_dir() == ROOT / "models"
    assert len(shipped()) == len(PROFILES)
