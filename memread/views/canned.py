"""A reading of Moby-Dick (public domain) as events: for tests, demonstrations and pictures."""

from __future__ import annotations

from collections.abc import Iterator

from memread.events import (
    Answered,
    AnswerStarted,
    Event,
    EvidenceFound,
    MemoryUpdated,
    Piece,
    Prefilled,
    ReplyRejected,
    RunStarted,
    SegmentStarted,
)
from memread.evidence import Tracer
from memread.types import (
    Answer,
    Budget,
    Counts,
    Coverage,
    DocumentInfo,
    EngineInfo,
    Locator,
    Segment,
    SegmentInfo,
    Skipped,
    Span,
    digest,
)

QUESTION = "Why does Ishmael go to sea, and who becomes his friend before he sails?"

_START = "No previous memory"
_PURSE = "Ishmael, the narrator, has little or no money in his purse and nothing to interest him on shore."
_NOVEMBER = (
    "He goes to sea whenever it is a damp, drizzly November in his soul: it is his substitute for pistol "
    "and ball."
)
_SAILOR = "He always sails as a common sailor, never as a passenger."
_SPLEEN = (
    "Ishmael, the narrator, goes to sea to drive off the spleen: it is his substitute for pistol and ball."
)
_WHALE = "This time he wants to go whaling, drawn by the idea of the great whale itself."
_INN = "In New Bedford he takes a bed at the Spouter-Inn."
_LANDLORD = "The landlord, Peter Coffin, wants him to share it with an unknown harpooneer."
_SHARED = (
    "In New Bedford he shared a bed at the Spouter-Inn with Queequeg, a tattooed harpooneer from Kokovoko."
)
_PRINCE = (
    "In New Bedford he shared a bed at the Spouter-Inn with Queequeg, a tattooed harpooneer, son of a king "
    "of Kokovoko."
)
_AFRAID = "Afraid of him at first, he comes to find him honest and dignified."
_SMOKE = "They smoke together, Queequeg presses his forehead to his and calls him his bosom friend."
_SILVER = "He gives Ishmael half of his thirty dollars in silver."
_FRIENDS = "They are bosom friends: Queequeg gave him half of his thirty dollars in silver."
_MOSS = "On the schooner Moss Queequeg saves a bumpkin from drowning."
_ISLAND = "They reach Nantucket together to look for a ship."
_YOJO = "In Nantucket Queequeg's idol Yojo leaves the choice of a ship to Ishmael."
_CHOICE = "He chooses the Pequod, whose owners are the Quakers Peleg and Bildad."
_AHAB = "Her captain, Ahab, lost a leg to a whale."
_ELIJAH = "A ragged stranger, Elijah, warned them of Ahab."
_SAIL = "They sail on Christmas Day."
# Chapter, last page, and the memory after it.
_MEMORIES: tuple[tuple[str, int, tuple[str, ...]], ...] = (
    ("Loomings", 9, (_PURSE, _NOVEMBER, _SAILOR)),
    ("The Spouter-Inn", 24, (_PURSE, _NOVEMBER, _WHALE, _INN, _LANDLORD)),
    ("A Bosom Friend", 58, (_SPLEEN, _WHALE, _SHARED, _AFRAID, _SMOKE, _SILVER)),
    ("Nantucket", 71, (_SPLEEN, _WHALE, _PRINCE, _FRIENDS, _MOSS, _ISLAND)),
    ("The Ship", 96, (_SPLEEN, _WHALE, _PRINCE, _FRIENDS, _YOJO, _CHOICE, _AHAB)),
    ("Merry Christmas", 150, (_SPLEEN, _WHALE, _PRINCE, _FRIENDS, _CHOICE, _AHAB, _ELIJAH, _SAIL)),
)
_LAST_PAGE = 150
# Of each of those segments a few sentences of the book, by page: what evidence is found in.
_PASSAGES: tuple[tuple[tuple[int, str], ...], ...] = (
    (
        (1, "Having little or no money in my purse, and nothing particular to interest me on shore, I "),
        (1, "thought I would sail about a little. It is a way I have of driving off the spleen. "),
        (2, "Whenever it is a damp, drizzly November in my soul, I account it high time to get to sea "),
        (2, "as soon as I can. This is my substitute for pistol and ball. "),
        (5, "No, when I go to sea, I go as a simple sailor. "),
    ),
    (
        (9, "Chief among these motives was the overwhelming idea of the great whale himself. "),
        (14, "In New Bedford there was a swinging sign, and these words underneath: The Spouter-Inn. "),
    ),
    (
        (55, "He pressed his forehead against mine, and said that we were bosom friends. "),
        (56, "He drew out some thirty dollars in silver and pushed half of them towards me. "),
    ),
    ((60, "Queequeg was a native of Kokovoko, an island far away to the West and South. "),),
    (
        (74, "Old Captain Peleg was one of the principal owners of the Pequod, with Captain Bildad. "),
        (92, "Captain Ahab lost a leg to a whale on his last voyage. "),
    ),
    (
        (102, "A ragged stranger, Elijah, warned them of Ahab. "),
        (150, "They did not sail before Christmas Day. "),
    ),
)
_ANSWER = (
    "He goes to sea to drive off the spleen, as a \\boxed{substitute for pistol and ball; "
    "Queequeg, the harpooneer with whom he shares a bed at the Spouter-Inn, becomes his bosom friend}."
)
_PROMPT = 5812
_DOCUMENT = DocumentInfo(
    "moby-dick.epub", "epub", "Moby-Dick; or, The Whale", "Herman Melville", pages=_LAST_PAGE, size=1_246_000
)
_ENGINE = EngineInfo(
    "Qwen2.5-7B-MemAgent Q4_K_M", "qwen.gguf", digest("weights"), "b7123", "CUDA0 29/29 layers", 8192
)


def canned(segments: int | None = None) -> Iterator[Event]:
    """The events of a reading that ends with an answer. `segments`: stop after so many, without one."""
    yield RunStarted("7Q3KX", QUESTION, (_DOCUMENT,), _ENGINE, "memagent-7b", Budget(), True, memory=_START)
    page, total, tracer = 1, Counts(), Tracer(_START)
    for index, (chapter, last, sentences) in enumerate(_MEMORIES[:segments]):
        memory = " ".join(sentences)
        span = Span(
            Locator(page=str(page), page_number=page),
            Locator(page=str(last), page_number=last, chapter=chapter),
        )
        info = SegmentInfo(index, 4987 + index % 3, span, digest(chapter), round(last / _LAST_PAGE, 4))
        page = last
        yield SegmentStarted(info)
        yield from _prefill(_PROMPT)
        if index == 2:
            yield Skipped(Locator(page="41", page_number=41), "no text layer")
        if index == 4:
            looping = "He chooses the Pequod. " * 6
            yield from _pieces(looping)
            yield ReplyRejected(info, 0, "it repeats itself", looping)
        yield from _pieces(memory)
        counts = Counts(_PROMPT, 212, len(memory) // 5, 2.1, 1.9)
        total += counts
        yield MemoryUpdated(info, memory, "updated", counts)
        yield EvidenceFound(index, tracer.update(_segment(info, _PASSAGES[index]), memory))
    if segments is not None and segments < len(_MEMORIES):
        return
    final = memory
    yield AnswerStarted(final)
    yield from _prefill(640)
    yield from _pieces(_ANSWER)
    coverage = Coverage(6, 29_928, True, 1.0, span, skipped=1)
    boxed = _ANSWER[_ANSWER.index("{") + 1 : _ANSWER.rindex("}")]
    yield Answered(Answer(boxed, True, _ANSWER, final, coverage, total, tracer.evidence(boxed, QUESTION)))


def _segment(info: SegmentInfo, passages: tuple[tuple[int, str], ...]) -> Segment:
    text, places = "", []
    for page, passage in passages:
        places.append((len(text), Locator(page=str(page), page_number=page, chapter=info.span.end.chapter)))
        text += passage
    return Segment(info, text, tuple(places))


def _prefill(total: int, batch: int = 512) -> Iterator[Event]:
    for done in range(0, total, batch):
        yield Prefilled(min(done + batch, total), total)


def _pieces(text: str) -> Iterator[Event]:
    """The text in pieces as long as tokens."""
    for at in range(0, len(text), 5):
        yield Piece(text[at : at + 5])
