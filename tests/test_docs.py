"""The documentation says what the program does."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from memread.cli.describe import commands, man, markdown

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize(("name", "write"), [("commands.md", markdown), ("memread.1", man)])
def test_what_is_generated_is_current(name: str, write: object) -> None:
    assert callable(write)
    written = (ROOT / "docs" / name).read_text("utf-8")
    assert written == write(), f"docs/{name} is out of date: run `make docs`"


def test_every_option_is_described() -> None:
    found = commands()
    assert {"memread ask", "memread text", "memread models pull", "memread runs show"} <= {
        c.name for c in found
    }
    for each in found:
        assert each.help, each.name
        missing = [name for name, said in each.options if len(said) < 5]
        assert not missing, f"{each.name}: no help for {missing}"


def _shell_lines(page: Path) -> list[str]:
    """The commands: every line of a block of shell; of what a terminal showed, the lines after a prompt."""
    found: list[str] = []
    for kind, block in re.findall(r"```(sh|console)\n(.*?)```", page.read_text("utf-8"), re.S):
        lines = block.replace("\\\n", " ").splitlines()
        found += [line for line in lines if kind == "sh" or line.startswith("$ ")]
    return [line.removeprefix("$ ") for line in found]


def _calls(line: str) -> list[list[str]]:
    """The calls of memread in a line of shell, as words."""
    words = shlex.split(line, comments=True)
    calls: list[list[str]] = [[]]
    for word in words:
        if word in ("|", "&&", ";"):
            calls.append([])
        elif not re.fullmatch(r"[A-Z_]+=.*|env", word) or calls[-1]:
            calls[-1].append(word)
    return [call for call in calls if call[:1] == ["memread"]]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_in_the_documentation_exist(page: Path) -> None:
    known = {
        each.name: set(re.findall(r"--?[\w-]+", " ".join(o.names for o in each.options)))
        for each in commands()
    }
    for line in _shell_lines(page):
        for call in _calls(line):
            name = max((n for n in known if call[: len(n.split())] == n.split()), key=len)
            assert name != "memread" or call[1:2] == [] or call[1].startswith("-"), line
            options = {word.partition("=")[0] for word in call if re.match(r"--?[A-Za-z0]", word)}
            allowed = known[name] | known["memread"] | known.get(" ".join(call[:2]), set()) | {"-h", "--help"}
            assert options <= allowed, f"{page.name}: {line}: {options - allowed}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in _links(page):
        assert (page.parent / target).exists(), target


def _links(page: Path) -> list[str]:
    """Targets of links to files, relative to the page."""
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8"))
    return [target for target in targets if "://" not in target]


def test_every_page_is_linked_from_the_readme_or_the_index() -> None:
    pages = [ROOT / "README.md", ROOT / "docs" / "README.md"]
    linked = {(page.parent / link).resolve() for page in pages for link in _links(page)}
    missing = {page for page in (ROOT / "docs").rglob("*.md") if page.resolve() not in linked | set(pages)}
    assert not missing


@pytest.mark.skipif(shutil.which("groff") is None, reason="no groff")
def test_the_manual_page_is_valid() -> None:
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z", ROOT / "docs" / "memread.1"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(sys.platform == "win32" or shutil.which("bash") is None, reason="bash")
def test_one_command_installs_completion(home: Path) -> None:
    program = Path(sys.executable).with_name("memread")
    if not program.exists():
        pytest.skip("memread is not installed beside this Python")
    # A second command keeps bash from putting the program in its own place: it has to be found as the shell.
    installed = subprocess.run(
        ["bash", "-c", f"'{program}' --install-completion; exit $?"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert installed.returncode == 0, installed.stderr
    asked = (
        f"source ~/.bashrc; PATH='{program.parent}':$PATH; COMP_WORDS=(memread do); COMP_CWORD=1; "
        'complete -p memread >/dev/null && _memread_completion memread; echo "${COMPREPLY[@]}"'
    )
    done = subprocess.run(["bash", "-c", asked], capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["doctor"], done.stderr
