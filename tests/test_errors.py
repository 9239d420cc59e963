"""The tree of errors is what its docstring draws, and exit codes tell errors apart."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from memread import errors
from memread.errors import InputError, MemreadError, ModelError, ServerError, all_errors, by_name

GROUPS = {InputError, ModelError, ServerError}


def test_exit_codes_are_unique() -> None:
    codes = Counter(error.exit_code for error in all_errors() if error not in GROUPS)
    assert [code for code, times in codes.items() if times > 1] == []
    assert {group.exit_code for group in GROUPS} == {MemreadError.exit_code}
    assert not {0, errors.INTERRUPTED} & set(codes)
    # 126 to 128 and above 128 belong to shells and signals.
    assert all(0 < code < 126 for code in codes)


def test_the_docstring_draws_the_tree() -> None:
    drawn: dict[str, int | None] = {}
    parents: dict[str, str] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r" {4}([│├└─ ]*)([A-Z]\w+)(?: +(\d+))?", line)
        if match:
            depth = len(match[1]) // 4
            drawn[match[2]] = int(match[3]) if match[3] else None
            above = [*above[:depth], match[2]]
            if depth:
                parents[match[2]] = above[depth - 1]
    assert drawn == {error.__name__: None if error in GROUPS else error.exit_code for error in all_errors()}
    assert parents == {error.__name__: error.__mro__[1].__name__ for error in all_errors()[1:]}


@pytest.mark.parametrize("error", all_errors())
def test_every_error_survives_a_pipe(error: type[MemreadError]) -> None:
    found = by_name(error.__name__, "what happened", "what to do")
    assert type(found) is error
    assert (found.message, found.hint, str(found)) == ("what happened", "what to do", "what happened")


def test_an_unknown_name_is_still_an_error_of_ours() -> None:
    assert type(by_name("FutureError", "x")) is MemreadError
