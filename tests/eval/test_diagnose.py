"""Why an item failed: proved with scripted readers whose one fault is known."""

from __future__ import annotations

import msgspec
import pytest

from memread import guard
from memread.driver import drive
from memread.engine.scripted import Script, ScriptedEngine
from memread.eval.diagnose import NAMES, Diagnosis, Watch, _rejection
from memread.eval.item import Gold, Item
from memread.eval.methods import METHODS, Text
from memread.eval.scores import score
from memread.events import Answered, MemoryUpdated
from memread.types import Reply, Request
from tests.eval import readers


def diagnose(item: Item, script: Script, method: str = "memread", window: int = 4096) -> Diagnosis:
    engine = ScriptedEngine(script)
    text = Text(item, engine.tokenizer)
    watch = Watch(item, METHODS[method].keeps, text)
    for _, event in drive(engine, [METHODS[method].flow(item, text, readers.setup(engine, window))]):
        watch.see(event)
        if isinstance(event, Answered):
            return watch.diagnose(event.answer, score(item, event.answer.text))
    raise AssertionError


def segment_of(item: Item, words: str) -> int:
    """The segment that holds `words`."""
    engine = ScriptedEngine(readers.deaf)
    pieces = Text(item, engine.tokenizer).segments(readers.PROFILE.budget.segment)
    (found,) = [piece.info.index for piece in pieces if words in piece.text]
    return found


@pytest.mark.parametrize("method", METHODS)
def test_a_perfect_reader_needs_no_explanation(method: str) -> None:
    found = diagnose(readers.item(), readers.perfect, method)
    assert found.cause == "right"
    assert [fate.fate for fate in found.fates] == ["kept"]


@pytest.mark.parametrize("after", [15, 22, 35])
def test_a_forgetful_reader_lost_it_in_the_right_segment(after: int) -> None:
    item = readers.item(at=(10,))
    found = diagnose(item, readers.forgetful(after))
    (fate,) = found.fates
    learned, lost = segment_of(item, "The code of"), segment_of(item, f"Paragraph {after} ")
    assert found.cause == fate.cause == "lost"
    assert (fate.first, fate.lost_at, fate.held) == (learned, lost, lost - learned)
    assert fate.evidence == (learned,)


@pytest.mark.parametrize("method", ["memread", "refine", "mapreduce", "notes"])
def test_a_deaf_reader_never_memorised(method: str) -> None:
    found = diagnose(readers.item(), readers.deaf, method)
    assert found.cause == "never_memorised"
    assert found.fates[0].first is None


@pytest.mark.parametrize("method", METHODS)
def test_a_wrong_answer_in_spite_of_the_memory(method: str) -> None:
    item = readers.item()
    if method == "refine":  # its last memory is the answer: what it holds is answered
        return
    found = diagnose(item, readers.wrong, method)
    assert found.cause == "answered_wrongly"
    assert found.fates[0].fate == "kept"


@pytest.mark.parametrize("method", METHODS)
def test_a_babbling_reader_degenerated(method: str) -> None:
    assert diagnose(readers.item(), readers.babbling, method).cause == "degenerated"


def test_a_reader_that_babbles_only_when_it_answers_degenerated_too() -> None:
    def reply(request: Request, prompt: str) -> str:
        return (readers.babbling if request.kind == "answer" else readers.perfect)(request, prompt)

    found = diagnose(readers.item(), reply)
    assert found.cause == "degenerated" and found.fates[0].fate == "kept"


def test_a_reader_that_answers_nothing_degenerated() -> None:
    assert diagnose(readers.item(), lambda request, prompt: "").cause == "degenerated"


def test_a_memory_too_small_for_the_evidence_overflowed() -> None:
    found = diagnose(readers.item(), readers.verbose)
    assert found.cause == "overflowed"
    assert found.fates[0].evidence == (segment_of(readers.item(), "The code of"),)


def test_rejections_elsewhere_explain_nothing() -> None:
    def reply(request: Request, prompt: str) -> str:
        if "Paragraph 30 " in readers.part(prompt, "section"):
            return readers.babbling(request, prompt)
        return readers.deaf(request, prompt)

    assert diagnose(readers.item(at=(10,)), reply).cause == "never_memorised"


def test_the_commonest_fate_of_what_is_missing_is_the_items_cause() -> None:
    item = readers.item(needles={"rome": "4711", "oslo": "1234", "bern": "9999"}, at=(3, 12, 33))
    found = diagnose(item, readers.forgetful(20))
    assert [fate.fate for fate in found.fates] == ["lost", "lost", "kept"]
    assert found.cause == "lost"


def test_found_again_after_it_was_lost_is_kept() -> None:
    item = readers.item(needles={"rome": "4711"}, at=(5,))

    def reply(request: Request, prompt: str) -> str:
        if "Paragraph 30 " in readers.part(prompt, "section"):
            return "The code of rome is 4711."
        return readers.forgetful(15)(request, prompt)

    found = diagnose(item, reply)
    (fate,) = found.fates
    assert found.cause == "right" and fate.fate == "kept" and fate.lost_at is not None


def test_truncate_never_showed_what_it_cut_out() -> None:
    item = readers.item(lines=400, at=(200,))
    assert diagnose(item, readers.perfect, "truncate", window=1000).cause == "never_memorised"


def test_notes_not_looked_up_at_the_end_are_lost() -> None:
    names = {f"city{n}": f"{1000 + n}" for n in range(24)}
    item = readers.item(needles=names, at=tuple(range(3, 3 + 8 * 24, 8)), lines=220)
    item = msgspec.structs.replace(item, question="What is the code of city2?")
    found = diagnose(item, readers.perfect, "notes")
    assert found.cause == "lost"
    assert {fate.fate for fate in found.fates} == {"kept", "lost"}


def test_without_evidence_only_the_plain_causes_are_told() -> None:
    item = msgspec.structs.replace(readers.item(), gold=())
    assert diagnose(item, readers.perfect).cause == "right"
    assert diagnose(item, readers.wrong).cause == "unknown"
    assert diagnose(item, readers.babbling).cause == "degenerated"
    nothing = msgspec.structs.replace(item, answers=())
    assert diagnose(nothing, readers.wrong).cause == "answered_wrongly"


def test_a_key_is_a_word_of_its_own_in_any_case_and_any_spacing() -> None:
    def holds(memory: str, *keys: str) -> bool:
        item = msgspec.structs.replace(readers.item(), gold=(Gold("x", keys, 0.5),))
        engine = ScriptedEngine(lambda request, prompt: memory)
        text = Text(item, engine.tokenizer)
        watch = Watch(item, "rewrites", text)
        for _, event in drive(engine, [METHODS["memread"].flow(item, text, readers.setup(engine))]):
            watch.see(event)
            if isinstance(event, Answered):
                return watch.diagnose(event.answer, 0).fates[0].fate == "kept"
        raise AssertionError

    assert holds("It is 4711, he said.", "4711")
    assert not holds("It is 47110.", "4711")
    assert holds("in NEW\n  York city", "new york")
    assert holds("b", "a", "b")
    assert not holds("anything", "")
    assert holds("(a+b)", "(a+b)")


def test_evidence_across_a_border_is_in_both_segments() -> None:
    item = readers.item()
    engine = ScriptedEngine(readers.deaf)
    pieces = [piece.text for piece in Text(item, engine.tokenizer).segments(60)]
    across = pieces[1][-12:] + pieces[2][:12]
    item = msgspec.structs.replace(item, gold=(Gold(across, ("4711",), 0.3),))
    assert diagnose(item, readers.deaf).fates[0].evidence == (1, 2)


def test_evidence_that_does_not_stand_there_as_given_is_placed_by_its_depth() -> None:
    item = msgspec.structs.replace(readers.item(), gold=(Gold("not in the text", ("4711",), 0.5),))
    found = diagnose(item, readers.deaf)
    engine = ScriptedEngine(readers.deaf)
    count = len(list(Text(item, engine.tokenizer).segments(60)))
    assert abs(found.fates[0].evidence[0] - count / 2) <= 1


def test_every_reason_of_the_guard_has_its_cause() -> None:
    assert _rejection(guard.fault(Reply("x", "length"), "x")) == "overflowed"
    assert _rejection(guard.fault(Reply("x", "loop"), "x")) == "degenerated"
    assert _rejection(guard.fault(Reply("", "stop"), "")) == "degenerated"


def test_every_cause_has_a_name() -> None:
    from typing import get_args

    from memread.eval.diagnose import Cause

    assert set(NAMES) == set(get_args(Cause))
    assert MemoryUpdated  # events are what all of this rests on
