"""The words of a text as they are compared: where they are, which carry meaning, which are alike."""

from __future__ import annotations

import unicodedata
from functools import lru_cache

import msgspec
import regex

# Scripts that write no spaces between words are compared by the letter.
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
# A word is cut after 64 letters: a text without spaces must not become one word of a megabyte. A hyphen at
# the end of a line, as in print, is no part of the word.
_WORD = regex.compile(
    rf"(?V1)(?<![\p{{L}}\p{{N}}])[-−]?\p{{Nd}}{{1,64}}(?:[.,:’']\p{{Nd}}{{1,32}}){{0,8}}(?!\p{{L}})"
    rf"|[{_UNSPACED}]\p{{M}}{{0,4}}"
    rf"|[[\p{{L}}\p{{N}}]--[{_UNSPACED}]][[\p{{L}}\p{{M}}\p{{N}}\u00ad]--[{_UNSPACED}]]{{0,63}}"
    rf"(?:-\r?\n[[\p{{Ll}}]--[{_UNSPACED}]]{{1,32}})?(?:['’][[\p{{L}}]--[{_UNSPACED}]]{{1,16}})?"
    r"|[$€£¥₹%‰°]"
)
_ALONE = regex.compile(rf"[{_UNSPACED}]")
_GROUPED = regex.compile(r"[-−]?\d{1,3}(?:[,’']\d{3})+(?:\.\d+)?")
# Vowel points and lengthening of Hebrew and Arabic, which one text writes and another leaves out.
_POINTS = regex.compile(
    r"[\u00ad\u0591-\u05bd\u05bf-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06ed]"
)

# Words that say little by themselves, in the languages most read, and only those that are no noun or verb in
# English. Elsewhere every word counts, which makes for fewer verified statements, not for wrong ones.
_FUNCTION_WORDS = """
    a an the this that these those there here it its he him his she her hers they them their theirs i me my we
    us our ours you your yours who whom whose which what is are was were be been being am do does did has have
    had having shall of in on at to for with about into onto upon as and or then than when while where how s d
    ll re ve m t
    der das dem ein eine einen einem einer eines und oder aber ist sind wird werden wurde wurden haben hatte
    hatten er sie es ihm ihn ihr ihre ihren ihrem ihres im auf aus bei mit vom zum zur für auch wie dass daß
    le la les une du de et ou est sont était étaient il elle ils elles leur leurs qui que dans avec au aux ce
    cet cette ces el los unas unos y fue fueron su sus del con lo gli di che e ed è della uma
    """
_NEGATING_WORDS = """
    no not never none nobody nothing nowhere neither nor without cannot hardly barely almost nearly if unless
    nicht kein keine keinen keinem keiner keines nie niemals niemand nichts ohne weder ne pas jamais aucun
    aucune rien sans ni nunca jamás sin ningún ninguna não nem sem non nessuno senza niet geen nooit
    не нет ни никогда без 不 没 沒 無 无 未 非 لا ليس لم لن לא אין
    """
_TURNING_WORDS = "by from would could should might except than instead von par por"
_FUNCTION = frozenset(_FUNCTION_WORDS.split())
_NEGATIONS = frozenset(_NEGATING_WORDS.split())
_TURNS = _NEGATIONS | frozenset(_TURNING_WORDS.split())


class Word(msgspec.Struct, frozen=True):
    """A word of a text."""

    start: int
    end: int
    """Offsets in the text."""
    key: str
    """How it is written, without case and the variants that Unicode has for one letter."""
    stem: str
    """`key` without the endings by which English, and often others, inflect."""
    name: bool
    """Written with a capital letter, or a number: must be met exactly."""
    alone: bool
    """A letter of a script without spaces: met alone it says nothing."""

    counts: bool
    """Whether it carries meaning."""

    @property
    def negates(self) -> bool:
        """Whether it can deny what comes after it in its sentence."""
        return self.key in _NEGATIONS or self.key.endswith("n't")

    @property
    def turns(self) -> bool:
        """Whether, between other words, it can make of them something else."""
        return self.key in _TURNS or self.key.endswith("n't")


def words(text: str) -> list[Word]:
    """The words of `text`, in order."""
    return [Word(match.start(), match.end(), *_known(match[0])) for match in _WORD.finditer(text)]


@lru_cache(1 << 15)
def _known(raw: str) -> tuple[str, str, bool, bool, bool]:
    """(key, stem, name, alone, counts) of a word. Kept, since a text has few words many times."""
    key = _key(raw)
    digits = any(c.isdigit() for c in raw)
    acronym = len(raw) > 1 and raw.isupper()
    return (
        key,
        key if digits else _stem(key),
        digits or raw[0].isupper(),
        _ALONE.match(raw) is not None,
        acronym or key not in _FUNCTION,
    )


def stems(text: str) -> frozenset[str]:
    """Of the words of `text` that carry meaning."""
    return frozenset(word.stem for word in words(text) if word.counts)


def _key(raw: str) -> str:
    if raw.isascii() and raw.isalpha():
        return raw.lower()
    key = unicodedata.normalize("NFKC", _POINTS.sub("", raw)).casefold().replace("’", "'")
    key = key.replace("-\r\n", "").replace("-\n", "")
    key = "".join(c if c.isascii() or not c.isdecimal() else str(unicodedata.decimal(c)) for c in key)
    if _GROUPED.fullmatch(key):
        key = key.replace(",", "").replace("'", "")
    return key.removesuffix("'s").replace("−", "-")


def _stem(key: str) -> str:
    """Alike for "sail", "sails", "sailed", "sailing". Short words are left as they are."""
    for suffix, instead in (("ies", "y"), ("ied", "y"), ("ing", ""), ("ed", ""), ("es", ""), ("s", "")):
        least = 3 if suffix == "s" and key != "news" else 4
        if key.endswith(suffix) and len(key) - len(suffix) >= least and not (least == 3 and key[-2] in "su"):
            key = key[: -len(suffix)] + instead
            break
    if len(key) >= 5 and key[-1] == "e":
        key = key[:-1]
    return key[:-1] if len(key) >= 5 and key[-1] == key[-2] else key
