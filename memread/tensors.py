"""Where the weights lie in a GGUF file. Its metadata: gguf.py."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any, Final

import msgspec

from memread.errors import ModelUnloadable
from memread.gguf import Parser

_MAX_DIMENSIONS: Final = 4
_NUMPY: Final = {0: "<f4", 1: "<f2"}
"""ggml types that numpy can read as they are."""


class Tensor(msgspec.Struct, frozen=True):
    """One tensor of a file."""

    shape: tuple[int, ...]
    """As numpy has it: (outputs, inputs) of a matrix."""
    kind: int
    """ggml's enum ggml_type."""
    offset: int
    """In the file, in bytes."""

    @property
    def count(self) -> int:
        return prod(self.shape)


def tensors(path: Path) -> dict[str, Tensor]:
    """The tensors in one file, by name. Raises ModelMissing, NotGguf, ModelUnloadable."""
    with path.open("rb") as file:
        parser = Parser(file, path)
        header = parser.header()
        found: dict[str, Tensor] = {}
        for _ in range(header.tensor_count):
            name = parser.key()
            dimensions = parser.integer("<I")
            if dimensions > _MAX_DIMENSIONS:
                raise parser.damaged(f"a tensor of {dimensions} dimensions")
            sizes = [parser.integer("<Q") for _ in range(dimensions)]
            kind, offset = parser.integer("<I"), parser.integer("<Q")
            found[name] = Tensor(tuple(reversed(sizes)), kind, offset)
        alignment = header.number("general.alignment") or 32
        start = -(-parser.offset // alignment) * alignment
    return {
        name: msgspec.structs.replace(tensor, offset=start + tensor.offset) for name, tensor in found.items()
    }


def view(path: Path, tensor: Tensor, *, write: bool = False) -> Any:
    """The numbers of an F32 or F16 tensor, as a numpy array over the file itself.

    write: what is put into the array goes to the file. Raises ModelUnloadable.
    """
    import numpy as np

    kind = _NUMPY.get(tensor.kind)
    try:
        if kind is None:
            raise ValueError(f"numbers of type {tensor.kind}")
        return np.memmap(path, kind, "r+" if write else "r", tensor.offset, tensor.shape)
    except (ValueError, OverflowError) as error:  # beyond the end of the file
        raise ModelUnloadable(f"{path}: a tensor cannot be read ({error})") from error
