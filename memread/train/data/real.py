# ruff: noqa: E501 - a wording a line
"""Facts and questions found in real prose: asked by people, by pattern, or with a word left out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from memread.train.data.corpus import Corpus, Written, around, bare, split_sentences
from memread.train.data.frames import fill, sentence
from memread.train.data.puzzles import Plant, Puzzle, Query, Wordings
from memread.train.data.quotes import COMMON, telling
from memread.train.data.splits import deal

_NAME = r"(?P<v>[A-Z][\w.’'-]+(?: (?:of |de |van |von )?[A-Z][\w.’'-]+){0,3})"
_DAY = r"(?P<v>(?:\d{1,2} )?(?:[A-Z][a-z]+ )?(?:\d{1,2}, )?\d{4})"
# What a sentence about {H} says, and how one asks for it.
PATTERNS = [
    (
        rf"\bdirected by {_NAME}",
        "Who directed {H}? ; Who was the director of {H}? ; By whom was {H} directed?",
    ),
    (rf"\b(?:born|Born)(?: on)? {_DAY}", "When was {H} born? ; What is the date of birth of {H}?"),
    (rf"\bwritten by {_NAME}", "Who wrote {H}? ; Who is the author of {H}?"),
    (rf"\bproduced by {_NAME}", "Who produced {H}? ; Who was the producer of {H}?"),
    (rf"\breleased (?:on|in) {_DAY}", "When was {H} released? ; When did {H} come out?"),
    (rf"\b(?:founded|established) in {_DAY}", "When was {H} founded? ; In which year was {H} established?"),
    (rf"\bborn in {_NAME}", "Where was {H} born? ; What is the birthplace of {H}?"),
    (rf"\b(?:located|situated) (?:in|on|near|at) (?:the )?{_NAME}", "Where is {H}? ; Where is {H} located?"),
    (rf"\bbased in {_NAME}", "Where is {H} based? ; In which town is {H}?"),
    (rf"\bfounded by {_NAME}", "Who founded {H}? ; Who was the founder of {H}?"),
    (rf"\bmarried(?: to)? {_NAME}", "Who was married to {H}? ; Whom did {H} marry?"),
    (rf"\bplayed for {_NAME}", "For whom did {H} play? ; In which team was {H}?"),
    (rf"\bstar(?:s|ring|red) {_NAME}", "Who stars in {H}? ; Who plays in {H}?"),
    (rf"\bnamed after {_NAME}", "After whom is {H} named? ; What gave {H} its name?"),
    (
        r"\bpopulation (?:of|was) (?P<v>[\d,]+\d)",
        "How many people live in {H}? ; What is the population of {H}?",
    ),
    (rf"\bpublished (?:in|on) {_DAY}", "When was {H} published? ; When did {H} appear?"),
    (rf"\b(?:died|– |- )(?:on |in )?{_DAY}\)?", "When did {H} die? ; What is the date of death of {H}?"),
    (rf"\bcomposed by {_NAME}", "Who composed {H}? ; Who wrote the music of {H}?"),
    (
        r"\b(?:is|was) (?:an?|the) (?P<v>[^.,;()]{12,70})[.,;]",
        "What is {H}? ; Who or what is {H}? ; What do we learn about {H}?",
    ),
]
_ENDS = r"(?=[.,;)]| (?:and|in|on|at|from|to|who|which|with|by|was|is) )"
"""What comes after a name that is whole."""
_NO_NAMES = re.compile(
    r"(?:He|She|It|They|This|That|These|Those|His|Her|Its|Their|We|I|You|The|A|An|What|Having|As|There|Here|One|Who)\b"
)
# What may be asked for in the place where it stands in a sentence, and by which words.
IN_PLACE = [
    (r"\b(?:in|since|until|by|of) (?P<v>1\d{3}|20[0-2]\d)\b", "which year ; what year"),
    (rf"\b(?:in|at|near|from|to) (?:the )?{_NAME}{_ENDS}", "what ; what place"),
    (
        r"\b(?P<v>\d[\d,.]*\d|\d|two|three|four|five|six|seven|eight|nine|ten|twelve|twenty) (?:[a-z]+ )?[a-z]{3,}s\b",
        "how many",
    ),
    (rf"\bby {_NAME}{_ENDS}", "whom ; whom or what"),
    (rf"\b(?:and|of|with|for|against|as) (?:the )?{_NAME}{_ENDS}", "whom or what ; what or whom"),
    (rf"\b(?:called|named|titled|entitled|nicknamed|known as) \"?{_NAME}{_ENDS}", "what"),
    (rf"\bon {_DAY}", "which day ; what date"),
    (r"\b(?:an?|the) (?P<v>[a-z]{4,} [a-z]{4,})(?=[.,;])", "what"),
    (r"\b(?:his|her|its|their) (?P<v>[a-z]{4,}(?: [a-z]{4,})?)(?=[.,;])", "what"),
    (rf"\b(?:film|novel|song|album|book|band|group|series) \"?{_NAME}{_ENDS}", "of what name ; what"),
    (
        rf"\b(?:actor|actress|singer|writer|director|wife|husband|son|daughter|brother|king|friend) {_NAME}{_ENDS}",
        "whom ; by what name",
    ),
    (r"(?P<v>[$£€]\d[\d,.]*\d|\d[\d.,]*%| \d+ per cent)", "how much"),
]
# {R} what a sentence says of its subject, whose name is asked for
SUBJECT = """
Who or what {R}?
What or who {R}?
Who or which {R}?
The text says that somebody or something {R}. Name it.
Of whom or what does the text say: {R}?
Name who or what {R}.
It {R}. What is meant?
""".strip().split("\n")
# {S} a sentence with a word left out
CLOZE = """
Which word is missing: "{S}"
Fill in the blank: {S}
What stands in the place of ____ in "{S}"
Complete: {S}
{S} What is ____?
The text says: "{S}" What is the word in place of ____?
Find the missing word. {S}
""".strip().split("\n")
# {K} words of a sentence
ABOUT = """
What does the text say about {K}?
Which sentence speaks of {K}?
Find the sentence about {K}.
Quote what is said about {K}.
{K}?
What is written about {K}?
Look for {K}. What does it say there?
""".strip().split("\n")
_LEAST, _MOST = 40, 320
"""Characters of a sentence that is worth a question."""


def _block(title: str, sentences: list[str], number: int) -> Plant:
    before, after = sentences[:number], sentences[number + 1 :]
    text = sentences[number]
    return Plant(
        text,
        "block",
        " ".join(before) + " " * bool(before),
        " " * bool(after) + " ".join(after),
        _untold(title, text),
    )


def _untold(title: str, text: str) -> str:
    """`title` where `text` does not say it, else ""."""
    return title if bare(title).lower() not in text.lower() else ""


def _sentence(w: Wordings, corpus: Corpus) -> tuple[str, list[str], int, tuple[str, ...]] | None:
    """A paragraph, the number of one of its sentences that is neither too short nor too long, and what stands
    around the paragraph."""
    for _ in range(50):
        title, sentences, beside = corpus.sentences(w.random)
        fit = [i for i, text in enumerate(sentences) if _LEAST <= len(text) <= _MOST]
        if fit and len(" ".join(sentences)) < 3000:
            return title, sentences, w.random.choice(fit), beside
    return None


def cloze(w: Wordings, corpus: Corpus) -> Puzzle | None:
    """A sentence with a number, a name or a long word left out."""
    if (found := _sentence(w, corpus)) is None:
        return None
    title, sentences, number, beside = found
    text = sentences[number]
    words = [m for m in re.finditer(r"[A-Za-z0-9][\w’'-]*", text) if m.start() and text.count(m[0]) == 1]
    good = [m for m in words if m[0][0].isdigit() or m[0][0].isupper() or len(m[0]) > 6]
    if not good:
        return None
    gap = w.random.choice(good)
    start, end = max(0, gap.start() - 90), min(len(text), gap.end() + 70)
    start = text.find(" ", start) + 1 if start else 0
    end = text.rfind(" ", gap.end(), end) if end < len(text) and " " in text[gap.end() : end] else end
    shown = text[start : gap.start()] + "____" + text[gap.end() : end]
    question = fill(w.random.choice(deal(CLOZE, w.words.split)), S=shown)
    return Puzzle(
        (_block(title, sentences, number),), (Query("cloze", question, (gap[0],), (0,)),), beside=beside
    )


def about(w: Wordings, corpus: Corpus) -> Puzzle | None:
    """A sentence, asked for by two or three of its rarer words."""
    if (found := _sentence(w, corpus)) is None:
        return None
    title, sentences, number, beside = found
    text = sentences[number]
    rare = [word for word in re.findall(r"[A-Za-z][\w’'-]{3,}", text) if word.lower() not in COMMON]
    if len(rare) < 4 or len(text) > 200:
        return None
    at = w.random.randrange(len(rare) - 2)
    keys = ", ".join(dict.fromkeys(rare[at : at + w.random.randint(2, 3)]))
    question = fill(w.random.choice(deal(ABOUT, w.words.split)), K=keys)
    return Puzzle(
        (_block(title, sentences, number),), (Query("about", question, (text,), (0,)),), beside=beside
    )


def pattern(w: Wordings, corpus: Corpus) -> Puzzle | None:
    """A question about the paragraph's own subject, where a sentence tells it in a way that is known."""
    patterns = deal(PATTERNS, w.words.split)
    for _ in range(60):
        paragraph = w.random.choice(corpus.paragraphs)
        sentences = split_sentences(paragraph.text)
        expression, questions = w.random.choice(patterns)
        hits = [(i, m) for i, text in enumerate(sentences[:3]) if (m := re.search(expression, text))]
        if hits and len(sentences[hits[0][0]]) <= _MOST:
            number, match = hits[0]
            # Further on "he" may be anybody: only the first sentence, or one that names the subject.
            name = bare(paragraph.title)
            if number == 0 or name in sentences[number]:
                question = fill(w.random.choice(questions.split(" ; ")), H=name)
                plant = _block(paragraph.title, sentences, number)
                return Puzzle((plant,), (Query("real", question, (match["v"].rstrip(".,’'"),), (0,)),))
    return None


def in_place(w: Wordings, corpus: Corpus) -> Puzzle | None:
    """A sentence that asks: "The museum is on which island?", or who it was that did what it says."""
    rules = deal(IN_PLACE, w.words.split)
    for _ in range(40):
        if (found := _sentence(w, corpus)) is None:
            return None
        title, sentences, number, beside = found
        text = sentences[number]
        if w.random.random() < 0.25:
            asked = _asked_for_subject(w, text)
        else:
            asked = _asked_in_place(w, text, bare(title), *w.random.choice(rules))
        if asked is not None and len(telling(text, asked[0])) >= 2:
            query = Query("real", asked[0], (asked[1],), (0,))
            return Puzzle((_block(title, sentences, number),), (query,), beside=beside)
    return None


def _asked_in_place(
    w: Wordings, text: str, subject: str, expression: str, words: str
) -> tuple[str, str] | None:
    """(question, answer): the clause with `words` in the place of what matches. subject: for "He" and "It"."""
    if (match := re.search(expression, text)) is None or text.count(match["v"]) > 1:
        return None
    if _NO_NAMES.match(match["v"]):
        return None
    start, end = match.span("v")
    first = max((text.rfind(mark, 0, start) for mark in (";", ":", '"')), default=-1) + 1
    stop = _STOP.search(text, end)
    before = re.sub(r" the $", " ", text[first:start].lstrip())
    if subject:
        before = re.sub(r"^(?:He|She|It|They) ", f"{subject} ", before)
    word, after = w.random.choice(words.split(" ; ")), text[end : stop.start() if stop else None].rstrip(" .")
    said = before + word + after
    named = said[:1].isupper() and (not _NO_NAMES.match(said) or said.startswith("The "))
    if not named or not 30 <= len(said) <= 200 or said.count("(") != said.count(")"):
        return None
    if (turned := _TURNED.fullmatch(before)) and not after and w.random.random() < 0.6:
        aux, place = turned["aux"], turned["place"]
        said = f"{place.capitalize()}{word} {aux} {turned['subject']} {turned['middle']}".rstrip()
    return said + "?", match["v"].strip().rstrip(".,’'")


_STOP = re.compile(r"[,;:()\"]|[.?!]$")
_TURNED = re.compile(
    r"(?P<subject>[^,;()]{3,60}?) (?P<aux>is|was|are|were) (?P<middle>[^,;()]{0,60}?) ?\b"
    r"(?P<place>(?:in|at|of|by|on|from|to|near|for|with|as) )"
)
"""What comes before an answer where "It is found in what?" can be turned to "In what is it found?"."""


def _asked_for_subject(w: Wordings, text: str) -> tuple[str, str] | None:
    """(question, answer) where a sentence begins with a name and goes on with a verb."""
    verb = r"(?:was|is|were|are|had|has|became|won|wrote|made|gave|took|went|came|[a-z]{3,}ed)"
    match = re.match(rf"{_NAME}(?: \([^)]*\))? (?P<r>{verb} [^.;:\"]{{20,140}}?)[.,;]", text)
    if match is None or _NO_NAMES.match(match["v"]):
        return None
    question = fill(w.random.choice(deal(SUBJECT, w.words.split)), R=match["r"])
    return sentence(question), match["v"].rstrip(".,’'")


def asked_by_people(w: Wordings, corpus: Corpus) -> Puzzle | None:
    """SQuAD's questions on one paragraph."""
    if not corpus.asked:
        return None
    context = w.random.choice(corpus.asked).context
    here = [asked for asked in corpus.asked if asked.context == context]
    sentences = split_sentences(context)
    starts = [0]
    for text in sentences:
        starts.append(starts[-1] + len(text) + 1)
    queries, needed = [], []
    for asked in w.random.sample(here, min(3, len(here))):
        if asked.start < 0:
            queries.append(Query("not-in-text", asked.question, ()))
            continue
        number = max(i for i, start in enumerate(starts[:-1]) if start <= asked.start)
        if len(sentences[number]) <= _MOST + 100:
            if number not in needed:
                needed.append(number)
            queries.append(Query("real", asked.question, asked.answers, (number,)))
    if not queries:
        return None
    # One block in pieces: every needed sentence is a plant that goes on where the one before ended.
    title = here[0].title
    contexts = list(dict.fromkeys(asked.context for asked in corpus.asked if asked.title == title))
    at = contexts.index(context)
    return msgspec.structs.replace(
        _pieces("", sentences, needed, queries), beside=around(contexts, at, at + 1)
    )


def _pieces(title: str, sentences: list[str], needed: list[int], queries: list[Query]) -> Puzzle:
    """A paragraph as one block with a plant for each needed sentence; evidence is given by sentence number."""
    needed = sorted(needed) or [0]
    plants = []
    for place, number in enumerate(needed):
        before = sentences[needed[place - 1] + 1 if place else 0 : number]
        plant = _block(title, [*before, sentences[number]], len(before))
        last = place == len(needed) - 1
        rest = sentences[number + 1 :] if last else []
        plants.append(
            Plant(
                plant.text,
                "block",
                plant.before,
                (" " + " ".join(rest)) if rest else "" if last else "\0",
                plant.title,
            )
        )
    return Puzzle(
        tuple(plants),
        tuple(
            Query(
                q.kind, q.question, q.answers, tuple(needed.index(n) for n in q.evidence), need_all=q.need_all
            )
            for q in queries
        ),
        ordered=True,
    )


def multi_hop(w: Wordings, corpus: Corpus) -> Puzzle | None:
    """A question of HotpotQA or 2WikiMultihopQA; its paragraphs in the order of the reasoning, where one
    must know the first to see that the second matters. None where nothing shows that a paragraph matters, even
    then: noting it would be guessing."""
    if not corpus.multi_hop:
        return None
    item = w.random.choice(corpus.multi_hop)
    gold = list(item.gold)
    if item.kind == "comparison":
        w.random.shuffle(gold)
    steps = [(title, _pieces(title, [*sentences], [*needed], []).plants) for title, sentences, needed in gold]
    plants = [plant for _, pieces in steps for plant in pieces]
    if not _leads_on(item.question, steps) or sum(len(plant.text) for plant in plants) > 900:
        return None
    query = Query("multi-hop", item.question, (item.answer,), tuple(range(len(plants))))
    return Puzzle(tuple(plants), (query,), ordered=True, beside=item.others)


def written(w: Wordings, corpus: Corpus) -> Puzzle | None:
    """Questions written for memread: up to four about one text, which is a paragraph, two that belong together,
    or a few pages of a book. None where nothing would show that a further paragraph matters."""
    return _as_written(w, corpus, corpus.written)


def written_hops(w: Wordings, corpus: Corpus) -> Puzzle | None:
    """The same, of those that need two paragraphs."""
    return _as_written(w, corpus, corpus.written_hops)


def _as_written(w: Wordings, corpus: Corpus, chosen_from: Sequence[Written]) -> Puzzle | None:
    if not chosen_from:
        return None
    chosen = w.random.choice(chosen_from)
    texts, beside = _read_together(w, chosen, corpus)
    joined = "\n".join(texts.values())
    if len(joined) > _PAGES:
        return None
    asked = [item for item in corpus.written if all(quote in joined for quote in item.quotes)]
    others = [item for item in asked if item is not chosen]
    items = [chosen, *w.random.sample(others, min(len(others), w.random.randint(0, 3)))]
    plants: list[Plant] = []
    for title, text in texts.items():
        plants += _planted(title, text, [quote for item in items for quote in item.quotes])
    queries = []
    for item in items:
        of = [next(i for i, plant in enumerate(plants) if quote in plant.text) for quote in item.quotes]
        needed = tuple(dict.fromkeys(of))
        if not item.answers:
            queries.append(Query("not-in-text", item.question, ()))
        elif len(texts) == 1 or _leads_on(item.question, ((plants[i].title, [plants[i]]) for i in needed)):
            kind = "real" if len(texts) == 1 else "multi-hop"
            parts = tuple(
                _part(plants[i].text, [quote for quote, at in zip(item.quotes, of, strict=True) if at == i])
                for i in needed
            )
            queries.append(Query(kind, item.question, item.answers, needed, parts=parts))
    return Puzzle(tuple(plants), tuple(queries), ordered=True, beside=beside) if queries else None


_PAGES = 5000
"""Characters of a text that questions are asked about together, at most."""


def _read_together(w: Wordings, chosen: Written, corpus: Corpus) -> tuple[dict[str, str], tuple[str, ...]]:
    """({title: text}, what stands around it): paragraphs in the order of the reasoning, or so many of a book's
    around them as chance has it. Around paragraphs stand others that share words with the question."""
    sources = chosen.sources
    if sources[0].title:
        texts = {source.title: source.run[source.at] for source in sources}
        return texts, corpus.alike(chosen.question, texts) if len(texts) > 1 else ()
    run = sources[0].run
    first, last = min(source.at for source in sources), max(source.at for source in sources)
    first, last = max(0, first - w.random.randint(0, 5)), last + w.random.randint(1, 6)
    return {"": "\n\n".join(run[first:last])}, around(run, first, last)


def _planted(title: str, text: str, quotes: Iterable[str]) -> Iterator[Plant]:
    """`text` as one block, a plant for each of the `quotes` that it has, or for all that overlap."""
    spans: list[tuple[int, int]] = []
    found = ((text.find(quote), quote) for quote in dict.fromkeys(quotes))
    for start, quote in sorted(pair for pair in found if pair[0] >= 0):
        end = start + len(quote)
        end += len(re.match(r"\S*", text[end:])[0])  # type: ignore[index]
        if spans and start <= spans[-1][1]:
            start, end = spans[-1][0], max(end, spans.pop()[1])
        spans.append((start, end))
    at = 0
    for number, (start, end) in enumerate(spans):
        said, last = text[start:end], number == len(spans) - 1
        yield Plant(said, "block", text[at:start], text[end:] if last else "\0", _untold(title, said))
        at = end + 1  # the piece that goes on behind a "\0" does so with a space


def _part(text: str, quotes: Iterable[str]) -> str:
    """What of `text` reaches from the first of `quotes` to the end of the word that the last ends in."""
    spans = [(start, start + len(quote)) for quote in quotes for start in [text.index(quote)]]
    start, end = min(first for first, _ in spans), max(last for _, last in spans)
    return text[start : end + len(re.match(r"\S*", text[end:])[0])]  # type: ignore[index]


def _leads_on(question: str, steps: Iterable[tuple[str, Sequence[Plant]]]) -> bool:
    """Whether all plants of each step (title, plants) have a telling word of what is known by then."""
    known = question
    for title, plants in steps:
        if not all(telling(f"{title}: {plant.text}", known) for plant in plants):
            return False
        known = " ".join([known, title, *(plant.text for plant in plants)])
    return True


MAKERS: dict[str, tuple[Callable[[Wordings, Corpus], Puzzle | None], float]] = {
    "cloze": (cloze, 1.5),
    "about": (about, 0.8),
    "pattern": (pattern, 3.0),
    "in_place": (in_place, 3.0),
    "asked_by_people": (asked_by_people, 2.0),
    "multi_hop": (multi_hop, 2.0),
    "written": (written, 3.0),
    "written_hops": (written_hops, 0.0),
}
"""Makers that need files, and how often each is used. One returns None when it found nothing."""
