"""A reading for programs: every event as it happens, or one object at the end. Texts are not altered."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any, TextIO

import msgspec
import regex

from memread.events import (
    Answered,
    Event,
    Failed,
    MemoryUpdated,
    Piece,
    Prefilled,
    ReplyRejected,
    RunStarted,
    to_dict,
)
from memread.types import Claim, Counts, Evidence, Skipped, Span
from memread.views import scans
from memread.views.base import Clock, Closing
from memread.views.evidence import verified

VERSION = 1
"""Of the object that `result` makes. New keys do not change it."""

# JSON may hold these as they are, but a terminal would obey some of them, and UTF-8 has no lone surrogates.
# Escaped they mean the same.
_ESCAPED = regex.compile(r"[\x7f-\x9f\p{Cf}\u2028\u2029\ud800-\udfff]")


def dumps(data: object) -> str:
    """`data` as JSON on one line, which any UTF-8 stream and any terminal can take."""
    return _ESCAPED.sub(lambda found: json.dumps(found[0])[1:-1], json.dumps(data, ensure_ascii=False))


class EventsView(Closing):
    """Every event as a line of JSON, flushed at once. `memread.events.from_dict` reads it back."""

    def __init__(self, stream: TextIO, number: int | None = None, *, lanes: bool = False) -> None:
        """number: of the question, where there are several; it is then under "question_number". lanes: of
        the lane, then under "lane", 0 for what they are merged in."""
        self._stream = stream
        self._number = {} if number is None else {"lane" if lanes else "question_number": number}

    def __enter__(self) -> EventsView:
        return self

    def show(self, event: Event) -> None:
        write(self._stream, to_dict(event) | self._number)


class JsonView(Closing):
    """The object of each reading, a line each, when the view is closed: after a live view has gone."""

    def __init__(self, stream: TextIO, *, clock: Clock = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._readings: list[list[Event]] = []
        self._times: list[tuple[float, float]] = []
        self._closed = False

    def __enter__(self) -> JsonView:
        return self

    def show(self, event: Event) -> None:
        if isinstance(event, Piece | Prefilled):
            return
        now = self._clock()
        if isinstance(event, RunStarted) or not self._readings:
            self._readings.append([])
            self._times.append((now, now))
        self._readings[-1].append(event)
        self._times[-1] = (self._times[-1][0], now)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for events, (begun, ended) in zip(self._readings, self._times, strict=True):
            write(self._stream, result(events, seconds=ended - begun))


def write(stream: TextIO, data: object) -> None:
    """`data` as a line of JSON, flushed; in ASCII where the stream's encoding lacks a letter."""
    line = dumps(data)
    try:
        # Asked before, not tried: the stream may be one that puts marks in place of what it lacks.
        line.encode(stream.encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        line = json.dumps(data)
    stream.write(line + "\n")
    stream.flush()


def result(events: Iterable[Event], *, seconds: float | None = None) -> dict[str, Any]:
    """One reading as one object. `seconds` is its wall-clock time, where somebody took it.

    A reading that was broken off has neither an answer nor an error. What is not known is null.
    """
    started: RunStarted | None = None
    answered: Answered | None = None
    failed: Failed | None = None
    updates: list[MemoryUpdated] = []
    skipped: list[Skipped] = []
    rejected = 0
    for event in events:
        match event:
            case RunStarted():
                started, failed = event, None  # the run was gone on with: that error did not end it
            case MemoryUpdated():
                updates.append(event)
                answered = None  # as RunRecord.answer: it rested on less
            case Skipped():
                skipped.append(event)
            case ReplyRejected():
                rejected += 1
            case Answered():
                answered = event
            case Failed():
                failed = event
            case _:
                pass
    answer = answered.answer if answered else None
    documents = started.documents if started else ()
    memory = (
        answer.memory if answer else updates[-1].memory if updates else started.memory if started else None
    )
    counts = answer.counts if answer else sum((update.counts for update in updates), Counts())
    return {
        "type": "result",
        "version": VERSION,
        "run": started.run if started else None,
        "recorded": started.recorded if started else False,
        "resumed": started.resumed if started else 0,
        "question": started.question if started else None,
        "summary": started.summary if started else False,
        "answer": answer.text if answer else None,
        "boxed": answer.boxed if answer else False,
        "partial": not answer.whole if answer else True,
        "cut": answer.cut if answer else False,
        "likely": answer.likely if answer else None,
        "raw": answer.raw if answer else None,
        "memory": memory,
        "documents": [msgspec.to_builtins(document) for document in documents],
        "evidence": _evidence(answer.evidence) if answer and answer.evidence else None,
        "coverage": _coverage(answered, updates, skipped, rejected)
        | {"no_text_layer": scans.rows(skipped, documents)},
        "sources": [
            {"segment": update.segment.index, **_span(update.segment.span), "digest": update.segment.digest}
            for update in updates
            if update.outcome == "updated"
        ],
        "lanes": started.lanes if started else 1,
        "skim": started.skim if started else False,
        "timings": _timings(counts, _tokens(answered, updates), seconds),
        "model": _model(started),
        "profile": started.profile if started else None,
        "budget": msgspec.to_builtins(started.budget) if started else None,
        "settings": dict(started.engine.settings) if started else {},
        "defused": counts.defused,
        "error": _error(failed),
    }


def _tokens(answered: Answered | None, updates: list[MemoryUpdated]) -> int:
    """Of the text, read in this sitting; 0 where that is not known, since lanes took some over."""
    if answered is not None and answered.answer.coverage.parts:
        return 0
    return sum(update.segment.tokens for update in updates)


def _coverage(
    answered: Answered | None, updates: list[MemoryUpdated], skipped: list[Skipped], rejected: int
) -> dict[str, Any]:
    """What the answer rests on. Its own account counts resumed segments too; the events only new ones."""
    last = updates[-1].segment if updates else None
    kept = [update for update in updates if update.outcome == "kept"]
    known: dict[str, Any] = {
        "segments": len(updates),
        "tokens": sum(update.segment.tokens for update in updates),
        "fraction": last.fraction if last else None,
        "complete": False,
        "last": _span(last.span) if last else None,
        "kept": len(kept),
        "parts": [],
    }
    if answered:
        own = answered.answer.coverage
        known = {
            "segments": own.segments,
            "tokens": own.tokens,
            "fraction": own.fraction,
            "complete": own.complete,
            "last": _span(own.last) if own.last else None,
            "kept": own.kept,
            "parts": [_span(span) for span in own.parts],
        }
    known["kept_segments"] = [{"segment": u.segment.index, "reason": u.reason} for u in kept]
    known["rejected"] = rejected
    known["skipped"] = [
        {"place": part.label(), "reason": part.reason, "locator": msgspec.to_builtins(part.locator)}
        for part in skipped
    ]
    return known


def _evidence(evidence: Evidence) -> dict[str, Any]:
    return {
        "answer": [_claim(claim) for claim in evidence.answer],
        "memory": [_claim(claim) for claim in evidence.memory],
    }


def _claim(claim: Claim) -> dict[str, Any]:
    """`segment` is null for a statement of the answer that nothing speaks for; see `types.Claim`."""
    return {
        "statement": claim.statement,
        "verified": verified(claim),
        "quote": claim.quote or None,
        "place": _span(claim.span) if claim.span else None,
        "segment": claim.segment if claim.segment >= 0 else None,
        "score": claim.score,
        "missing": list(claim.missing),
    }


def _span(span: Span) -> dict[str, Any]:
    return {"label": span.label(), **msgspec.to_builtins(span)}


def _timings(counts: Counts, tokens: int, seconds: float | None) -> dict[str, Any]:
    """Seconds and speeds; `tokens_per_second` is tokens of the text by the wall clock."""
    fresh = counts.prompt_tokens - counts.cached_tokens
    return {
        "seconds": _rounded(seconds),
        "tokens_per_second": _per_second(tokens, seconds),
        "prompt_tokens": counts.prompt_tokens,
        "cached_tokens": counts.cached_tokens,
        "reply_tokens": counts.reply_tokens,
        "prefill_seconds": _rounded(counts.prefill_seconds),
        "decode_seconds": _rounded(counts.decode_seconds),
        "prefill_tokens_per_second": _per_second(fresh, counts.prefill_seconds),
        "decode_tokens_per_second": _per_second(counts.reply_tokens, counts.decode_seconds),
    }


def _per_second(tokens: int, seconds: float | None) -> float | None:
    return round(tokens / seconds, 2) if seconds and tokens > 0 else None


def _rounded(seconds: float | None) -> float | None:
    return round(seconds, 3) if seconds is not None else None


def _model(started: RunStarted | None) -> dict[str, Any] | None:
    if started is None:
        return None
    engine: dict[str, Any] = msgspec.to_builtins(started.engine)
    return {"name": engine.pop("model"), **engine}


def _error(failed: Failed | None) -> dict[str, Any] | None:
    if failed is None:
        return None
    return {
        "error": failed.error,
        "message": failed.message,
        "hint": failed.hint,
        "exit_code": failed.exit_code,
    }
