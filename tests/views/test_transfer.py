"""A download tells where it is: on a terminal, and where there is none."""

from __future__ import annotations

import io

import pytest

from memread.views.transfer import TransferView


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(stream: io.StringIO) -> str:
    with TransferView(stream) as view:
        view.at("m\x1b[2J[red]odel.gguf", 1_000_000, 4_000_000)
        view.advance(2_000_000)
        view.bar.refresh()
        view.say("the server: [bold]too\x1b]0;title\x07 many requests")
        view.at("other.gguf", 0, None)
        view.advance(5)
    return stream.getvalue()


def test_lines_without_a_terminal() -> None:
    assert shown(io.StringIO()).splitlines() == [
        "m[red]odel.gguf: 1 of 4 MB",
        "the server: [bold]too many requests",
        "other.gguf: 0 MB",
    ]


class Gone(io.StringIO):
    """Nobody is at the other end any more."""

    def __init__(self, error: type[OSError], *, terminal: bool) -> None:
        super().__init__()
        self._error, self._terminal = error, terminal

    def isatty(self) -> bool:
        return self._terminal

    def write(self, text: str) -> int:
        raise self._error

    def flush(self) -> None:
        raise self._error


@pytest.mark.parametrize("error", [BrokenPipeError, OSError])
@pytest.mark.parametrize("terminal", [False, True])
def test_a_download_need_not_be_watched(error: type[OSError], terminal: bool) -> None:
    assert shown(Gone(error, terminal=terminal)) == ""


def test_a_bar_on_a_terminal() -> None:
    text = shown(Terminal())
    assert (
        "m[red]odel.gguf" in text and "3.0/4.0 MB" in text and "the server: [bold]too many requests" in text
    )
    assert "title" not in text and "\x1b[2J" not in text
    assert text.rstrip().endswith("\x1b[2K") or "\x1b[?25h" in text, "the cursor is shown again"
