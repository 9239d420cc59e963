"""Ctrl-C while a model works in the program's own process."""

from __future__ import annotations

import os
import signal
import sys
import threading

import pytest

from memread import interrupts

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="os.kill ends the process there")


def _press() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    sum(range(1000))  # Python looks for signals between two instructions


def test_the_first_ctrl_c_asks_to_stop_and_the_second_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "_pressed", 0)
    before = signal.getsignal(signal.SIGINT)
    asked: list[int] = []
    with interrupts.held(lambda: asked.append(1)):
        interrupts.check()
        _press()
        assert asked == [1]
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()
        with pytest.raises(KeyboardInterrupt):
            _press()
    assert asked == [1] and signal.getsignal(signal.SIGINT) is before


def test_in_a_del_it_is_left_for_the_next_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Pressing:
        def __del__(self) -> None:
            _press()

    monkeypatch.setattr(interrupts, "_pressed", 0)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        interrupts.install()
        made = [Pressing()]
        made.clear()
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()
        with pytest.raises(KeyboardInterrupt):
            _press()
    finally:
        signal.signal(signal.SIGINT, before)
    assert capsys.readouterr().err == ""


def test_what_is_ignored_stays_so_and_other_threads_have_no_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "_pressed", 0)
    asked: list[int] = []

    def held() -> None:
        with interrupts.held(lambda: asked.append(1)):
            asked.append(2)

    monkeypatch.setattr(signal, "getsignal", lambda _: signal.default_int_handler)
    other = threading.Thread(target=held)
    other.start()
    other.join(10)
    assert asked == [2]
    monkeypatch.undo()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupts.held(lambda: asked.append(1)):
            _press()
            interrupts.check()
    finally:
        signal.signal(signal.SIGINT, before)
    assert asked == [2]
