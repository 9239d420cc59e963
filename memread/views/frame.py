"""One picture of a reading: lines of text that fit a terminal of any size.

Every line starts in the third column; what marks it (+, −, ▸) hangs in the margin. The order of the
lines never changes, and only the last block, the memory or the answer, grows.
"""

from __future__ import annotations

from rich.text import Text

from memread.views import diff, words
from memread.views.memory import Block, drafted, plain, revised
from memread.views.page import MARGIN, Page, cut, row
from memread.views.reading import Reading


def draw(reading: Reading, now: float, page: Page, which: str = "") -> list[Text]:
    """The lines that show `reading` at `now`: at most `page.height`, none wider than `page.width`.

    which: the question it is about, where there are several, such as "question 2 of 16".
    """
    roomy = page.height >= 18
    gap = [Text("")] if roomy else []
    state = _state(reading, now, page)
    if page.height <= 2:
        return [page.fit(state)]
    head = _head(reading, page, 2 if roomy else 1, which)
    meter = [_bar(reading, page), _place(reading, now, page)]
    notice = _notice(reading, page)
    tight = page.height < 9
    lines = [*gap, *head, *gap, *meter, *gap, state, *notice, *gap]
    if tight:
        lines = [meter[0], *notice[: page.height >= 6], state]
    lines += _body(reading, page, page.height - len(lines))
    while lines and not lines[-1].plain.strip():
        lines.pop()
    return [page.fit(line) for line in lines[: page.height]]


def _head(reading: Reading, page: Page, rows: int, which: str) -> list[Text]:
    """The title and the question."""
    started = reading.started
    if started is None:
        return []
    segment = reading.segment
    index = segment.span.start.document if segment else 0
    title = Text.assemble((words.title(started.documents, index), "bold"))
    if index < len(started.documents) and (author := words.line(started.documents[index].author)):
        title.append(f" {page.glyphs.dot} {author}", "dim")
    if len(started.documents) > 1:
        title.append(f"  {index + 1} of {len(started.documents)}", "dim")
    model = Text(words.line(started.engine.model, 40), "dim")
    question = Text("Summary" if started.summary else words.line(started.question, 1000))
    if which:
        question.append(f"  {which}", "dim")
    wrapped = plain(question, page, limit=rows)
    return [row(page, title, [model], whole=True), *wrapped]


def _bar(reading: Reading, page: Page) -> Text:
    """How much of the inputs is read, is being read, and is left; without a bar when nobody can know."""
    position, glyphs = reading.position, page.glyphs
    if position is None and not reading.segments and all(d.size is not None for d in reading.documents):
        return Text.assemble(" " * MARGIN, (glyphs.empty * max(4, page.inner - 6), "dim"))
    if position is None:
        done = reading.resumed + reading.segments
        parts = ["streaming", words.plural(done, "segment"), f"{words.short(reading.tokens)} tokens"]
        return row(page, Text(f" {glyphs.dot} ".join(parts)), [])
    number = words.percent(position)
    width = max(4, page.inner - 6)
    done = int(position * width)
    ahead = reading.segment.fraction if reading.segment and not reading.over else None
    until = min(width, max(done + 1, round(ahead * width))) if ahead and ahead > position else done
    bar = Text(" " * MARGIN)
    bar.append(glyphs.full * done, "cyan")
    bar.append(glyphs.now * (until - done), "cyan")
    bar.append(glyphs.empty * (width - until), "dim")
    bar.append(number.rjust(6), "bold")
    return cut(bar, page.width, page.glyphs.ellipsis)


def _place(reading: Reading, now: float, page: Page) -> Text:
    """Where the reading is, and how fast it goes."""
    span = reading.segment.span if reading.segment else None
    where = words.place(span) if span else ""
    speed, left = reading.speed(), reading.remaining(now)
    facts = [
        f"{words.plural(reading.resumed, 'segment')} resumed" if reading.resumed else "",
        f"{words.count(reading.tokens)} tokens" if reading.tokens and reading.position is not None else "",
        words.rate(speed) if speed is not None else "",
        words.duration(now - reading.begun) if reading.started else "",
    ]
    if left is not None and reading.phase in ("waiting", "reading", "writing") and not reading.stopping:
        facts.append(("about " if page.inner >= 50 else "~") + f"{words.rough(left)} left")
    return row(page, Text(where), [Text(fact, "dim") for fact in facts])


def _state(reading: Reading, now: float, page: Page) -> Text:
    """What happens right now."""
    glyphs = page.glyphs
    done, total = reading.prefill
    tokens = f"{words.count(done)} of {words.count(total)}" + (" tokens" if page.inner >= 50 else "")
    number = reading.segment.index + 1 if reading.segment else reading.resumed + 1
    said = {
        "opening": "Opening",
        "waiting": "Taking the next segment",
        "reading": f"{'Skimming' if reading.skims else 'Reading'} segment {number}",
        "writing": f"Writing the memory of segment {number}",
        "thinking": "Reading the memory to answer",
        "answering": "Answering",
        "done": "Done",
        "failed": "Failed",
    }[reading.phase]
    facts = [Text(tokens, "dim")] if total and reading.phase in ("reading", "thinking") else []
    if not reading.stopping or reading.over:
        return row(page, Text(said, "bold"), facts, sign=Text(glyphs.state, "cyan"), whole=True)
    if reading.phase in ("thinking", "answering"):
        said += " from what was read so far"
    else:
        said = "Stopping: the answer will rest on what was read so far"
    return row(page, Text(said, "bold"), facts, sign=Text(glyphs.stop, "yellow"), whole=True)


def _notice(reading: Reading, page: Page) -> list[Text]:
    """What went wrong so far, with the latest reason; nothing when nothing did."""
    counts = [
        f"memory kept {words.times(reading.kept)}" if reading.kept else "",
        f"{words.plural(reading.rejected, 'reply', 'replies')} rejected" if reading.rejected else "",
        f"{words.plural(len(reading.skipped), 'part')} skipped" if reading.skipped else "",
    ]
    said = f" {page.glyphs.dot} ".join(part for part in counts if part)
    reason = words.line(reading.notice)
    if not said and not reason:
        return []
    text = Text()
    text.append(said, "yellow")
    text.append((f" {page.glyphs.dash} " if said and reason else "") + reason, "dim" if said else "yellow")
    return [row(page, text, [], sign=Text("!", "bold yellow"))]


def _body(reading: Reading, page: Page, rows: int) -> list[Text]:
    """The answer as it comes, then the memory."""
    if reading.started is None or rows < 1:
        return []
    lines: list[Text] = []
    if reading.answering:
        answer = reading.answer.text if reading.answer else reading.reply()
        block = plain(
            Text(words.shown(answer).strip() + (page.glyphs.caret if not reading.over else "")), page
        )
        room = rows - 1
        lines = [row(page, Text("Answer", "bold"), []), *_fit(Block(block, len(block)), room, page)]
        if rows - len(lines) < 4:
            return lines[:rows]
        lines.append(Text(""))
        rows -= len(lines)
    return lines + _memory(reading, page, rows)


def _memory(reading: Reading, page: Page, rows: int) -> list[Text]:
    block = drafted(reading, page) if reading.phase == "writing" else revised(reading, page)
    head = [_budget(reading, page)] if rows >= 3 else []
    if not block.lines:
        block = Block([row(page, Text("nothing noted yet", "dim"), [])], 0)
    return [*head, *_fit(block, rows - len(head), page)]


def _budget(reading: Reading, page: Page) -> Text:
    """The heading of the memory: what changed, and how full it is."""
    started, glyphs = reading.started, page.glyphs
    assert started is not None
    limit = started.budget.memory
    writing = reading.phase == "writing"
    used = reading.draft_tokens if writing else reading.memory_tokens
    facts: list[Text] = []
    if used is not None and limit:
        cells = min(8, round(8 * used / limit)) if used else 0
        meter = Text(glyphs.full_cell * cells, "cyan")
        meter.append(glyphs.empty_cell * (8 - cells), "dim")
        size = f"{'~' if writing else ''}{words.count(used)} of {words.count(limit)} tokens"
        facts += [meter, Text(size, "dim")]
    elif reading.memory:
        facts.append(Text(f"{words.count(len(reading.memory))} characters", "dim"))
    if reading.segments and not writing and not reading.answering:
        added, dropped = diff.changes(reading.before, reading.memory)
        delta = Text()
        delta.append(f"+{added}", "green")
        delta.append(f" {glyphs.minus}{dropped}", "red")
        delta.append(" words", "dim")
        facts.insert(0, delta)
    return row(page, Text("Memory", "bold"), facts)


def _fit(block: Block, rows: int, page: Page) -> list[Text]:
    """The part of a block that holds what is being looked at, with an ellipsis where it was cut."""
    lines = block.lines
    if len(lines) <= rows:
        return list(lines)
    if rows < 1:
        return []
    start = min(max(0, block.focus + (rows > 4) - rows), len(lines) - rows)
    shown = list(lines[start : start + rows])
    more = Text(" " * MARGIN + page.glyphs.ellipsis, "dim")
    if start > 0 and rows > 2:
        shown[0] = more
    if start + rows < len(lines) and rows > 4:
        shown[-1] = more
    return shown
