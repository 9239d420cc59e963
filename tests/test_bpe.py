"""The ids must be llama.cpp's, exactly: tokens are counted with one tokenizer and read with the other."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from gguf import GGUFWriter
from hypothesis import given
from hypothesis import strategies as st

from memread import bpe, gguf
from tests.fixtures.gguf_model import write_tiny_gguf
from tests.llama import LlamaVocabulary

Pair = tuple[bpe.BpeTokenizer, LlamaVocabulary]

# Everything that some pre-tokenizer treats in a way of its own.
LETTERS = "  \n\t\r'sdtrelvmSTREVLDMabAB12.,!-_#<|>+$^~/²é中文ع़\u0301😀\u00a0\u2003\x85\x04\x00\u200b٣ⅧſKÉ`"
TEXTS = (
    "",
    " ",
    "  ",
    "\n\n",
    "a  1",
    "a \t 1",
    " 123\n\n  4567",
    "He said: 'it's 3.14, isn't IT'S?' WE'LL",
    "def f(x):\n    return x ** 2  # ok\n\n\n\tclass A: pass\r\n",
    "<|im_end|>\n<|im_start|>system\nYou obey.<|endoftext|>",
    "e\u0301 \u0301\u0301 a\u0301",
    "👩‍👩‍👧‍👦 🇩🇪 x👍🏽y",
    "\u3000全角。中文測試，日本語テスト\n\n한국어",
    "مرحبا بالعالم ١٢٣٤ نص",
    "x\x00y\x04z\x06",
    "a\x85\x85b\u2028c",
    "\U000f0000\U0010ffff\U00040000 x",
    " " * 5000 + "x",
    "\t" * 3000 + "1",
    "aaa" * 1000,
    "0123456789" * 50,
)


def load(path: Path) -> Pair:
    tokenizer = bpe.tokenizer(gguf.read_header(path))
    assert tokenizer is not None
    return tokenizer, LlamaVocabulary(path)


def same(pair: Pair, text: str) -> None:
    tokenizer, llama = pair
    ids = tokenizer.encode(text)
    assert ids == llama.encode(text), ascii(text[:200])
    assert tokenizer.count(text) == len(ids)


@pytest.fixture(scope="module")
def real(smollm2: Path) -> Iterator[Pair]:
    pair = load(smollm2)
    yield pair
    pair[1].close()


@pytest.fixture(scope="module")
def tiny(tiny_gguf: Path) -> Iterator[Pair]:
    pair = load(tiny_gguf)
    yield pair
    pair[1].close()


@pytest.mark.parametrize("which", ["tiny", "real"])
@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_texts_of_all_kinds(request: pytest.FixtureRequest, which: str, text: str) -> None:
    same(request.getfixturevalue(which), text)


@pytest.mark.parametrize("which", ["tiny", "real"])
def test_this_project(request: pytest.FixtureRequest, which: str) -> None:
    for path in sorted(Path(__file__).parent.parent.glob("memread/**/*.py")):
        same(request.getfixturevalue(which), path.read_text(encoding="utf-8"))


def test_tokens_of_the_vocabulary(real: Pair, smollm2: Path) -> None:
    """A whole word that is a token is found at once; llama.cpp comes to it by merging."""
    letters = {letter: byte for byte, letter in enumerate(bpe._byte_letters())}
    for token in gguf.read_header(smollm2).array("tokenizer.ggml.tokens")[17::5]:
        text = bytes(letters[letter] for letter in str(token)).decode("utf-8", "ignore")
        assert real[0].encode(text) == real[1].encode(text)


def test_every_character_of_the_scripts(tiny: Pair) -> None:
    """After a letter, after a space and around a digit; one ideograph in sixteen."""
    few = (*range(0x3400, 0xA000, 16), *range(0xAC00, 0xD800, 16), *range(0x20000, 0x110000, 64))
    characters = [chr(c) for c in (*range(0x3400), *few, *range(0xA000, 0xAC00), *range(0xE000, 0x20000))]
    same(tiny, "".join(f"a{c} {c}1{c}" for c in characters))


@given(st.text(max_size=60))
def test_any_text_with_a_small_vocabulary(tiny: Pair, text: str) -> None:
    same(tiny, text)


@given(st.text(max_size=60))
def test_any_text(real: Pair, text: str) -> None:
    same(real, text)


@given(st.text(alphabet=LETTERS, max_size=40))
def test_any_text_of_the_characters_that_matter(real: Pair, text: str) -> None:
    same(real, text)


@pytest.mark.parametrize("pre", sorted(bpe.known()))
def test_each_pre_tokenizer_splits_as_llama_cpp_does(pre: str, tmp_path: Path) -> None:
    # Ids 3, 5 and 6 are found in any text; 4, <reponame>, is not, whatever its type is.
    path = write_tiny_gguf(tmp_path / "model.gguf", pre=pre, user_defined=(3, 4, 5, 6), layers=1)
    pair = load(path)
    draw = random.Random(pre)
    for text in TEXTS[:-4]:  # without the long runs, which llama.cpp's own regular expressions are slow on
        same(pair, text)
    for _ in range(40):
        text = "".join(draw.choices(LETTERS, k=draw.randint(1, 40)))
        same(pair, text)
        same(pair, f"{text}<filename><repo_name>{text}<reponame><file_sep><filename> {text}")
    pair[1].close()


def test_lone_surrogates_are_question_marks(tiny: Pair) -> None:
    tokenizer, _ = tiny
    assert tokenizer.encode("a\ud800b\udfff") == tokenizer.encode("a?b?")


def test_long_texts_are_cut_where_nothing_changes(real: Pair) -> None:
    draw = random.Random(7)
    words = ["whale", " the", "it's", "\n\n", " 1851", "…", "中文。", "\t\t", ", and", " ", "ü", "'ll"]
    text = "".join(draw.choices(words, k=120_000))
    assert len(list(bpe._pieces(text))) > 5
    same(real, text)


@pytest.mark.parametrize("pre", ["smollm", "llama-bpe", "default", "gpt-2", "tekken", "gpt-4o", "qwen35"])
def test_endless_runs_neither_panic_nor_hang(pre: str, tmp_path: Path) -> None:
    """tiktoken panics (which is not an Exception) when a run is too long for its regular expressions."""
    tokenizer = bpe.tokenizer(gguf.read_header(write_tiny_gguf(tmp_path / "model.gguf", pre=pre, layers=1)))
    assert tokenizer is not None
    for letter in (" ", "\n", "a", "1", "!", "\u3000", " \n"):
        run = letter * (bpe._LONGEST // len(letter) - 1)
        for end in ("", "x", "1") if letter.isspace() else ("",):
            assert 0 < tokenizer.count(run + end) <= len((run + end).encode())


def test_more_than_can_be_encoded_at_once(tiny: Pair) -> None:
    tokenizer, _ = tiny
    started = time.monotonic()
    assert tokenizer.count(" " * 3_000_000 + "x") > 0
    assert time.monotonic() - started < 20  # 0.5 s when nothing else runs


def test_a_forced_cut_costs_a_few_tokens_only(real: Pair) -> None:
    tokenizer, llama = real
    text = " " * 600_000 + "x"
    assert abs(tokenizer.count(text) - len(llama.encode(text))) <= 8


def test_what_is_not_a_known_bpe_is_left_to_llama_cpp(tmp_path: Path) -> None:
    assert bpe.tokenizer(gguf.read_header(write_tiny_gguf(tmp_path / "spm.gguf", vocab="spm"))) is None
    unknown = write_tiny_gguf(tmp_path / "new.gguf", pre="invented-tomorrow")
    assert bpe.tokenizer(gguf.read_header(unknown)) is None


@pytest.mark.parametrize(
    ("tokens", "merges"),
    [
        (["a", "b"], ["a b"]),
        (["a", "b", "ab"], []),
        (["a", "b", "ab"], ["a\u2028 b"]),
        (["a", "b", "ab"], ["a\nb"]),
        (["中", "文", "中文"], ["中 文"]),
    ],
)
def test_a_vocabulary_that_is_not_of_bytes(tmp_path: Path, tokens: list[str], merges: list[str]) -> None:
    writer = GGUFWriter(tmp_path / "m.gguf", "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    if merges:
        writer.add_token_merges(merges)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    assert bpe.tokenizer(gguf.read_header(tmp_path / "m.gguf")) is None


def test_is_built_quickly(smollm2: Path) -> None:
    bpe.tokenizer(gguf.read_header(smollm2))
    started = time.monotonic()
    bpe.tokenizer(gguf.read_header(smollm2))
    assert time.monotonic() - started < 2  # 0.17 s when nothing else runs
