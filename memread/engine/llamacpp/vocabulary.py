"""Text and prompt parts → token ids, by the model's own vocabulary."""

from __future__ import annotations

import codecs
import ctypes
import threading
from collections.abc import Iterable
from functools import cached_property
from itertools import pairwise
from typing import Any

import regex

from memread.errors import EngineFailed
from memread.types import Part

_CALL = 200_000
"""Characters tokenized in one call: llama.cpp's splitting needs memory and stack in proportion."""


class Vocabulary:
    """Implements protocols.Tokenizer. Safe from any thread, also while the model is being closed."""

    def __init__(self, api: Any, model: Any) -> None:
        self._api = api
        self._vocab = api.llama_model_get_vocab(model)
        self.size: int = api.llama_vocab_n_tokens(self._vocab)
        self._piece = ctypes.create_string_buffer(512)
        self._closing = threading.Lock()
        self._closed = False

    def count(self, text: str) -> int:
        """How many tokens `text` is; no special token is parsed or added."""
        return sum(self._tokenize(piece, None) for piece in self._pieces(text))

    def encode(self, text: str) -> list[int]:
        """The ids of `text`; no special token is parsed or added."""
        ids: list[int] = []
        for piece in self._pieces(text):
            self._tokenize(piece, ids)
        return ids

    def encode_prompt(self, parts: Iterable[Part]) -> list[int]:
        """The ids of a prompt: special tokens only where a marker part spells them.

        Text between two special tokens is joined before it is tokenized, across part borders, so that a
        harmless prompt gives exactly the ids that tokenizing it whole gives.
        """
        ids: list[int] = []
        text = ""
        strip = False
        for part in parts:
            pieces = self._markers.splitter.splititer(part.text) if part.marker else (part.text,)
            for piece in pieces:
                token = self._markers.ids.get(piece) if part.marker else None
                if token is None:
                    text += piece.lstrip() if strip and not text else piece
                    continue
                ids += self.encode(text.rstrip() if token in self._markers.strip_left else text)
                ids.append(token)
                text, strip = "", token in self._markers.strip_right
        ids += self.encode(text)
        bos = self._api.llama_vocab_bos(self._vocab)
        if self._api.llama_vocab_get_add_bos(self._vocab) and ids[:1] != [bos]:
            ids.insert(0, bos)
        return ids

    def piece(self, token: int) -> bytes:
        """The bytes of a token; b"" for a special one."""
        n = self._api.llama_token_to_piece(self._vocab, token, self._piece, len(self._piece), 0, False)
        if n < 0:
            self._piece = ctypes.create_string_buffer(-n)
            return self.piece(token)
        return self._piece.raw[:n]

    @cached_property
    def pieces(self) -> tuple[dict[bytes, list[int]], int]:
        """The tokens that are written so, none of them special; the bytes of the longest."""
        found: dict[bytes, list[int]] = {}
        for token in range(self.size):
            if (piece := self.piece(token)) and not self.ends(token):
                found.setdefault(piece, []).append(token)
        return found, max(map(len, found))

    def decoder(self) -> codecs.IncrementalDecoder:
        """Turns pieces into text; a character can be spread over several tokens."""
        return codecs.getincrementaldecoder("utf-8")("replace")

    def ends(self, token: int) -> bool:
        """Whether the token ends a reply."""
        return bool(self._api.llama_vocab_is_eog(self._vocab, token))

    def spelling(self, token: int) -> str:
        """How a special token is written, "" for none (-1)."""
        raw: bytes | None = self._api.llama_vocab_get_text(self._vocab, token) if token >= 0 else None
        return (raw or b"").decode("utf-8", "replace")

    @property
    def specials(self) -> Iterable[str]:
        """How the special and the user-defined tokens are written."""
        return self._markers.ids

    @property
    def bos(self) -> str:
        return self.spelling(self._api.llama_vocab_bos(self._vocab))

    @property
    def end(self) -> int:
        """The token that ends a text; -1 for none."""
        return int(self._api.llama_vocab_eos(self._vocab))

    @property
    def eos(self) -> str:
        return self.spelling(self.end)

    def close(self) -> None:
        """Wait for a call that is running in another thread, and let none begin: the model may then go."""
        with self._closing:
            self._closed = True

    def _tokenize(self, text: str, ids: list[int] | None) -> int:
        with self._closing:
            if self._closed:
                raise EngineFailed("the model was closed")
            return self._locked_tokenize(text, ids)

    def _locked_tokenize(self, text: str, ids: list[int] | None) -> int:
        # A lone surrogate has no UTF-8 form; llama.cpp throws through C at invalid bytes.
        data = text.encode("utf-8", "replace")
        if ids is None:
            return -int(
                self._api.llama_tokenize(self._vocab, data, len(data), None, 0, False, False) if data else 0
            )
        buffer = (self._api.llama_token * (len(data) + 8))()
        n: int = self._api.llama_tokenize(self._vocab, data, len(data), buffer, len(buffer), False, False)
        ids += buffer[:n]
        return n

    def _pieces(self, text: str) -> Iterable[str]:
        """`text` in runs that can be tokenized apart: markup of user-defined tokens is broken up."""
        bounds = [0]
        if self._markers.user_defined is not None:
            # llama.cpp parses "user-defined" tokens (<think>, <tool_call>) even with special parsing off.
            bounds += [match.start() + 1 for match in self._markers.user_defined.finditer(text)]
        bounds.append(len(text))
        for start, end in pairwise(bounds):
            while end - start > _CALL:
                cut = max(text.rfind("\n", start, start + _CALL), text.rfind(" ", start, start + _CALL))
                cut = cut if cut > start else start + _CALL
                yield text[start:cut]
                start = cut
            yield text[start:end]

    @cached_property
    def _markers(self) -> _Markers:
        api = self._api
        special: dict[str, int] = {}
        left, right = set(), set()
        user_defined = []
        for token in range(self.size):
            attributes = api.llama_vocab_get_attr(self._vocab, token)
            if attributes & (
                api.LLAMA_TOKEN_ATTR_CONTROL
                | api.LLAMA_TOKEN_ATTR_USER_DEFINED
                | api.LLAMA_TOKEN_ATTR_UNKNOWN
            ):
                text = self.spelling(token)
                if not text:
                    continue
                special.setdefault(text, token)
                if attributes & api.LLAMA_TOKEN_ATTR_LSTRIP:
                    left.add(token)
                if attributes & api.LLAMA_TOKEN_ATTR_RSTRIP:
                    right.add(token)
                # Runs of spaces are user-defined tokens too in some vocabularies: those are no markup.
                if attributes & api.LLAMA_TOKEN_ATTR_USER_DEFINED and regex.fullmatch(r"[<\[].+[>\]]", text):
                    user_defined.append(text)
        return _Markers(special, left, right, user_defined)


class _Markers:
    def __init__(
        self, ids: dict[str, int], strip_left: set[int], strip_right: set[int], user_defined: list[str]
    ) -> None:
        self.ids = ids
        self.strip_left = strip_left
        self.strip_right = strip_right
        self.splitter = regex.compile(f"({_any_of(ids)})" if ids else r"(?!)")
        self.user_defined = regex.compile(_any_of(user_defined)) if user_defined else None


def _any_of(spellings: Iterable[str]) -> str:
    return "|".join(regex.escape(text) for text in sorted(spellings, key=len, reverse=True))
