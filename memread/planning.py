"""Does it fit: question, segment, memory and reply in the model's context, by the model's own tokens."""

from __future__ import annotations

import msgspec

from memread import prompts
from memread.errors import ContextTooSmall, QuestionTooLong
from memread.profile import Profile
from memread.protocols import Tokenizer
from memread.types import ChatFrame

_SLACK = 32
"""Tokens for what joins differently when parts are tokenized together, and for a memory that takes more
tokens when it is read than when it was written."""
_LEAST_SEGMENT = 256
"""A profile that may shrink its segments does not shrink them below this."""


def fit(
    profile: Profile,
    frame: ChatFrame,
    tokenizer: Tokenizer,
    question: str,
    trained: int,
    *,
    limit: str = "this model was trained for",
) -> tuple[Profile, int]:
    """The profile as it will be used, and the context it needs, in tokens.

    trained: tokens the model was trained to attend to, or another limit: `limit` says in words which.
    Raises QuestionTooLong, ContextTooSmall.
    """
    budget = profile.budget
    asked = tokenizer.count(question)
    if asked > budget.query:
        raise QuestionTooLong(
            f"the question is {asked} tokens long; {budget.query} are allowed",
            "Put long material into a file and give it as a document.",
        )
    wording = sum(
        tokenizer.count(part.text)
        for part in prompts.update(profile, frame, question=question, memory="", section="")
    )
    fixed = wording + budget.memory + _SLACK
    need = 0 if profile.skim else fixed + budget.segment + budget.memory
    answering = fixed + budget.answer  # its wording is about as long, and it has no section
    if max(need, answering) <= trained:
        return profile, max(need, answering)
    segment = trained - fixed - budget.memory
    if not profile.fit or segment < _LEAST_SEGMENT or answering > trained:
        raise ContextTooSmall(
            f"the profile “{profile.name}” needs a context of {max(need, answering)} tokens; "
            f"{limit} {trained}",
            "Use --segment and --memory to set smaller limits, or another profile or model.",
        )
    return msgspec.structs.replace(profile, budget=msgspec.structs.replace(budget, segment=segment)), trained
