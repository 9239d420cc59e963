"""A name or an address becomes a verified, registered model; the Hub's records decide what it must be."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import huggingface_hub
import pytest

from memread import profile, registry
from memread.errors import ConfigError, DownloadCorrupt, DownloadFailed, ModelMissing, NoSpace, UsageError
from memread.profile import Profile
from memread.registry import catalogue, hub
from memread.registry.pull import Plan, Pulled, plan, pull
from tests.fixtures.gguf_model import write_tiny_gguf
from tests.registry.fetching import Told
from tests.registry.server import Hub, Server, drop, status


@pytest.fixture
def api() -> Iterator[Server]:
    with Server().running() as found:
        yield found


@pytest.fixture
def cdn() -> Iterator[Server]:
    with Server().running() as found:
        yield found


@pytest.fixture
def repository(api: Server, cdn: Server) -> Hub:
    return Hub(api, cdn)


@pytest.fixture(scope="session")
def weights(tiny_gguf: Path) -> bytes:
    return tiny_gguf.read_bytes()


class Puller:
    """plan and pull, against the servers of the test."""

    def __init__(self, folder: Path, api: Server) -> None:
        self.folders = [folder / "models"]
        self.api = api
        self.told = Told()
        self.waits: list[float] = []
        self.profiles: list[Profile] = []

    def plan(self, wanted: str, sha256: str = "") -> Plan:
        return plan(
            wanted,
            self.folders[0],
            self.profiles,
            self.told,
            sha256=sha256,
            endpoint=self.api.url,
            sleep=self.waits.append,
        )

    def __call__(self, wanted: str, sha256: str = "", fresh: bool = False) -> Pulled:
        cache = self.folders[0].parent / "digests.json"
        return pull(
            self.plan(wanted, sha256),
            self.folders,
            self.told,
            digest_cache=cache,
            fresh=fresh,
            sleep=self.waits.append,
        )


@pytest.fixture
def puller(tmp_path: Path, api: Server) -> Puller:
    return Puller(tmp_path, api)


def test_from_the_hub(
    puller: Puller, repository: Hub, weights: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    repository.add("name-Q8_0.gguf", b"GGUF other")
    repository.add("name-Q4_K_M.gguf", weights)
    repository.add("mmproj-F16.gguf", b"GGUF projector")
    repository.files.faults = [drop(50_000)]
    pulled = puller("hf:owner/name-GGUF")
    assert (pulled.model.name, pulled.fetched, pulled.verified) == ("name-Q4_K_M", 1, True)
    assert pulled.model.path == puller.folders[0] / "owner" / "name-GGUF" / "name-Q4_K_M.gguf"
    assert pulled.model.path.read_bytes() == weights
    found = registry.find("name-q4_k_m", puller.folders)
    assert (found.source, found.origin) == ("pulled", "hf:owner/name-GGUF@cccccccccccc:name-Q4_K_M.gguf")
    notes = " ".join(puller.plan("hf:owner/name-GGUF").notes)
    assert "it takes name-Q4_K_M.gguf; there are also: Q8_0" in notes and "licence: apache-2.0" in notes
    assert {headers.get("authorization") for _, headers in repository.api.seen} == {"Bearer hf_secret"}
    assert {headers.get("authorization") for _, headers in repository.files.seen} == {None}
    assert repository.files.ranges() == ["", "bytes=50000-"]
    assert b"secret" not in (puller.folders[0] / "catalogue.json").read_bytes()
    again = puller("hf:owner/name-GGUF:Q4_K_M")
    assert again.fetched == 0 and len(repository.files.seen) == 2
    assert puller("hf:owner/name-GGUF:Q4_K_M", fresh=True).fetched == 1


def test_the_hash_is_known_without_reading_the_file_again(
    puller: Puller, repository: Hub, weights: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.add("m-Q4_0.gguf", weights)
    path = puller("hf:owner/name-GGUF").model.path
    monkeypatch.setattr("memread.registry.digests._sha256", lambda path: pytest.fail("hashed again"))
    cache = puller.folders[0].parent / "digests.json"
    assert registry.weights_digest(path, cache) == f"sha256:{hashlib.sha256(weights).hexdigest()}"


def test_a_changed_repository_replaces_the_file(puller: Puller, repository: Hub, tmp_path: Path) -> None:
    first = write_tiny_gguf(tmp_path / "1.gguf", seed=1, layers=1).read_bytes()
    second = write_tiny_gguf(tmp_path / "2.gguf", seed=2, layers=1).read_bytes()
    assert len(first) == len(second)
    repository.add("m-Q4_0.gguf", first)
    path = puller("hf:owner/name-GGUF").model.path
    repository.siblings.clear()
    repository.add("m-Q4_0.gguf", second)
    assert puller("hf:owner/name-GGUF").fetched == 1 and path.read_bytes() == second


def test_the_hubs_record_is_what_counts(puller: Puller, repository: Hub, weights: bytes) -> None:
    repository.add("m-Q4_0.gguf", weights, sha256="0" * 64)
    with pytest.raises(DownloadCorrupt):
        puller("hf:owner/name-GGUF")
    assert registry.installed(puller.folders)[0].name == "tiny" or not registry.installed(puller.folders)
    assert catalogue.load(puller.folders) == catalogue.Catalogue()


def test_split_models_come_whole(puller: Puller, repository: Hub, weights: bytes) -> None:
    parts = [f"Q4_K_M/big-Q4_K_M-{n:05d}-of-00003.gguf" for n in (1, 2, 3)]
    for number, part in enumerate(parts):
        repository.add(part, weights if not number else b"GGUF part" * number)
    repository.add("Q8_0/big-Q8_0-00001-of-00002.gguf", b"GGUF lacks the second")
    pulled = puller("hf:owner/name-GGUF")
    assert pulled.fetched == 3 and pulled.model.name == "big-Q4_K_M"
    assert pulled.model.size == len(weights) + len(b"GGUF part") * 3
    (pulled.model.path.parent / "big-Q4_K_M-00002-of-00003.gguf").unlink()
    assert puller(f"hf:owner/name-GGUF:{parts[2]}").fetched == 1
    with pytest.raises(ModelMissing, match="has no Q8_0"):
        puller.plan("hf:owner/name-GGUF:Q8_0")


@pytest.mark.parametrize(
    ("which", "chosen"),
    [
        ("", "Name-Q4_K_M.gguf"),
        ("q8_0", "Name-Q8_0.gguf"),
        ("UD-Q4_K_M", "Name-UD-Q4_K_M.gguf"),
        ("Name-Q8_0.gguf", "Name-Q8_0.gguf"),
        ("deep/folder/Other-Q6_K.gguf", "deep/folder/Other-Q6_K.gguf"),
        ("other-q6_k", "deep/folder/Other-Q6_K.gguf"),
    ],
)
def test_which_file_is_meant(puller: Puller, repository: Hub, which: str, chosen: str) -> None:
    names = ["Name-Q8_0.gguf", "Name-UD-Q4_K_M.gguf", "Name-Q4_K_M.gguf", "deep/folder/Other-Q6_K.gguf"]
    for name in names:
        repository.add(name, b"GGUF")
    planned = puller.plan(f"hf:owner/name-GGUF:{which}".rstrip(":"))
    assert planned.files[0].url.endswith(f"/resolve/{Hub.COMMIT}/{chosen}")
    assert planned.targets == (puller.folders[0] / "owner" / "name-GGUF" / chosen.rpartition("/")[2],)


def test_what_is_not_there_is_said_with_what_is(puller: Puller, repository: Hub) -> None:
    with pytest.raises(ModelMissing, match="holds no GGUF model"):
        puller.plan("hf:owner/name-GGUF")
    repository.add("a-Q6_K.gguf", b"GGUF")
    repository.add("b-Q6_K.gguf", b"GGUF")
    with pytest.raises(ModelMissing, match="several models") as raised:
        puller.plan("hf:owner/name-GGUF")
    assert raised.value.hint == "It has a-Q6_K, b-Q6_K"
    with pytest.raises(ModelMissing, match="has 2 models called Q6_K"):
        puller.plan("hf:owner/name-GGUF:Q6_K")
    with pytest.raises(ModelMissing, match="has no repository owner/none"):
        puller.plan("hf:owner/none")


@pytest.mark.parametrize(
    ("code", "headers", "error", "said"),
    [
        (401, {"X-Error-Code": "RepoNotFound"}, ModelMissing, "or it is private"),
        (403, {"X-Error-Code": "GatedRepo"}, DownloadFailed, "accepted its terms"),
        (404, {"X-Error-Code": "RevisionNotFound"}, ModelMissing, "no such revision"),
        (403, {}, DownloadFailed, "without permission"),
        (418, {}, DownloadFailed, "status 418"),
        (500, {}, DownloadFailed, "status 500"),
        (429, {"Retry-After": "9999"}, DownloadFailed, "asks to wait 9,999 seconds"),
    ],
)
def test_the_hubs_refusals(
    puller: Puller, repository: Hub, code: int, headers: dict[str, str], error: type[Exception], said: str
) -> None:
    repository.answer(code, {"error": "no"}, **headers)
    with pytest.raises(error, match=said):
        puller.plan("hf:owner/name-GGUF")
    assert len(repository.api.seen) <= 6


def test_the_hub_is_asked_again_when_it_is_busy(puller: Puller, repository: Hub, weights: bytes) -> None:
    repository.answer(429, {}, Retry_After="3")

    def recover(seconds: float) -> None:
        puller.waits.append(seconds)
        repository.add("m-Q4_0.gguf", weights)

    planned = plan(
        "hf:owner/name-GGUF", puller.folders[0], [], puller.told, endpoint=puller.api.url, sleep=recover
    )
    assert puller.waits == [3.0] and len(planned.files) == 1


@pytest.mark.parametrize("page", ["<html>", [1, 2], {"id": 3}, {"id": "x", "siblings": [{"size": "?"}]}])
def test_an_answer_that_is_no_record(puller: Puller, repository: Hub, page: object) -> None:
    repository.answer(200, page)
    with pytest.raises((DownloadFailed, ModelMissing)):
        puller.plan("hf:owner/name-GGUF")


@pytest.mark.parametrize(
    "name", ["../../evil.gguf", "..\\evil.gguf", "a/.hidden.gguf", "a\x1b[2Jb.gguf", "CON:.gguf"]
)
def test_names_in_a_repository_stay_in_their_folder(puller: Puller, repository: Hub, name: str) -> None:
    repository.add(name, b"GGUF")
    try:
        (target,) = puller.plan("hf:owner/name-GGUF").targets
    except UsageError as error:
        assert "cannot be the name of a .gguf file" in error.message
    else:
        assert target.parent == puller.folders[0] / "owner" / "name-GGUF" and target.name == "evil.gguf"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hf:a/b", hub.Spec("a/b")),
        ("hf:a/b:Q4_K_M", hub.Spec("a/b", "Q4_K_M")),
        ("hf:a/b@v1:d/f.gguf", hub.Spec("a/b", "d/f.gguf", "v1")),
        ("hf://a/b", hub.Spec("a/b")),
        ("hf.co/a/b:Q8_0", hub.Spec("a/b", "Q8_0")),
        ("https://huggingface.co/a/b", hub.Spec("a/b")),
        ("https://huggingface.co/a/b/tree/main", hub.Spec("a/b", "", "main")),
        ("https://huggingface.co/a/b/blob/main/f%20g.gguf", hub.Spec("a/b", "f g.gguf", "main")),
        ("https://huggingface.co/a/b/resolve/v1/d/f.gguf?download=true", hub.Spec("a/b", "d/f.gguf", "v1")),
        ("http://mirror:8080/a/b/resolve/main/f.gguf", hub.Spec("a/b", "f.gguf", "main")),
        ("https://example.org/a/b", None),
        ("qwen", None),
    ],
)
def test_references_to_the_hub(text: str, expected: hub.Spec | None) -> None:
    assert hub.parse(text, "http://mirror:8080") == expected


@pytest.mark.parametrize("text", ["hf:", "hf:a", "hf:a/b/c", "hf:../b", "hf:a/..", "hf:a/b:../x", "hf:a b/c"])
def test_broken_references(text: str) -> None:
    with pytest.raises(UsageError, match="names no repository"):
        hub.parse(text)


def test_from_an_address(puller: Puller, cdn: Server, weights: bytes) -> None:
    cdn.files["/dir/model.gguf"] = weights
    secret = f"{cdn.url.replace('//', '//me:pass@')}/dir/model.gguf?token=secret"
    planned = puller.plan(secret)
    assert planned.origin == f"{cdn.url}/dir/model.gguf" and "not encrypted" in planned.notes[0]
    pulled = puller(secret)
    assert (pulled.model.name, pulled.verified, pulled.fetched) == ("model", False, 1)
    assert b"secret" not in (puller.folders[0] / "catalogue.json").read_bytes()
    assert puller(secret).fetched == 0
    digest = hashlib.sha256(weights).hexdigest()
    assert puller(secret, sha256=digest.upper()).verified
    with pytest.raises(DownloadCorrupt):
        puller(secret, sha256="0" * 64)
    assert pulled.model.path.read_bytes() == weights


def test_another_address_with_the_same_file_name(
    puller: Puller, cdn: Server, weights: bytes, tmp_path: Path
) -> None:
    other = write_tiny_gguf(tmp_path / "other.gguf", seed=2, layers=1).read_bytes()
    cdn.files.update({"/a/model.gguf": weights, "/b/model.gguf": other})
    first, second = puller(f"{cdn.url}/a/model.gguf"), puller(f"{cdn.url}/b/model.gguf")
    assert (first.model.name, first.fetched, second.fetched) == ("model", 1, 1)
    assert re.fullmatch("model-[0-9a-f]{8}", second.model.name)
    assert "model.gguf is here from elsewhere" in puller.plan(f"{cdn.url}/b/model.gguf").notes[-1]
    assert (first.model.path.read_bytes(), second.model.path.read_bytes()) == (weights, other)
    for address, pulled in (("a", first), ("b", second)):
        again = puller(f"{cdn.url}/{address}/model.gguf?signed=again")
        assert (again.fetched, again.model.path) == (0, pulled.model.path)
        assert puller(f"{cdn.url}/{address}/model.gguf", fresh=True).model.path == pulled.model.path
    assert first.model.path.read_bytes() == weights


def test_a_file_from_nowhere_is_not_taken(puller: Puller, cdn: Server, weights: bytes) -> None:
    mine = puller.folders[0] / "model.gguf"
    mine.parent.mkdir()
    mine.write_bytes(b"GGUF mine")
    cdn.files["/model.gguf"] = weights
    assert puller(f"{cdn.url}/model.gguf").model.path.read_bytes() == weights
    assert puller(f"{cdn.url}/model.gguf").fetched == 0
    assert mine.read_bytes() == b"GGUF mine"


def test_files_of_one_name_in_a_repository(puller: Puller, repository: Hub, weights: bytes) -> None:
    repository.add("a/m.gguf", weights)
    repository.add("b/m.gguf", weights + b"0")
    first, second = puller("hf:owner/name-GGUF:a/m.gguf"), puller("hf:owner/name-GGUF:b/m.gguf")
    assert first.model.path.read_bytes() == weights and second.model.path.read_bytes() == weights + b"0"


def test_a_split_model_from_an_address_goes_on(puller: Puller, cdn: Server, weights: bytes) -> None:
    for number in (1, 2):
        cdn.files[f"/m-{number:05d}-of-00002.gguf"] = weights
    address = f"{cdn.url}/m-00001-of-00002.gguf"

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    cdn.faults = [lambda handler, content: handler.orderly(content), drop(50_000)]
    with pytest.raises(KeyboardInterrupt):
        pull(puller.plan(address), puller.folders, puller.told, sleep=interrupt)
    assert puller(address).fetched == 1
    assert cdn.ranges() == ["", "", "bytes=50000-"]


def test_a_folder_that_cannot_be_made(puller: Puller, cdn: Server, weights: bytes) -> None:
    puller.folders[0].parent.joinpath("models").write_text("a file")
    cdn.files["/model.gguf"] = weights
    with pytest.raises(DownloadFailed, match="cannot be written"):
        puller(f"{cdn.url}/model.gguf")


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "http://me:pass@[::1"])
def test_a_proxy_that_cannot_be_used(
    puller: Puller, repository: Hub, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    huggingface_hub.close_session()  # a later one looks for a proxy again
    monkeypatch.setenv("ALL_PROXY", proxy)
    planned = puller.plan("https://models.example/m.gguf")
    asks: list[Callable[[], object]] = [
        lambda: pull(planned, puller.folders, puller.told),
        lambda: puller.plan("hf:owner/name-GGUF"),
    ]
    for ask in asks:
        with pytest.raises(ConfigError, match="no HTTP client") as raised:
            ask()
        assert "ALL_PROXY" in raised.value.hint and "pass" not in raised.value.message


def test_a_split_model_from_an_address(puller: Puller, cdn: Server, weights: bytes) -> None:
    for number in (1, 2):
        cdn.files[f"/m-{number:05d}-of-00002.gguf"] = weights
    pulled = puller(f"{cdn.url}/m-00002-of-00002.gguf?k=v")
    assert pulled.fetched == 2 and pulled.model.size == 2 * len(weights)
    assert {path for path, _ in cdn.seen} == {f"/m-{n:05d}-of-00002.gguf?k=v" for n in (1, 2)}


@pytest.mark.parametrize(
    "url",
    [
        "ftp://h/m.gguf",
        "https://h/page.html",
        "https:///m.gguf",
        "https://h/.gguf",
        "https://[::1/m.gguf",
        "http://host:notaport/m.gguf",
        "http://me:se/cret@h/m.gguf",
    ],
)
def test_addresses_that_cannot_be_models(puller: Puller, url: str) -> None:
    with pytest.raises(UsageError) as raised:
        puller.plan(url)
    assert "se" not in raised.value.message or "//me" not in url


@pytest.mark.parametrize("endpoint", ["http://[::1", "http://hub:notaport"])
def test_an_endpoint_that_is_none(puller: Puller, endpoint: str) -> None:
    for wanted in ("hf:owner/name-GGUF", "https://h/m.gguf"):
        with pytest.raises(ConfigError) as raised:
            plan(wanted, puller.folders[0], [], puller.told, endpoint=endpoint, sleep=puller.waits.append)
        assert "HF_ENDPOINT" in raised.value.message + raised.value.hint


def test_a_profile_by_its_name(puller: Puller, repository: Hub, weights: bytes) -> None:
    """Its name is then the model's."""
    digest = hashlib.sha256(weights).hexdigest()
    text = (
        'name = "reader"\n[wording]\nupdate = "{prompt}{memory}{chunk}"\nanswer = "{prompt}{memory}"\n'
        '[weights]\nrepository = "owner/name-GGUF"\n'
        f'files = [{{ name = "m-Q4_0.gguf", size = {len(weights)}, sha256 = "{digest}" }}]\n'
    )
    puller.profiles = [profile.loads(text, "reader.toml")]
    repository.add("m-Q4_0.gguf", weights)
    assert puller.plan("Reader").notes == ("licence: apache-2.0",)
    assert puller("reader").model.name == "reader"
    assert registry.find("reader", puller.folders).path.name == "m-Q4_0.gguf"
    repository.siblings.clear()
    repository.add("m-Q4_0.gguf", weights + b"0")
    assert "not those that the profile was written for" in puller.plan("reader").notes[0]
    with pytest.raises(ModelMissing, match="no model that memread knows") as raised:
        puller.plan("raeder")
    assert "It knows reader." in raised.value.hint


def test_weights_without_a_known_conversion(puller: Puller, api: Server) -> None:
    puller.profiles = profile.shipped()
    api.pages["/api/models"] = (200, {}, [{"id": "someone/RL-MemoryAgent-7B-GGUF"}, {"id": "../evil"}])
    with pytest.raises(ModelMissing, match="no GGUF files of BytedTsinghua-SIA/RL-MemoryAgent-7B") as raised:
        puller.plan("rl-memoryagent-7b")
    assert raised.value.hint.endswith("memread models pull hf:someone/RL-MemoryAgent-7B-GGUF")
    (path, _) = api.seen[-1]
    assert "base_model%3Aquantized%3ABytedTsinghua-SIA%2FRL-MemoryAgent-7B" in path
    api.pages["/api/models"] = (200, {}, [])
    with pytest.raises(ModelMissing) as raised:
        puller.plan("rl-memoryagent-14b")
    assert "convert_hf_to_gguf.py" in raised.value.hint


def test_free_space_is_checked_first(
    puller: Puller, repository: Hub, weights: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.add("m-Q4_0.gguf", weights)
    repository.siblings[0]["lfs"]["size"] = 10**18
    repository.publish()
    with pytest.raises(NoSpace, match=r"1,000,000,000\.0 GB are needed"):
        puller("hf:owner/name-GGUF")
    assert repository.files.seen == []


def test_a_download_that_is_no_usable_model_is_not_registered(puller: Puller, repository: Hub) -> None:
    repository.add("m-Q4_0.gguf", b"GGUF" + b"\xff" * 1000)
    with pytest.raises(DownloadFailed, match="no model that can be used"):
        puller("hf:owner/name-GGUF")
    assert catalogue.load(puller.folders) == catalogue.Catalogue()


def test_a_file_the_repository_lost(puller: Puller, repository: Hub, weights: bytes) -> None:
    repository.add("m-Q4_0.gguf", weights)
    repository.files.faults = [status(404)]
    with pytest.raises(DownloadFailed, match="no such file"):
        puller("hf:owner/name-GGUF")


def test_a_file_name_with_spaces(puller: Puller, repository: Hub, weights: bytes) -> None:
    repository.add("my model Q4_0.gguf", weights)
    assert puller("hf:owner/name-GGUF").model.name == "my model Q4_0"
    assert registry.find("my model q4_0", puller.folders).source == "pulled"


def test_a_name_that_is_taken(puller: Puller, repository: Hub, weights: bytes, tmp_path: Path) -> None:
    other = tmp_path / "m-Q4_0.gguf"
    shutil.copy(write_tiny_gguf(tmp_path / "x.gguf", layers=1), other)
    registry.registering.add(registry.find(str(other), puller.folders), None, puller.folders)
    repository.add("m-Q4_0.gguf", weights)
    assert puller("hf:owner/name-GGUF").model.name == "m-Q4_0@pulled"
