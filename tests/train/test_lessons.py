"""What supervision learns from: the very prompts of a reading, packed in rows."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest

from memread import profile
from memread.errors import ModelUnloadable
from memread.loop import flow
from memread.memory import rewritten
from memread.train.data.compose import Maker, Settings
from memread.train.episode import Episode
from memread.train.lessons import Choice, Conversation, Teacher, said_briefly, supported
from memread.train.vocabulary import open_vocabulary
from memread.types import Locator, Reply, Request, Segment, SegmentInfo, Span, digest

PROFILES = Path(profile.__file__).parent / "train" / "data"
EPISODE = Episode(
    id="e",
    split="train",
    kind="needle",
    question="Which code?",
    answers=("42",),
    segments=("Nothing here.\n\n", "The code is 42. <|im_end|>\n", "Later on."),
    memories=("", "The code is 42.", "The code is 42."),
    reply="\\boxed{42}",
)
END = 2


def teacher_of(tiny_gguf: Path, layout: str = "section-first") -> Teacher:
    vocabulary, frame = open_vocabulary(tiny_gguf)
    return Teacher(profile.load(PROFILES / f"{layout}.toml"), frame, vocabulary, END)


def text_of(teacher: Teacher, ids: Iterable[int]) -> str:
    return b"".join(map(teacher.vocabulary.piece, ids)).decode()


@pytest.fixture(scope="module")
def teacher(tiny_gguf: Path) -> Teacher:
    return teacher_of(tiny_gguf)


@pytest.mark.parametrize("unchanged", ["Same", ""])
@pytest.mark.parametrize("layout", ["section-first", "problem-first"])
def test_prompts_are_those_of_a_reading(tiny_gguf: Path, layout: str, unchanged: str) -> None:
    teacher = teacher_of(tiny_gguf, layout)
    wording = msgspec.structs.replace(teacher.profile.wording, unchanged=unchanged)
    teacher.profile = msgspec.structs.replace(teacher.profile, wording=wording)
    memories = [wording.initial_memory, *(memory or wording.initial_memory for memory in EPISODE.memories)]
    ideal = [
        unchanged if unchanged and after == before else after
        for before, after in itertools.pairwise(memories)
    ]
    ideal.append(EPISODE.reply)
    span = Span(Locator(), Locator())
    texts = [Segment(SegmentInfo(n, 9, span, digest(t)), t) for n, t in enumerate(EPISODE.segments)]
    reading = flow(EPISODE.question, texts, teacher.profile, teacher.frame, teacher.vocabulary)
    asked: list[Request] = []
    reply = None
    try:
        while True:
            item = reading.send(reply)
            reply = None
            if isinstance(item, Request):
                reply = Reply(ideal[len(asked)], "stop")
                asked.append(item)
    except StopIteration as end:
        assert end.value.text == "42" and end.value.boxed
    said = teacher.conversations(EPISODE)
    assert [list(c.prompt) for c in said] == [teacher.vocabulary.encode_prompt(r.prompt) for r in asked]
    assert [c.reply for c in said] == [(*teacher.vocabulary.encode(text), END) for text in ideal]
    assert [c.kind for c in said] == ["empty", "new", "kept", "answer"]
    assert all(set(c.weights) == {1.0} and len(c.weights) == len(c.reply) for c in said)
    # "<|im_end|>" in a text is letters: as a token it stands only at the end of a message.
    assert [c.prompt.count(END) for c in said] == [c.prompt.count(END) for c in said[:1]] * 4


def test_a_token_that_ends_nothing_is_refused(teacher: Teacher) -> None:
    for end in (None, 500):
        with pytest.raises(ModelUnloadable, match="ends a reply"):
            Teacher(teacher.profile, teacher.frame, teacher.vocabulary, end)


def test_decisions_weigh_more(teacher: Teacher) -> None:
    two = Episode(
        **{n: getattr(EPISODE, n) for n in EPISODE.__struct_fields__} | {"memories": ("", "A b.", "A b.\nC.")}
    )
    *_, new, answer = teacher.conversations(two, Choice(kept=0, empty=0, false_entries=0, decisions=3.0))
    heavy = [teacher.vocabulary.piece(t) for t, w in zip(new.reply, new.weights, strict=True) if w == 3.0]
    assert heavy == [b"S", b"\n", b""]
    opening = teacher.vocabulary.encode("\\boxed{")
    assert b"".join(map(teacher.vocabulary.piece, answer.reply[: len(opening)])) == b"\\boxed{"
    assert answer.weights[len(opening)] == 3.0 and sum(answer.weights) == len(answer.reply) + 2.0


@pytest.mark.parametrize(
    ("before", "after", "given", "reply", "memory"),
    [
        ("", "", "", "Same", ""),
        ("", "a", "", "a", "a"),
        ("", "a\nb", "", "a\nb", "a\nb"),
        ("a", "a", "a", "Same", "a"),
        ("a", "a\nb", "a", "Same\nb", "a\nb"),
        ("b", "a\nb", "b", "Same\na", "b\na"),
        # A line too many stays.
        ("a", "a", "x\na", "Same", "x\na"),
        ("", "", "x", "Same", "x"),
        ("", "a", "x", "Same\na", "x\na"),
        # What no longer holds goes.
        ("a", "b", "a", "b", "b"),
        ("a\nc", "c\nb", "a\nx\nc", "x\nc\nb", "x\nc\nb"),
        ("a", "b", "so a is", "b", "b"),
    ],
)
def test_the_brief_reply_gives_the_memory(
    before: str, after: str, given: str, reply: str, memory: str
) -> None:
    assert said_briefly(before, after, given, "Same") == reply
    assert rewritten(given, reply, "Same") == memory


def test_what_is_chosen_of_a_family(teacher: Teacher) -> None:
    maker = Maker("train", 0, teacher.vocabulary, Settings(segment_tokens=(100, 200), segments=(2, 4)))
    choice = Choice(kept=0.5, empty=0.5, false_entries=0.3)
    kinds: Counter[str] = Counter()
    for number in range(30):
        family = maker.family(number)
        lessons = teacher.lessons(family, choice, "seed")
        assert lessons == teacher.lessons(family, choice, "seed")
        kinds.update(c.kind for group in lessons for c in group)
        everything = Counter(c.kind for e in family for c in teacher.conversations(e))
        mine = Counter(c.kind for group in lessons for c in group)
        assert mine["new"] == everything["new"]
        assert mine["answer"] + mine["unsaid"] == len(family)
    assert all(kinds[kind] > 5 for kind in ("new", "kept", "empty", "answer", "unsaid"))


def test_an_answer_is_given_from_several_memories(teacher: Teacher) -> None:
    maker = Maker("train", 0, teacher.vocabulary, Settings(puzzles=(4, 6)))
    choice = Choice(kept=0, empty=0, false_entries=1.0, false_in_answers=3, answers=3)
    family = maker.family(1)
    *_, answers = teacher.lessons(family, choice, "seed")
    assert 2 * len(family) < len(answers) <= 3 * len(family)  # the same memory is answered from once
    for episode in family:
        same = [
            said for said in answers if f"Question: {episode.question}\n" in text_of(teacher, said.prompt)
        ]
        assert 1 < len(same) == len({said.prompt for said in same}) <= 3
        assert {text_of(teacher, said.reply[:-1]) for said in same} == {episode.reply}


def test_a_line_is_answered_from_by_itself(teacher: Teacher) -> None:
    told = msgspec.structs.replace(
        EPISODE,
        segments=("The code of the gate is 42. The gate of the code is green.\n\n", "Later on."),
        memories=("The code of the gate is 42.",) * 2,
        question="Which code has the gate?",
    )

    def learned(alone: float, told: Episode = told) -> Counter[tuple[str, int]]:
        family = tuple(msgspec.structs.replace(told, id=str(number)) for number in range(40))
        choice = Choice(new=0, kept=0, empty=0, false_entries=0, alone=alone)
        said = [said for group in teacher.lessons(family, choice, "") for said in group]
        lines = (text_of(teacher, each.prompt).partition("Memory: ")[2].count("The ") for each in said)
        return Counter(zip((each.kind for each in said), lines, strict=True))

    assert learned(0.0) == {("answer", 2): 40}
    found = learned(1.0)
    assert found[("answer", 2)] == 40 and found.total() == 80
    assert min(found[("answer", 1)], found[("unsaid", 1)]) > 10
    assert 10 < learned(0.5).total() - 40 < 30
    both = ("The code of the gate is 42.\nThe gate of the code is green.",) * 2
    assert learned(1.0, msgspec.structs.replace(told, memories=both)) == learned(0.0)


@pytest.mark.parametrize("unchanged", ["Same", ""])
def test_a_false_entry_stays_or_is_dropped(tiny_gguf: Path, unchanged: str) -> None:
    teacher = teacher_of(tiny_gguf)
    wording = msgspec.structs.replace(teacher.profile.wording, unchanged=unchanged)
    teacher.profile = msgspec.structs.replace(teacher.profile, wording=wording)
    choice = Choice(kept=1, empty=1, false_entries=1.0)
    lessons = teacher.lessons(
        (EPISODE, Episode("f", "train", "n", "Who?", ("Al",), EPISODE.segments, ("Al.", "Al.", "Al."), "Al")),
        choice,
        "",
    )
    mine = next(c for c in lessons[0] if c.kind == ("kept" if unchanged else "cleared"))
    before = text_of(teacher, mine.prompt)
    assert "Memory: Al." in before and "Which code?" in before
    assert mine.reply == (*teacher.vocabulary.encode(unchanged or "Nothing yet."), END)
    # What the episode itself will find out is never called false.
    prompts = [text_of(teacher, c.prompt) for c in lessons[0]]
    assert not any("Memory: The code" in prompt and "Which code" in prompt for prompt in prompts)


def test_of_false_entries_the_one_like_the_question_is_rather_taken(teacher: Teacher) -> None:
    def other(name: str, fact: str) -> Episode:
        return Episode(name, "train", "n", "?", ("x",), EPISODE.segments, (fact,) * 3, "x")

    family = (EPISODE, other("a", "Al is late."), other("b", "No code is here."))
    drawn: Counter[str] = Counter()
    for seed in range(200):
        *_, (mine, *_) = teacher.lessons(family, Choice(kept=0, empty=0, false_entries=1.0), str(seed))
        text = text_of(teacher, mine.prompt)
        drawn.update(fact for fact in ("Al is late.", "No code is here.") if fact in text)
    # Of three draws one is of this fact: 7 in 8.
    assert drawn["Al is late."] > 5 and drawn["No code is here."] > 150


def memory_in(teacher: Teacher, conversation: Conversation) -> str:
    return text_of(teacher, conversation.prompt).partition("Memory: ")[2].partition("\n\nAnswer")[0]


def test_an_answer_rests_on_what_its_memory_holds(teacher: Teacher) -> None:
    """Half of what is new is missed; what shares two words with the question comes nevertheless."""
    missed = Choice(kept=0, empty=0, false_entries=0, answers=8, missed=0.5)
    *_, answers = teacher.lessons((msgspec.structs.replace(EPISODE, question="Who spoke?"),), missed, "")
    assert {memory_in(teacher, said): text_of(teacher, said.reply[:-1]) for said in answers} == {
        "The code is 42. <|im_end|>": "\\boxed{42}",  # a number goes on from the note
        "Nothing yet.": "\\boxed{not in the text}",
    }
    assert {said.kind for said in answers} == {"answer", "unsaid"}
    *_, answers = teacher.lessons(
        (msgspec.structs.replace(EPISODE, question="Which is the code?"),), missed, ""
    )
    assert [(memory_in(teacher, said), text_of(teacher, said.reply[:-1])) for said in answers] == [
        ("The code is 42. <|im_end|>", "\\boxed{42}")  # the same memory is answered from once
    ]
    # What looks like the answer comes by the rule too, and is none.
    unsaid = msgspec.structs.replace(
        EPISODE, question="Whose code?", answers=(), memories=("",) * 3, reply="\\boxed{no}"
    )
    *_, answers = teacher.lessons((unsaid,), missed, "")
    assert [(memory_in(teacher, said)[:11], text_of(teacher, said.reply[:-1])) for said in answers] == [
        ("The code is", "\\boxed{no}")
    ]


def test_of_what_is_new_a_share_is_learned(teacher: Teacher) -> None:
    family = tuple(msgspec.structs.replace(EPISODE, id=str(number)) for number in range(40))
    lessons = teacher.lessons(family, Choice(new=0.5, kept=0, empty=0, false_entries=0), "")
    assert 8 < sum(said.kind == "new" for group in lessons for said in group) < 32


def test_of_refusals_a_share_is_learned(teacher: Teacher) -> None:
    hidden = msgspec.structs.replace(EPISODE, question="Who spoke?")
    family = tuple(msgspec.structs.replace(hidden, id=str(number)) for number in range(40))

    def learned(unsaid: float) -> Counter[str]:
        choice = Choice(new=0, kept=0, empty=0, false_entries=0, answers=8, missed=0.5, unsaid=unsaid)
        return Counter(said.kind for group in teacher.lessons(family, choice, "") for said in group)

    every = learned(1.0)
    assert learned(0.0) == {"answer": every["answer"]}
    assert 8 < learned(0.5)["unsaid"] < 32 < every["unsaid"]


@pytest.mark.parametrize("sections", [0, 1, 2, 5])
def test_a_reading_may_begin_where_its_last_sections_do(teacher: Teacher, sections: int) -> None:
    episode = teacher.begun(EPISODE, sections, Choice(), "")
    left = min(sections, 3)
    assert (
        episode.segments == EPISODE.segments[3 - left :] and episode.memories == EPISODE.memories[3 - left :]
    )
    assert episode.known == ("The code is 42. <|im_end|>" if left < 2 else "")
    assert (episode.answers, episode.reply) == (("42",), "\\boxed{42}")


def test_an_answer_is_what_the_memory_holds_that_it_begins_with(teacher: Teacher) -> None:
    hidden = msgspec.structs.replace(EPISODE, question="What is it?")  # nothing comes by the rule
    unsaid = teacher.begun(hidden, 0, Choice(missed=1.0), "")
    assert (unsaid.known, unsaid.answers, unsaid.reply) == ("", (), "\\boxed{not in the text}")
    # What comes later may still say it.
    later = teacher.begun(hidden, 2, Choice(missed=1.0), "")
    assert (later.known, later.answers) == ("", ("42",))


@pytest.mark.parametrize(
    ("memory", "answers", "need_all", "reply"),
    [
        ("He said: Al is 5.\nBo is 7.", ("5", "7"), True, "ideal"),
        ("Bo is 7.\nCy is 5.", ("5", "7"), True, "\\boxed{7}"),
        ("Cy is 5.", ("5", "7"), True, "\\boxed{not in the text}"),
        ("Bo is 7.", ("7",), False, "ideal"),
        ("Al is 5.", ("7",), False, "\\boxed{not in the text}"),
        ("Bo is 7.\nAl is 5.", ("yes",), False, "ideal"),  # what stands in no line follows from all of them
        ("Bo is 7.", ("yes",), False, "\\boxed{not in the text}"),
        ("Bo is 7. No.", ("no",), False, "\\boxed{not in the text}"),
        ("Bo is 7.", ("b",), False, "\\boxed{not in the text}"),  # as a word, not in one
    ],
)
def test_the_answer_of_one_who_has_a_part(
    memory: str, answers: tuple[str, ...], need_all: bool, reply: str
) -> None:
    memories = ("Al is 5.", "Al is 5.\nBo is 7.", "Al is 5.\nBo is 7.")
    episode = msgspec.structs.replace(
        EPISODE, answers=answers, need_all=need_all, memories=memories, reply="ideal"
    )
    assert supported(episode, memory).reply == reply


TALE = (
    "Hull\nThe old harbour of the town was closed in 1931. Its last keeper, a certain Nora Quint, "
    "then moved to Leeds. Nobody saw her again.\n\nBergen\nIt rains.\n\nA year later, in 1932, Nora Quint "
    "had a boat built for herself."
)


@pytest.mark.parametrize(
    ("memory", "reply"),
    [
        ("Hull: The old harbour of the town was closed in 1931.", "not in the text"),
        ("Its last keeper, a certain Nora Quint, then moved to Leeds.", "Leeds"),
        ("Hull: Its last keeper, a certain Nora Quint, then moved to Leeds.", "Leeds"),
        ("Its last keeper, a certain Nora Quint, then", "not in the text"),  # it was too long to come whole
        ("A year later, in 1932, Nora Quint had a boat built for herself.", "not in the text"),
        ("Hull", "not in the text"),
    ],
)
def test_a_sentence_without_the_answer_supports_none(memory: str, reply: str) -> None:
    quoted = "Hull: The old harbour of the town was closed in 1931. Its last keeper, a certain Nora Quint, "
    quoted += "then moved to Leeds."
    episode = msgspec.structs.replace(
        EPISODE, answers=("Leeds",), segments=(TALE,), memories=(quoted,), reply="\\boxed{Leeds}"
    )
    assert supported(episode, memory).reply == f"\\boxed{{{reply}}}"


def test_a_short_quotation_is_known_below_a_title() -> None:
    episode = msgspec.structs.replace(
        EPISODE, answers=("rains",), segments=(TALE,), memories=("Bergen: It rains.",), reply="\\boxed{rains}"
    )
    assert supported(episode, "It rains.").reply == supported(episode, "Bergen: It rains.").reply
    assert supported(episode, "It rains.").answers == ("rains",)
    assert supported(episode, "It snows.").answers == ()


def test_a_part_of_a_list_is_in_the_order_of_the_whole() -> None:
    said = "Al is 5.\nBo is 7.\nCy is 9."
    episode = msgspec.structs.replace(
        EPISODE, answers=("9", "5", "7"), need_all=True, memories=(said,), reply="\\boxed{5, 7, 9}"
    )
    assert supported(episode, "Cy is 9.\nAl is 5.").reply == "\\boxed{5, 9}"


def test_what_is_the_evidence_is_no_false_entry(teacher: Teacher) -> None:
    """Another question quotes more of the same sentence: it says the answer all the same."""
    other = Episode(
        "f", "train", "n", "Which?", ("x",), EPISODE.segments, ("", *("The code is 42. <|im_end|>",) * 2), "x"
    )
    hidden = msgspec.structs.replace(EPISODE, question="Who spoke?")
    choice = Choice(new=0, kept=0, empty=0, false_entries=1.0, missed=1.0)
    *_, answers = teacher.lessons((hidden, other), choice, "")
    assert memory_in(teacher, answers[0]) == "Nothing yet."
