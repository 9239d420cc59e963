"""Flags over variables over config.toml over defaults, and every mistake named where it was made."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from memread import config
from memread.errors import ConfigError
from memread.settings import SETTINGS


@pytest.fixture
def file(home: Path) -> Path:
    """Where the user's config.toml is, not yet written."""
    path = config.config_dir() / "config.toml"
    path.parent.mkdir(parents=True)
    return path


def test_defaults(home: Path) -> None:
    found = config.load()
    assert (found.model, found.profile, found.threads, found.gpu_layers) == (None, None, 0, "auto")
    assert (found.batch, found.journal, found.extra_folders) == (512, True, ())
    assert {*found.origins.values()} == {"default"}
    assert found.warnings == ()
    for path in (
        found.data_dir,
        found.models_dir,
        found.journal_path,
        config.config_dir(),
        config.cache_dir(),
    ):
        assert path.is_relative_to(home)
        assert not path.exists()
    assert found.models_dir.is_relative_to(config.default_data_dir())


def test_precedence(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text('model = "a"\n[engine]\nthreads = 1\nbatch = 32\n[budget]\nsegment = 100\n')
    monkeypatch.setenv("MEMREAD_ENGINE_THREADS", "2")
    monkeypatch.setenv("MEMREAD_MODEL", "b")
    found = config.load({"model": "c", "budget.segment": None})
    assert (found.model, found.threads, found.batch, found.segment) == ("c", 2, 32, 100)
    assert found.origin("model") == "--model"
    assert found.origin("engine.threads") == "MEMREAD_ENGINE_THREADS"
    assert found.origin("engine.batch") == str(file)
    assert found.origin("budget.segment") == str(file)
    assert found.origin("journal") == "default"


def test_every_setting_from_each_place(file: Path, tmp_path: Path) -> None:
    file.write_text(
        "model = 'm'\nprofile = 'p'\ndata_dir = 'd'\njournal = false\nevidence = false\n"
        "lanes = 2\nskim = true\n"
        "[engine]\nthreads = 3\ngpu_layers = 7\ncontext = 4096\nbatch = 64\ncopy_ahead = 9\n"
        "flash_attention = 'on'\nkv_type = 'q8_0'\nworker = false\n"
        "url = 'http://localhost:8080'\ntokenizer = 'm'\ntimeout = 30\n"
        "[ingest]\npage_seconds = 9\nmemory_mib = 512\n"
        "[budget]\nsegment = 99\nmemory = 98\nanswer = 97\n"
        "[sampling]\ntemperature = 1\ntop_p = 0.5\nseed = 5\n"
        "[models]\npath = ['x', '~/y']\n"
    )
    found = config.load()
    assert {*found.origins.values()} == {str(file)}
    assert found.extra_folders == (file.parent / "x", Path.home() / "y")
    assert found.data_dir == file.parent / "d"
    assert found.model_folders == (file.parent / "d" / "models", *found.extra_folders)
    text = {"gpu_layers": "auto", "journal": "off", "path": f"a{os.pathsep}~/b"}
    text |= {"flash_attention": "off", "kv_type": "BF16", "url": "https://host/v1"}
    environ = {setting.variable: text.get(setting.name.rpartition(".")[2], "1") for setting in SETTINGS}
    environ |= {"MEMREAD_BUDGET_SEGMENT": "16", "MEMREAD_BUDGET_MEMORY": "8", "MEMREAD_BUDGET_ANSWER": "8"}
    environ["MEMREAD_INGEST_MEMORY_MIB"] = "64"
    found = config.load(environ=environ)
    assert found.origins == {setting.name: setting.variable for setting in SETTINGS}
    assert (found.journal, found.gpu_layers) == (False, "auto")
    assert (found.flash_attention, found.kv_type) == ("off", "bf16")
    assert found.extra_folders == (Path("a"), Path.home() / "b")
    flags = {"journal": True, "models.path": [tmp_path], "data_dir": tmp_path, "engine.gpu_layers": 0}
    found = config.load(flags, environ)
    assert (found.journal, found.extra_folders, found.data_dir, found.gpu_layers) == (
        True,
        (tmp_path,),
        tmp_path,
        0,
    )
    assert found.origin("models.path") == "--path"


def test_paths_in_the_file_start_at_its_folder(file: Path) -> None:
    file.write_text('model = "big.gguf"\nprofile = "~/mine.toml"\n')
    found = config.load()
    assert found.model == str(file.parent / "big.gguf")
    assert found.profile == str(Path.home() / "mine.toml")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("model = \n", "line 1"),
        ("a = 1\nb = [\n", "TOML"),
        ("modell = 'x'\n", "did you mean model?"),
        ("[engine]\nthread = 1\n", "did you mean engine.threads?"),
        ("[engine]\nkv_type = 'q4'\n", "must be auto (f16, or what was measured), f16, bf16 or q8_0"),
        ("[engine]\nthreads = 'four'\n", "engine.threads must be 0 (the physical cores) to 1024, not 'four'"),
        ("[engine]\nthreads = true\n", "engine.threads must be"),
        ("[engine]\nthreads = 1.5\n", "engine.threads must be"),
        ("engine = 3\n", "there is no setting 'engine'"),
        ("[engine]\ngpu_layers = 'all'\n", 'must be a number of layers, or "auto"'),
        ("journal = 'perhaps'\n", "journal must be true or false, not 'perhaps'"),
        ("[sampling]\ntop_p = 0\n", "sampling.top_p must be above 0, up to 1, not 0"),
        ("[sampling]\ntemperature = nan\n", "sampling.temperature must be 0 to 100, not nan"),
        ("[models]\npath = 3\n", "models.path must be a list of folders"),
        ("model = ''\n", "model must be"),
        ("[budget]\nsegment = 3\n", "budget.segment must be 16 to"),
    ],
)
def test_mistakes_in_the_file(file: Path, content: str, told: str) -> None:
    file.write_text(content)
    with pytest.raises(ConfigError) as raised:
        config.load()
    assert str(file) in raised.value.message
    assert told in raised.value.message
    assert "\n" not in raised.value.message


def test_a_file_that_is_not_text(file: Path) -> None:
    file.write_bytes(b"model = '\xff'\n")
    with pytest.raises(ConfigError, match=r"config\.toml: cannot be read as TOML"):
        config.load()


def test_mistakes_in_variables_and_flags() -> None:
    with pytest.raises(ConfigError, match=r"^MEMREAD_ENGINE_THREADS: must be 0 .* not 'x'$"):
        config.load(environ={"MEMREAD_ENGINE_THREADS": "x"})
    with pytest.raises(ConfigError, match=r"^--threads: must be 0 .* not -1$"):
        config.load({"engine.threads": -1}, {})
    with pytest.raises(ConfigError, match=r"not '9{50}"):
        config.load({"engine.threads": "9" * 5000}, {})


def test_variables_that_set_nothing_are_warned_of() -> None:
    environ = {"MEMREAD_MODLE": "x", "MEMREAD_MODEL": "", "MEMREAD_DEBUG": "1", "OTHER": "1"}
    found = config.load(environ=environ)
    assert found.warnings == ("MEMREAD_MODLE sets nothing (did you mean MEMREAD_MODEL?)",)
    assert (found.model, found.origin("model")) == (None, "default")


def test_another_file(tmp_path: Path) -> None:
    path = tmp_path / "other.toml"
    with pytest.raises(ConfigError, match="no such file"):
        config.load(environ={"MEMREAD_CONFIG": str(path)})
    with pytest.raises(ConfigError, match="no such file"):
        config.load(environ={"MEMREAD_CONFIG": "~no-such-user/c.toml"})
    path.write_text("model = '~no-such-user/m.gguf'")
    assert "no-such-user" in str(config.load(environ={"MEMREAD_CONFIG": str(path)}).model)
    path.write_text("journal = false")
    found = config.load(environ={"MEMREAD_CONFIG": str(path)})
    assert (found.journal, found.origin("journal")) == (False, str(path))


def test_the_table_is_the_whole_of_it() -> None:
    variables = [setting.variable for setting in SETTINGS]
    assert len({*variables}) == len(variables)
    for setting in SETTINGS:
        assert setting.help.endswith(".")
        if setting.default not in (None, ()):
            assert setting.parse(setting.default) == setting.default


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("http://localhost:8080", "http://localhost:8080/v1"),
        ("https://host/api/v2/", "https://host/api/v2"),
        ("http://[::1]:9/v1", "http://[::1]:9/v1"),
        ("http://me:secret@host", "http://me:secret@host/v1"),
    ],
)
def test_the_address_of_a_server(given: str, kept: str) -> None:
    assert config.load({"engine.url": given}, {}).url == kept


@pytest.mark.parametrize(
    "wrong",
    ["localhost:8080", "ftp://host/v1", "http://", "http://h:x/v1", "http://h/v1?key=1", "http://h /"],
)
def test_what_is_no_address(wrong: str) -> None:
    with pytest.raises(ConfigError, match="--engine: must be"):
        config.load({"engine.url": wrong}, {})


def test_a_wrong_address_does_not_tell_its_password() -> None:
    with pytest.raises(ConfigError) as caught:
        config.load({}, {"MEMREAD_ENGINE_URL": "ftp://me:hunter2@host/v1"})
    assert "hunter2" not in caught.value.message and "ftp://host/v1" in caught.value.message


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("http://me:hunt/er2@host/v1", "'http://host/v1'"),
        ("http://me:hunt?er2@host/v1", "'http://host/v1'"),
        ("http://me:hunt#er2@host:80/v1", "'http://host:80/v1'"),
        ("http://me:hunt er2@host/v1", "'http://host/v1'"),
        ("me:hunter2@host:8080/v1", "'host:8080/v1'"),
        ("//me:hunt/er2@host/v1", "'host/v1'"),
    ],
)
def test_whatever_a_password_holds_it_is_not_told(given: str, shown: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.load({"engine.url": given}, {})
    assert caught.value.message.endswith(f"not {shown}")
