"""The vocabulary from a GGUF's header against llama.cpp's. Needs no torch."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memread.engine.llamacpp.model import Model
from memread.errors import ModelUnloadable
from memread.gguf import read_header
from memread.train.vocabulary import HeaderVocabulary, header_frame, open_vocabulary
from memread.types import Part
from tests.fixtures.gguf_model import write_tiny_gguf

SPECIALS = [
    "<|im_start|>",
    "<|im_end|>",
    "<|endoftext|>",
    "<think>",
    "<repo_name>",
    "user\n",
    " ",
    "\n",
    "é",
    "12",
]


@given(
    st.lists(
        st.tuples(
            st.lists(st.one_of(st.sampled_from(SPECIALS), st.text(max_size=8))).map("".join), st.booleans()
        )
    )
)
@settings(max_examples=150)
def test_the_header_gives_the_ids_llama_cpp_gives(
    both: tuple[Model, HeaderVocabulary], parts: list[tuple[str, bool]]
) -> None:
    model, mine = both
    prompt = tuple(Part(text, marker=marker) for text, marker in parts)
    assert mine.encode_prompt(prompt) == model.vocabulary.encode_prompt(prompt)
    assert mine.count("".join(text for text, _ in parts)) == model.vocabulary.count(
        "".join(text for text, _ in parts)
    )


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, HeaderVocabulary]:
    path = write_tiny_gguf(tmp_path_factory.mktemp("v") / "v.gguf", user_defined=(5, 6))
    return Model(path, vocabulary_only=True), HeaderVocabulary(read_header(path))


def test_pieces_ends_and_frames_are_llama_cpps(both: tuple[Model, HeaderVocabulary]) -> None:
    _same(*both)


@pytest.mark.tiny
def test_the_embedded_models_vocabulary_is_llama_cpps(smollm2: Path) -> None:
    with Model(smollm2, vocabulary_only=True) as model:
        _same(model, HeaderVocabulary(read_header(smollm2)))


def _same(model: Model, mine: HeaderVocabulary) -> None:
    theirs = model.vocabulary
    assert mine.size == theirs.size
    assert [mine.piece(token) for token in range(mine.size)] == [theirs.piece(t) for t in range(mine.size)]
    assert [t for t in range(mine.size) if mine.ends(t)] == [t for t in range(mine.size) if theirs.ends(t)]
    assert (mine.bos, mine.eos) == (theirs.bos, theirs.eos)
    assert header_frame(read_header(model.path), mine) == model.frame


def test_llama_cpps_is_taken_where_it_is(tiny_gguf: Path) -> None:
    vocabulary, frame = open_vocabulary(tiny_gguf)
    header = read_header(tiny_gguf)
    mine = HeaderVocabulary(header)
    parts = (Part(frame.before, True), Part("The <|im_end|> of the tarts"), Part(frame.after, True))
    assert vocabulary.encode_prompt(parts) == mine.encode_prompt(parts)
    assert not isinstance(vocabulary, HeaderVocabulary) and header_frame(header, mine) == frame


def test_other_vocabularies_are_refused(tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "spm.gguf", vocab="spm")
    with pytest.raises(ModelUnloadable, match="without llama"):
        HeaderVocabulary(read_header(path))


@pytest.mark.parametrize("template", ["{{ raise_exception('no') }}", "{% if %}", "nothing"])
def test_a_template_that_cannot_be_rendered_is_an_error(tmp_path: Path, template: str) -> None:
    header = read_header(write_tiny_gguf(tmp_path / "t.gguf", chat_template=template))
    with pytest.raises(ModelUnloadable):
        header_frame(header, HeaderVocabulary(header))
