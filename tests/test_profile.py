"""Profiles are checked when they are loaded; those of published weights say what these were trained on."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from memread import profile
from memread.errors import ConfigError
from memread.profile import Profile

PUBLISHED = Path(__file__).parent / "fixtures" / "memagent-prompt-format.toml"
DIGEST = "sha256:6485123d2c578ab272d898ce080127fb95a85d4972e19e4367d7c928584ee911"
"""Of rl-memoryagent-7b since its first release."""
WORDING = '[wording]\nupdate = "{prompt}{memory}{chunk}"\nanswer = "{prompt}{memory}"\n'
SHIPPED = {found.name: found for found in profile.shipped()}


def test_what_ships() -> None:
    assert sorted(SHIPPED) == [
        "default",
        "qwen2.5-7b-instruct",
        "qwen3-1.7b",
        "qwen3-4b-instruct-2507",
        "rl-memoryagent-14b",
        "rl-memoryagent-7b",
        "smollm2-135m",
    ]
    assert [*SHIPPED][-1] == "default"
    for path in profile.shipped_dir().glob("*.toml"):
        found = profile.load(path)
        assert found.name == path.stem
        assert found.description.endswith(".")
        assert found.sampling.temperature == 0  # a reading can be repeated
        assert path.read_text(encoding="utf-8").startswith("# ")


@pytest.mark.parametrize("name", ["rl-memoryagent-7b", "rl-memoryagent-14b"])
def test_the_published_format_byte_for_byte(name: str) -> None:
    published = msgspec.toml.decode(PUBLISHED.read_bytes())
    wording = SHIPPED[name].wording
    assert wording.initial_memory == published["initial_memory"] == "No previous memory"
    assert wording.update.encode() == published["update"].encode()
    assert wording.answer.encode() == published["answer"].encode()
    values = {"prompt": "Who {is} it?", "memory": "M\n", "chunk": "{x}"}
    rendered = wording.update.format(**values)
    assert rendered == published["update"].format(**values)
    assert "<problem> \nWho {is} it?\n</problem>" in rendered
    assert rendered.startswith("You are presented with a problem, a section of an article")
    assert rendered.endswith("</section>\n\nUpdated memory:\n")
    answer = wording.answer.format(prompt="Q", memory="M")
    assert "in \\boxed{}.\n" in answer
    assert answer.endswith("Your answer:\n")


@pytest.mark.parametrize("found", SHIPPED.values(), ids=SHIPPED)
def test_every_wording_asks_for_a_box_and_holds_all_fields(found: Profile) -> None:
    update = found.wording.update.format(prompt="<P>", memory="<M>", chunk="<C>")
    assert [update.count(part) for part in ("<P>", "<M>", "<C>")] == [1, 1, 1]
    answer = found.wording.answer.format(prompt="<P>", memory="<M>")
    assert "\\boxed{}" in answer
    assert found.wording.summary


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("RL MemoryAgent 7B", "rl-memoryagent-7b"),
        ("RL-MemoryAgent-14B", "rl-memoryagent-14b"),
        ("RL-MemAgent-7B", "rl-memoryagent-7b"),
        ("Rl MemoryAgent 14B Q4_K_M", "rl-memoryagent-14b"),
        ("Qwen2.5 7B Instruct", "qwen2.5-7b-instruct"),
        ("qwen2.5-7b-instruct", "qwen2.5-7b-instruct"),
        ("Qwen2.5 Coder 7B Instruct", None),
        ("Qwen2.5 7B Instruct 1M", None),
        ("Qwen2.5 7B", None),
        ("Qwen3 4B Instruct 2507", "qwen3-4b-instruct-2507"),
        ("Qwen3-4B-Instruct-2507", "qwen3-4b-instruct-2507"),
        ("Qwen3 4B Thinking 2507", None),
        ("Qwen3 1.7B", "qwen3-1.7b"),
        ("Qwen3 1.7B Instruct", "qwen3-1.7b"),
        ("Qwen3 1.7B Base", None),
        ("Qwen3 0.6B", None),
        ("RL MemoryAgent 70B", None),
        ("", None),
    ],
)
def test_matching_by_name(name: str, expected: str | None) -> None:
    matching = [found.name for found in SHIPPED.values() if found.matches({"general.name": name})]
    assert matching == ([expected] if expected else [])


def test_the_embedded_model_has_two_marks() -> None:
    small = SHIPPED["smollm2-135m"]
    assert small.matches({"general.basename": "smollm2", "general.size_label": "135M"})
    assert not small.matches({"general.basename": "smollm2", "general.size_label": "1.7B"})
    assert not SHIPPED["default"].matches({"general.name": "anything"})


def test_the_digest_is_of_what_changes_an_answer() -> None:
    found = SHIPPED["default"]
    assert found.digest.startswith("sha256:")
    assert msgspec.structs.replace(found, name="x", description="y").digest == found.digest
    assert SHIPPED["rl-memoryagent-7b"].digest == SHIPPED["rl-memoryagent-14b"].digest
    other = msgspec.structs.replace(found, budget=msgspec.structs.replace(found.budget, memory=1000))
    assert other.digest != found.digest
    wording = msgspec.structs.replace(found.wording, unchanged="Same")
    assert msgspec.structs.replace(found, wording=wording).digest != found.digest
    assert msgspec.structs.replace(found, verbatim=True).digest != found.digest
    # Readings that were recorded before there were these keys are gone on with.
    assert SHIPPED["rl-memoryagent-7b"].digest == DIGEST


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name = ", "mine.toml"),
        (WORDING, "name"),
        ('name = "x"\nnmae = "y"\n' + WORDING, "nmae"),
        ('name = "x"\n[wording]\nupdate = "{prompt}{memory}"\nanswer = "{prompt}{memory}"\n', "{chunk}"),
        (
            'name = "x"\n[wording]\nupdate = "{prompt}{memory}{chunk}"\nanswer = "{prompt}{memory}{"\n',
            "answer",
        ),
        ('name = "x"\n' + WORDING + 'unchanged = " Same"\n', "wording.unchanged"),
        ('name = "x"\n' + WORDING + 'unchanged = "No previous memory"\n', "wording.unchanged"),
        ('name = "x"\n' + WORDING + "[budget]\nsegment = 3\n", "budget.segment"),
        ('name = "x"\n' + WORDING + '[budget]\nsegment = "many"\n', "segment"),
        ('name = "x"\n' + WORDING + "[sampling]\ntop_p = 0\n", "top_p"),
        ('name = "x"\n' + WORDING + "[sampling]\ntemperature = -1\n", "temperature"),
        ('name = "x"\n' + WORDING + '[match.metadata]\n"general.name" = "("\n', "general.name"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        profile.load(path)
    assert str(path) in raised.value.message
    assert told in raised.value.message
    assert "\n" not in raised.value.message


def test_files_that_are_no_profiles(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read as a profile"):
        profile.load(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"name = '\xff'")
    with pytest.raises(ConfigError, match="cannot be read as a profile"):
        profile.load(tmp_path / "latin.toml")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('name = "x"\n\nnmae = "y"\n', "mine.toml: line 3: nmae: there is no such key (did you mean name?)"),
        (
            'name = "x"\n[budget]\nsegmnt = 9\n',
            "line 3: budget.segmnt: there is no such key (did you mean segment?)",
        ),
        ('name = "x"\n[budget]\n\nsegment = "many"\n', "line 4: budget.segment: expected `int`, got `str`"),
        (
            'name = "x"\n[wording]\nupdate = "{prompt}{memory}{chunk}"\n',
            "line 2: wording: object missing required",
        ),
        ('name = "x"\n[retry]\ntemperature = -1.0\n', "line 3: retry.temperature: must be ≥ 0"),
        (
            'name = "x"\n[match.metadata]\n"a.b" = "("\n',
            "line 3: match.metadata.a.b: not a regular expression",
        ),
        (
            'name = "x"\n[weights]\nfiles = [\n { name = "a", size = -1 }]\n',
            "line 3: weights.files: size is in bytes",
        ),
        ('name = "x"\nname = "y"\n', "line 2"),
        (
            'name = "x"\n[wording]\nanswer = "{prompt}{memory}"\nupdate = """\n{chunk}"""\n',
            "line 4: wording.update",
        ),
    ],
)
def test_mistakes_name_the_line(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        profile.loads(text, "mine.toml")
    assert told in raised.value.message


def test_without_a_wording_it_is_the_default_one() -> None:
    found = profile.loads('name = "x"\n[budget]\nsegment = 100\n', "x.toml")
    assert found.wording == SHIPPED["default"].wording and found.budget.segment == 100


@pytest.mark.parametrize("found", SHIPPED.values(), ids=SHIPPED)
def test_weights_are_told_as_they_are_known(found: Profile) -> None:
    weights = found.weights
    if found.name == "default":
        assert weights == profile.Weights()
        return
    assert weights.licence == "Apache-2.0" and weights.kv_bytes and weights.unverified
    assert bool(weights.repository) == bool(weights.files)
    assert all(file.size and file.sha256 for file in weights.files)
    sizes = sum(file.size for file in weights.files)
    assert found.memory_need > sizes + weights.kv_bytes * found.budget.segment
    assert found.digest == msgspec.structs.replace(found, weights=profile.Weights()).digest


DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize("line", ["nearest = -1", "nearest = 2"])
def test_sentences_come_only_to_a_memory_that_is_added_to(line: str) -> None:
    with pytest.raises(ConfigError, match="nearest: must be"):
        profile.loads(f'name = "x"\n{line}', "my.toml")


@pytest.mark.parametrize("key", ["unsaid_from", "likely_from"])
@pytest.mark.parametrize("share", [-0.1, 1.1, 0.5])
def test_a_refusal_needs_its_words_and_a_probability(key: str, share: float) -> None:
    line = f"{key} = {share}"
    with pytest.raises(ConfigError, match=f"{key}: must be"):
        profile.loads(f'name = "x"\n{line}', "my.toml")


def test_the_example_in_the_documentation() -> None:
    text = (DOCS / "profiles.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    found = profile.loads(example, "my.toml")
    assert found.matches({"general.name": "My Model"}) and found.budget.segment == 3000
    for struct in (Profile, profile.Wording, profile.Weights):
        for field in struct.__struct_fields__:
            assert field in text, field


def test_the_sizes_in_the_documentation() -> None:
    text = (DOCS / "models.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([^`]+)` \| ([\d.]+) GB \| ([\d.]+) GB \|", text, re.MULTILINE)
    told = {name: (float(size), float(memory)) for name, size, memory in rows}
    assert told == {
        found.name: (
            round(sum(file.size for file in found.weights.files) / 1e9, 1),
            round(found.memory_need / 1e9, 1),
        )
        for found in SHIPPED.values()
        if found.weights.files
    }
