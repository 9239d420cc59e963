"""Profile + (question, memory, section) → the parts of a prompt.

What a user, a document or a model wrote is always a text part: it can hold no special token.
"""

from __future__ import annotations

import string

from memread.profile import Profile
from memread.types import ChatFrame, Part


def update(
    profile: Profile, frame: ChatFrame, *, question: str, memory: str, section: str
) -> tuple[Part, ...]:
    """The prompt whose reply is the memory after `section`."""
    return _parts(frame, fill(profile.wording.update, prompt=question, memory=memory, chunk=section))


def answer(profile: Profile, frame: ChatFrame, *, question: str, memory: str) -> tuple[Part, ...]:
    """The prompt whose reply is the answer: the memory alone, no text of the document."""
    return _parts(frame, fill(profile.wording.answer, prompt=question, memory=memory))


def fill(template: str, **fields: str) -> str:
    """`template` with its {fields} replaced, once: a brace inside a value means nothing."""
    return "".join(
        literal + (fields[name] if name is not None else "")
        for literal, name, _, _ in string.Formatter().parse(template)
    )


def _parts(frame: ChatFrame, message: str) -> tuple[Part, ...]:
    text = message.strip() if frame.strips else message
    return (Part(frame.before, marker=True), Part(text), Part(frame.after, marker=True))
