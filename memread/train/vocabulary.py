"""The vocabulary and chat frame of a GGUF without llama.cpp, for machines where it cannot be compiled.

`HeaderVocabulary` has the same `encode_prompt` as `engine.llamacpp.vocabulary.Vocabulary` (tests compare
their ids): memread.bpe for text, and the special tokens from the file's header. What llama.cpp decides by a
token's spelling was read in its `src/llama-vocab.cpp`.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Protocol

import regex

from memread import bpe
from memread.errors import EngineFailed, ModelUnloadable
from memread.gguf import Header, read_header
from memread.types import ChatFrame, Part

_UNKNOWN, _CONTROL, _USER_DEFINED = 2, 3, 4
# A token of one of these spellings ends a reply, whatever the file says of it.
_ENDS: Final = frozenset(
    """<|eot_id|> <|im_end|> <|end|> <|return|> <|call|> <|flush|> <|calls|> <end_of_turn> <|endoftext|> </s>
    <|eom_id|> <EOT> _<EOT> [EOT] [EOS] <|end_of_text|> <end_of_utterance> <eos> <turn|>
    <｜end▁of▁sentence｜> <|fim_pad|> <fim-pad> <fim_pad> <PAD> [PAD]
    <|fim_repo|> <|repo_name|> <fim-repo> <REPO> <reponame> <|file_sep|>""".split()  # noqa: SIM905
)
_BOS_FIRST: Final = ("llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "lfm2", "tekken")
"""Pre-tokenizers whose models begin with a BOS token where the file does not say."""


class PromptVocabulary(Protocol):
    """What training needs of a vocabulary: protocols.Tokenizer, and prompts and replies as ids."""

    def count(self, text: str) -> int: ...

    def encode(self, text: str) -> list[int]: ...

    def encode_prompt(self, parts: Iterable[Part]) -> list[int]: ...

    def piece(self, token: int) -> bytes: ...

    def decoder(self) -> codecs.IncrementalDecoder: ...

    def ends(self, token: int) -> bool: ...


class HeaderVocabulary:
    """Implements PromptVocabulary and protocols.Tokenizer. Safe to use from several threads."""

    def __init__(self, header: Header) -> None:
        """Raises ModelUnloadable when the vocabulary is not one of those memread.bpe knows."""
        tokenizer = bpe.letter_tokenizer(header)
        if tokenizer is None:
            raise ModelUnloadable(
                f"{header.path}: its tokenizer is not known without llama.cpp",
                "Train with llama-cpp-python installed.",
            )
        self._bpe = tokenizer
        self._tokens = tuple(str(token) for token in header.array("tokenizer.ggml.tokens"))
        types = header.array("tokenizer.ggml.token_type") or (1,) * len(self._tokens)
        self._types = tuple(int(kind) for kind in types)
        self.size = len(self._tokens)
        self._bos = header.number("tokenizer.ggml.bos_token_id")
        self._eos = header.number("tokenizer.ggml.eos_token_id")
        stated = header.metadata.get("tokenizer.ggml.add_bos_token")
        self._add_bos = bool(
            header.text("tokenizer.ggml.pre") in _BOS_FIRST if stated is None else stated
        ) and (self._bos is not None)
        also = ("eos", "eot", "eom")
        self._ends = frozenset(
            number
            for name in also
            if (number := header.number(f"tokenizer.ggml.{name}_token_id")) is not None
        ) | {number for number, token in enumerate(self._tokens) if token in _ENDS}
        self._special: dict[str, int] = {}
        for number, (token, kind) in enumerate(zip(self._tokens, self._types, strict=True)):
            if token and kind in (_UNKNOWN, _CONTROL, _USER_DEFINED):
                self._special.setdefault(token, number)
        self._splitter = regex.compile(f"({_any_of(self._special)})" if self._special else r"(?!)")
        letters = bpe._byte_letters()
        self._bytes = {letter: byte for byte, letter in enumerate(letters)}

    def count(self, text: str) -> int:
        return self._bpe.count(text)

    def encode(self, text: str) -> list[int]:
        """The ids of `text`; no special token is parsed or added."""
        return self._bpe.encode(text)

    def encode_prompt(self, parts: Iterable[Part]) -> list[int]:
        """The ids of a prompt: special tokens only where a marker part spells them."""
        ids: list[int] = []
        text = ""
        for part in parts:
            for piece in self._splitter.splititer(part.text) if part.marker else (part.text,):
                token = self._special.get(piece) if part.marker else None
                if token is None:
                    text += piece
                    continue
                ids += [*self.encode(text), token]
                text = ""
        ids += self.encode(text)
        if self._add_bos and self._bos is not None and ids[:1] != [self._bos]:
            ids.insert(0, self._bos)
        return ids

    def piece(self, token: int) -> bytes:
        """The bytes of a token; b"" for a special one."""
        text, kind = self._tokens[token], self._types[token]
        if kind in (_UNKNOWN, _CONTROL):
            return b""
        if kind == _USER_DEFINED:
            return text.encode()
        return bytes(self._bytes[letter] for letter in text if letter in self._bytes)

    def decoder(self) -> codecs.IncrementalDecoder:
        return codecs.getincrementaldecoder("utf-8")("replace")

    def ends(self, token: int) -> bool:
        return token in self._ends

    def spelling(self, token: int | None) -> str:
        """How a token is written, "" for none."""
        return self._tokens[token] if token is not None and 0 <= token < self.size else ""

    @property
    def bos(self) -> str:
        return self.spelling(self._bos)

    @property
    def eos(self) -> str:
        return self.spelling(self._eos)


def open_vocabulary(path: Path) -> tuple[PromptVocabulary, ChatFrame]:
    """The vocabulary and chat frame of a GGUF: llama.cpp's where it is installed, else the header's.

    Raises NotGguf, ModelUnloadable. The model behind llama.cpp's stays open for the life of the process.
    """
    try:
        from memread.engine.llamacpp.model import Model

        model = Model(path, vocabulary_only=True)
    except EngineFailed:  # it cannot be loaded on this machine
        header = read_header(path)
        vocabulary = HeaderVocabulary(header)
        return vocabulary, header_frame(header, vocabulary)
    return model.vocabulary, model.frame


def header_frame(header: Header, vocabulary: HeaderVocabulary) -> ChatFrame:
    """The frame of the chat template in the header, rendered as `engine.llamacpp.template.chat_frame` does.

    Raises ModelUnloadable.
    """
    template = header.text("tokenizer.chat_template")
    if not template.strip():
        return ChatFrame("", "")
    sentinel = "MEMREAD-MESSAGE-5f1d0c"
    padded = f" \n{sentinel}\n "
    rendered = _render(template, padded, vocabulary)
    if rendered.count(sentinel) != 1:
        raise ModelUnloadable("the model's chat template does not show the message once")
    strips = padded not in rendered
    before, after = rendered.split(sentinel if strips else padded)
    return ChatFrame(before, after, strips)


def _render(template: str, message: str, vocabulary: HeaderVocabulary) -> str:
    """In jinja2's immutable sandbox: a template comes from the file, untrusted."""
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(reason: str) -> None:
        raise TemplateError(reason)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    values: dict[str, Any] = {"raise_exception": refuse, "enable_thinking": False}
    try:
        return environment.from_string(template).render(
            messages=[{"role": "user", "content": message}],
            add_generation_prompt=True,
            bos_token=vocabulary.bos,
            eos_token=vocabulary.eos,
            **values,
        )
    except Exception as error:  # whatever jinja2, or the template's own raise_exception, throws
        raise ModelUnloadable(f"the model's chat template cannot be rendered: {error}") from error


def _any_of(spellings: Iterable[str]) -> str:
    return "|".join(regex.escape(text) for text in sorted(spellings, key=len, reverse=True))
