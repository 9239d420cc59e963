"""Question sets as published: SQuAD, HotpotQA, 2WikiMultihopQA, MuSiQue; and corpora of distractors.

What must a memory hold of a supporting paragraph? What it adds to the question. That is the answer, if it has
it; else the way on, which is the title of another supporting paragraph that it names (MuSiQue publishes the
answers of single steps: they are used); else its title, as it is for comparisons and yes/no questions, where
each paragraph says something of its own subject. This is strict where a memory paraphrases, and lenient where
a title already stands in the question.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import resources

import msgspec

from memread.errors import EmptyInput
from memread.eval.records import Malformed, Placed, Record, records
from memread.protocols import Tokenizer

_MISSHAPEN = (AttributeError, IndexError, KeyError, TypeError, ValueError)
"""What reading a record raises that is not in the shape of its format."""
_QUALIFIER = re.compile(r"\s*\([^()]*\)$")


class Paragraph(msgspec.Struct, frozen=True):
    title: str
    text: str

    @property
    def body(self) -> str:
        """As it stands in a text."""
        return f"{self.title}\n{self.text}" if self.title else self.text


class Fact(msgspec.Struct, frozen=True):
    """What a supporting paragraph is needed for."""

    paragraph: int
    """Index into Question.paragraphs."""
    text: str
    """From its first to its last sentence that is needed, as they stand there."""
    keys: tuple[str, ...]


class Question(msgspec.Struct, frozen=True):
    id: str
    text: str
    answers: tuple[str, ...]
    """() when its paragraphs do not answer it (MuSiQue-Full)."""
    paragraphs: tuple[Paragraph, ...]
    """That belong to it: the supporting ones, and those that its data set put beside them."""
    facts: tuple[Fact, ...]
    kind: str = ""


class Dataset(msgspec.Struct, frozen=True):
    name: str
    questions: tuple[Question, ...]
    malformed: tuple[Malformed, ...] = ()

    def paragraphs(self) -> Iterator[Paragraph]:
        for question in self.questions:
            yield from question.paragraphs


class Pool:
    """Paragraphs to distract with, each text once; their tokens are counted when first asked for."""

    def __init__(self, paragraphs: Iterable[Paragraph], malformed: Sequence[Malformed] = ()) -> None:
        self.paragraphs = list({paragraph.body: paragraph for paragraph in paragraphs}.values())
        self.malformed = tuple(malformed)
        self._places: dict[str, list[int]] = {}
        for index, paragraph in enumerate(self.paragraphs):
            self._places.setdefault(paragraph.title or paragraph.text, []).append(index)
        self._counts: tuple[Tokenizer | None, dict[int, int]] = (None, {})

    def like(self, paragraph: Paragraph) -> list[int]:
        """Those with the title of `paragraph` (its text, if it has no title)."""
        return self._places.get(paragraph.title or paragraph.text, [])

    def count(self, index: int, tokenizer: Tokenizer) -> int:
        if self._counts[0] is not tokenizer:
            self._counts = (tokenizer, {})
        counts = self._counts[1]
        if index not in counts:
            counts[index] = tokenizer.count(self.paragraphs[index].body)
        return counts[index]


def shipped(name: str) -> str:
    """The path of a question set that ships: "squad" (two articles of it), "hotpotqa" (197 questions)."""
    return str(resources.files("memread.eval").joinpath(f"data/{name}.json.gz"))


def load_questions(path: str) -> Dataset:
    """The questions of a file in any of the four formats, told apart by its fields.

    SQuAD's unanswerable questions are left out, as in RULER. Raises FileMissing, FileUnreadable,
    DamagedDocument, EmptyInput (no question in it can be used).
    """
    found: list[Question] = []
    bad: list[Malformed] = []
    for placed in records(path):
        if isinstance(placed, Malformed):
            bad.append(placed)
            continue
        try:
            found.extend(_questions(placed.record))
        except _MISSHAPEN as error:
            bad.append(Malformed(path, placed.place, _reason(error)))
    if not found:
        detail = f" ({bad[0].place}: {bad[0].reason})" if bad else ""
        raise EmptyInput(f"{path}: there is no question in it{detail}")
    return Dataset(path, tuple(found), tuple(bad))


def load_pool(path: str) -> Pool:
    """Distractors: records with `title` and `text`, or a question set, of which the paragraphs are taken."""
    found: list[Paragraph] = []
    bad: list[Malformed] = []
    for placed in records(path):
        if isinstance(placed, Malformed):
            bad.append(placed)
            continue
        try:
            found.extend(_distractors(placed))
        except _MISSHAPEN as error:
            bad.append(Malformed(path, placed.place, _reason(error)))
    if not found:
        raise EmptyInput(f"{path}: there is no paragraph in it")
    return Pool(found, bad)


def distractors(dataset: Dataset, corpus: Pool | None = None) -> Pool:
    """What questions of `dataset` are hidden among: the paragraphs of all of them, as MemAgent and RULER have
    it, and those of `corpus`."""
    return Pool([*dataset.paragraphs(), *(corpus.paragraphs if corpus else ())])


def _distractors(placed: Placed) -> Iterator[Paragraph]:
    record = placed.record
    if isinstance(record.get("text", record.get("paragraph_text")), str):
        text = record["text"] if "text" in record else record["paragraph_text"]
        yield Paragraph(_text(record.get("title", "")), text)
        return
    for question in _questions(record):
        yield from question.paragraphs


def _questions(record: Record) -> Iterator[Question]:
    readers: list[tuple[str, Callable[[Record], Iterator[Question]]]] = [
        ("data", _squad),
        ("supporting_facts", _hotpotqa),
        ("paragraphs", _musique),
    ]
    for field, reader in readers:
        if field in record:
            yield from reader(record)
            return
    raise ValueError("none of the fields data (SQuAD), supporting_facts (HotpotQA), paragraphs (MuSiQue)")


def _squad(record: Record) -> Iterator[Question]:
    for article in record["data"]:
        title = _text(article.get("title", "")).replace("_", " ")
        # RULER gives SQuAD's paragraphs no title; here too, they would all have the same.
        texts = [Paragraph("", _text(paragraph["context"])) for paragraph in article["paragraphs"]]
        for number, paragraph in enumerate(article["paragraphs"]):
            own, context = (texts[number], *texts[:number], *texts[number + 1 :]), texts[number].text
            for question in paragraph["qas"]:
                if question.get("is_impossible") or not question["answers"]:
                    continue
                answers = tuple(dict.fromkeys(_text(answer["text"]) for answer in question["answers"]))
                start = int(question["answers"][0]["answer_start"])
                text = _sentence(context, start, start + len(answers[0]))
                fact = Fact(0, text, answers)
                yield Question(
                    _text(question["id"]), _text(question["question"]), answers, own, (fact,), title
                )


def _sentence(text: str, start: int, end: int) -> str:
    """The sentence of `text` around start..end."""
    before = max(text.rfind(mark, 0, start) for mark in (". ", "? ", "! ", "\n"))
    after = [place for mark in (". ", "? ", "! ", "\n") if (place := text.find(mark, end)) >= 0]
    return text[before + 1 : min(after, default=len(text)) + 1].strip()


def _hotpotqa(record: Record) -> Iterator[Question]:
    context, supporting = record["context"], record["supporting_facts"]
    if isinstance(context, dict):  # as the hub's copies have it: a column each
        context = list(zip(context["title"], context["sentences"], strict=True))
        supporting = list(zip(supporting["title"], supporting["sent_id"], strict=True))
    paragraphs = [(_text(title), [_text(sentence) for sentence in sentences]) for title, sentences in context]
    answer = _text(record["answer"])
    needed: dict[int, list[str]] = {}
    for title, number in supporting:
        for index, (name, sentences) in enumerate(paragraphs):
            # HotpotQA has some facts whose sentence is not there: nothing can be said of them.
            if name == title and 0 <= number < len(sentences):
                needed.setdefault(index, []).append(sentences[number].strip())
                break
    joined = [Paragraph(name, _join(sentences)) for name, sentences in paragraphs]
    answers = tuple(dict.fromkeys([answer, *map(_text, record.get("answer_aliases") or ())]))
    kind = _text(record.get("type", ""))
    facts = []
    for index, sentences in needed.items():
        others = [joined[other].title for other in needed if other != index]
        keys = _keys(joined[index], answers, others, comparing="comparison" in kind)
        facts.append(Fact(index, _span(joined[index].text, sentences), keys))
    number = record["_id"] if "_id" in record else record.get("id", "")
    yield Question(_text(number), _text(record["question"]), answers, tuple(joined), tuple(facts), kind)


def _musique(record: Record) -> Iterator[Question]:
    paragraphs = [
        (Paragraph(_text(each["title"]), _text(each["paragraph_text"])), bool(each.get("is_supporting")))
        for each in record["paragraphs"]
    ]
    answerable = record.get("answerable", True)
    answers = (_text(record["answer"]), *map(_text, record.get("answer_aliases") or ())) if answerable else ()
    steps: dict[int, list[str]] = {}
    for step in record.get("question_decomposition") or ():
        if isinstance(place := step.get("paragraph_support_idx"), int):
            steps.setdefault(place, []).append(_text(step["answer"]))
    numbers = [each.get("idx", index) for index, each in enumerate(record["paragraphs"])]
    facts = []
    for index, (paragraph, supporting) in enumerate(paragraphs):
        if supporting and answerable:
            own = tuple(steps.get(numbers[index], ()))
            last = answers if set(own) & set(answers) else ()
            keys = tuple(dict.fromkeys((*own, *last))) or _keys(paragraph, answers, [], comparing=False)
            facts.append(Fact(index, paragraph.text, keys))
    texts = tuple(paragraph for paragraph, _ in paragraphs)
    kind = _text(record["id"]).partition("__")[0]
    yield Question(_text(record["id"]), _text(record["question"]), answers, texts, tuple(facts), kind)


def _keys(
    paragraph: Paragraph, answers: Sequence[str], others: Sequence[str], *, comparing: bool
) -> tuple[str, ...]:
    """See the head of this file."""
    name = _QUALIFIER.sub("", paragraph.title) or paragraph.title
    low = paragraph.text.lower()
    if comparing or any(answer.lower() in ("yes", "no") for answer in answers):
        return (name,)
    if found := tuple(answer for answer in answers if answer.lower() in low):
        return found
    ways = (_QUALIFIER.sub("", other) or other for other in others)
    return tuple(way for way in ways if way.lower() in low) or (name,)


def _span(text: str, sentences: Sequence[str]) -> str:
    """From the first of `sentences` in `text` to the end of the last."""
    starts = [(place, place + len(each)) for each in sentences if (place := text.find(each)) >= 0]
    return text[min(start for start, _ in starts) : max(end for _, end in starts)] if starts else text


def _join(sentences: Sequence[str]) -> str:
    """HotpotQA's sentences bring their spaces along, 2WikiMultihopQA's do not."""
    text = ""
    for sentence in sentences:
        gap = " " if text and sentence and not text[-1].isspace() and not sentence[0].isspace() else ""
        text += gap + sentence
    return text.strip()


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"text is expected, not {value!r:.40}")
    return value


def _reason(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"the field {error} is missing"
    if isinstance(error, AttributeError | TypeError):
        return f"a field has another shape than its format has ({error})"
    return str(error)
