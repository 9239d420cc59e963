"""What print does to words, undone: words broken at the ends of lines, letters that are one sign."""

from __future__ import annotations

import unicodedata

import regex

# The whole of what stands before the hyphen, and letters only: no part of an address or of state-of-the-art.
_BROKEN = regex.compile(
    r"(?<![\p{L}\p{M}\p{N}\-‐/._@])([\p{L}\p{M}]++)(?<=\p{Ll}\p{M}?)([-‐\xad])\n"
    r"(\p{Ll}[\p{L}\p{M}]*+)(?![\-‐/@_\p{N}])([.,;:!?)\]’”»\"']*)( |(?=\n)|$)?"
)
_WORD = regex.compile(r"[\p{L}\p{M}]++(?:[-‐][\p{L}\p{M}]++)*+")
_LIGATURES = {code: unicodedata.normalize("NFKC", chr(code)) for code in range(0xFB00, 0xFB07)}
_COMPOUND = frozenset(("self", "well"))
"""After these English nearly always writes the hyphen. Others, such as "under" and "some", would do
more harm: more words begin with them than are written with a hyphen."""


def unbroken(page: str) -> str:
    """`page` with each word that a hyphen breaks at the end of a line whole on the first of its lines, and
    ligatures as their letters.

    The hyphen belongs to the word where the page has the word with it elsewhere, and not without. Only the
    page itself decides: a reading that goes on with this page must find what it would have found.
    """
    page = page.translate(_LIGATURES)
    if not _BROKEN.search(page):
        return page
    known = {word.lower().replace("‐", "-") for word in _WORD.findall(_BROKEN.sub(" ", page))}

    def whole(found: regex.Match[str]) -> str:
        left, hyphen, right, closing, gap = found.groups(default="")
        halves = left.lower(), right.lower()
        compound = "-".join(halves) in known or halves[0] in _COMPOUND
        kept = hyphen != "\xad" and compound and "".join(halves) not in known
        return f"{left}{'-' if kept else ''}{right}{closing}" + ("\n" if gap else "")

    return str(_BROKEN.sub(whole, page))
