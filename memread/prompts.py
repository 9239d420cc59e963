"""Profile + (question, memory, section) → the parts of a prompt.

What a user, a document or a model wrote is always a text part: it can hold no special token.
"""

from __future__ import annotations

import string
from collections.abc import Sequence

from memread.profile import Profile
from memread.types import ChatFrame, Part


def update(
    profile: Profile, frame: ChatFrame, *, question: str, memory: str, section: str
) -> tuple[Part, ...]:
    """The prompt whose reply is the memory after `section`."""
    return parts(frame, *_split(profile.wording.update, prompt=question, memory=memory, chunk=section))


def answer(profile: Profile, frame: ChatFrame, *, question: str, memory: str) -> tuple[Part, ...]:
    """The prompt whose reply is the answer: the memory alone, no text of the document."""
    return parts(frame, *_split(profile.wording.answer, prompt=question, memory=memory))


def fill(template: str, **fields: str) -> str:
    """`template` with its {fields} replaced, once: a brace inside a value means nothing."""
    return "".join(_split(template, **fields))


SHARED = (2, 3)
"""After how many parts a prompt may cease to be like others. Two: what comes before the memory or the section
is the same throughout a reading. Three: whichever of them comes first; the section is the same for whatever
question and memory, the memory for all sections that leave it as it is."""


def parts(frame: ChatFrame, *texts: str) -> tuple[Part, ...]:
    """One user message, of these texts, in the frame of the model's chat template."""
    if frame.strips:
        texts = _stripped(texts)
    return (Part(frame.before, marker=True), *map(Part, texts), Part(frame.after, marker=True))


def _stripped(texts: Sequence[str]) -> tuple[str, ...]:
    """`texts` without the white space around all of them together."""
    left = len("".join(texts)) - len("".join(texts).lstrip())
    right = len("".join(texts).rstrip())
    found, at = [], 0
    for text in texts:
        found.append(text[max(0, left - at) : max(0, right - at)])
        at += len(text)
    return tuple(found)


def _split(template: str, **fields: str) -> tuple[str, str, str]:
    """The filled template: up to the memory or the section; whichever comes first; the rest."""
    texts = ["", "", ""]
    place = 0
    for literal, name, _, _ in string.Formatter().parse(template):
        texts[place] += literal
        if name is None:
            continue
        if place == 1 or name in ("chunk", "memory"):
            place = min(place + 1, 2)
        texts[place] += fields[name]
    return texts[0], texts[1], texts[2]
