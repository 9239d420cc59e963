"""The errors a user can meet. Each has one line, a hint and an exit code of its own.

    MemreadError                    1  (a fault in memread itself)
    ├── UsageError                  2
    ├── InputError
    │   ├── FileMissing             3
    │   ├── FileUnreadable          4
    │   ├── NothingToRead           5   directory or glob without readable files
    │   ├── PasswordNeeded          6
    │   ├── NoTextLayer             7
    │   ├── DrmProtected            8
    │   ├── DamagedDocument         9
    │   ├── BinaryFile             10
    │   └── EmptyInput             11
    ├── QuestionTooLong            12
    ├── ModelError
    │   ├── ModelMissing           13
    │   ├── NotGguf                14
    │   ├── ModelUnloadable        15
    │   ├── ContextTooSmall        16
    │   ├── DownloadFailed         30
    │   ├── DownloadCorrupt        31
    │   └── NoSpace                32
    ├── OutOfMemory                17
    ├── EngineFailed               18
    ├── JournalError               19
    ├── ConfigError                20
    └── ServerError
        ├── ServerUnreachable      21
        ├── ServerRefused          22
        ├── ServerFailed           23
        └── PromptCut              24

130 is an interrupted reading (its answer, if any, is printed all the same).
"""

from __future__ import annotations

from typing import ClassVar

INTERRUPTED = 130


class MemreadError(Exception):
    """Base of every error memread raises on purpose.

    message: one line, complete in itself. hint: what the user can do next, or "".
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(MemreadError):
    """The command line asks for something that makes no sense."""

    exit_code = 2


class InputError(MemreadError):
    """Something about a document stops it from being read."""


class FileMissing(InputError):
    exit_code = 3


class FileUnreadable(InputError):
    exit_code = 4


class NothingToRead(InputError):
    exit_code = 5


class PasswordNeeded(InputError):
    exit_code = 6


class NoTextLayer(InputError):
    exit_code = 7


class DrmProtected(InputError):
    exit_code = 8


class DamagedDocument(InputError):
    exit_code = 9


class BinaryFile(InputError):
    exit_code = 10


class EmptyInput(InputError):
    exit_code = 11


class QuestionTooLong(MemreadError):
    exit_code = 12


class ModelError(MemreadError):
    """Something about a model file stops it from being used."""


class ModelMissing(ModelError):
    exit_code = 13


class NotGguf(ModelError):
    exit_code = 14


class ModelUnloadable(ModelError):
    exit_code = 15


class ContextTooSmall(ModelError):
    exit_code = 16


class DownloadFailed(ModelError):
    """Network or server: another try may help, and goes on with what arrived."""

    exit_code = 30


class DownloadCorrupt(ModelError):
    """What arrived is not what was promised."""

    exit_code = 31


class NoSpace(ModelError):
    """The disk is too full for a model."""

    exit_code = 32


class OutOfMemory(MemreadError):
    exit_code = 17


class EngineFailed(MemreadError):
    """llama.cpp failed while it was working."""

    exit_code = 18


class JournalError(MemreadError):
    exit_code = 19


class ConfigError(MemreadError):
    """A configuration value, variable or profile is not valid."""

    exit_code = 20


class ServerError(MemreadError):
    """Something about a server stops it from being used as an engine."""


class ServerUnreachable(ServerError):
    """No connection: nothing listens, no such host, no trusted certificate."""

    exit_code = 21


class ServerRefused(ServerError):
    """It answers, but not to us: a key, a redirection, a request that it does not take."""

    exit_code = 22


class ServerFailed(ServerError):
    """It broke off, sent nonsense, kept silent or reported a fault of its own, and did so again."""

    exit_code = 23


class PromptCut(ServerError):
    """It read less than it was sent."""

    exit_code = 24


def all_errors() -> list[type[MemreadError]]:
    """Every error class, base first, in the order of the tree above."""
    found: list[type[MemreadError]] = [MemreadError]
    for error in found:
        found.extend(error.__subclasses__())
    return found


def by_name(name: str, message: str, hint: str = "") -> MemreadError:
    """The error class called `name` (as sent over a pipe by a child process), or the base."""
    for error in all_errors():
        if error.__name__ == name:
            return error(message, hint)
    return MemreadError(message, hint)
