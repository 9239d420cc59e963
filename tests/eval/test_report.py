"""Results as a table, data, bars and figures; and the commands that make and show them."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest

from memread.cli import eval as cli
from memread.cli.eval_options import numbers, sizes
from memread.engine.scripted import ScriptedEngine
from memread.errors import UsageError
from memread.eval import plots, progress, report
from memread.eval.arms import arms
from memread.eval.diagnose import Cause, Diagnosis
from memread.eval.methods import METHODS, chosen
from memread.eval.results import Outcome, Result, Timing, encoded, read
from memread.eval.runner import Told
from tests.eval import readers

SMALL = ("--segment", "256", "--memory", "24", "--answer", "16")


def result(
    number: int,
    score: float | None,
    *,
    method: str = "memread",
    length: int = 8192,
    task: str = "vt",
    cause: Cause = "lost",
    variant: str = "",
    **changes: Any,
) -> Result:
    outcome: Outcome = "answered" if score is not None else "does-not-fit"
    made = Result(
        key=f"sha256:{task}{length}{method}{variant}{number}",
        item=f"{task}/{length}/{number}",
        task=task,
        length=length,
        tokens=length,
        seed=0,
        question="q",
        answers=("a",),
        metric="all",
        method=method,
        variant=variant,
        outcome=outcome,
        reason="",
        prediction="",
        raw="",
        score=score,
        diagnosis=None if score is None else Diagnosis("right" if score == 1 else cause, ()),
        memories=(),
        segments=1,
        kept=0,
        rejected={},
        prompt_tokens=length,
        reply_tokens=100,
        documents=None,
        repeated=0,
        details={},
        settings={},
        model="tiny",
        weights="sha256:x",
        build="",
        device="CPU",
        versions={"memread": "0"},
        command="memread eval",
        timing=Timing(2.0, 1.0, 1.0, 2.0, 0, None, ""),
    )
    return msgspec.structs.replace(made, **changes)


RESULTS = [
    *(result(n, float(n < 7), length=length) for n in range(10) for length in (8192, 32768)),
    *(result(n, float(n < 3), method="truncate", cause="never_memorised") for n in range(10)),
    *(result(n, None, method="full", length=32768) for n in range(10)),
    *(result(n, 1.0, task="cwe", details={"cell": n / 10}) for n in range(10)),
    result(99, None, task="cwe", outcome="fault", reason="EngineFailed"),
]


def test_what_was_not_measured_alike_is_told_apart() -> None:
    def of(number: int, weights: str, segment: int, profile: str = "p", **changes: Any) -> Result:
        settings = {"profile_digest": f"sha256:{profile}", "budget": {"segment": segment}}
        return result(number, 1.0, weights=f"sha256:{weights}", settings=settings, **changes)

    alike = [of(1, "aaaaaaaaaa", 800), of(2, "aaaaaaaaaa", 800)]
    assert report.told_apart(alike) == alike
    other = [*alike, of(3, "bbbbbbbbbb", 800)]
    assert [cell.arm for cell in report.cells(report.told_apart(other))] == [
        "memread weights=aaaaaaaa",
        "memread weights=bbbbbbbb",
    ]
    # Another segment is another profile, which need not be said twice.
    other = [*alike, of(3, "aaaaaaaaaa", 400, "q"), of(4, "a", 64, method="full")]
    assert [cell.arm for cell in report.cells(report.told_apart(other))] == [
        "memread segment=800",
        "memread segment=400",
        "full",
    ]
    # ... but is, where a wording too is another.
    other += [of(5, "aaaaaaaaaa", 400, "r", versions={"loop": "2"})]
    assert {each.variant for each in report.told_apart(other)} == {
        "",
        "loop=1,segment=800",
        "loop=1,segment=400",
        "loop=2,segment=400",
    }
    other += [of(6, "aaaaaaaaaa", 400, "s")]
    assert "profile=s,loop=1,segment=400" in {each.variant for each in report.told_apart(other)}


def test_a_foreign_name_is_shown_as_one_line() -> None:
    table = report.table([result(1, 1.0, variant="x\x1b[2J\n" + "y" * 500)])
    assert "\x1b" not in table and max(map(len, table.splitlines())) < 250


def test_a_cell_counts_what_was_answered_and_only_that() -> None:
    found = {(cell.task, cell.length, cell.arm): cell for cell in report.cells(RESULTS)}
    cell = found["vt", 8192, "memread"]
    assert cell.accuracy is not None and cell.accuracy.mean == 0.7
    assert cell.accuracy.low == pytest.approx(0.397, abs=1e-3)  # Wilson, by hand: 7 of 10
    assert cell.accuracy.high == pytest.approx(0.892, abs=1e-3)
    assert (cell.seconds, cell.tokens, cell.causes) == (2.0, 8292.0, {"lost": 3})
    assert found["vt", 32768, "full"].misfits == 10 and found["vt", 32768, "full"].accuracy is None
    assert found["cwe", 8192, "memread"].faults == 1 and found["cwe", 8192, "memread"].items == 10
    everything = found[report.ALL, 8192, "memread"]
    assert everything.items == 20 and everything.accuracy and everything.accuracy.mean == 0.85


def test_the_table_says_it_all() -> None:
    text = report.table(RESULTS)
    assert "70.0    39.7 – 89.2" in re.sub(r" {3,}", "    ", text)
    assert "10 do not fit" in text and "1 engine faults" in text and "3 memorised, then lost" in text
    assert "truncate: 7 never memorised" in text
    assert all(line == line.rstrip() for line in text.splitlines())


def test_bars_fit_the_terminal() -> None:
    for width in (40, 80, 200):
        lines = report.bars(RESULTS, width).splitlines()
        assert all(len(line) <= max(width, 62) for line in lines[:-1])
    assert "does not fit" in report.bars(RESULTS)
    assert report.bars([]) == ""


def test_documents_and_a_users_own_texts_are_grouped() -> None:
    found = [
        *(result(n, 1.0, task="hotpotqa", length=6000 + n, documents=50) for n in range(20)),
        *(result(n, 1.0, task="own", length=1000 + 97 * n) for n in range(20)),
    ]
    labels = {(cell.task, cell.label) for cell in report.cells(found) if cell.task != report.ALL}
    assert labels == {("hotpotqa", "50 docs"), ("own", "1K"), ("own", "2K"), ("own", "4K")}


def test_lengths_in_words() -> None:
    numbers = {8192: "8K", 3670016: "3.5M", 1 << 20: "1M", 5000: "5,000", 524288: "512K", 100: "100"}
    assert {number: report.tokens(number) for number in numbers} == numbers


def test_figures_are_drawn_twice_the_same(tmp_path: Path) -> None:
    first = plots.plot(RESULTS, tmp_path / "a", "r")
    second = plots.plot(RESULTS, tmp_path / "b", "r")
    assert [path.name for path in first] == [
        f"r-{kind}.{suffix}" for kind in ("accuracy", "grid", "failures") for suffix in ("png", "svg")
    ]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
        if one.suffix == ".svg":
            words = " ".join(ElementTree.parse(one).getroot().itertext())
            assert "memread" in words and "tiny" in words
        else:
            assert one.read_bytes().startswith(b"\x89PNG")


def test_several_files_are_shown_and_drawn_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two models are two lines of one panel; what is in both files is counted once."""
    first = [result(number, 1.0, model="tiny") for number in range(3)]
    second = [result(number + 3, 0.0, model="base") for number in range(2)]
    for name, found in (("a.jsonl", first), ("b.jsonl", [*second, first[0]])):
        (tmp_path / name).write_bytes(b"".join(map(encoded, found)))
    paths = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    cli.show(paths, json=True)
    shown = {cell["model"]: cell["items"] for cell in json.loads(capsys.readouterr().out)["cells"]}
    assert shown == {"tiny": 3, "base": 2}
    cli.plot(paths, None, False)
    drawn = ElementTree.parse(tmp_path / "a-accuracy.svg").getroot()
    words = [text.strip() for text in drawn.itertext() if text.strip()]
    assert words.count("memread tiny") == words.count("memread base") == 1
    assert words.count("vt") == 1, "one panel"
    assert report.compared(first) == first


def test_there_is_no_figure_of_nothing(tmp_path: Path) -> None:
    assert plots.plot([result(0, None)], tmp_path, "r") == []
    assert [path.name for path in plots.plot([result(0, 1.0)], tmp_path, "r")] == [
        "r-accuracy.png",
        "r-accuracy.svg",
    ]


def test_methods_look_alike_in_every_figure_and_unlike_each_other() -> None:
    every = plots._styles(list(METHODS))
    assert plots._styles(["notes", "memread"]) == {name: every[name] for name in ("notes", "memread")}
    assert len({style[:2] for style in every.values()}) == len(METHODS)
    swept = plots._styles(["memread", "memread memory=64", "memread memory=128"])
    assert len({style[0] for style in swept.values()}) == 3


def test_progress_foretells() -> None:
    assert [progress.duration(n) for n in (0.4, 99, 600, 4 * 3600, 50 * 3600)] == [
        "0 s",
        "99 s",
        "10 min",
        "4 h 0 min",
        "2 days 2 h",
    ]
    engine = ScriptedEngine(lambda request, prompt: "one two three")
    setup = readers.setup(engine, 1000)
    (arm,) = arms(chosen("full"), readers.PROFILE)
    speed = progress.Speed(100, 10)
    assert progress.expected(arm, 400, setup, speed) == pytest.approx((400 + 256) / 100 + 10 / 10)
    assert progress.expected(arm, 10_000, setup, speed) == 0
    # Where the section stands first, four readings of one text read it once; "Same" is a short reply.
    wording = msgspec.structs.replace(
        readers.PROFILE.wording, update="{chunk}\n{prompt}\n{memory}", unchanged="Same"
    )
    brief = msgspec.structs.replace(readers.PROFILE, wording=wording)
    (arm,) = arms(chosen("memread"), readers.PROFILE)
    (one,) = arms(chosen("memread"), brief)
    cost = arm.method.cost(400, setup)
    most = cost.prompt_tokens / 100 + cost.reply_tokens / 10
    assert progress.expected(arm, 400, setup, speed, 1.0, abreast=4) == pytest.approx(most)
    assert progress.expected(one, 400, setup, speed, 1.0) == pytest.approx(most)
    assert progress.expected(one, 400, setup, speed, 1.0, abreast=4) == pytest.approx(most - 300 / 100)
    assert progress.expected(one, 400, setup, speed) < 0.5 * cost.reply_tokens / 10 + cost.prompt_tokens / 100
    assert progress.measure(engine, 60).prefill > 0

    stream, now = io.StringIO(), [0.0]
    told = progress.Progress(100.0, 10, lambda arm, length: 10.0, stream, lambda: now[0])
    item = readers.item()
    told(Told("skipped", item, arm))
    assert told.left() == pytest.approx(90)
    now[0] = 10.0
    told(Told("step", item, arm, tokens=item.length // 2))
    assert told.left() == pytest.approx(2 * 85)  # it took twice as long as expected
    told(Told("result", item, arm, result=result(0, 1.0)))
    assert told.left() == pytest.approx(80)
    assert stream.getvalue().startswith("2 of 10, right 100 %, about 80 s left")
    assert len(stream.getvalue().splitlines()) == 1
    now[0] = 75.0  # hours in one item are not silent where there is no terminal
    told(Told("step", item, arm, tokens=1))
    assert len(stream.getvalue().splitlines()) == 2


def test_sizes_and_numbers() -> None:
    assert sizes("8k, 3.5M,5000,8k") == [8192, 3670016, 5000]
    assert numbers("50,100", "--docs", 1, 1000) == [50, 100]
    for bad in ("", "8x", "k", "-1k", "1e99", "nan"):
        with pytest.raises(UsageError):
            sizes(bad)
    for bad in ("", "x", "0", "1001"):
        with pytest.raises(UsageError):
            numbers(bad, "--docs", 1, 1000)


# ── the command line, with a real, tiny model ──


class Command:
    def __init__(self, folder: Path, model: Path) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "MEMREAD_MODEL": str(model),
            "MEMREAD_ENGINE_THREADS": "1",
            "PYTHONUTF8": "1",
            "COLUMNS": "100",
        }

    def start(self, *arguments: str, blocked: str = "") -> subprocess.Popen[str]:
        # A module of None in sys.modules cannot be imported: as if it were not installed.
        code = (
            "import sys, importlib.util as u; find = u.find_spec\n"
            f"u.find_spec = lambda name, *a: None if name == {blocked!r} else find(name, *a)\n"
            "from memread.cli.app import main; main(sys.argv[1:])"
        )
        return subprocess.Popen(
            [sys.executable, "-c", code, "eval", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            cwd=self.folder,
            env=self.environment,
        )

    def __call__(self, *arguments: str, blocked: str = "") -> tuple[int, str, str]:
        process = self.start(*arguments, blocked=blocked)
        out, err = process.communicate(timeout=120)
        return process.returncode, out, err


@pytest.fixture
def command(tmp_path: Path, tiny_gguf: Path) -> Command:
    return Command(tmp_path, tiny_gguf)


def lines(path: Path) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in path.read_bytes().splitlines()]
    for line in found:
        del line["timing"], line["command"]
    return found


def test_every_method_end_to_end_killed_and_gone_on_with(command: Command) -> None:
    asked = (
        "ruler",
        "--tasks",
        "niah_single_1",
        "--lengths",
        "1k",
        "--samples",
        "2",
        "--method",
        "all",
        *SMALL,
    )
    code, out, err = command(*asked, "--out", "whole.jsonl", "--json")
    assert code == 0, err
    assert "16 results: about " in err and "16 of 16" in err
    assert json.loads(out)["outcomes"] == {"answered": 16}
    whole = command.folder / "whole.jsonl"
    found, _ = read(whole)
    assert {each.method for each in found} == set(METHODS)
    assert all(each.weights.startswith("sha256:") and each.prompt_tokens for each in found)
    torn = command.folder / "torn.jsonl"
    process = command.start(*asked, "--out", "torn.jsonl")
    deadline = time.monotonic() + 60
    steps = Path(f"{torn}.steps")
    # In the middle of an item: some results are there, and the replies of another one.
    while time.monotonic() < deadline and process.poll() is None:
        if torn.exists() and torn.read_bytes().count(b"\n") >= 4 and any(steps.glob("*")):
            break
        time.sleep(0.001)
    process.kill()
    process.communicate()
    assert 4 <= torn.read_bytes().count(b"\n") < 14
    code, out, err = command(*asked, "--out", "torn.jsonl")
    assert code == 0, err
    assert lines(torn) == lines(whole)
    assert sorted(path.name for path in command.folder.iterdir()) == ["torn.jsonl", "whole.jsonl"]
    code, out, _ = command("show", "whole.jsonl")
    assert code == 0 and "mapreduce" in out and "niah_single_1" in out
    code, out, _ = command("plot", "whole.jsonl", "--terminal")
    assert code == 0 and "memread" in out


def test_many_at_a_time_and_a_sweep_and_other_tasks(command: Command) -> None:
    code, _, err = command(
        *("grid", "--lengths", "1k", "--depths", "0,100", "--samples", "1", "--parallel", "3", *SMALL),
        *("--sweep", "memory=16,32", "--method", "memread,bm25", "--out", "grid.jsonl"),
    )
    assert code == 0, err
    found, _ = read(command.folder / "grid.jsonl")
    assert len(found) == 8 and {each.variant for each in found} == {"memory=16", "memory=32"}
    code, _, err = command("hotpotqa", "--docs", "5", "--samples", "1", *SMALL, "--out", "h.jsonl")
    assert code == 0, err
    (each,), _ = read(command.folder / "h.jsonl")
    assert each.documents == 5


def test_a_users_own_file_with_malformed_lines_and_a_missing_extra(command: Command) -> None:
    own = command.folder / "own.jsonl"
    text = "The ship is called Anna. " * 60
    good = {"context": text, "question": "What is the ship called?", "answers": ["Anna"]}
    own.write_text(f"{json.dumps(good)}\nnot json\n{json.dumps({'question': 'q'})}\n", encoding="utf-8")
    code, out, err = command("file", "own.jsonl", *SMALL, "--out", "r.jsonl")
    assert code == 0, err
    assert "line 2" in err and "line 3" in err and "2 malformed records" in err
    assert len(lines(command.folder / "r.jsonl")) == 1
    for arguments, module in (
        (("plot", "r.jsonl"), "matplotlib"),
        (("file", "own.jsonl", "--method", "bm25"), "bm25s"),
    ):
        code, out, err = command(*arguments, blocked=module)
        assert code == 2 and not out
        assert 'pip install "memread[eval]"' in err and "Traceback" not in err


def test_what_cannot_be_done_is_said_at_once(command: Command) -> None:
    asked = ("ruler", "--tasks", "niah_single_1", "--samples", "1", *SMALL)
    code, _, err = command(*asked, "--lengths", "16k", "--method", "full")
    assert code == 2 and "none of these texts fits" in err
    code, out, err = command(
        *asked, "--lengths", "1k", "--window", "600", "--method", "full,truncate", "--out", "w.jsonl"
    )
    assert code == 0 and "Does not fit, and is marked so: full" in err and "1 do not fit" in out, err
    for wrong in (
        ("ruler", "--method", "magic"),
        ("ruler", "--tasks", "magic"),
        ("ruler", "--lengths", "8x"),
        ("hotpotqa", "--docs", "many"),
        ("ruler", "--sweep", "colour=3"),
        ("show", "nothing.jsonl"),
        ("file", "nothing.jsonl"),
    ):
        code, out, err = command(*wrong)
        assert 2 <= code <= 4 and not out and "Traceback" not in err and len(err.splitlines()) <= 2, err
    (command.folder / "bad.jsonl").write_bytes(encoded({"key": 1}))
    code, _, err = command("show", "bad.jsonl")
    assert code == 9 and "bad.jsonl:1" in err
    for score in (7.0, float("nan")):  # JSON has no NaN, but Python reads one
        (command.folder / "bad.jsonl").write_bytes(encoded(result(1, 0.5)) + encoded(result(2, score)))
        code, out, err = command("show", "bad.jsonl")
        assert code == 9 and "bad.jsonl:2" in err and not out


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no signals")
def test_an_interrupt_says_how_to_go_on(command: Command) -> None:
    process = command.start(
        *("ruler", "--tasks", "niah_single_1", "--lengths", "64k", "--samples", "50", *SMALL)
    )
    assert process.stderr is not None
    assert "results: about" in process.stderr.readline()
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "the same command goes on" in err and "Traceback" not in err
