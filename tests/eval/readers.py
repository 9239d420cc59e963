"""Items made by hand, and scripted readers with one habit each: what runner and diagnosis are proved with.

The readers see what a model sees, the prompt, and know of an item only what stands there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from memread import profile
from memread.engine.scripted import Script, ScriptedEngine
from memread.eval.item import Gold, Item
from memread.eval.methods import Setup
from memread.eval.methods.wording import shipped
from memread.types import Locator, Passage, Request

PROFILE = profile.loads(
    """
    name = "test"
    [wording]
    initial_memory = "Nothing."
    update = "<problem>{prompt}</problem><memory>{memory}</memory><section>{chunk}</section>"
    answer = "<problem>{prompt}</problem><memory>{memory}</memory>Answer:"
    [budget]
    query = 100
    segment = 60
    memory = 40
    answer = 20
    """,
    "test",
)
NEEDLE = re.compile(r"The code of (\w+) is (\d+)\.")


def setup(engine: ScriptedEngine, window: int = 4096) -> Setup:
    return Setup(PROFILE, shipped(), engine.tokenizer, engine.frame, window)


def item(
    number: int = 0,
    *,
    needles: dict[str, str] | None = None,
    at: tuple[int, ...] = (10,),
    lines: int = 40,
    task: str = "needle",
    seed: int = 7,
) -> Item:
    """A text of `lines` paragraphs with needles as the paragraphs `at`; about 13 tokens each."""
    needles = {"rome": "4711"} if needles is None else needles
    facts = [f"The code of {name} is {code}." for name, code in needles.items()]
    paragraphs = [f"Paragraph {n + 1} tells nothing new." for n in range(lines)]
    for place, fact in zip(at, facts, strict=True):
        paragraphs[place] = fact

    def text() -> Iterator[Passage]:
        for n, paragraph in enumerate(paragraphs):
            yield Passage(paragraph + "\n\n", Locator(line=2 * n + 1), (n + 1) / lines)

    return Item(
        id=f"{task}/{lines}/{number}",
        task=task,
        length=lines * 13,
        seed=seed,
        question=f"What is the code of {' and of '.join(needles)}?",
        answers=tuple(needles.values()),
        metric="all",
        text=text,
        gold=tuple(
            Gold(fact, (code,), place / lines)
            for fact, code, place in zip(facts, needles.values(), at, strict=True)
        ),
        details={"depth": round(at[0] / lines, 2)} if at else {},
    )


def part(prompt: str, tag: str) -> str:
    found = re.search(rf"<{tag}>(.*?)</{tag}>", prompt, re.DOTALL)
    return found[1].strip() if found else ""


def facts_in(text: str) -> list[str]:
    return [match[0] for match in NEEDLE.finditer(text)]


def seen(prompt: str) -> list[str]:
    """Every needle in what a prompt gives to read, whatever the method: its own memory first."""
    tags = ("memory", "answer", "section", "text", "findings", "notes")
    return list(dict.fromkeys(fact for tag in tags for fact in facts_in(part(prompt, tag))))


def answer(facts: list[str]) -> str:
    return "\\boxed{" + " ".join(match[2] for fact in facts if (match := NEEDLE.match(fact))) + "}"


def perfect(request: Request, prompt: str) -> str:
    """Keeps every needle, and answers with all codes."""
    facts = seen(prompt)
    if request.kind == "answer":
        return answer(facts) if facts else "I do not know."
    return "\n".join(facts) or "NONE"


def deaf(request: Request, prompt: str) -> str:
    """Never notices anything."""
    return "I do not know." if request.kind == "answer" else "No relevant information yet."


def forgetful(after: int) -> Script:
    """Loses what it holds in the segment that has paragraph `after`."""

    def reply(request: Request, prompt: str) -> str:
        if request.kind == "update" and f"Paragraph {after} " in part(prompt, "section"):
            return "No relevant information."
        return perfect(request, prompt)

    return reply


def wrong(request: Request, prompt: str) -> str:
    """Keeps everything and answers something else."""
    return "\\boxed{0000}" if request.kind == "answer" else perfect(request, prompt)


def babbling(request: Request, prompt: str) -> str:
    """Repeats itself, always."""
    return "and so on " * 300


def verbose(request: Request, prompt: str) -> str:
    """Copies the section with the needle, and more, into a memory that is too small for it."""
    if request.kind == "update" and facts_in(part(prompt, "section")):
        return " ".join(f"{n} {word}" for n, word in enumerate(part(prompt, "section").split() * 20))
    return perfect(request, prompt)
