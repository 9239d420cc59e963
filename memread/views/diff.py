"""What a rewritten memory gained and lost, in sentences, and in words where a sentence was reworded."""

from __future__ import annotations

import difflib
import functools
from dataclasses import dataclass
from typing import Literal

import regex

# A sentence ends at its mark and white space, or at a mark that needs no space (Chinese, Japanese).
_SENTENCE = regex.compile(
    r"(?<=[.!?…][\"'”’)\]]?)\s+(?=[\p{Lu}\p{Lo}\d\"'“‘(\[*-])|(?<=[。！？][」』”]?)(?=\S)"
)
# Scripts that write no spaces between words are compared by the letter.
_WORD = regex.compile(
    r"(?V1)\s+|[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]"
    r"|[[\p{L}\p{M}\p{N}_'’\-]--[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]]+|\S"
)

Sign = Literal["=", "+", "-"]

_STRAY = 4
"""Characters: a shorter word alone in common, between two that are not, makes no sense by itself."""
_ANCHOR = 7
"""Characters, at least, that an old and a new memory must share to be at the same place."""
_ALIKE = 0.5
"""From this share of common words on, a sentence counts as a new wording of another one."""


@dataclass(frozen=True)
class Run:
    """Some words of a line. `changed`: the line shares the others with its other wording."""

    text: str
    changed: bool = False


@dataclass(frozen=True)
class Line:
    """A line of a memory, or some of its sentences. `=` is in both memories, `+` and `-` in one."""

    sign: Sign
    runs: tuple[Run, ...]

    @property
    def text(self) -> str:
        return "".join(run.text for run in self.runs)


@functools.lru_cache(maxsize=4)
def compare(before: str, after: str) -> tuple[Line, ...]:
    """`after` in order, with what it dropped from `before` where it was."""
    old, new = units(before), units(after)
    matcher = difflib.SequenceMatcher(None, [_key(text) for text in old], [_key(text) for text in new], False)
    lines: list[Line] = []
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal":
            lines += [Line("=", (Run(text),)) for text in new[j1:j2]]
        else:
            lines += _replaced(old[i1:i2], new[j1:j2])
    return tuple(lines)


@functools.lru_cache(maxsize=4)
def changes(before: str, after: str) -> tuple[int, int]:
    """How many words `after` gained and lost."""
    old, new = _words(before), _words(after)
    matcher = difflib.SequenceMatcher(None, old, new, False)
    common = sum(block.size for block in matcher.get_matching_blocks())
    return len(new) - common, len(old) - common


def units(memory: str) -> list[str]:
    """The lines of a memory; the sentences of those that are prose."""
    return [part.strip() for line in memory.splitlines() for part in _SENTENCE.split(line) if part.strip()]


def remainder(before: str, written: str) -> str:
    """What of `before` comes after the place that a text which is being written over it has reached.

    That place is where both have the same last few words; all of `before` when they have none.
    """
    words = [found.span() for found in _WORD.finditer(written) if not found[0].isspace()]
    for end in range(len(words), 2, -1):
        start = end - 3
        while start > 0 and words[end - 1][1] - words[start][0] < _ANCHOR:
            start -= 1
        phrase = written[words[start][0] : words[end - 1][1]]
        at = before.find(phrase)
        if at >= 0:
            rest = before[at + len(phrase) :]
            # Reworded since: what is left of the old sentence's punctuation says nothing.
            return rest if end == len(words) else " " + rest.lstrip(" \n.,;:!?。、！？")
    return before


def _replaced(old: list[str], new: list[str]) -> list[Line]:
    """Sentences that took the place of others: each new wording with what it lost, then what is gone."""
    lines: list[Line] = []
    left = [_tokens(text) for text in old]
    for text in new:
        tokens = _tokens(text)
        best = max(range(len(left)), key=lambda i: _likeness(left[i], tokens), default=-1)
        if best < 0 or _likeness(left[best], tokens) < _ALIKE:
            lines.append(Line("+", (Run(text),)))
            continue
        # What stood before the sentence that was reworded, and has no successor, is gone.
        lines += [Line("-", (Run("".join(gone)),)) for gone in left[:best]]
        lines += _reworded(left[best], tokens)
        left = left[best + 1 :]
    return lines + [Line("-", (Run("".join(gone)),)) for gone in left]


def _reworded(old: list[str], new: list[str]) -> list[Line]:
    added: list[Run] = []
    dropped: list[str] = []
    for same, gone, come in _spans(_spaced(old), _spaced(new)):
        if come:
            added.append(Run(come, not same))
        if gone and not same:
            dropped.append(gone.strip())
        elif gone and dropped[-1:] != ["…"]:
            dropped.append("…")
    lines = [Line("-", (Run(" ".join(dropped)),))] if dropped and dropped != ["…"] else []
    if any(run.changed for run in added):
        return [*lines, Line("+", tuple(added))]
    return [*lines, Line("=", (Run("".join(new)),))]


def _spans(old: list[str], new: list[str]) -> list[tuple[bool, str, str]]:
    """Whether they are the same, and the text in both: in turns, no part of it a stray short word."""
    matcher = difflib.SequenceMatcher(None, [w.strip() for w in old], [w.strip() for w in new], False)
    spans: list[tuple[bool, str, str]] = []
    codes = matcher.get_opcodes()
    for at, (tag, i1, i2, j1, j2) in enumerate(codes):
        gone, come = "".join(old[i1:i2]), "".join(new[j1:j2])
        stray = 0 < at < len(codes) - 1 and len(come.strip()) <= _STRAY
        same = tag == "equal" and not stray
        if spans and spans[-1][0] == same:
            gone, come = spans[-1][1] + gone, spans[-1][2] + come
            spans.pop()
        spans.append((same, gone, come))
    return spans


def _spaced(tokens: list[str]) -> list[str]:
    """Words, each with the white space after it."""
    words: list[str] = []
    for token in tokens:
        if token.isspace() and words:
            words[-1] += token
        else:
            words.append(token)
    return words


def _likeness(old: list[str], new: list[str]) -> float:
    """The share of words in common, whatever their order: cheap, and good enough to pair sentences."""
    ours, theirs = {w.casefold() for w in old if w.strip()}, {w.casefold() for w in new if w.strip()}
    return 2 * len(ours & theirs) / (len(ours) + len(theirs)) if ours and theirs else 0.0


def _key(text: str) -> str:
    return " ".join(text.split())


def _tokens(text: str) -> list[str]:
    return _WORD.findall(text)


def _words(text: str) -> list[str]:
    return [word for word in _tokens(text) if any(c.isalnum() for c in word)]
