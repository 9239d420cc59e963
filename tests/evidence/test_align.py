"""Finding passages: what is verified is there, at its true place, and what is not there never is."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memread.evidence import align
from memread.evidence.align import Match, Text

SHIP = (
    "The crew was paid in silver. On Christmas Day the Pequod sailed from Nantucket with thirty men aboard. "
    "Captain Ahab, who had lost 1 leg to a whale, did not speak.\nStarbuck feared him, "
    "for the voyage would take three years. No one deserted."
)
# Words no two of which are alike when inflected, none of which denies anything.
LISTED = (
    "harbor lantern captain silver whale anchor letter garden window bottle market river doctor uncle "
    "pepper candle forest hammer ticket saddle 12 47 1,850 Boston Elijah Maria"
)
WORDS = LISTED.split()


def found(statement: str, text: str = SHIP) -> Match:
    match = Text(text).find(statement)
    assert match is not None
    return match


def quote(statement: str, text: str = SHIP) -> str:
    match = found(statement, text)
    return text[match.start : match.end]


@pytest.mark.parametrize(
    "statement",
    [
        "On Christmas Day the Pequod sailed from Nantucket with thirty men aboard.",
        "the Pequod sailed from Nantucket",
        "THE PEQUOD  SAILED\nFROM NANTUCKET",
        "The Pequod sails from Nantucket.",
        "The Pequod sailed from Nantucket with a crew of thirty men aboard.".replace("a crew of ", ""),
        "Ahab lost 1 leg to a whale.",
        "Starbuck feared him",
    ],
)
def test_what_the_text_says_is_verified(statement: str) -> None:
    assert found(statement).verified


@pytest.mark.parametrize(
    ("statement", "missing"),
    [
        ("On Christmas Day the Pequod sailed from Nantucket with forty men aboard.", ("forty",)),
        ("Captain Ahab lost 2 legs to a whale.", ("2",)),
        ("Captain Bildad lost 1 leg to a whale.", ("Bildad",)),
        ("The Pequod never sailed from Nantucket with thirty men.", ("never",)),
        ("Captain Ahab did speak to a whale.", ()),  # denied
        ("The Pequod sailed with thirty men from Nantucket.", ()),  # another order
        ("Starbuck feared the voyage three years.", ()),  # it would take them
        ("One deserted", ()),
    ],
)
def test_what_it_says_otherwise_is_shown_and_not_verified(statement: str, missing: tuple[str, ...]) -> None:
    match = found(statement)
    assert not match.verified and match.missing == missing


@pytest.mark.parametrize("statement", ["The queen stole some tarts.", "He", "", "…", "Pequods Nantuckets"])
def test_what_it_does_not_say_has_no_passage(statement: str) -> None:
    assert Text(SHIP).find(statement) is None


def test_the_quote_is_the_sentence() -> None:
    assert quote("the crew was paid") == "The crew was paid in silver."
    assert quote("Starbuck feared him") == SHIP[SHIP.index("Starbuck") : SHIP.index(" No one")]
    assert quote("deserted", SHIP) == "No one deserted."


def test_a_line_of_a_log_is_quoted_and_not_its_neighbours() -> None:
    log = "".join(f"2026-01-01 12:{n:02d} worker {n} finished without errors\n" for n in range(60))
    assert quote("worker 37 finished without errors", log) == log.splitlines()[37]
    assert not found("worker 99 finished without errors", log).verified


def test_a_long_sentence_is_quoted_in_part_between_words() -> None:
    text = "whales and " * 100 + "the Pequod sank, " + "ships and " * 100
    said = quote("the Pequod sank", text)
    assert "the Pequod sank" in said and len(said) < 400 and f" {said} " in text


@pytest.mark.parametrize(
    ("text", "statement"),
    [
        ("彼は猫を飼っている。犬は嫌いだ。", "犬は嫌いだ"),
        ("他在北京买了三本书。然后回家了。", "他在北京买了三本书"),
        ("ذهب القبطان إلى البحر. ثم عاد إلى بيته.", "ثُمَّ عادَ إلى بيتِه"),
        ("הקפטן הפליג לים. אחר כך חזר.", "הקפטן הפליג לים"),
        ("กัปตันออกเรือไปทะเล แล้วกลับบ้าน", "ออกเรือไปทะเล"),
        ("Капитан вышел в море. Потом вернулся.", "капитан вышел в море"),
        ("Das Schiff fuhr nach Köln. Die Straße war leer.", "Die STRASSE war leer"),
        ("The harpoo-\nneer was paid £1,200.", "the harpooneer was paid £1200"),
        ("“It’s mine,” said Ahab’s mate.", "\"It's mine,\" said Ahab's mate."),
    ],
)
def test_scripts_and_typography_do_not_matter(text: str, statement: str) -> None:
    assert found(statement, text).verified


def test_letters_of_scripts_without_spaces_that_are_strewn_about_say_nothing() -> None:
    match = Text("他在北京买了三本书。然后回家了。").find("他北买三书然家")
    assert match is None or not match.verified


sentence = st.lists(st.sampled_from(WORDS), min_size=3, max_size=12).map(" ".join)


@given(st.lists(sentence, min_size=1, max_size=30), st.data())
def test_a_verbatim_statement_is_always_found_at_its_true_place(
    sentences: list[str], data: st.DataObject
) -> None:
    text = "".join(each.capitalize() + ". " for each in sentences)
    words = text.split()
    start = data.draw(st.integers(0, len(words) - 1))
    statement = " ".join(words[start : start + data.draw(st.integers(1, 100))])
    match = found(statement, text)
    assert match.verified and match.score == 1 and not match.missing
    # The first place where it stands, if there are several.
    at = text.casefold().index(statement.casefold().rstrip("."))
    assert match.start <= at and (
        at + len(statement) - 1 <= match.end or len(statement) > align._LONGEST_QUOTE
    )


@given(st.lists(sentence, min_size=1, max_size=30), st.data())
def test_a_statement_with_another_word_is_never_verified(sentences: list[str], data: st.DataObject) -> None:
    text = "".join(each + ". " for each in sentences)
    words = data.draw(st.sampled_from(sentences)).split()
    absent = data.draw(st.sampled_from(["13", "1,851", "Ishmael", "not", "drowned"]))
    words[data.draw(st.integers(0, len(words) - 1))] = absent
    match = Text(text).find(" ".join(words))
    assert match is None or not match.verified


@given(st.lists(sentence, min_size=1, max_size=8), st.data())
def test_what_is_verified_stands_there_in_order(sentences: list[str], data: st.DataObject) -> None:
    text = "".join(each + ". " for each in sentences)
    words = data.draw(st.sampled_from(sentences)).split()
    kept = data.draw(st.lists(st.sampled_from(range(len(words))), min_size=2, max_size=len(words)))
    said = [words[at] for at in (sorted(set(kept)) if data.draw(st.booleans()) else kept)]
    match = Text(text).find(" ".join(said))
    if match is not None and match.verified:
        there = iter(text[match.start : match.end].replace(".", "").split())
        assert all(word in there for word in said)


@given(st.text(max_size=3000), st.text(max_size=200))
def test_any_text_and_any_statement_do(text: str, statement: str) -> None:
    match = Text(text).find(statement)
    if match is not None:
        assert 0 <= match.start < match.end <= len(text)
        assert match.end - match.start <= align._LONGEST_QUOTE + 2 * align._QUOTE


HOSTILE = {
    "one word": "a" * 200_000,
    "one letter, spaced": "a " * 100_000,
    "two words": "whale ship " * 50_000,
    "no spaces, Chinese": "鲸" * 100_000,
    "marks": "a" + "\u0301" * 100_000,
    "apostrophes": "'’" * 50_000,
    "digits": "1," * 50_000 + "1" * 50_000,
    "hyphens": "a-\n" * 50_000,
    "stops": ". " * 50_000,
    "blank": "\n" * 100_000,
    "right to left": "ים " * 50_000 + "\u202e" * 1000,
    "random": " ".join(random.Random(1).choices(WORDS, k=50_000)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_the_work_is_bounded_whatever_the_text(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    real = align.LCSseq.editops

    class Counting:
        @staticmethod
        def editops(said: Sequence[str], read: Sequence[str]) -> Any:
            compared.append(len(said) * len(read))
            return real(said, read)

    monkeypatch.setattr(align, "LCSseq", Counting)
    text = Text(HOSTILE[name])
    assert len(text._words) <= len(HOSTILE[name])
    for statement in (
        "whale ship ahab",
        HOSTILE[name][:3000],
        "whale " * 500,
        "Boston harbor 12 Maria",
    ):
        compared.clear()
        text.find(statement)
        assert len(compared) <= align.WINDOWS
        assert all(work <= align.LONGEST * (3 * align.LONGEST + 8) for work in compared)
