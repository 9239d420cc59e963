"""A model's byte-level BPE tokenizer, from its GGUF, without llama.cpp: to count while a document streams.

tiktoken does the work (four times as fast as llama.cpp, and without a context), fed with the file's own
vocabulary: nothing is fetched. The ids are those of `llama_tokenize` with `parse_special` off. What decides
them was read in llama.cpp's `src/llama-vocab.cpp` and `src/unicode.cpp`: several regular expressions split a
text one after the other, and the second never sees across a cut of the first; here each set is one pattern
with the same cuts (tests compare the ids with llama.cpp's).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, cast

import regex
import tiktoken

from memread.gguf import Header

# Long runs of white space are matched possessively (`++`): to back out of a million spaces one by one
# would pass the regular-expression engine's limit, which tiktoken answers with a panic.
_CASED_ENDINGS: Final = "'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]"
_LINES: Final = r"(?:[^\S\r\n]*+[\r\n]++)++|\s++(?=\z)|\s+(?!\S)|\s"
_GPT2_WORDS: Final = r"'(?:s|t|re|ve|m|ll|d)| ?\p{L}+"


def _llama3(digits: str, more: str = "") -> str:
    """The family of Llama 3: what may join letters differs, and how many digits are one word."""
    return (
        rf"{_CASED_ENDINGS}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}{more}]+|{digits}"
        rf"| ?[^\s\p{{L}}\p{{N}}{more}]+[\r\n]*+|{_LINES}"
    )


def _tekken(digits: str, endings: str) -> str:
    """The family of GPT-4o. llama.cpp knows upper and lower case of a to z only."""
    upper, lower, first = r"[\p{L}&&[^a-z]]", r"[\p{L}&&[^A-Z]]", r"[^\r\n\p{L}\p{N}]?"
    return (
        rf"{first}{upper}*{lower}+{endings}|{first}{upper}+{lower}*{endings}|{digits}"
        rf"| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*+|{_LINES}"
    )


_GPT2: Final = _GPT2_WORDS + r"| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s++(?=\z)|\s+(?!\S)|\s"
_LLAMA3: Final = _llama3(r"\p{N}{1,3}")
_QWEN2: Final = _llama3(r"\p{N}")
# Every digit is cut out first: a digit ends the text for the white space before it.
_SMOLLM: Final = r"\p{N}|" + _GPT2_WORDS + r"| ?[^\s\p{L}\p{N}]+|\s++(?=\p{N}|\z)|\s+(?!\S)|\s"
# Punctuation is cut out first, digits last, and these in threes.
_SIGNS: Final = r"\p{P}$+<=>\^~|"
_DEFAULT: Final = (
    rf"[{_SIGNS}]+|[0-9]{{3}}|(?:(?![0-9]{{3}})\p{{N}})+| ?\p{{L}}+| ?[^\s\p{{L}}\p{{N}}{_SIGNS}]+"
    rf"|\s++(?=[{_SIGNS}]|\z)|\s+(?!\S)|\s"
)
_PATTERNS: Final = {
    _GPT2: "gpt-2 phi-2 mpt olmo jais trillion granite-docling exaone4 gigachat mellum a.x-4.0 roberta-bpe",
    _SMOLLM: "smollm starcoder refact command-r codeshell exaone minerva-7b mellum2",
    _DEFAULT: "default",
    _LLAMA3: "llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 dbrx smaug-bpe glm4 glm5",
    _QWEN2: "qwen2 deepseek-r1-qwen kormo f2llmv2 megrez stablelm2 hunyuan solar-open grok-2",
    _llama3(r"\p{N}", more=r"\p{M}"): "qwen35",
    _tekken(r"\p{N}", ""): "tekken",
    _tekken(r"\p{N}{1,3}", f"(?:{_CASED_ENDINGS})?"): "gpt-4o llama4 kanana2",
}
_PATTERN_OF: Final = {name: pattern for pattern, names in _PATTERNS.items() for name in names.split()}

_USER_DEFINED: Final = 4
# llama.cpp has its own opinion of these, whatever type the file gives them: gpt-oss's are found in any text,
# what ends a reply or fills in a middle is not.
_ALWAYS_FOUND: Final = frozenset({"<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"})
_NEVER_FOUND: Final = """
<|eot_id|> <|im_end|> <|end|> <|return|> <|call|> <|flush|> <|calls|> <end_of_turn> <|endoftext|> </s>
<|eom_id|> <EOT> _<EOT> [EOT] [EOS] <|end_of_text|> <end_of_utterance> <eos> <turn|> <|tool_response> [e~[
<｜end▁of▁sentence｜> <|fim_prefix|> <fim-prefix> <fim_prefix> <｜fim▁begin｜> <PRE> <|code_prefix|>
<|prefix|> <|fim_suffix|> <fim-suffix> <fim_suffix> <｜fim▁hole｜> <SUF> <|code_suffix|> <|suffix|>
<|fim_middle|> <fim-middle> <fim_middle> <｜fim▁end｜> <MID> <|code_middle|> <|middle|>
<|fim_pad|> <fim-pad> <fim_pad> <PAD> [PAD]
<|fim_repo|> <|repo_name|> <fim-repo> <REPO> <reponame> <|file_sep|>
"""

_PIECE: Final = 1 << 16
"""Characters that are encoded in one call, where the text can be cut."""
_LONGEST: Final = 1 << 18
# After a letter or a digit, before white space or punctuation: every pattern above cuts there, whatever
# comes before or after, so that the ids of the two sides are those of the whole. (Not before "'" or a mark.)
_CUT: Final = regex.compile(r"[\p{L}\p{N}](?=[\s\p{P}--'])", regex.VERSION1)
_LAST_CUT: Final = regex.compile(r"(?r)[\p{L}\p{N}](?=[\s\p{P}--'])", regex.VERSION1)


class BpeTokenizer:
    """Implements protocols.Tokenizer. Safe to use from several threads."""

    def __init__(
        self, encoding: tiktoken.Encoding, ids: Sequence[int], given: Sequence[tuple[str, int]]
    ) -> None:
        self._encoding = encoding
        self._ids = ids
        """Rank → id; -1 for a byte that the vocabulary lacks, which llama.cpp drops."""
        self._given = given
        """User-defined tokens, longest first: llama.cpp finds them in any text, like Qwen's <think>."""
        self._absent = bytes(byte for byte in range(256) if ids[byte] < 0)

    def encode(self, text: str) -> list[int]:
        """The ids of `text`: special tokens are letters, nothing is added, lone surrogates become "?"."""
        found: list[int] = []
        for part in self._parts(text):
            if isinstance(part, int):
                found.append(part)
            else:
                ids = (self._ids[rank] for rank in self._ranks(part))
                found.extend(ids if not self._absent else (i for i in ids if i >= 0))
        return found

    def count(self, text: str) -> int:
        return sum(1 if isinstance(part, int) else self._count(part) for part in self._parts(text))

    def _count(self, text: str) -> int:
        count = sum(len(self._encoding.encode_ordinary(piece)) for piece in _pieces(text))
        if self._absent:
            data = text.encode()
            count -= len(data) - len(data.translate(None, self._absent))
        return count

    def _ranks(self, text: str) -> Iterator[int]:
        for piece in _pieces(text):
            yield from self._encoding.encode_ordinary(piece)

    def _parts(self, text: str) -> list[str | int]:
        """The text around user-defined tokens, and these as ids."""
        if not text.isascii():
            text = text.encode("utf-8", "replace").decode()
        parts: list[str | int] = [text] if text else []
        for token, number in self._given:
            if token in text:
                parts = [new for part in parts for new in _around(part, token, number)]
        return parts


class LetterTokenizer:
    """As memread's prompts are tokenized: the spelling of a user-defined token in a text is letters.

    Implements protocols.Tokenizer; its counts are those of `engine.llamacpp.vocabulary.Vocabulary`.
    """

    def __init__(self, header: Header, tokenizer: BpeTokenizer) -> None:
        self._tokenizer = tokenizer
        types = header.array("tokenizer.ggml.token_type")
        markup = [
            token
            for token, kind in zip(_strings(header, "tokenizer.ggml.tokens"), types, strict=False)
            # Runs of spaces are user-defined tokens too in some vocabularies: those are no markup.
            if kind == _USER_DEFINED and regex.fullmatch(r"[<\[].+[>\]]", token)
        ]
        markup.sort(key=len, reverse=True)
        self._markup = regex.compile("|".join(map(regex.escape, markup))) if markup else None

    def count(self, text: str) -> int:
        return sum(self._tokenizer.count(piece) for piece in self._broken(text))

    def encode(self, text: str) -> list[int]:
        """The ids of `text`; no special token is parsed or added."""
        return [number for piece in self._broken(text) for number in self._tokenizer.encode(piece)]

    def _broken(self, text: str) -> Iterator[str]:
        cuts = [match.start() + 1 for match in self._markup.finditer(text)] if self._markup else []
        for start, end in pairwise([0, *cuts, len(text)]):
            if end > start:
                yield text[start:end]


def letter_tokenizer(header: Header) -> LetterTokenizer | None:
    """See LetterTokenizer, `tokenizer`."""
    found = tokenizer(header)
    return LetterTokenizer(header, found) if found is not None else None


def known() -> frozenset[str]:
    """The pre-tokenizers (`tokenizer.ggml.pre`) whose ids are llama.cpp's; tests try each."""
    return frozenset(_PATTERN_OF)


def tokenizer(header: Header) -> BpeTokenizer | None:
    """The tokenizer of a model, or None when it is not one of the known byte-level BPE ones.

    With None, ask llama.cpp. Takes 0.1 s for 50,000 tokens, 0.4 s for 150,000.
    """
    pattern = _PATTERN_OF.get(header.text("tokenizer.ggml.pre") or "default")
    if header.text("tokenizer.ggml.model") != "gpt2" or pattern is None:
        return None
    tokens = _strings(header, "tokenizer.ggml.tokens")
    merges = _strings(header, "tokenizer.ggml.merges")
    types = header.array("tokenizer.ggml.token_type") or (1,) * len(tokens)
    if not merges or len(types) != len(tokens):
        return None
    numbers = {token: number for number, token in enumerate(tokens)}
    letters = _byte_letters()
    ranks = {bytes([byte]): byte for byte in range(256)}
    ids = [numbers.get(letter, -1) for letter in letters]
    # All merges in one string: "Ġt he" is the token "Ġthe", and no token holds a space or a line break.
    pairs = "\n".join(merges)
    joined = pairs.replace(" ", "")
    table = str.maketrans({letter: chr(byte) for byte, letter in enumerate(letters)} | {"\n": "\u2028"})
    try:
        made = [numbers[token] for token in joined.split("\n")]
        keys = [key.encode("latin-1") for key in joined.translate(table).split("\u2028")]
    except (KeyError, UnicodeEncodeError):  # a token that does not exist, or is not made of bytes
        return None
    if not len(merges) == len(made) == len(keys) == pairs.count(" "):
        return None
    for key, number in zip(keys, made, strict=True):
        # Several merges may make the same token (Llama 3 lists them all): the first is its rank.
        if ranks.setdefault(key, len(ids)) == len(ids):
            ids.append(number)
    never = frozenset(_NEVER_FOUND.split())
    given = [
        (token, number)
        for number, (token, kind) in enumerate(zip(tokens, types, strict=True))
        if token and (token in _ALWAYS_FOUND or (kind == _USER_DEFINED and token not in never))
    ]
    given.sort(key=lambda item: len(item[0].encode()), reverse=True)
    return BpeTokenizer(
        tiktoken.Encoding("gguf", pat_str=pattern, mergeable_ranks=ranks, special_tokens={}), ids, given
    )


def _strings(header: Header, key: str) -> tuple[str, ...]:
    found = header.array(key)
    return cast("tuple[str, ...]", found) if found and isinstance(found[0], str) else ()


@functools.cache
def _byte_letters() -> tuple[str, ...]:
    """The letter that stands for each byte in a byte-level vocabulary (GPT-2's table): "Ġ" is a space."""
    plain = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return tuple(chr(byte if byte in plain else next(others)) for byte in range(256))


def _around(part: str | int, token: str, number: int) -> Iterator[str | int]:
    if isinstance(part, int):
        yield part
        return
    for index, text in enumerate(part.split(token)):
        if index:
            yield number
        if text:
            yield text


def _pieces(text: str) -> Iterator[str]:
    """`text` in pieces of about `_PIECE`, cut where no word of any pattern can cross.

    A run without such a place (a quarter of a million spaces, or letters) is cut all the same: a handful of
    ids may then differ at the cut.
    """
    start = 0
    while len(text) - start > _PIECE:
        found = _LAST_CUT.search(text, start, start + _PIECE) or _CUT.search(
            text, start + _PIECE, start + _LONGEST
        )
        end = found.end() if found else start + _LONGEST
        yield text[start:end]
        start = end
    if start < len(text):
        yield text[start:]
