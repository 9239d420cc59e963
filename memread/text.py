"""Making untrusted text safe to show. Nothing here changes what the model reads."""

from __future__ import annotations

import regex

# A whole escape sequence goes, not only its first byte: CSI; OSC, DCS, PM, APC and SOS with their payload;
# then the short ones. A payload that is never ended stays as letters: it must not swallow what follows.
_ESCAPE = regex.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x00-\x1f\x7f-\x9f]{0,4096}(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]"
)
# All that begins a new line somewhere, so that words on both sides stay two words.
_BREAK = regex.compile(r"\r\n|[\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
# Controls, bidirectional overrides and isolates, zero-width marks, tags and selectors that carry hidden
# letters, fillers that look like nothing, lone surrogates: none of them may reach a terminal. A newline and
# a tab may; the joiners that emoji, Persian and Indic scripts need may, and Arabic's visible format signs.
_UNSAFE = regex.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f"
    r"\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    r"\U000e0000-\U000e0fff\ud800-\udfff]"
)
_CREDENTIALS = regex.compile(r"//[^/?#\s]*@")
# Marks piled on a letter climb over the lines around it. No script needs this many.
_PILE = regex.compile(r"(\p{M}{6})\p{M}+")


def printable(text: str) -> str:
    """`text` without anything that a terminal would obey or that hides what is written."""
    return _PILE.sub(r"\1", _UNSAFE.sub("", _BREAK.sub("\n", _ESCAPE.sub("", text))))


def one_line(text: str, limit: int = 200) -> str:
    """`printable(text)` on one line, cut to `limit` characters with an ellipsis."""
    # No more is looked at than can be shown: a title may be a megabyte of escape sequences.
    line = " ".join(printable(text[: 100 * limit + 8192]).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def without_credentials(text: str) -> str:
    """`text` with no user name and password in any URL of it."""
    return _CREDENTIALS.sub("//", text)
