"""A reading with lanes: parts of the text side by side, then their memories merged; see lanes.py.

The text is taken to its end first and put by (spool.py): how long the parts are is known only then. Each part
is a reading of its own with a run of its own in the journal, number 1 and up; number 0 is the merging, which
is short, and which a reading that is gone on with does again. The parts go in step, so that their replies
are decoded in one batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from memread.asking import Asking, Task
from memread.errors import EmptyInput
from memread.events import Answered, Event, Stopping
from memread.journal import Journal
from memread.lanes import Part, lane, merge, sections
from memread.loop import Flow, flow
from memread.protocols import Engine
from memread.reading import Reading, following, noted, recorded
from memread.spool import Spool
from memread.types import Answer, Segment, Skipped


def reading_for(task: Task, engine: Engine, journal: Journal | None, *, fresh: bool = False) -> Reading:
    """The reading that a task asks for; see Reading."""
    kind = Reading if task.lanes == 1 else SideBySide
    return kind(task, engine, journal, fresh=fresh)


class SideBySide(Reading):
    """As Reading; events of number 0 are those of the whole, of number n those of part n."""

    def _run(self, asked: list[Asking]) -> Iterator[tuple[int, Event]]:
        whole = self._asking(0)
        asked.append(whole)
        if whole.recorded_segments:  # of memories that were merged once, and may be others now
            whole.fork(say=False)
        yield from self._begun(whole)
        with Spool() as spool:
            try:
                yield from self._read_and_merged(asked, spool)
            finally:
                self._end_worker()  # it reads what is put by

    def _read_and_merged(self, asked: list[Asking], spool: Spool) -> Iterator[tuple[int, Event]]:
        whole = asked[0]
        for item in self._ahead:
            self._note_text(item)
            spool.add(item)
        for skipped in spool.skipped():
            yield from recorded(whole, skipped)
        if self._stopped.is_set():  # before it was known where the parts begin: none was read
            yield from self._alone(whole, iter([Stopping()]))
            return
        if not self._text_seen:
            raise EmptyInput("there is no text to read in what was given")
        shares = spool.shares(self._task.lanes)
        if len(shares) < 2:  # nothing to be read side by side
            yield from self._alone(whole, self._until_stopped(spool.part(range(len(spool)))))
            return
        asked.extend(map(self._asking, range(1, len(shares) + 1)))
        lanes = asked[1:]
        known = [each.agrees(spool.digests(share)) for each, share in zip(lanes, shares, strict=True)]
        # All from where the last one is: the same requests are then in one batch, whatever was interrupted.
        unread = [have for have, share in zip(known, shares, strict=True) if have < len(share)]
        first = min(unread, default=max(known))
        for each, share, have in zip(lanes, shares, known, strict=True):
            _go_on(each, spool, share, min(first, have), changed=have < each.recorded_segments)
            yield from self._begun(each)
        flows = [self._lane(each, spool, share) for each, share in zip(lanes, shares, strict=True)]
        read: dict[int, Answer] = {}
        for number, event in self._driven(lanes, flows, ends=()):
            if isinstance(event, Answered):
                read[number] = event.answer
            yield number, event
        with self._phase:  # a stop up to here ended the reading of the parts; one from here on the merging
            self._stopped.clear()
        parts = [
            Part(each.number, len(lanes), spool.start(share), read[each.number])
            for each, share in zip(lanes, shares, strict=True)
        ]
        merging = self._merging(whole, lanes, parts, spool.tokens)
        yield from self._driven([whole], [merging], ends=asked)

    def _alone(
        self, whole: Asking, items: Iterator[Segment | Skipped | Stopping]
    ) -> Iterator[tuple[int, Event]]:
        """Read as one."""
        profile, engine = self._task.profile, self._engine
        texts = noted(items, whole.texts)
        made = flow(whole.question, texts, profile, engine.frame, engine.tokenizer, whole.progress)
        yield from self._driven([whole], [made], ends=[whole])

    def _lane(self, each: Asking, spool: Spool, share: range) -> Flow:
        items = following(self._until_stopped(spool.part(share)), each.progress.segments)
        profile, engine = self._task.profile, self._engine
        texts = noted(items, each.texts)
        return lane(each.question, texts, profile, engine.frame, engine.tokenizer, each.progress)

    def _merging(self, whole: Asking, lanes: Sequence[Asking], parts: Sequence[Part], tokens: int) -> Flow:
        profile, engine = self._task.profile, self._engine
        found = sections(parts, profile, engine.tokenizer)
        for section in found:
            whole.noted[section.segment.info.index] = lanes[section.part.number - 1].claims
        items = noted(self._until_stopped(section.segment for section in found), whole.texts)
        return merge(
            whole.question,
            items,
            profile,
            engine.frame,
            engine.tokenizer,
            parts=parts,
            sections=found,
            tokens=tokens,
        )

    def _until_stopped(
        self, items: Iterator[Segment | Skipped] | Iterator[Segment]
    ) -> Iterator[Segment | Skipped | Stopping]:
        for item in items:
            if self._stopped.is_set():
                yield Stopping()
                return
            yield item


def _go_on(each: Asking, spool: Spool, share: range, to: int, *, changed: bool) -> None:
    """Take a lane to after its first `to` segments, which are recorded; what is recorded of more is left.

    changed: because the text has changed there.
    """
    skipped: list[Skipped] = []
    for item in spool.part(share):
        if each.progress.segments == to:
            break
        if isinstance(item, Skipped):
            skipped.append(item)
        elif each.passes(item, skipped):
            skipped = []
    if to < each.recorded_segments:
        each.fork(say=changed)
