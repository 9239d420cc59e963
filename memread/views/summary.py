"""The closing lines of a reading, on standard error: how much was read, and what was not."""

from __future__ import annotations

from collections.abc import Iterable

from memread.types import Coverage, Skipped, Span
from memread.views import scans, words
from memread.views.reading import Reading

_PLACES = 5
"""Skipped places that are named one by one."""


def lines(reading: Reading) -> list[str]:
    """A few lines, safe to print, most important first; none when nothing was begun."""
    if reading.started is None:
        return []
    said = [read(reading), *cut(reading), *skipped(reading), *guarded(reading), *defused(reading)]
    if reading.started.recorded and reading.started.run:
        run = words.line(reading.started.run, 80)
        said.append(f"Run {run} – see it again: memread runs show {run}")
    return said


def warnings(reading: Reading) -> list[str]:
    """Of those lines, only what a user must know to trust the answer."""
    said = []
    if reading.answer is not None and not reading.answer.coverage.complete:
        coverage = reading.answer.coverage
        reached = _parts(coverage, reading) or _reached(coverage.last, coverage.fraction, False, reading)
        said.append("The answer is partial: read " + (reached or "only a part") + ".")
    return [*said, *cut(reading), *skipped(reading), *guarded(reading), *defused(reading), *notices(reading)]


def cut(reading: Reading) -> list[str]:
    """That the answer was stopped half-way, and what to do about it; nothing when it was not."""
    if reading.answer is None or not reading.answer.cut:
        return []
    again = ": the same command answers again, without reading again"
    recorded = reading.started is not None and reading.started.recorded
    return [f"The answer was interrupted{again if recorded else ''}."]


def failure(reading: Reading) -> list[str]:
    """What ended the reading, if an error did, and what to do about it."""
    failed = reading.failure
    if failed is None:
        return []
    hint = words.line(failed.hint, 400)
    return [f"error: {words.line(failed.message, 400)}", *([f"  {hint}"] if hint else [])]


def verb(reading: Reading) -> str:
    """What was done with the text: how `read` begins."""
    return "Skimmed" if reading.skims else "Read"


def read(reading: Reading, *, timed: bool = True) -> str:
    """Such as "Read 12 segments, 60,123 tokens, to p. 340 (82%) in 1m12s (830 tok/s)."."""
    done, tokens, fraction, last = reading.segments, reading.tokens, reading.fraction, reading.last
    complete = False
    if reading.answer is not None:
        coverage = reading.answer.coverage
        fraction, last, complete = coverage.fraction, coverage.last, coverage.complete
    if reading.answer is not None and reading.answer.coverage.parts:
        return _side_by_side(reading.answer.coverage, reading, timed=timed)
    if not done and not reading.resumed:
        return "Nothing was read."
    reached = _reached(last, fraction, complete, reading)
    taken = f"{words.plural(reading.resumed, 'segment')} taken over from the earlier run"
    text = f"{verb(reading)} {words.plural(done, 'segment')}, {words.count(tokens)} tokens"
    if not done:
        text, taken = f"{verb(reading)} nothing anew: {taken}", ""
    if reached:
        text += f", {reached}"
    if timed:
        text += f" in {words.duration(reading.elapsed)}"
        if tokens and reading.elapsed > 0:
            text += f" ({words.rate(tokens / reading.elapsed)})"
    if reading.resumed and taken:
        text += f"; {taken}"
    if not complete:
        text += ". The answer is partial" if reading.answer is not None else ". Not finished"
    seen = " The model saw only the sentences nearest to the question." if reading.skims else ""
    return f"{text}.{seen}"


def _side_by_side(coverage: Coverage, reading: Reading, *, timed: bool) -> str:
    """The same where parts were read side by side. How much of it was read earlier is not known here."""
    text = (
        f"Read {words.plural(len(coverage.parts), 'part')} side by side, "
        f"{words.plural(coverage.segments, 'segment')}, {words.count(coverage.tokens)} tokens"
    )
    if coverage.complete:
        text += f", {_reached(coverage.last, coverage.fraction, True, reading)}"
    if timed:
        text += f" in {words.duration(reading.elapsed)}"
    return text + ("." if coverage.complete else f": {_parts(coverage, reading)}. The answer is partial.")


def _parts(coverage: Coverage, reading: Reading) -> str:
    """What was read where several parts were, such as "p. 1–9; p. 30–34 (41%)"; else nothing."""
    places = [words.place(span, reading.documents) or "somewhere" for span in coverage.parts]
    share = f" ({words.percent(coverage.fraction)})" if coverage.fraction is not None else ""
    more = len(places) - _PLACES
    shown = "; ".join(places[:_PLACES]) + (f" and {words.count(more)} more" if more > 0 else "")
    return shown + share if places else ""


def _reached(last: Span | None, fraction: float | None, complete: bool, reading: Reading) -> str:
    if complete:
        part = next((document.part for document in reading.documents if document.part), "")
        return f"to the end of {words.line(part, 80)}, all that was asked for" if part else "to the end"
    where = words.place(last, reading.documents)
    share = words.percent(fraction) if fraction is not None else ""
    if where:
        return f"to {where}" + (f" ({share})" if share else "")
    return share


def skipped(reading: Reading) -> list[str]:
    """Such as "2 of 9 pages have no text layer: pages 4–5." and "1 page skipped: p. 8 (damaged)."."""
    said = [f"{line}." for line in scans.lines(reading.skipped, reading.documents)]
    parts = [part for part in reading.skipped if not scans.is_scan(part)]
    if not parts:
        return said
    reasons: dict[str, list[Skipped]] = {}
    for part in parts:
        reasons.setdefault(words.line(part.reason), []).append(part)
    groups = "; ".join(_told(_places(group, reading), why) for why, group in reasons.items())
    single = all((p.locator.page or p.locator.page_number) and not p.pages for p in parts)
    noun = "page" if single else "part"
    return [*said, f"{words.plural(len(parts), noun)} skipped: {groups}."]


def _told(where: str, why: str) -> str:
    """Such as "p. 8 (damaged)"; of a file that was left out the reason names it."""
    return f"{where} ({why})" if where and why else where or why or "somewhere"


def _places(parts: Iterable[Skipped], reading: Reading) -> str:
    found = [words.place(part, reading.documents) for part in parts]
    places = list(dict.fromkeys(place or "somewhere" for place in found)) if any(found) else []
    more = len(places) - _PLACES
    return ", ".join(places[:_PLACES]) + (f" and {words.count(more)} more" if more > 0 else "")


def guarded(reading: Reading) -> list[str]:
    """Such as "Memory kept twice because every reply was rejected (it repeats itself)."."""
    coverage = reading.answer.coverage if reading.answer is not None else None
    # The answer's own account has those of earlier sittings; of lanes, each tells its own.
    kept = reading.kept if coverage is None or coverage.parts else coverage.kept
    if not kept:
        return []
    why = ", ".join(words.line(reason) for reason in sorted(reading.rejections))
    said = f"Memory kept {words.times(kept)} because the replies were rejected"
    nothing = coverage is not None and coverage.kept == coverage.segments
    return [
        said + (f" ({why})." if why else "."),
        *(["No memory was ever accepted: the answer rests on nothing that was read."] if nothing else []),
    ]


def defused(reading: Reading) -> list[str]:
    """What was changed in the text for a server that would have taken it for commands."""
    count = reading.answer.counts.defused if reading.answer is not None else 0
    if not count:
        return []
    return [
        f"{words.plural(count, 'spelling')} of special tokens broken up, for a server that takes text only."
    ]


def notices(reading: Reading) -> list[str]:
    """What the user should know, each once."""
    return [words.line(message, 400) for message in dict.fromkeys(reading.notices)]
