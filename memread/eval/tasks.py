"""Every task by name, and what its items are made from."""

from __future__ import annotations

import difflib
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from memread.errors import UsageError
from memread.eval import haystack, hotpotqa, niah, qa
from memread.eval.item import Item
from memread.eval.records import Malformed
from memread.eval.variables import variables
from memread.eval.words import common_words, frequent_words
from memread.protocols import Tokenizer
from memread.types import LIMITS, Limits

GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "niah": tuple(niah.KINDS),
    "vt": ("vt",),
    "cwe": ("cwe",),
    "fwe": ("fwe",),
    "qa": ("qa_1", "qa_2"),
}
RULER: Final = tuple(itertools.chain.from_iterable(GROUPS.values()))
"""All thirteen."""
SHORTEST, LONGEST = 1024, 4 * 1024**2
"""Tokens: for what lies between, the lengths of texts are tested."""


class Sources:
    """What tasks are made from: the user's files, or those that ship. Each is read when first needed.

    prose: a document to hide needles in. squad, hotpotqa: question sets (qa.load_questions). corpus: more
    distractors for qa_1 and qa_2 (qa.load_pool), beside the paragraphs of their own question set. limits:
    what a page of a document may cost.
    """

    def __init__(
        self,
        prose: str | None = None,
        squad: str | None = None,
        hotpotqa: str | None = None,
        corpus: str | None = None,
        limits: Limits = LIMITS,
    ) -> None:
        self._limits = limits
        self._prose, self._squad, self._hotpotqa, self._corpus = prose, squad, hotpotqa, corpus

    @functools.cached_property
    def prose(self) -> haystack.Haystack:
        return haystack.book() if self._prose is None else haystack.load(self._prose, self._limits)

    @functools.cached_property
    def questions(self) -> dict[str, qa.Dataset]:
        """By task."""
        return {
            "qa_1": qa.load_questions(self._squad or qa.shipped("squad")),
            "qa_2": qa.load_questions(self._hotpotqa or qa.shipped("hotpotqa")),
        }

    @functools.cached_property
    def corpus(self) -> qa.Pool:
        return qa.load_pool(self._corpus) if self._corpus else qa.Pool(())

    @functools.cached_property
    def pools(self) -> dict[str, qa.Pool]:
        """The distractors of each task."""
        return {task: qa.distractors(dataset, self.corpus) for task, dataset in self.questions.items()}

    def malformed(self) -> tuple[Malformed, ...]:
        """The records of the question sets and the corpus that had to be skipped."""
        sets = (dataset.malformed for dataset in self.questions.values())
        return (*itertools.chain.from_iterable(sets), *self.corpus.malformed)


def expand(names: Iterable[str]) -> tuple[str, ...]:
    """Tasks for names of tasks and groups ("niah", "qa", …, "all"), each once, in RULER's order.

    Raises UsageError for a name that is neither.
    """
    wanted: set[str] = set()
    for name in names:
        if name == "all":
            wanted.update(RULER)
        elif name in GROUPS:
            wanted.update(GROUPS[name])
        elif name in RULER:
            wanted.add(name)
        else:
            known = [*GROUPS, *RULER, "all"]
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(dict.fromkeys(known))}."
            raise UsageError(f"{name!r} is not a task", hint)
    return tuple(task for task in RULER if task in wanted)


def make(
    task: str, length: int, count: int, seed: int, tokenizer: Tokenizer, sources: Sources
) -> Iterator[Item]:
    """`count` items of one of RULER, each planned when it is asked for, the first one at once.

    `length` is the text's, in tokens of `tokenizer`; the question comes on top. Raises UsageError here, not
    later, for a length out of range or too short for the task, or for more questions than there are.
    """
    _check(length)
    one: Callable[[int], Item]
    if task in niah.KINDS:
        one = lambda i: niah.needles(task, f"{task}/{length}/{i}", length, seed, tokenizer, sources.prose)  # noqa: E731
    elif task in _PLAIN:
        one = lambda i: _PLAIN[task](f"{task}/{length}/{i}", length, seed, tokenizer)  # noqa: E731
    elif task in ("qa_1", "qa_2"):
        chosen = hotpotqa.pick(sources.questions[task], task, count, seed)
        pool = sources.pools[task]
        one = lambda i: hotpotqa.by_length(  # noqa: E731
            task, f"{task}/{length}/{i}", chosen[i], length, seed, pool, tokenizer
        )
    else:
        raise UsageError(f"{task!r} is not one of RULER's tasks")
    return _eager(one, count)


def make_hotpotqa(
    dataset: qa.Dataset, pool: qa.Pool, documents: int, count: int, seed: int, tokenizer: Tokenizer
) -> Iterator[Item]:
    """`count` RULER-HotpotQA items of so many documents; every number has the same questions.

    pool: what qa.distractors makes of the question set and a corpus.

    Raises UsageError for fewer documents or questions than are needed.
    """
    chosen = hotpotqa.pick(dataset, "hotpotqa", count, seed)
    return _eager(
        lambda i: hotpotqa.by_documents(
            f"hotpotqa/{documents}/{i}", chosen[i], documents, seed, pool, tokenizer
        ),
        count,
    )


def make_grid(
    lengths: Sequence[int],
    depths: Sequence[float],
    count: int,
    seed: int,
    tokenizer: Tokenizer,
    sources: Sources,
) -> Iterator[Item]:
    """`count` items for each length and depth (0..1). Raises UsageError."""
    cells = [(length, depth, i) for length in lengths for depth in depths for i in range(count)]
    for length in lengths:
        _check(length)

    def one(number: int) -> Item:
        length, depth, i = cells[number]
        id = f"needle_grid/{length}/{depth:g}/{i}"
        return niah.grid(id, length, depth, seed, tokenizer, sources.prose)

    return _eager(one, len(cells))


_PLAIN: Final[dict[str, Callable[[str, int, int, Tokenizer], Item]]] = {
    "vt": variables,
    "cwe": common_words,
    "fwe": frequent_words,
}


def _check(length: int) -> None:
    if not SHORTEST <= length <= LONGEST:
        raise UsageError(f"{length} tokens are out of range", f"Texts have {SHORTEST} to {LONGEST} tokens.")


def _eager(one: Callable[[int], Item], count: int) -> Iterator[Item]:
    """The first item is made now: what is wrong with the request is said before hours are spent."""
    if count < 1:
        raise UsageError(f"{count} samples are asked for", "Ask for at least one.")
    first = one(0)
    return itertools.chain([first], (one(index) for index in range(1, count)))
