"""Scores and intervals, worked out by hand from the papers' definitions."""

from __future__ import annotations

import pytest

from memread.eval.intervals import bootstrap, interval, paired, wilson
from memread.eval.item import Item, Metric
from memread.eval.scores import all_scores, normalised, says_unanswered, score, score_by


@pytest.mark.parametrize(
    ("metric", "answers", "reply", "expected"),
    [
        # RULER's string_match_all: the share of the answers, any case, anywhere.
        ("all", ("1234567", "7654321"), "They are 1234567 and 7654321.", 1.0),
        ("all", ("1234567", "7654321", "1111111", "2222222"), "1234567, 2222222", 0.5),
        ("all", ("ABCDE",), "abcde", 1.0),
        ("all", ("art",), "a party", 1.0),  # RULER's own limit: letters within a word count
        ("all", ("1234567",), "", 0.0),
        # string_match_part: any of them.
        ("part", ("France", "Normandy"), "in normandy", 1.0),
        ("part", ("France", "Normandy"), "in Spain", 0.0),
        # SQuAD's exact match and F1.
        ("exact", ("The Eiffel Tower",), "eiffel tower!", 1.0),
        ("exact", ("Eiffel Tower",), "the tower", 0.0),
        ("exact", ("10th century", "tenth century"), "Tenth  century.", 1.0),
        ("f1", ("10th and 11th centuries",), "the 10th century", 2 * 1 / (4 + 2)),
        ("f1", ("Barack Obama",), "Obama, Barack", 1.0),
        ("f1", ("a b b c",), "b b d", 2 * 2 / (3 + 3)),  # "a" is an article; two b's are shared
        ("f1", ("x", "Denmark"), "Denmark and Norway", 2 * 1 / (1 + 3)),
        ("f1", ("no",), "no one", 0.0),  # HotpotQA's: a verdict shares no words
        ("f1", ("yes",), "Yes.", 1.0),
        # MemAgent's sub_em.
        ("substring", ("Rush",), "The band is Rush.", 1.0),
        ("substring", ("New York City",), "New York", 1.0),
        ("substring", ("1988",), "1", 0.0),
        ("substring", ("1988",), "The.", 0.0),
        ("substring", ("no",), "It is unknown.", 0.0),
        ("substring", ("yes",), "Yes, both are.", 1.0),
        ("substring", ("Rush",), "", 0.0),
    ],
)
def test_scores_are_the_papers(metric: Metric, answers: tuple[str, ...], reply: str, expected: float) -> None:
    assert score_by(metric, answers, reply) == pytest.approx(expected)


def test_normalisation() -> None:
    assert normalised(" The  U.S.A., an  Answer-a ") == "usa answera"
    assert normalised("theatre") == "theatre"


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("The text does not mention it.", True),
        ("No relevant information.", True),
        ("Unanswerable", True),
        ("It isn't stated in the documents.", True),
        ("It cannot be determined.", True),
        ("There is not enough context.", True),
        ("Not specified", True),
        ("Rollo", False),
        ("", False),
        ("In the northern state of Nothing", False),
        ("Rollo. The date is not mentioned.", False),  # it answered first
    ],
)
def test_refusals(reply: str, expected: bool) -> None:
    assert says_unanswered(reply) is expected


def test_an_item_is_scored_by_its_metric() -> None:
    def item(answers: tuple[str, ...]) -> Item:
        return Item("a", "a", 1, 0, "?", answers, "exact", lambda: iter(()))

    assert score(item(("Rollo",)), "rollo") == 1
    assert score(item(("Rollo",)), "it is rollo") == 0
    assert score(item(()), "The answer is not in the text.") == 1
    assert all_scores(item(("Rollo",)), "it is rollo") == {
        "all": 1.0,
        "part": 1.0,
        "exact": 0.0,
        "f1": pytest.approx(2 / 4),
        "substring": 1.0,
    }


def test_wilson() -> None:
    # By hand, z = 1.96: 8 of 10 has the middle (0.8 + 0.19207) / 1.38415 = 0.71674 and the half width
    # 1.96 / 1.38415 * sqrt(0.016 + 0.0096036) = 0.22659.
    assert wilson(8, 10).mean == 0.8
    assert wilson(8, 10).low == pytest.approx(0.4902, abs=2e-4)
    assert wilson(8, 10).high == pytest.approx(0.9433, abs=2e-4)
    # At the ends: z²/(n + z²) = 3.8415 / 23.8415.
    assert (wilson(0, 20).low, wilson(20, 20).high) == (0.0, 1.0)
    assert wilson(0, 20).high == pytest.approx(0.16113, abs=1e-4)
    assert wilson(20, 20).low == pytest.approx(1 - 0.16113, abs=1e-4)
    for right, total in [(0, 0), (3, 2), (-1, 2)]:
        with pytest.raises(ValueError):
            wilson(right, total)


def test_bootstrap() -> None:
    # Of two values, a resample's mean is 0, 1/2 or 1 with 1/4, 1/2, 1/4: both ends are within 95 %.
    two = bootstrap([0.0, 1.0])
    assert (two.mean, two.low, two.high) == (0.5, 0.0, 1.0)
    same = bootstrap([0.25] * 7)
    assert (same.mean, same.low, same.high) == (0.25, 0.25, 0.25)
    # 400 values of deviation 0.5: the normal interval is 0.5 ± 1.96 * 0.5 / 20 = ± 0.049.
    many = bootstrap([0.0, 1.0] * 200)
    assert many.low == pytest.approx(0.451, abs=0.01)
    assert many.high == pytest.approx(0.549, abs=0.01)
    assert many == bootstrap([0.0, 1.0] * 200)
    with pytest.raises(ValueError):
        bootstrap([])


def test_paired_differences_know_the_items() -> None:
    # The same items are hard for both, and ours is always 0.1 better: no doubt at all.
    theirs = [index / 20 for index in range(18)]
    better = paired([value + 0.125 for value in theirs], theirs)
    assert (better.mean, better.low, better.high) == pytest.approx((0.125, 0.125, 0.125))
    assert paired([1, 0, 1, 0], [0, 1, 0, 1]).low < 0 < paired([1, 0, 1, 0], [0, 1, 0, 1]).high
    with pytest.raises(ValueError):
        paired([1.0], [])


def test_the_interval_fits_the_scores() -> None:
    assert interval([1.0, 0.0, 1.0]) == wilson(2, 3)
    many = [1.0, 0.5] * 15
    assert interval(many) == bootstrap(many)
    assert interval(many[:-1]) == wilson(22.0, 29)
    # One score says little: (0.5 + z²/2)/(1 + z²) ± z/(1 + z²)·√(0.25 + z²/4), z = 1.96.
    one = interval([0.5])
    assert (one.mean, round(one.low, 3), round(one.high, 3)) == (0.5, 0.055, 0.945)
    with pytest.raises(ValueError):
        interval([])
