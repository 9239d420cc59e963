"""A server that answers → how it is sent prompts, what counts its tokens, and what is to be said of that."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import msgspec

from memread.engine.http.client import Client
from memread.engine.http.engine import HttpEngine, Settings
from memread.engine.http.prompts import Encoder, TextPrompts, TokenPrompts
from memread.engine.http.server import Server, loaded, look
from memread.engine.http.tokens import Estimate, LlamaServerVocabulary, counter
from memread.errors import MemreadError
from memread.protocols import Tokenizer
from memread.types import ChatFrame

_ANY = 1 << 30


class Vocabulary(Encoder, Protocol):
    """A local file's vocabulary."""

    @property
    def specials(self) -> Iterable[str]: ...


class Local(msgspec.Struct, frozen=True):
    """What a local file knows of the model that the server runs."""

    vocabulary: Vocabulary
    frame: ChatFrame
    tokenizer: Tokenizer
    metadata: dict[str, object]


class Connection(msgspec.Struct, frozen=True):
    """A server that has said a first token."""

    client: Client
    server: Server
    prompts: TokenPrompts | TextPrompts
    tokenizer: Tokenizer
    counted: str
    notices: tuple[str, ...] = ()
    metadata: dict[str, object] = {}
    """Of the local file, where there is one."""

    @property
    def context(self) -> int:
        """Tokens for what memread sends, and the reply; 0 where the server does not say."""
        template = self.prompts.template if isinstance(self.prompts, TextPrompts) else 0
        return max(self.server.context - template, 1) if self.server.context else 0

    def engine(self, settings: Settings) -> HttpEngine:
        return HttpEngine(
            self.client, self.server, self.prompts, self.tokenizer, settings, counted=self.counted
        )


def connect(client: Client, wanted: str | None, local: Local | None, timeout: float) -> Connection:
    """Find out what answers, and have it say one token with the model `wanted`, or its only one.

    timeout: seconds to wait for that token. Raises ServerError, ModelMissing, ContextTooSmall.
    """
    server = look(client, wanted)
    prompts, tokenizer, counted = _ways(client, server, local)
    connection = Connection(
        client, server, prompts, tokenizer, counted, metadata=local.metadata if local else {}
    )
    reported = connection.engine(Settings(context=_ANY, timeout=timeout)).probe()
    notices = []
    if isinstance(tokenizer, Estimate):
        notices.append(
            "This server does not count tokens: they are estimated. --tokenizer MODEL.gguf, a local file "
            "with the same vocabulary, counts them exactly."
        )
    if reported is None:
        notices.append("This server does not tell how much it reads: a prompt that it cuts is not noticed.")
    server = loaded(client, server)
    if not server.context:
        notices.append("This server does not tell how large its context is.")
    return msgspec.structs.replace(connection, server=server, notices=tuple(notices))


def _ways(
    client: Client, server: Server, local: Local | None
) -> tuple[TokenPrompts | TextPrompts, Tokenizer, str]:
    """How prompts are sent, what counts tokens, and that in words."""
    if local is not None:
        if server.kind in ("llama.cpp", "vLLM", "SGLang"):
            return TokenPrompts(local.vocabulary, local.frame), local.tokenizer, "local vocabulary"
        return TextPrompts(local.tokenizer, local.vocabulary.specials), local.tokenizer, "local vocabulary"
    tokenizer = counter(client, server)
    counted = "estimate" if isinstance(tokenizer, Estimate) else "server"
    if server.kind == "llama.cpp" and counted == "server":
        try:
            own = LlamaServerVocabulary(client)
        except MemreadError:
            pass  # an older one, or a template of its own kind: text will do
        else:
            return TokenPrompts(own, own.frame), tokenizer, counted
    return TextPrompts(tokenizer), tokenizer, counted
