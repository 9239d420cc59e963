"""The nouns of memread: what documents, segments, requests and replies are.

All of them are frozen. `msgspec.Struct` is used as a dataclass that can also be written to and
strictly read from JSON, so that what is stored or sent to another process round-trips exactly.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from typing import Literal

import msgspec


class Locator(msgspec.Struct, frozen=True, omit_defaults=True):
    """A place in a document, in terms a person can look up. Supplied by readers, never by a model."""

    document: int = 0
    """Which input, 0-based, in reading order; -1 for none of them."""
    page: str | None = None
    """The page label the document itself prints ("xii", "14")."""
    page_number: int | None = None
    """The physical page, 1-based."""
    chapter: str | None = None
    """The title of the chapter or section."""
    line: int | None = None
    """The line, 1-based, for texts that have lines."""
    at: str | None = None
    """What the format itself counts in, in words: "cell 4", "message 12", "00:12:03"."""

    def advanced(self, text: str) -> Locator:
        """The place just after `text`, which starts here. Only line numbers move."""
        if self.line is None:
            return self
        return msgspec.structs.replace(self, line=self.line + text.count("\n"))

    def label(self) -> str:
        """Such as "p. 14 · Loomings", "line 120", or nothing."""
        return " · ".join(part for part in (self._where(), self.chapter or "") if part)

    def _where(self) -> str:
        if self.page is not None or self.page_number is not None:
            return f"p. {self.page if self.page is not None else self.page_number}"
        return f"line {self.line}" if self.line is not None else self.at or ""


NOWHERE = Locator(document=-1)
"""Of something that is in none of the documents that are read: a file that was left out."""


class Span(msgspec.Struct, frozen=True):
    """From the place of the first character to the place of the last, both included."""

    start: Locator
    end: Locator

    def label(self) -> str:
        """Such as "pp. 12–14 · Loomings", "lines 1–400", "Loomings – The Carpet-Bag", or nothing."""
        start, end = self.start, self.end
        if start.document != end.document:
            return f"{start.label() or 'start'} – {end.label() or 'end'}"
        where = ""
        if start._where() and start._where() == end._where():
            where = start._where()
        elif start.page_number is not None and end.page_number is not None:
            where = f"pp. {start.page or start.page_number}–{end.page or end.page_number}"
        elif start.line is not None and end.line is not None:
            where = f"lines {start.line}–{end.line}"
        elif start.at is not None and end.at is not None:
            where = f"{start.at} – {end.at}"
        chapters = list(dict.fromkeys(c for c in (start.chapter, end.chapter) if c))
        return " · ".join(part for part in (where, " – ".join(chapters)) if part)


class Passage(msgspec.Struct, frozen=True):
    """A run of text from one place of a document, as its reader yields it.

    The passages of an input, joined, are the text that is read: separators are part of them.
    """

    text: str
    locator: Locator
    fraction: float | None = None
    """How much of all inputs lies before the end of this passage, 0..1; None when unknowable."""


class Skipped(msgspec.Struct, frozen=True, tag="skipped", omit_defaults=True):
    """A part of a document that could not be read, and why. Never silent."""

    locator: Locator
    """Where it begins."""
    reason: str
    pages: tuple[str, ...] = ()
    """The labels of the pages that begin in it, in order, as far as the document tells elsewhere."""
    chapters: tuple[str, ...] = ()
    """The same of chapters: their titles."""

    def label(self) -> str:
        """From where it begins to the last page and chapter that begin in it: "pp. 2–4 · One – Three"."""
        pages = [page for page in (self.locator.page, *self.pages) if page is not None]
        titles = [title for title in (self.locator.chapter, *self.chapters) if title is not None]
        where = self.locator._where()
        if self.pages:
            where = f"p. {pages[0]}" if pages[0] == pages[-1] else f"pp. {pages[0]}–{pages[-1]}"
        chapters = " – ".join(dict.fromkeys((titles[0], titles[-1]))) if titles else ""
        return " · ".join(part for part in (where, chapters) if part)


NO_TEXT_LAYER = "no text layer"
"""The reason of a page that is only a picture: these are counted and named together."""


class Limits(msgspec.Struct, frozen=True):
    """What a page, chapter or message may cost the process that reads it. A document that cannot be divided
    is one of them."""

    seconds: float = 120.0
    """A page that takes longer does not end: a drawing of a million lines, or an attack."""
    memory: int = 4 << 30
    """Bytes of address space of the whole process, where the system can limit it (Linux)."""


LIMITS = Limits()

Format = Literal["pdf", "epub", "html", "text", "docx", "odt", "notebook", "subtitles", "mail"]


class DocumentInfo(msgspec.Struct, frozen=True):
    """What is known of an input before it is read. Strings come from the document: untrusted."""

    name: str
    """As the user gave it; "-" is standard input."""
    format: Format
    title: str = ""
    author: str = ""
    pages: int | None = None
    chapters: int | None = None
    size: int | None = None
    """Bytes; None for a stream."""
    part: str = ""
    """What of it was asked for ("pages 10-80"), when not all of it was."""


class SegmentInfo(msgspec.Struct, frozen=True):
    """A segment without its text: what events and the journal hold."""

    index: int
    tokens: int
    """By the model's own tokenizer, special-token parsing off."""
    span: Span
    digest: str
    """`digest()` of the text."""
    fraction: float | None = None


class Segment(msgspec.Struct, frozen=True):
    """A piece of the inputs that is read in one prompt."""

    info: SegmentInfo
    text: str
    places: tuple[tuple[int, Locator], ...] = ()
    """(offset in `text`, the place there), ascending: what `place` needs, no more."""

    def place(self, offset: int) -> Locator:
        """The place of the character at `offset`: its page, chapter, line, as far as the reader knew."""
        known = [(0, self.info.span.start), *self.places]
        start, locator = known[bisect_right(known, offset, key=lambda place: place[0]) - 1]
        return locator.advanced(self.text[start:offset])

    def span(self, start: int, end: int) -> Span:
        """The places of the characters `start` to `end`, without the last."""
        return Span(self.place(start), self.place(max(start, end - 1)))


class Claim(msgspec.Struct, frozen=True, omit_defaults=True):
    """A statement of a memory or an answer, and the passage of the text that speaks for it.

    The passage was found by comparing words, in the text itself; no model had a part in it.
    """

    statement: str
    """As the model wrote it. Untrusted."""
    segment: int = -1
    """The segment (0-based) with which it entered the memory; -1 where none did."""
    quote: str = ""
    """The passage, letter for letter as it was read; "" when none resembles the statement. Untrusted."""
    span: Span | None = None
    """Where the passage is. Of a segment without one, what the segment spans."""
    verified: bool = False
    """Every word of the statement that carries meaning stands in the passage, in the same order, names and
    numbers exactly, and nothing there denies it. What the words mean is for a reader to judge."""
    missing: tuple[str, ...] = ()
    """Words of the statement that the passage lacks, some of them. Not verified although none is missing:
    the words stand there in another order, too far apart, or denied."""
    score: float = 0.0
    """How much of the statement the passage holds, 0..1; rare words count for more."""


class Evidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """What in the text speaks for an answer."""

    answer: tuple[Claim, ...] = ()
    """The statements of the answer, in order."""
    memory: tuple[Claim, ...] = ()
    """Those of the last memory, in order."""


def digest(text: str) -> str:
    """The name of a text: "sha256:" and the hex digest of its UTF-8 bytes (lone surrogates kept)."""
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class Part(msgspec.Struct, frozen=True):
    """A run of a prompt. Only a marker may hold special tokens; anything else is letters."""

    text: str
    marker: bool = False


class ChatFrame(msgspec.Struct, frozen=True):
    """What a model's chat template puts around one user message."""

    before: str
    after: str
    strips: bool = False
    """The template strips white space around the message."""


class Sampling(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the next token is chosen. Temperature 0 is greedy: the likeliest token, always."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    """0 keeps all."""
    seed: int = 0


class Budget(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits in tokens."""

    query: int = 1024
    segment: int = 5000
    memory: int = 1024
    answer: int = 1024


class Request(msgspec.Struct, frozen=True):
    """One independent conversation: a prompt, and how to continue it."""

    kind: Literal["update", "answer"]
    prompt: tuple[Part, ...]
    max_tokens: int
    sampling: Sampling
    shared: tuple[int, ...] = ()
    """After how many leading parts it ceases to be like others: those of the whole reading, those about the
    same section. The KV up to there is worth keeping."""
    rewrites: str = ""
    """The text that the reply is a new version of, and probably begins like."""
    quotes: tuple[str, ...] = ()
    """Texts that it probably takes words from."""
    verbatim: tuple[str, ...] = ()
    """If there are any, each of its lines must be a quotation of one of these texts, or its first line one of
    `words`. Engines that do not draw the tokens themselves take no notice."""
    words: tuple[str, ...] = ()
    refusal: tuple[str, str] | None = None
    """How a reply begins, and how it goes on where it refuses to answer: it does if the model gives that
    `refused_from` or more, and else goes on with the likeliest other token. Engines that do not draw the
    tokens themselves take no notice."""
    refused_from: float = 0.0
    """A probability."""
    beside: tuple[tuple[str, tuple[Part, ...]], ...] = ()
    """Parts of what `prompt` has, such as lines of the memory, and prompts that have this part alone."""
    likely_from: float = 0.0
    """A probability; 0: the reply is to `prompt` alone. It is too where it is put together from several
    parts: each of its words stands there, and in none as they follow each other. Else it is that one of the
    replies to `prompt` and to those `beside` it, refusals left out, which is likeliest on the mean of all;
    and it is the refusal also where the mean of its probability with `prompt` and with whichever of the
    others makes it likeliest is less than this. Engines that do not draw the tokens themselves take no
    notice."""


Finish = Literal["stop", "length", "loop", "cancelled"]
"""Why a reply ended: the model ended it, its limit, it repeats itself, somebody stopped it."""


class Counts(msgspec.Struct, frozen=True):
    """What a reply cost. Tokens and seconds."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Of prompt_tokens, those whose KV was already there."""
    reply_tokens: int = 0
    prefill_seconds: float = 0.0
    decode_seconds: float = 0.0
    defused: int = 0
    """Spellings of special tokens in the prompt that were broken up, for a server that takes text only."""
    drafted_tokens: int = 0
    """Tokens that were guessed and computed ahead."""
    accepted_tokens: int = 0
    """Of drafted_tokens, those that are in the reply."""

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.prompt_tokens + other.prompt_tokens,
            self.cached_tokens + other.cached_tokens,
            self.reply_tokens + other.reply_tokens,
            self.prefill_seconds + other.prefill_seconds,
            self.decode_seconds + other.decode_seconds,
            self.defused + other.defused,
            self.drafted_tokens + other.drafted_tokens,
            self.accepted_tokens + other.accepted_tokens,
        )


class Reply(msgspec.Struct, frozen=True):
    """What an engine made of a request."""

    text: str
    finish: Finish
    counts: Counts = Counts()
    likely: float | None = None
    """How probable the reply was, or what a refusal stands for, if it was weighed (Request.likely_from)."""


class Coverage(msgspec.Struct, frozen=True):
    """How much of the inputs an answer rests on."""

    segments: int
    tokens: int
    complete: bool
    """Every input was read to its end (skipped parts are counted in `skipped`)."""
    fraction: float | None = None
    last: Span | None = None
    skipped: int = 0
    kept: int = 0
    """Segments after which the old memory was kept because the replies were rejected."""
    parts: tuple[Span, ...] = ()
    """Where parts were read side by side: what was read of each, in the order of the text."""


class Answer(msgspec.Struct, frozen=True):
    """The end of a reading."""

    text: str
    boxed: bool
    """The model put it in \\boxed{}, as it was asked to."""
    raw: str
    memory: str
    coverage: Coverage
    counts: Counts = Counts()
    evidence: Evidence | None = None
    """None: nobody looked for it."""
    cut: bool = False
    """Somebody stopped the model while it answered. `coverage` is that of the text all the same."""
    likely: float | None = None
    """How probable the model's answer was, also if it is not given for that (Profile.likely_from). None: it
    was not weighed."""

    @property
    def whole(self) -> bool:
        """All of the text was read and the answer was not cut: there is nothing to go on with."""
        return self.coverage.complete and not self.cut


class EngineInfo(msgspec.Struct, frozen=True):
    """What answers the requests; goes into the journal, the JSON and the identity of a run."""

    model: str
    path: str
    """The file, or the URL of a server."""
    digest: str
    """"sha256:…" of the weights; "" where it cannot be known."""
    build: str
    device: str
    """Where the layers really are: "CPU", "CUDA0 29/29 layers"."""
    context: int
    threads: int = 0
    settings: dict[str, str | int | float | bool] = {}
