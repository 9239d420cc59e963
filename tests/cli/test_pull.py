"""`memread models pull` as a user runs it: killed, interrupted, offline, on a terminal."""

from __future__ import annotations

import datetime
import hashlib
import ipaddress
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from memread import config
from tests.cli.conftest import Memread, log
from tests.registry.server import Hub, Server, stall, status

TOKEN = "hf_do-not-print-me"


@pytest.fixture
def api() -> Iterator[Server]:
    with Server().running() as found:
        yield found


@pytest.fixture
def repository(api: Server, memread: Memread) -> Iterator[Hub]:
    with Server().running() as cdn:
        hub = Hub(api, cdn)
        # What follows the tensors is not looked at by llama.cpp; it makes the file worth interrupting.
        hub.add("m-Q4_0.gguf", memread.model.read_bytes() + bytes(40 << 20))
        yield hub


@pytest.fixture
def env(api: Server) -> dict[str, str]:
    return {"HF_ENDPOINT": api.url, "HF_TOKEN": TOKEN, "MEMREAD_MODEL": "", "NO_PROXY": "127.0.0.1"}


def place() -> Path:
    return config.load().models_dir / "owner" / "name-GGUF" / "m-Q4_0.gguf"


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize("how", ["SIGKILL", "SIGINT"])
def test_killed_in_the_middle_it_goes_on(
    memread: Memread, repository: Hub, env: dict[str, str], how: str
) -> None:
    sent = 30 << 20
    cdn = repository.files
    cdn.faults = [stall(sent)]
    running = memread.start("models", "pull", "hf:owner/name-GGUF", env=env, plain=True)
    assert cdn.reached.wait(60)
    part = place().with_name("m-Q4_0.gguf.part")
    while part.stat().st_size < 20 << 20:  # what was sent is on its way to the file
        assert running.process.poll() is None
    running.signal(getattr(signal, how))
    code = running.end()
    assert code == (130 if how == "SIGINT" else -getattr(signal, how))
    assert not place().exists()
    assert "Unfinished" in memread("models", env=env).err
    ended = memread("models", "pull", "hf:owner/name-GGUF", env=env)
    assert ended.code == 0, ended.err
    assert ended.out == f"{place()}\n" and "SHA-256 verified" in ended.err
    begun = int(cdn.ranges()[-1].removeprefix("bytes=").removesuffix("-"))
    assert 20 << 20 <= begun <= sent
    expected = hashlib.sha256(cdn.files["/blobs/m-Q4_0.gguf"]).hexdigest()
    assert hashlib.sha256(place().read_bytes()).hexdigest() == expected
    assert TOKEN not in running.stderr + ended.err + ended.out
    assert "Unfinished" not in memread("models", env=env).err
    if how == "SIGINT":
        assert "the same command goes on with it" in running.stderr
    if how == "SIGKILL":
        memread.write("a.txt", log(2))
        asked = memread("ask", "a.txt", "why?", "--model", "m-q4_0", env=env)
        assert asked.code == 0, asked.err


def test_what_it_says_where_there_is_no_terminal(
    memread: Memread, repository: Hub, env: dict[str, str]
) -> None:
    dry = memread("models", "pull", "hf:owner/name-GGUF:Q4_0", "--dry-run", env=env)
    assert dry.code == 0 and dry.out == f"{place()}\n" and not place().exists()
    assert "0.04 GB" in dry.err and "licence: apache-2.0" in dry.err
    ended = memread("models", "pull", "hf:owner/name-GGUF:Q4_0", env=env)
    assert ended.code == 0
    assert "m-Q4_0.gguf: 0 of 43 MB\n" in ended.err and "\x1b" not in ended.err
    again = memread("models", "pull", "hf:owner/name-GGUF:Q4_0", env=env)
    assert again.code == 0 and "m-Q4_0 was here" in again.err and len(repository.files.seen) == 1


def test_an_endpoint_that_is_none(memread: Memread) -> None:
    for wanted in ("hf:owner/name-GGUF", "https://models.example/m.gguf"):
        ended = memread("models", "pull", wanted, env={"HF_ENDPOINT": "http://[::1"})
        assert ended.code == 20 and "HF_ENDPOINT is not an address" in ended.err


@pytest.mark.skipif(sys.platform == "win32", reason="a pipe of its own")
def test_nobody_reads_what_it_says(memread: Memread, api: Server) -> None:
    """The result on standard output is there all the same."""
    api.files["/model.gguf"] = memread.model.read_bytes()
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "memread", "models", "pull", f"{api.url}/model.gguf"]
    ended = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=writing,
        env={**os.environ, "NO_PROXY": "127.0.0.1"},
        timeout=120,
    )
    os.close(writing)
    assert (ended.returncode, Path(ended.stdout.decode().strip()).name) == (0, "model.gguf")


def test_offline_and_out_of_reach(memread: Memread, repository: Hub, env: dict[str, str]) -> None:
    ended = memread("models", "pull", "hf:owner/name-GGUF", env={**env, "HF_HUB_OFFLINE": "1"})
    assert ended.code == 30 and "HF_HUB_OFFLINE is set" in ended.err and "scan" in ended.err
    assert repository.api.seen == []
    repository.files.faults = [status(403)]
    ended = memread("models", "pull", "hf:owner/name-GGUF", env=env)
    assert ended.code == 30 and "status 403" in ended.err and TOKEN not in ended.err
    ended = memread("models", "pull", "hf:owner/nothing", env=env)
    assert ended.code == 13 and ended.err.count("\n") <= 2
    for words in (("nobody-knows-this",), ("https://127.0.0.1/page.html",), ("hf:x",)):
        ended = memread("models", "pull", *words, env=env)
        assert ended.code in (2, 13) and "Traceback" not in ended.err


@pytest.fixture
def secure(tmp_path: Path, memread: Memread) -> Iterator[tuple[Server, Path]]:
    """A server that speaks TLS with a certificate of its own, and the file of that certificate."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "memread test")])
    now = datetime.datetime.now(datetime.timezone.utc)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = tmp_path / "cert.pem", tmp_path / "key.pem"
    public.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    server = Server()
    server.http.socket = context.wrap_socket(server.http.socket, server_side=True)
    server.files["/m.gguf"] = memread.model.read_bytes()
    with server.running():
        yield server, public


def test_a_certificate_nobody_knows(memread: Memread, secure: tuple[Server, Path]) -> None:
    server, certificate = secure
    address = server.url.replace("http://", "https://") + "/m.gguf?key=secret"
    env = {"NO_PROXY": "127.0.0.1", "MEMREAD_MODEL": ""}
    ended = memread("models", "pull", address, env=env)
    assert ended.code == 30 and "its certificate is not accepted" in ended.err
    assert "SSL_CERT_FILE" in ended.err and "secret" not in ended.err and server.seen == []
    ended = memread("models", "pull", address, env={**env, "SSL_CERT_FILE": str(certificate)})
    assert ended.code == 0, ended.err
    assert "not verified" in ended.err and "secret" not in ended.err


def test_a_redirect_out_of_tls_is_refused(memread: Memread, secure: tuple[Server, Path], api: Server) -> None:
    server, certificate = secure
    server.redirects["/m.gguf"] = f"{api.url}/m.gguf"
    api.files["/m.gguf"] = memread.model.read_bytes()
    address = server.url.replace("http://", "https://") + "/m.gguf"
    env = {"NO_PROXY": "127.0.0.1", "SSL_CERT_FILE": str(certificate)}
    ended = memread("models", "pull", address, env=env)
    assert ended.code == 30 and "redirected from https to http" in ended.err


def test_a_server_that_speaks_no_tls(memread: Memread, api: Server) -> None:
    address = api.url.replace("http://", "https://")
    ended = memread("models", "pull", f"{address}/m.gguf", env={"NO_PROXY": "127.0.0.1"})
    assert ended.code == 30 and "127.0.0.1" in ended.err and ended.err.count("Traceback") == 0
