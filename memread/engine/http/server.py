"""What a server is. Which program it is decides what else it can be asked; all of it is found out once.

An OpenAI-compatible API says little: names of models. Most programs behind one have endpoints of their own
beside it, which tell how large the context is and count tokens. What is not known is said, never guessed.
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from memread.engine.http.client import Client
from memread.errors import MemreadError, ModelMissing, ServerFailed, ServerRefused
from memread.text import one_line

Kind = Literal["llama.cpp", "llama-cpp-python", "vLLM", "SGLang", "Ollama", "LM Studio", ""]

_OWNERS: Mapping[str, Kind] = {
    "llamacpp": "llama.cpp",
    "me": "llama-cpp-python",
    "vllm": "vLLM",
    "sglang": "SGLang",
    "library": "Ollama",
    "organization_owner": "LM Studio",
}
"""What `owned_by` says in a list of models."""
_CONTEXT_KEYS = ("max_model_len", "context_length", "max_context_length", "context_window")


class Server(msgspec.Struct, frozen=True):
    """One model of one server."""

    kind: Kind
    """The program, "" where it is none that we know."""
    model: str
    build: str = ""
    """What the program says of its version."""
    digest: str = ""
    """"sha256:…" of the weights, where it is told."""
    context: int = 0
    """Tokens of prompt and reply; 0 where it is not told."""
    slots: int = 0
    """Requests that are worked on at a time; 0 where it is not told."""
    facts: dict[str, str | int] = {}
    """What tells these weights from others of the same name, as far as the server says."""

    @property
    def name(self) -> str:
        """Such as "llama.cpp b9870"."""
        return " ".join(part for part in (self.kind or "OpenAI-compatible", self.build) if part)


def look(client: Client, wanted: str | None) -> Server:
    """Find out what answers at the client's URL, and choose its model `wanted`, or its only one.

    Raises ServerError, ModelMissing.
    """
    cards = _cards(client, wanted)
    card = _choose(client, cards, wanted)
    server = Server(
        kind=_OWNERS.get(str(card.get("owned_by", "")).lower(), ""),
        model=str(card["id"]),
        context=next((size for key in _CONTEXT_KEYS if (size := _whole(card.get(key)))), 0),
    )
    # What a program does not tell, also when it is asked again, is no reason not to work with it.
    with contextlib.suppress(MemreadError):
        match server.kind:
            case "llama.cpp":
                return _llama_cpp(client, server, card)
            case "vLLM":
                return _with(server, build=_text(_beside(client, "/version"), "version"))
            case "SGLang":
                return _with(server, build=_text(_beside(client, "/server_info"), "version"))
            case "Ollama":
                return _ollama(client, server)
            case "LM Studio":
                return _lm_studio(client, server)
            case "llama-cpp-python":
                _beside(client, "/extras/tokenize/count", {"input": "", "model": server.model})
                about = _beside(client, "/openapi.json")
                return _with(server, build=_text(about.get("info"), "version"))
            case _:
                return server
    return server if server.kind != "llama-cpp-python" else _with(server, kind="")


def loaded(client: Client, server: Server) -> Server:
    """`server` with what it only tells once the model is loaded."""
    if server.kind == "Ollama":
        with contextlib.suppress(MemreadError):
            for row in _rows(_beside(client, "/api/ps"), "models"):
                if server.model in (row.get("name"), row.get("model")):
                    return _with(server, context=_whole(row.get("context_length")))
    if server.kind == "LM Studio":
        with contextlib.suppress(MemreadError):
            return _lm_studio(client, server)
    return server


def _cards(client: Client, wanted: str | None) -> list[dict[str, Any]]:
    try:
        found = _rows(client.ask("/models"), "data")
    except ServerRefused as error:
        # Not every gateway has a list. Its refusal of a key is one all the same.
        if wanted is None or "(404)" not in error.message:
            raise
        return [{"id": wanted}]
    cards = [card for card in found if isinstance(card.get("id"), str) and card["id"]]
    if not cards and wanted is None:
        if not found:
            raise ModelMissing(f"{client.url} offers no model", "Load one there, or name one with --model.")
        raise ServerFailed(f"{client.url}: its list of models cannot be read")
    return cards or [{"id": wanted}]


def _beside(client: Client, path: str, body: object = None) -> Any:
    """What an endpoint of the program's own says. One that is loading its model is asked until it does."""
    return client.ask(path, body, root=True, patient=True)


def _choose(client: Client, cards: list[dict[str, Any]], wanted: str | None) -> dict[str, Any]:
    names = [card["id"] for card in cards]
    if wanted is None:
        if len(cards) == 1:
            return cards[0]
        hint = f"Choose one: --model {_listed(client, names)}"
        raise ModelMissing(f"the server has {len(cards)} models", hint)
    for card in cards:
        aliases = card.get("aliases")
        if wanted == card["id"] or (isinstance(aliases, list) and wanted in aliases):
            return card
        # Ollama's own commands take a name without its tag for the one with ":latest".
        if f"{wanted}:latest" == card["id"]:
            return card
    close = difflib.get_close_matches(wanted, names, n=3, cutoff=0.4)
    raise ModelMissing(f"the server has no model {wanted!r}", f"It has {_listed(client, close or names)}")


def _listed(client: Client, names: list[str]) -> str:
    shown = ", ".join(one_line(client.faults.clean(name), 80) for name in names[:8])
    return shown + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _llama_cpp(client: Client, server: Server, card: Mapping[str, Any]) -> Server:
    props = _beside(client, "/props")
    if not isinstance(card.get("meta"), dict):  # its list said less while the model was loading
        card = _choose(client, _cards(client, server.model), server.model)
    meta = card.get("meta")
    facts = {
        key: value
        for key in ("n_params", "size", "n_vocab", "ftype")
        if isinstance(meta, dict) and isinstance(value := meta.get(key), str | int)
    }
    settings = props.get("default_generation_settings") if isinstance(props, dict) else None
    return _with(
        server,
        facts=facts,
        context=_whole(settings.get("n_ctx")) if isinstance(settings, dict) else 0,
        build=_text(props, "build_info"),
        slots=_whole(props.get("total_slots")),
    )


def _ollama(client: Client, server: Server) -> Server:
    server = _with(server, build=_text(_beside(client, "/api/version"), "version"))
    for row in _rows(_beside(client, "/api/tags"), "models"):
        if server.model in (row.get("name"), row.get("model")):
            digest = _text(row, "digest").removeprefix("sha256:")
            server = _with(server, digest=f"sha256:{digest}" if digest else "")
    return loaded(client, server)


def _lm_studio(client: Client, server: Server) -> Server:
    for row in _rows(_beside(client, "/api/v0/models"), "data"):
        if row.get("id") == server.model:
            facts = {key: row[key] for key in ("quantization", "arch") if isinstance(row.get(key), str)}
            return _with(server, context=_whole(row.get("loaded_context_length")), facts=facts)
    return server


def _with(server: Server, **changes: Any) -> Server:
    """`server` with what is known better now; nothing that is known is lost."""
    return msgspec.structs.replace(
        server, **{key: value for key, value in changes.items() if value or key == "kind"}
    )


def _rows(found: Any, key: str) -> list[dict[str, Any]]:
    rows = found.get(key) if isinstance(found, dict) else None
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _text(found: Any, key: str) -> str:
    value = found.get(key) if isinstance(found, dict) else None
    return one_line(value, 80) if isinstance(value, str) else ""


def _whole(value: Any) -> int:
    """A count that a server told; 0 for anything that is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 31 else 0
