"""The memory of a model that does not write all of it: what comes to it, what gives way when it is full."""

from __future__ import annotations

import math
import re
from bisect import bisect
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, pairwise

import msgspec

from memread.evidence.statements import sentences
from memread.evidence.words import words
from memread.protocols import Tokenizer

_LONGEST = 400
"""Characters of a sentence that come to a memory, at most."""
_ONWARD = 2
"""Lines that only go on from names of others, at most."""
_ABOUT = 50
"""Characters of a sentence that show what it is about."""
_TITLE = 80
"""Characters of a line that may be the title of what stands below it, at most."""
_ENDS = '.!?…:;,"”’)'
"""No title ends with one of these."""
_BEFORE = 60
"""Sentences without any word of the question that count as read, so that the first ones do not decide."""
_BLANK = re.compile(r"\n\s*\n")


class Nearest(msgspec.Struct, frozen=True):
    """Which sentences of a section come to a memory by their words, and which lines of it give way."""

    count: int
    """Sentences of a section, at most."""
    share: float = 0.6
    """Of what the best line has in common with the question: lines with less give way (docs/TRAINING.md)."""
    least: int = 2
    """Words that carry meaning which a sentence shares with the question, or all, if that has fewer."""


class Frequencies(msgspec.Struct, frozen=True):
    """In how many of the sentences read so far the words of a question stand."""

    sentences: int = 0
    having: dict[str, int] = {}
    """stem → how many have it; none for 0."""

    def after(self, section: str, question: str) -> Frequencies:
        """The same once `section` is read too."""
        asked = _stems(question)
        told = _told(section, asked)
        having = Counter(self.having)
        having.update(chain.from_iterable(asked & _stems(text) for text in told))
        return Frequencies(self.sentences + len(told), dict(having))

    def worth(self, words: Iterable[str]) -> float:
        """The sum of the words' inverse document frequencies (Spärck Jones 1972): a name that a book is full
        of says little about a sentence of it, however few of the lines at hand have it."""
        # fsum: a set has another order in each process, and the sum must not.
        return math.fsum(
            math.log((self.sentences + _BEFORE) / (self.having.get(word, 0) + 1)) for word in words
        )


def rewritten(known: str, reply: str, unchanged: str) -> str:
    """The memory that a reply gives; "" for none.

    known: the old memory, "" before anything was noted. unchanged: the word for it (Wording.unchanged). Below
    that stand lines that come to the memory. The word itself is never one of its lines, and nothing is said
    twice: neither a line nor what stands in another line.
    """
    if not unchanged:
        return reply
    lines = [line.strip() for line in reply.split("\n")]
    old = known.split("\n") if known and lines[0] == unchanged else []
    new = [line for line in lines if line and line != unchanged]
    return "\n".join(_once([*old, *new]))


def with_nearest(memory: str, section: str, question: str, rule: Nearest, met: Frequencies) -> str:
    """`memory` and sentences of `section`: those that have most in common with the question, as `rule` says,
    and up to two that go on from names which those say and the question does not.

    Of a long sentence that is the part, from a word of the question on, that has most in common with it.
    Lines that have far less in common with the question than the best one give way, unless they are the best
    about one of its names: a small model is misled by them.

    met: with `section`.
    """
    asked = _stems(question)
    lines = memory.split("\n") if memory else []
    told = _told(section, asked)
    shared = [asked & _stems(text) for text in told]
    worth = [*map(met.worth, shared)]
    least = min(rule.least, len(asked))
    fit = [place for place, common in enumerate(shared) if len(common) >= least > 0]
    chosen = sorted(sorted(fit, key=lambda place: -worth[place])[: rule.count])
    lines = _once([*lines, *(_passage(told[place], asked, met) for place in chosen)])
    near = _near(lines, asked, _names(question), met, rule.share)
    others = [line for line in lines if line not in near]
    others += [text for place, text in enumerate(told) if place not in chosen]
    onward = _onward(near, others, asked, met)
    return "\n".join(line for line in _once([*lines, *onward]) if line in near or line in onward)


def within(memory: str, question: str, limit: int, tokenizer: Tokenizer, met: Frequencies) -> str:
    """`memory` without so many of its lines that it has at most `limit` tokens; "" if none would be left.

    The line goes that has least in common with the question, the oldest of such. A word that they share
    counts for the less the more of what was read has it. If nothing gave way, what was noted first would keep
    out all that a long text says later.
    """
    if tokenizer.count(memory) <= limit:
        return memory
    lines, asked = memory.split("\n"), _stems(question)
    worth = [met.worth(asked & _stems(line)) for line in lines]
    while lines and tokenizer.count("\n".join(lines)) > limit:
        least = worth.index(min(worth))
        del lines[least], worth[least]
    return "\n".join(lines)


def _near(
    lines: Sequence[str], asked: frozenset[str], names: frozenset[str], met: Frequencies, share: float
) -> list[str]:
    """Those of `lines` that have about as much in common with the question as the best, or most of all about
    one of its names."""
    shared = [asked & _stems(line) for line in lines]
    worth = [*map(met.worth, shared)]
    least = share * max(worth, default=0.0)
    kept: set[int] = set()
    named: set[str] = set()
    for place in sorted(range(len(lines)), key=lambda place: -worth[place]):
        if worth[place] >= least or shared[place] & names - named:
            kept.add(place)
            named |= shared[place] & names
    return [lines[place] for place in sorted(kept)]


def _onward(near: Iterable[str], others: Iterable[str], asked: frozenset[str], met: Frequencies) -> list[str]:
    """Up to two of `others`: those that say most of the names in `near` that the question does not have."""
    known = frozenset(chain.from_iterable(_names(line) for line in near)) - asked
    say = {line: names for line in others if (names := _names(line) & known)}

    def worth(line: str) -> float:
        # What a sentence begins with is what it is about.
        about = _names(f". {line[:_ABOUT]}") & known
        return len(say[line]) + len(about) + 0.5 * len(_stems(line) & asked)

    best = sorted(say, key=worth, reverse=True)[:_ONWARD]
    return [_passage(line, asked | known, met) for line in say if line in best]


def _stems(text: str) -> frozenset[str]:
    """Of the words of `text` that carry meaning."""
    return _marks(text)[0]


def _names(text: str) -> frozenset[str]:
    """What is written like a name or is a number, but for the first word."""
    return _marks(text)[1]


@lru_cache(1 << 12)
def _marks(text: str) -> tuple[frozenset[str], frozenset[str]]:
    """Both. Kept: a sentence is looked at several times, and a line of the memory with every section."""
    found = words(text)
    telling = frozenset(word.stem for word in found if word.counts)
    return telling, frozenset(word.stem for word in found[1:] if word.counts and word.name)


@lru_cache(8)
def _told(section: str, asked: frozenset[str]) -> tuple[str, ...]:
    """What `_sentences` gives. Kept: a section is counted first (Frequencies.after), then looked through."""
    return tuple(_sentences(section, asked))


def _sentences(section: str, asked: frozenset[str]) -> Iterator[str]:
    """The sentences of `section`. Of a paragraph with its title above it the first one comes with that, and
    so does each that has a word of the question."""
    for block in _BLANK.split(section):
        lines = _unwrapped([line.strip() for line in block.splitlines() if line.strip()])
        title = _title(lines)
        above, text = (lines[:-2], lines[-1]) if title else (lines, "")
        yield from chain.from_iterable(map(sentences, above))
        named = _stems(title)
        for number, sentence in enumerate(sentences(text)):
            own = _stems(sentence)
            tells = not named <= own and (number == 0 or asked & own)
            yield f"{title}: {sentence}" if tells else sentence


def _title(lines: Sequence[str]) -> str:
    """The title above a block's only paragraph, and below such as "Document 3:", if at all; "" for none. A
    short line among others, as in a log, is not the title of the next."""
    if len(lines) != 2 and not (len(lines) == 3 and lines[0].endswith(":")):
        return ""
    title, text = lines[-2:]
    return title if len(title) <= _TITLE and title[-1] not in _ENDS and len(text) > 2 * len(title) else ""


def _unwrapped(lines: list[str]) -> list[str]:
    """One line where `lines` were cut to a width: each is as long as it can be, and one begins in small
    letters."""
    width = max(map(len, lines), default=0)
    full = all(len(line) + 1 + len(after.split()[0]) > width for line, after in pairwise(lines))
    return [" ".join(lines)] if full and any(line[0].islower() for line in lines[1:]) else lines


def _passage(sentence: str, asked: frozenset[str], met: Frequencies) -> str:
    """`sentence`; of a long one what has most in common with `asked`, from the last such word on."""
    if len(sentence) <= _LONGEST:
        return sentence
    near = [word for word in words(sentence) if word.stem in asked]
    ends = [word.end for word in near]

    def worth(place: int) -> float:
        until = bisect(ends, near[place].start + _LONGEST)
        return met.worth({word.stem for word in near[place:until]})

    first = near[max(reversed(range(len(near))), key=worth)].start
    kept = sentence[first : first + _LONGEST]
    return kept if first + _LONGEST >= len(sentence) else kept.rpartition(" ")[0] or kept


def _once(lines: Sequence[str]) -> list[str]:
    """`lines`, each once, without those that stand in another."""
    found = dict.fromkeys(lines)
    return [line for line in found if not any(_says(other, line) for other in found)]


def _says(longer: str, line: str) -> bool:
    """Whether `line` stands in a longer one, as whole words."""
    if line == longer or line not in longer:
        return False
    return re.search(rf"(?<!\w){re.escape(line)}(?!\w)", longer) is not None
