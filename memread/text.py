"""Making untrusted text safe to show. Nothing here changes what the model reads."""

from __future__ import annotations

import regex

# C0 and C1 controls, bidirectional overrides and isolates, zero-width marks, tags, line and
# paragraph separators, lone surrogates: none of them may reach a terminal. A newline and a tab may.
_UNSAFE = regex.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u206f\ufeff"
    r"\ufff9-\ufffb\U000e0000-\U000e007f\ud800-\udfff]"
)
# A whole escape sequence goes, not only its first byte: CSI, OSC/DCS/PM/APC/SOS with their payload, two-byte.
_ESCAPE = regex.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]{0,4096}(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]"
)


def printable(text: str) -> str:
    """`text` without anything that a terminal would obey or that hides what is written."""
    return _UNSAFE.sub("", _ESCAPE.sub("", text))


def one_line(text: str, limit: int = 200) -> str:
    """`printable(text)` on one line, cut to `limit` characters with an ellipsis."""
    line = " ".join(printable(text).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"
