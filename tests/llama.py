"""llama.cpp's own tokenizer, through its low-level API: what memread's is compared with."""

from __future__ import annotations

import ctypes
from pathlib import Path

import llama_cpp


@llama_cpp.llama_log_callback
def _silent(level: int, text: bytes, data: object) -> None:
    pass


class LlamaVocabulary:
    """A GGUF's vocabulary alone, loaded by llama.cpp."""

    def __init__(self, path: Path) -> None:
        llama_cpp.llama_log_set(_silent, ctypes.c_void_p(0))
        parameters = llama_cpp.llama_model_default_params()
        parameters.vocab_only = True
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), parameters)
        assert self.model is not None
        self.vocabulary = llama_cpp.llama_model_get_vocab(self.model)

    def encode(self, text: str) -> list[int]:
        """Special-token parsing off, nothing added."""
        data = text.encode("utf-8", "replace")
        ids = (llama_cpp.llama_token * (len(data) + 8))()
        count = llama_cpp.llama_tokenize(self.vocabulary, data, len(data), ids, len(ids), False, False)
        assert count >= 0
        return list(ids[:count])

    def close(self) -> None:
        llama_cpp.llama_model_free(self.model)
