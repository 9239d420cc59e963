"""A model's chat template, rendered around a sentinel and split: what stands before and after a message."""

from __future__ import annotations

import json

from memread.errors import ModelUnloadable
from memread.types import ChatFrame

_SENTINEL = "MEMREAD-MESSAGE-5f1d0c"


def chat_frame(template: str, *, bos: str, eos: str) -> ChatFrame:
    """The frame of one user message, generation prompt included, with thinking switched off.

    A model without a template is given the bare message. Raises ModelUnloadable for a template that cannot
    be rendered. It comes from the model file: rendered in jinja2's immutable sandbox.
    """
    if not template.strip():
        return ChatFrame("", "")
    padded = f" \n{_SENTINEL}\n "
    rendered = _render(template, padded, bos, eos)
    if rendered.count(_SENTINEL) != 1:
        raise ModelUnloadable("the model's chat template does not show the message once")
    strips = padded not in rendered
    before, after = rendered.split(_SENTINEL if strips else padded)
    return ChatFrame(before, after, strips)


def _render(template: str, message: str, bos: str, eos: str) -> str:
    from llama_cpp.llama_chat_format import Jinja2ChatFormatter

    try:
        formatter = Jinja2ChatFormatter(template=template, eos_token=eos, bos_token=bos)
        response = formatter(messages=[{"role": "user", "content": message}], enable_thinking=False)
    except Exception as error:  # whatever jinja2, or the template's own raise_exception, throws
        reason = json.dumps(str(error).splitlines()[0] if str(error) else type(error).__name__)
        raise ModelUnloadable(f"the model's chat template cannot be rendered: {reason}") from error
    text: str = response.prompt
    return text
