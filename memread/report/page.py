"""The page: what can be read without a script is written here; the script only turns the memories over."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources
from string import Template

from memread import __version__
from memread.events import Event
from memread.report.story import Story, story
from memread.report.strip import strip
from memread.types import Claim, Evidence
from memread.views import evidence, scans, summary, words
from memread.views.json import dumps

_SKIPPED = 200
"""Skipped and kept places that are listed one by one."""


def page(events: Iterable[Event], *, created: str = "") -> str:
    """The HTML of the report on one run's recorded events. created: when the run was begun, for people."""
    told = story(events)
    style, script = _file("page.css"), _file("page.js")
    started = told.reading.started
    question = "A summary" if started is None or started.summary else words.shown(started.question)
    return Template(_file("page.html")).substitute(
        policy=f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'",
        style=style,
        script=script,
        title=escape(words.line(question, 120)),
        documents=_documents(told),
        question=_text(question),
        answer=_answer(told),
        evidence=_evidence(told),
        memories=_memories(told),
        coverage=_coverage(told),
        settings=_settings(told, created),
        version=escape(__version__),
        # "<" could end the script element, or begin a comment in it; in JSON \u003c is the same letter.
        data=dumps(told.data()).replace("<", "\\u003c"),
    )


def _documents(told: Story) -> str:
    found = []
    for at, document in enumerate(told.documents):
        author = words.line(document.author)
        by = f' <span class="by">{escape(author)}</span>' if author else ""
        found.append(f'<span dir="auto"><cite>{escape(words.title(told.documents, at))}</cite>{by}</span>')
    shown = found[:5]
    if len(found) > 5:
        shown.append(f"{words.plural(len(found) - 5, 'document')} more")
    return "<br>".join(shown)


def _answer(told: Story) -> str:
    reading = told.reading
    if reading.answer is None:
        why = " ".join(summary.failure(reading)) or "The reading was broken off before it was answered."
        return f'<p class="none">No answer. {escape(why)}</p>'
    partial = ""
    if not reading.answer.coverage.complete:
        partial = '<p class="partial">Partial: it rests on what was read before the reading was stopped.</p>'
    elif reading.answer.cut:
        partial = '<p class="partial">Partial: it was interrupted before it was complete.</p>'
    text = words.shown(reading.answer.text).strip()
    return partial + (f'<div class="text" dir="auto">{_text(text)}</div>' if text else "<p>(empty)</p>")


def _evidence(told: Story) -> str:
    found = told.reading.answer.evidence if told.reading.answer else None
    if found is None:
        # Broken off: what the memory held last is known all the same.
        claims = {claim.statement: claim for step in told.steps for claim in step.found}
        last = [claims[text] for text in dict.fromkeys(claims) if text in told.reading.memory]
        found = Evidence(memory=tuple(last))
    if not found.answer and not found.memory:
        return '<p class="quiet">None was looked for, or nothing was stated.</p>'
    parts = []
    if found.answer:
        parts.append(f"<h3>For the answer <small>{evidence.summed(found.answer)}</small></h3>")
        parts.append(_claims(found.answer, told, answer=True))
    if found.memory:
        closed = "" if len(found.memory) > 6 and found.answer else " open"
        title = f"<h3>For the last memory <small>{evidence.summed(found.memory)}</small></h3>"
        listed = _claims(found.memory, told, answer=False)
        parts.append(f"<details{closed}><summary>{title}</summary>{listed}</details>")
    return "".join(parts)


def _claims(claims: Sequence[Claim], told: Story, *, answer: bool) -> str:
    return f'<ol class="claims">{"".join(_claim(claim, told, answer) for claim in claims)}</ol>'


def _claim(claim: Claim, told: Story, answer: bool) -> str:
    kind = "verified" if evidence.verified(claim) else "near" if claim.quote else "unsupported"
    verdict = escape(evidence.verdict(claim, told.documents, answer=answer))
    if 0 <= claim.segment < len(told.steps):
        number = claim.segment + 1
        verdict += f' <a href="#s{number}">segment {words.count(number)}</a>'
    quote = f'<blockquote dir="auto">{_text(words.shown(claim.quote))}</blockquote>' if claim.quote else ""
    return (
        f'<li class="{kind}"><p dir="auto">{_text(words.shown(claim.statement))}</p>{quote}'
        f'<p class="verdict" dir="auto">{verdict}</p></li>'
    )


def _memories(told: Story) -> str:
    if not told.steps:
        return '<p class="quiet">Nothing was read.</p>'
    last = words.shown(told.reading.memory)
    updated = sum(step.outcome == "updated" for step in told.steps)
    said = f"{words.plural(len(told.steps), 'segment')}; the memory changed after {words.count(updated)}."
    return Template(_file("memories.html")).substitute(
        said=said, strip=strip(told), last=len(told.steps), memory=_text(last)
    )


def _coverage(told: Story) -> str:
    reading = told.reading
    scanned = (f"{line}." for line in scans.lines(reading.skipped, reading.documents))
    said = [
        summary.read(reading, timed=False),
        *scanned,
        *summary.guarded(reading),
        *summary.notices(reading),
    ]
    parts = [f'<p dir="auto">{escape(line)}</p>' for line in said]
    if reading.skipped:
        rows = [
            (words.place(part, told.documents) or "somewhere", words.line(part.reason))
            for part in reading.skipped
        ]
        parts.append(_table("Not read", rows))
    kept = [step for step in told.steps if step.outcome == "kept"]
    if kept:
        parts.append(_table("Memory kept, replies rejected", [(step.place, step.reason) for step in kept]))
    return "".join(parts)


def _settings(told: Story, created: str) -> str:
    started = told.reading.started
    if started is None:
        return ""
    engine, budget = started.engine, started.budget
    limits = f"{words.count(budget.segment)} a segment, {words.count(budget.memory)} the memory, "
    rows = [
        ("Run", started.run),
        ("Begun", created[:16].replace("T", " ") + (" UTC" if created else "")),
        *(("Document", document.name) for document in told.documents),
        ("Model", engine.model),
        ("Weights", engine.digest),
        ("Profile", started.profile),
        ("Tokens", limits + f"{words.count(budget.answer)} the answer"),
        ("Engine", " · ".join(part for part in (engine.build, engine.device) if part)),
        *((words.line(name, 60), str(value)) for name, value in sorted(engine.settings.items())),
    ]
    return _table("", [(name, words.line(value, 300)) for name, value in rows if value])


def _table(title: str, rows: Sequence[tuple[str, str]]) -> str:
    body = "".join(
        f'<tr><th scope="row" dir="auto">{escape(name)}</th><td dir="auto">{escape(value)}</td></tr>'
        for name, value in rows[:_SKIPPED]
    )
    more = len(rows) - _SKIPPED
    if more > 0:
        body += f'<tr><td colspan="2">and {words.count(more)} more</td></tr>'
    caption = f"<caption>{title} <small>{words.count(len(rows))}</small></caption>" if title else ""
    return f"<table>{caption}{body}</table>"


def _text(text: str) -> str:
    """Text of several lines, escaped."""
    return escape(text.strip()).replace("\n", "<br>")


def _file(name: str) -> str:
    return resources.files("memread.report").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
