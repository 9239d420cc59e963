"""Prompt parts → what a server is sent: token ids where it takes them, else one message of text.

With ids a prompt is exactly what it is in this process. With text the server applies its own chat template,
and parses special tokens wherever it finds their spellings: these are broken up first, and counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import msgspec
import regex

from memread.engine.http.server import Server
from memread.engine.http.tokens import Estimate, sendable
from memread.protocols import Tokenizer
from memread.types import ChatFrame, Part

# How special tokens are spelled in the vocabularies there are: <|im_end|>, <｜User｜>, </s>, [INST], <<SYS>>,
# <start_of_turn>, <think>, <tool_call>. A model's own list, where there is one, goes beside it.
_FORMS = regex.compile(
    r"<\|[^<>|\s]{1,64}\|>|<\|[^<>|\s]{1,64}>|<[^<>|\s]{1,64}\|>|<｜[^<>｜\s]{1,64}｜>"
    r"|</?(?:s|bos|eos|pad|unk|mask|cls|sep|think|thinking|answer|tool_calls?|tool_response|tools|function"
    r"|(?:start|end|begin)_of_[a-z_]+|fim_[a-z]+|unused_?\d+|reserved_[a-z_]*\d+|image|end_of_turn)>"
    r"|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|THINK|ARGS|CALL_ID|IMG"
    r"|BOS|EOS|PAD|UNK|CLS|SEP|MASK|[gs]MASK)\]|<</?SYS>>",
)
_TOLERANCE = 8
"""Tokens that a server may count fewer than we do: at the joints of its template."""


class Prepared(msgspec.Struct, frozen=True):
    """A prompt as it is sent."""

    body: dict[str, Any]
    tokens: int
    """How many it is by our count, the server's chat template included."""
    least: int
    """A server that counts fewer has cut it."""
    defused: int = 0
    """Spellings of special tokens that were broken up."""


class Encoder(Protocol):
    """A vocabulary that gives exact ids."""

    def encode_prompt(self, parts: Iterable[Part]) -> list[int]: ...


class TokenPrompts:
    """Ids, to an endpoint that takes them."""

    path = "/completions"
    exact = True

    def __init__(self, encoder: Encoder, frame: ChatFrame) -> None:
        self._encoder, self.frame = encoder, frame

    def prepare(self, parts: Iterable[Part]) -> Prepared:
        ids = self._encoder.encode_prompt(parts)
        return Prepared({"prompt": ids}, len(ids), len(ids))


class TextPrompts:
    """One user message, to an endpoint that puts it into the model's chat template."""

    path = "/chat/completions"
    exact = False
    frame = ChatFrame("", "")

    def __init__(self, tokenizer: Tokenizer, spellings: Iterable[str] = ()) -> None:
        """spellings: of the model's own special tokens, where they are known."""
        self._tokenizer = tokenizer
        # Runs of white space, or of letters, are special tokens too in some: those are no markup.
        markup = [text for text in spellings if regex.fullmatch(r"(?=.*[^\w\s])\S{3,}", text)]
        own = sorted(markup, key=len, reverse=True)
        self._pattern = regex.compile("|".join([_FORMS.pattern, *map(regex.escape, own)]))
        self.template = 0
        """Tokens of the server's chat template: to be set once they are known."""

    def prepare(self, parts: Iterable[Part]) -> Prepared:
        text, defused = self.defuse(sendable("".join(part.text for part in parts)))
        tokens = self._tokenizer.count(text)
        if isinstance(self._tokenizer, Estimate):
            least = self._tokenizer.least(text)
        else:
            least = tokens + self.template - _TOLERANCE
        body = {"messages": [{"role": "user", "content": text}]}
        return Prepared(body, tokens + self.template, least, defused)

    def defuse(self, text: str) -> tuple[str, int]:
        """`text` with a space in every spelling of a special token, after its first letter; and how many."""
        total = 0
        while True:
            # Breaking one up may leave another: "<|<|im_end|>…". No spelling has white space, so this ends.
            text, found = self._pattern.subn(lambda match: f"{match[0][0]} {match[0][1:]}", text)
            if not found:
                return text, total
            total += found


def switches(server: Server, top_k: int, *, chat: bool) -> dict[str, Any]:
    """What servers of this kind must be told beyond the common API to sample as the profile says: they have
    defaults of their own, such as top-k 40, or a penalty that comes with the model."""
    no_thoughts = {"chat_template_kwargs": {"enable_thinking": False}} if chat else {}
    match server.kind:
        case "llama.cpp":
            return {
                "top_k": top_k,
                "min_p": 0.0,
                "repeat_penalty": 1.0,
                "return_progress": True,
                # KV kept from an earlier prompt was computed in other batches: a reply would depend on what
                # was asked before. What two prompts of a reading share is a few hundredths of them.
                "cache_prompt": False,
                **no_thoughts,
            }
        case "llama-cpp-python":
            return {"top_k": top_k, "min_p": 0.0, "repeat_penalty": 1.0}
        case "vLLM" | "SGLang":
            return {"top_k": top_k or -1, "min_p": 0.0, "repetition_penalty": 1.0, **no_thoughts}
        case "LM Studio":
            return {"top_k": top_k, "min_p": 0.0, "repeat_penalty": 1.0}
        case _:
            return {"top_k": top_k} if top_k else {}
