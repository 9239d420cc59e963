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
    return parts(frame, *_split(profile.wording.update, prompt=question, memory=memory, chunk=section))


def answer(profile: Profile, frame: ChatFrame, *, question: str, memory: str) -> tuple[Part, ...]:
    """The prompt whose reply is the answer: the memory alone, no text of the document."""
    return parts(frame, *_split(profile.wording.answer, prompt=question, memory=memory))


def fill(template: str, **fields: str) -> str:
    """`template` with its {fields} replaced, once: a brace inside a value means nothing."""
    return "".join(_split(template, **fields))


FIXED = 2
"""Leading parts of a prompt that are the same throughout a reading: all before the memory or the section."""


def parts(frame: ChatFrame, fixed: str, changing: str = "") -> tuple[Part, ...]:
    """One user message, in the frame of the model's chat template."""
    if frame.strips:
        fixed, changing = fixed.lstrip(), changing.rstrip()
        fixed = fixed if changing else fixed.rstrip()
    return (Part(frame.before, marker=True), Part(fixed), Part(changing), Part(frame.after, marker=True))


def _split(template: str, **fields: str) -> tuple[str, str]:
    """The filled template up to the first field that changes from step to step, and the rest of it."""
    fixed = changing = ""
    changes = False
    for literal, name, _, _ in string.Formatter().parse(template):
        value = fields[name] if name is not None else ""
        if changes:
            changing += literal + value
            continue
        fixed += literal
        changes = name in ("memory", "chunk")
        if changes:
            changing = value
        else:
            fixed += value
    return fixed, changing
