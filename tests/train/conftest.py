"""What the tests of training share."""

from __future__ import annotations

import gzip
import json
import random
import re
from pathlib import Path

import pytest

from memread.train.data import words
from memread.train.data.corpus import split_sentences
from tests.ingest.samples import epub


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of real data, in small, made up."""
    root = tmp_path_factory.mktemp("data")
    (root / "qa" / "train").mkdir(parents=True)
    (root / "qa" / "eval").mkdir(parents=True)
    r = random.Random(0)
    w = words.Words(r, "train")

    def text(title: str) -> list[str]:
        return [
            f"{title} is a {w.pick('ADJECTIVES')} film directed by {w.person()}.",
            f"It was released in {r.randint(1900, 2020)} and nobody in {w.place()} noticed it.",
            f"The {w.pick('NOUNS')} of {w.place()} is shown in it for {r.randint(2, 90)} minutes.",
        ]

    titles = [f"The {w.made_up()} {w.made_up()}" for _ in range(300)]
    paragraphs = [{"title": title, "text": " ".join(text(title))} for title in titles]
    hops = []
    for one, other in zip(titles[::2], titles[1::2], strict=True):
        context = [[one, text(one)], [other, text(other)]]
        hops.append(
            {
                "question": f"Which came first, {one} or {other}?",
                "answer": one,
                "type": "comparison",
                "supporting_facts": [[one, 1], [other, 1]],
                "context": context,
            }
        )
    contexts = [" ".join(text(title)) for title in titles]
    squad = [
        {
            "context": context,
            "qas": [
                {
                    "question": f"Who is {n}?",
                    "answers": [{"text": context[10:20], "answer_start": 10}],
                },
                {"question": f"Who is not {n}?", "answers": []},
            ],
        }
        for n, context in enumerate(contexts)
    ]
    for name, content in {
        "train/paragraphs": paragraphs,
        "train/hotpotqa": hops,
        "train/squad": {"data": [{"title": "All_films", "paragraphs": squad}]},
        "eval/paragraphs": [{"title": "Secret", "text": "EVALUATION ONLY. " * 20}],
    }.items():
        with gzip.open(root / "qa" / f"{name}.json.gz", "wt", encoding="utf-8") as file:
            json.dump(content, file)
    written = []
    for n, paragraph in enumerate(paragraphs):
        first, second, _ = split_sentences(paragraph["text"])
        year = re.search(r"in (\d+)", second)
        assert year
        written += [
            {
                "question": f"When did {paragraph['title']} come out?",
                "answers": [year[1]],
                "quotes": [second],
            },
            {"question": f"Who acted in {paragraph['title']}?", "answers": [], "quotes": [first]},
        ]
        if n % 2:
            other = split_sentences(paragraphs[n - 1]["text"])[0]
            asked = f"Are {paragraphs[n - 1]['title']} and {paragraph['title']} films?"
            written.append({"question": asked, "answers": ["film"], "quotes": [other, first]})
    lines = "\n".join(json.dumps(item) for item in written)
    (root / "qa" / "train" / "written.jsonl").write_text(lines)
    book = [
        " ".join([f"Chapter {n} tells of {w.person()}.", *text(f"The {w.made_up()}"), f"End of chapter {n}."])
        for n in range(200)
    ]
    asked = [
        {
            "question": f"What ended with chapter {n}?",
            "answers": [f"chapter {n}"],
            "quotes": [f"End of chapter {n}."],
        }
        for n in range(1, 200)
    ]
    asked.append({"question": "Who else?", "answers": ["x"], "quotes": ["This stands nowhere."]})
    (root / "qa" / "train" / "more-written.jsonl").write_text("\n".join(json.dumps(item) for item in asked))
    (root / "books").mkdir()
    # Pages that say the same at the end of each run of paragraphs.
    pages = [
        f"Page {n} is of {w.made_up()}." if n % 30 else "All rights in this book are reserved."
        for n in range(450)
    ]
    for name, content in {"films": book, "pages": pages}.items():
        page = f"<html><body>{''.join(f'<p>{text}</p>' for text in content)}</body></html>"
        epub(root / "books" / f"{name}.epub", {"book.xhtml": page})
    return root
