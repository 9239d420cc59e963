"""What the parent and the process with the model say to each other: MessagePack behind four bytes of length.

Every question gets one answer, in order; only Stop has none. The flag that interrupts a batch is memory that
both share: setting it needs no lock, so that a signal handler may do it.
"""

from __future__ import annotations

import mmap
import os
import secrets
import struct
import sys
import tempfile
from typing import BinaryIO, Final

import msgspec

from memread.engine.llamacpp.engine import Settings
from memread.protocols import Output
from memread.types import ChatFrame, EngineInfo, Finish, Request

_LENGTH: Final = struct.Struct("<I")
_FLAG_SIZE: Final = 2
"""Bytes: the flag, and the zero behind it (see LlamaEngine)."""


class Load(msgspec.Struct, frozen=True, tag="load"):
    """The first message: load the weights. Answered by Loaded, then Framed unless vocabulary_only."""

    path: str
    gpu_layers: int | None
    context: int
    vocabulary_only: bool = False
    verbose: bool = False
    adapter: str | None = None


class Create(msgspec.Struct, frozen=True, tag="create"):
    """Make the context. Answered by Created."""

    settings: Settings
    name: str
    digest: str


class Submit(msgspec.Struct, frozen=True, tag="submit"):
    """Answered by Accepted."""

    ticket: int
    request: Request


class Step(msgspec.Struct, frozen=True, tag="step"):
    """Answered by Stepped."""


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """Not answered."""

    ticket: int
    finish: Finish


class Count(msgspec.Struct, frozen=True, tag="count"):
    """Answered by Counted."""

    text: str


Question = Load | Create | Submit | Step | Stop | Count


class Loaded(msgspec.Struct, frozen=True, tag="loaded"):
    trained_context: int
    gpu_layers: int


class Framed(msgspec.Struct, frozen=True, tag="framed"):
    frame: ChatFrame


class Created(msgspec.Struct, frozen=True, tag="created"):
    info: EngineInfo


class Accepted(msgspec.Struct, frozen=True, tag="accepted"):
    pass


class Stepped(msgspec.Struct, frozen=True, tag="stepped"):
    outputs: tuple[Output, ...]


class Counted(msgspec.Struct, frozen=True, tag="counted"):
    tokens: int


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """An error of memread.errors, by name, instead of the answer."""

    error: str
    message: str
    hint: str


Reply = Loaded | Framed | Created | Accepted | Stepped | Counted | Failed

ENCODER: Final = msgspec.msgpack.Encoder()
QUESTIONS: Final = msgspec.msgpack.Decoder(Question)
REPLIES: Final = msgspec.msgpack.Decoder(Reply)


def frame(message: Question | Reply) -> bytes:
    """The bytes of a message."""
    data = ENCODER.encode(message)
    return _LENGTH.pack(len(data)) + data


def receive(stream: BinaryIO) -> bytes | None:
    """The next message; None at the end of the stream, and for half a message of a process that has died."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    data = stream.read(length)
    return data if len(data) == length else None


def encodable(text: str) -> str:
    """`text` as llama.cpp's vocabulary will see it: a lone surrogate has no UTF-8 form, and becomes "?"."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


class Flag:
    """A byte that this process and its children share: `data[0]`. 0 at first."""

    descriptors: tuple[int, ...]
    """What a child must inherit."""

    def __init__(self) -> None:
        if sys.platform == "win32":
            self.name = f"memread-{secrets.token_hex(8)}"
            self.descriptors = ()
            self.data = mmap.mmap(-1, _FLAG_SIZE, tagname=self.name)
            return
        if hasattr(os, "memfd_create"):  # needs no folder that can be written
            descriptor = os.memfd_create("memread-flag")
        else:
            descriptor, path = tempfile.mkstemp(prefix="memread-flag-")
            os.unlink(path)  # noqa: PTH108
        os.ftruncate(descriptor, _FLAG_SIZE)
        self.data = mmap.mmap(descriptor, _FLAG_SIZE)
        self.name, self.descriptors = str(descriptor), (descriptor,)

    def close(self) -> None:
        """No child can be started with it any more; it may still be set. Safe to call twice."""
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors = ()


def open_flag(name: str) -> mmap.mmap:
    """The flag of that name, in the child."""
    if sys.platform == "win32":
        return mmap.mmap(-1, _FLAG_SIZE, tagname=name)
    descriptor = int(name)
    flag = mmap.mmap(descriptor, _FLAG_SIZE)
    os.close(descriptor)
    return flag
