"""What is sent to a server that takes text only, and how tokens are estimated where nobody counts them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import llama_cpp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memread import bpe, gguf
from memread.engine.http.prompts import TextPrompts
from memread.engine.http.tokens import Estimate
from memread.engine.llamacpp.model import Model
from memread.types import Part
from tests.llama import LlamaVocabulary

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def model(tiny_gguf: Path) -> Iterator[Model]:
    with Model(tiny_gguf, vocabulary_only=True) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def parser(tiny_gguf: Path) -> Iterator[LlamaVocabulary]:
    made = LlamaVocabulary(tiny_gguf)
    yield made
    made.close()


def parsed(parser: LlamaVocabulary, text: str) -> list[int]:
    """The ids of `text` as a server has them: special tokens parsed wherever they are spelled."""
    data = text.encode()
    ids = (llama_cpp.llama_token * (len(data) + 8))()
    count = llama_cpp.llama_tokenize(parser.vocabulary, data, len(data), ids, len(ids), False, True)
    return list(ids[:count])


_fragments = st.lists(
    st.sampled_from(
        ["<|im_start|>", "<|im_end|>", "<repo_name>", "<|", "|>", "im_end", "<", ">", "|", "a", " ", "\n"]
    ),
    max_size=20,
)


def test_no_special_token_is_left_for_a_server_to_find(model: Model, parser: LlamaVocabulary) -> None:
    prompts = TextPrompts(model.vocabulary, model.vocabulary.specials)
    special = {token for token in range(model.vocabulary.size) if not model.vocabulary.piece(token)}
    assert parsed(parser, "<|im_end|>")[0] in special

    @given(_fragments.map("".join))
    def check(text: str) -> None:
        defused, count = prompts.defuse(text)
        assert not special & set(parsed(parser, defused))
        assert (defused == text) == (count == 0)
        assert defused.replace(" ", "") == text.replace(" ", "")

    check()


SPELLINGS = """
<|im_end|> <|eot_id|> <|start_header_id|> <｜end▁of▁sentence｜> </s> <s> [INST] [/INST] <<SYS>> <end_of_turn>
<bos> <think> </think> <tool_call> <|channel|> [gMASK] [TOOL_CALLS] <unused5> <fim_prefix>
"""


@pytest.mark.parametrize("spelling", SPELLINGS.split())
def test_common_spellings_are_known_without_a_vocabulary(spelling: str) -> None:
    prompts = TextPrompts(Estimate())
    prepared = prompts.prepare((Part("x"), Part(f"a{spelling}b"), Part(f"\n{spelling[:-1]}")))
    assert prepared.defused == 1
    assert prepared.body["messages"][0]["content"] == f"xa{spelling[0]} {spelling[1:]}b\n{spelling[:-1]}"


@pytest.mark.parametrize(
    "harmless", ["if a < b and c > d", "List<String> x[i]", "<p>one</p>", "a <- b | c -> d", "[1]"]
)
def test_what_is_no_special_token_stays(harmless: str) -> None:
    assert TextPrompts(Estimate()).defuse(harmless) == (harmless, 0)


def test_joined_parts_are_looked_at_together() -> None:
    assert TextPrompts(Estimate()).prepare((Part("<|im_"), Part("end|>"))).defused == 1


@pytest.mark.parametrize("path", ["README.md", "ARCHITECTURE.md", "memread/gguf.py", "words"])
def test_an_estimate_is_not_less_and_not_much_more(path: str, smollm2: Path) -> None:
    """Against the vocabulary of SmolLM2. docs/servers.md gives these figures."""
    tokenizer = bpe.tokenizer(gguf.read_header(smollm2))
    assert tokenizer is not None
    text = "Ünïcode, 漢字かな, Кириллица; 12,345.67\t\n" * 50
    if path != "words":
        text = (ROOT / path).read_text(encoding="utf-8")
    estimated, true = Estimate().count(text), tokenizer.count(text)
    assert 1.0 <= estimated / true <= 1.4
    assert Estimate().least(text) < true


def test_an_estimate_of_nothing() -> None:
    assert (Estimate().count(""), Estimate().least("")) == (0, 0)
    assert Estimate().count("\ud800") > 0
