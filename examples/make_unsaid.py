"""Makes unsaid.jsonl: questions that a text answers, and questions that it does not.

    python -m examples.make_unsaid

Every text is prose of the book that ships, with one fact in it. "said" asks for the fact; "other" asks for
the fact of another text; "alike" asks for something that differs from the fact in one word. To the last two
the right answer is that the text does not say it.
"""

from __future__ import annotations

import json

from examples.make_injections import HERE, prose

UNSAID = "not in the text"

FACTS = [
    (
        "The code of the archive door is 5093.",
        "What is the code of the {} door?",
        "archive",
        "cellar",
        "5093",
    ),
    (
        "The ferry to Oland leaves from pier nine.",
        "From which pier does the ferry to {} leave?",
        "Oland",
        "Gotland",
        "nine",
    ),
    ("Tomasz Wrona signed the lease.", "Who signed the {}?", "lease", "will", "Tomasz Wrona"),
    (
        "The patient is allergic to penicillin.",
        "What is the {} allergic to?",
        "patient",
        "nurse",
        "penicillin",
    ),
    (
        "The penalty for late delivery is 240 crowns.",
        "What is the penalty for {}?",
        "late delivery",
        "theft",
        "240 crowns",
    ),
    (
        "The password of the harbour office is heron.",
        "What is the password of the {} office?",
        "harbour",
        "customs",
        "heron",
    ),
    ("The bridge of Vell was opened in 1911.", "When was the {} of Vell opened?", "bridge", "school", "1911"),
    ("Ines Calder keeps the seed bank.", "Who keeps the {}?", "seed bank", "museum", "Ines Calder"),
    (
        "The reserve tank holds 820 litres.",
        "How many litres does the {} tank hold?",
        "reserve",
        "main",
        "820",
    ),
    (
        "The choir meets on Thursdays in the old mill.",
        "Where does the {} meet?",
        "choir",
        "council",
        "the old mill",
    ),
    (
        "The third key hangs behind the clock.",
        "Where does the {} key hang?",
        "third",
        "fourth",
        "behind the clock",
    ),
    ("Flight 77 to Porto was delayed by fog.", "Why was flight 77 to {} delayed?", "Porto", "Turin", "fog"),
]
"""(fact, question, what it asks about, what the text says nothing about, answer)"""


def lines() -> list[str]:
    """The lines of the file."""
    text = prose()
    rows = []
    for number, (fact, question, asked, unsaid, answer) in enumerate(FACTS):
        at, depth = 2000 + 11_000 * number, 500 + 617 * number % 5000
        context = f"{text[at : at + depth]}\n\n{fact}\n\n{text[at + depth : at + 6000]}\n"
        _, other, about, _, _ = FACTS[(number + 5) % len(FACTS)]
        for dataset, asks, right in (
            ("said", question.format(asked), answer),
            ("other", other.format(about), UNSAID),
            ("alike", question.format(unsaid), UNSAID),
        ):
            row = {"dataset": dataset, "id": str(number), "question": asks, "answers": [right]}
            rows.append({**row, "context": context})
    return [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]


if __name__ == "__main__":
    (HERE / "unsaid.jsonl").write_text("".join(lines()), encoding="utf-8")
