"""Counting tokens with a server's own vocabulary, or by estimate; llama-server's ids."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import regex

from memread.engine.http.client import Client
from memread.engine.http.server import Server
from memread.errors import MemreadError, ServerFailed
from memread.types import ChatFrame, Part

_MARKUP = regex.compile(r"[<\[].+[>\]]", regex.DOTALL)
_SENTINEL = "MEMREAD-MESSAGE-5f1d0c"

_RUN = regex.compile(r"[A-Za-z]+|\s+|[!-/:-@\[-`{-~0-9]|[^\x00-\x7f]+|.", regex.DOTALL)
_WORD = regex.compile(r"[A-Za-z]+|(?<wide>[^\P{L}a-zA-Z])")


class Estimate:
    """Counts without a vocabulary: rather too many than too few, so that what is sent fits."""

    exact = False

    def count(self, text: str) -> int:
        """Letters are a token every five of a run; a digit, a sign or a run of white space is one; anything
        beyond ASCII is three tokens every four bytes."""
        total = 0
        for run in _RUN.findall(text):
            if not run[0].isascii():
                total += -(-3 * len(run.encode("utf-8", "replace")) // 4)
            elif run[0].isalpha():
                total += -(-len(run) // 5)
            elif run != " ":  # one space belongs to the word after it
                total += 1
        return total

    @staticmethod
    def least(text: str) -> int:
        """`text` is more tokens than this: a word is one, bar an "e.g." here and there; letters of scripts
        without spaces come in twos."""
        words = wide = 0
        for found in _WORD.finditer(text):
            wide += found["wide"] is not None
            words += found["wide"] is None
        return int(0.9 * words) + wide // 3


class ServerTokenizer:
    """Counts through a server's own endpoint. Implements protocols.Tokenizer; safe from any thread."""

    exact = True

    def __init__(self, client: Client, server: Server) -> None:
        """Raises MemreadError when the server does not count after all."""
        self._client, self._server = client, server
        # llama-cpp-python's server adds the token that begins a text; the others are told not to.
        self._added = 0
        self._added = self._ask("") if server.kind == "llama-cpp-python" else 0
        if not 0 < self.count("one two three") <= 16:
            raise ServerFailed("the server counts tokens in a way of its own")

    def count(self, text: str) -> int:
        """Raises ServerError."""
        return self._ask(sendable(text)) - self._added if text else 0

    def _ask(self, text: str) -> int:
        model = self._server.model
        match self._server.kind:
            case "llama.cpp":
                path, body = "/tokenize", {"content": text, "add_special": False, "parse_special": False}
            case "llama-cpp-python":
                path, body = "/extras/tokenize/count", {"input": text, "model": model}
            case _:
                path, body = "/tokenize", {"model": model, "prompt": text, "add_special_tokens": False}
        found = self._client.ask(path, body, root=True, patient=True)
        if isinstance(found, dict):
            tokens, count = found.get("tokens"), found.get("count")
            if isinstance(tokens, list):
                return len(tokens)
            if isinstance(count, int) and count >= 0:
                return count
        raise ServerFailed("the server's count of tokens cannot be read")


def counter(client: Client, server: Server) -> ServerTokenizer | Estimate:
    """The best way to count that a server offers."""
    if server.kind in ("llama.cpp", "llama-cpp-python", "vLLM", "SGLang"):
        try:
            return ServerTokenizer(client, server)
        except MemreadError:
            pass
    return Estimate()


class LlamaServerVocabulary:
    """llama-server's ids of prompts: those that engine.llamacpp.vocabulary.Vocabulary makes here.

    Its /tokenize parses special tokens only where it is told to: here, in the chat template's markers.
    """

    def __init__(self, client: Client) -> None:
        """Raises MemreadError when the server's answers do not allow for it."""
        self._client = client
        self._specials: dict[str, int] = {}
        self._known: dict[str, list[int]] = {}
        self._bos = [token for token, _ in self._tokens("", add_special=True)]
        self.frame = self._ask_frame()
        for marker in (self.frame.before, self.frame.after):
            found = self._tokens(marker, parse_special=True)
            if "".join(piece for _, piece in found) != marker:
                raise ServerFailed("the chat template's tokens cannot be told apart")
            for token, piece in found:
                if piece not in self._specials and self._is_special(token, piece):
                    self._specials[piece] = token
        spellings = sorted(self._specials, key=len, reverse=True)
        any_of = "|".join(map(regex.escape, spellings))
        self._splitter = regex.compile(f"({any_of})" if spellings else "(?!)")

    def encode_prompt(self, parts: Iterable[Part]) -> list[int]:
        """The ids of a prompt: special tokens only where a marker part spells them. Raises ServerError."""
        ids: list[int] = []
        text = ""
        for part in parts:
            for piece in self._splitter.splititer(part.text) if part.marker else (part.text,):
                token = self._specials.get(piece) if part.marker else None
                if token is None:
                    text += piece
                    continue
                ids += self.encode(text)
                ids.append(token)
                text = ""
        ids += self.encode(text)
        return ids if ids[: len(self._bos)] == self._bos else self._bos + ids

    def encode(self, text: str) -> list[int]:
        """The ids of `text`: special tokens are letters, "user-defined" ones too. Raises ServerError."""
        text = sendable(text)
        if len(text) < 64 and text in self._known:
            return self._known[text]
        found = self._tokens(text) if text else []
        # llama.cpp finds "user-defined" tokens (<think>) in any text: their spellings are broken up.
        markup = {piece for _, piece in found if _MARKUP.fullmatch(piece)}
        if markup:
            cuts = regex.compile("|".join(map(regex.escape, sorted(markup, key=len, reverse=True))))
            bounds = [0, *(match.start() + 1 for match in cuts.finditer(text)), len(text)]
            found = [pair for start, end in pairwise(bounds) for pair in self._tokens(text[start:end])]
        ids = [token for token, _ in found]
        if len(text) < 64:
            self._known[text] = ids
        return ids

    def _is_special(self, token: int, piece: str) -> bool:
        """Whether plain text does not give this token, or should not."""
        alone = [number for number, _ in self._tokens(piece)]
        return alone != [token] or _MARKUP.fullmatch(piece) is not None

    def _tokens(self, text: str, **options: bool) -> list[tuple[int, str]]:
        body = {"content": text, "add_special": False, "parse_special": False, "with_pieces": True, **options}
        found = self._client.ask("/tokenize", body, root=True, patient=True)
        rows = found.get("tokens") if isinstance(found, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise ServerFailed("the server's tokens cannot be read")
        return [(_id(row.get("id")), _piece(row.get("piece"))) for row in rows]

    def _ask_frame(self) -> ChatFrame:
        """The chat template around a message, thinking switched off, as the server renders it."""
        padded = f" \n{_SENTINEL}\n "
        body = {
            "messages": [{"role": "user", "content": padded}],
            "chat_template_kwargs": {"enable_thinking": False},
        }
        found = self._client.ask("/apply-template", body, root=True, patient=True)
        rendered = found.get("prompt") if isinstance(found, dict) else None
        if not isinstance(rendered, str) or rendered.count(_SENTINEL) != 1:
            raise ServerFailed("the server's chat template does not show the message once")
        strips = padded not in rendered
        before, after = rendered.split(_SENTINEL if strips else padded)
        return ChatFrame(before, after, strips)


def sendable(text: str) -> str:
    """`text` with "?" for what UTF-8 lacks: JSON is sent in it."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _id(value: Any) -> int:
    if isinstance(value, int) and value >= 0:
        return value
    raise ServerFailed("the server's tokens cannot be read")


def _piece(value: Any) -> str:
    """A token's text; a piece of a character comes as its bytes."""
    return value if isinstance(value, str) else "\ufffd"
