"""When two texts are the same words: what of their signs carries a meaning, and what does not."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

ARTICLES = {
    "en": "an?|the",
    "es": "el|la|los|las|una?|unos|unas",
    "de": "der|die|das|den|dem|eine?|einen|einem|einer",
}

NOT = "≠¬∉✗✘❌❎⛔🚫👎☒\u0335\u0336\u0337\u0338"
"""Signs that deny what they stand with, or strike it out."""
DENIED = re.compile(
    r"~~|!=|<(?:del|s|strike)\b|<!--|(?<!\w)!(?=[\w√±-])|\\(?:ne|neq|neg|lnot|not|x?cancel|sout|st)(?![a-z])",
    re.I,
)
"""Other ways to write such a sign."""
MARKED = re.compile(
    r"(?<![\w*])(\*{1,3})(?=[^\s*])([^*\n]*)(?<=[^\s*])\1(?![\w*])|^[ \t]*(?:#{1,6}|>)[ \t]+(?=\S)", re.M
)
"""Emphasis, headings and quotations of Markdown."""
MEANING = "^%‰&/@#*?\u00bf\u2032\u2033"
"""Signs that are no letters and no symbols to Unicode and yet carry a meaning."""
MINUS = re.compile(r"[\u2212\u2010-\u2015\ufe63\uff0d]")
"""Other signs for a minus or a hyphen."""


def crossed(text: str) -> bool:
    """Whether a sign in a text denies something or strikes it out.

    >>> crossed("~~a red hat~~"), crossed("a hat!")
    (True, False)
    """
    return bool(DENIED.search(text)) or any(sign in NOT for sign in text)


def normal(text: str, language: str = "en") -> str:
    """Lower case, single spaces, no punctuation but what carries a meaning; no leading article.

    Letters, digits, the signs that belong to them and all symbols are kept: -5 is not 5, nor are √5, ±5, 5 %
    and $5, and C++ is not C. One that denies or strikes out makes another answer of what it stands with.

    >>> normal(" The  Dog. "), normal("Der Hund!", "de"), normal("**Dog**"), normal("a.b@c")
    ('dog', 'hund', 'dog', 'a.b @ c')
    >>> normal("\u22123"), normal("C++"), normal("~~dog~~"), normal("5!"), normal("Hello!")
    ('-3', 'c + +', '¬ dog ¬', '5 ¬', 'hello')
    """
    text = re.sub(r"[^\S\n]+", " ", MINUS.sub("-", unicodedata.normalize("NFC", text.lower())))
    text = re.sub(r"\n\s+", "\n", text)
    if not re.search(r"[^\W\d_]", text):
        text = re.sub(r"(?<=[\d)])\s*!", " \u00ac! ", text)
    text = DENIED.sub("¬", MARKED.sub(r"\2", text))
    if language in ARTICLES:
        # A-12 and A 4 are codes, "the 4" has an article.
        opened = r"[\s\"'“„«(*]*"
        text = re.sub(
            rf"^({opened})(?!a\s+{opened}\d)(?:{ARTICLES[language]})\s+(?={opened}-?[^\W_])", r"\1", text
        )
    # A minus stands before a number, a dot within a number or a name.
    text = re.sub(r"(?<=\d)\s*-\s*(?=\d)", " \u2212 ", re.sub(r"^\s*-\s+(?=\d)", "-", text))
    text = re.sub(r"(?<!\w)\.(?!\d)|\.(?!\w)|-(?![\d.])|(?<=\w)-", " ", text)
    return " ".join(text.translate(MEANT).split())


PHRASES = re.compile(
    r"\b(?:final|correct|right|best) (?:answer|option|choice)|\b(?:in|on|from|at|to) (?:the|this) "
    r"(?:image|picture|photo|chart|figure|diagram|graph|plot|table|text|page|document|video|clip)s?\b"
)
"""Words of a lead that are names elsewhere."""


def beside(response: str, answer: str, names: Iterable[str], language: str = "en") -> str:
    r"""Which other answer stands beside the one that was read, such as in a heading; empty where none does.

    >>> beside("### Chart\ntable", "table", ["chart", "box"]), beside("A table", "table", ["box"])
    ('chart', '')
    """
    rest = normal(response.replace(answer, " ", 1), language) if response.strip() != answer else ""
    rest = PHRASES.sub(" ", rest)
    for name in names if rest else ():
        if (same := normal(name, language)) and re.search(rf"(?<!\w){re.escape(same)}(?!\w)", rest):
            return name
    return ""


class _Meant(dict[int, str]):
    """What becomes of a sign: itself, set apart or left out; for `str.translate`."""

    def __missing__(self, code: int) -> str:
        sign, category = chr(code), unicodedata.category(chr(code))
        if sign.isalnum() or sign in "_.-" or category[0] == "M":
            self[code] = sign
        else:
            self[code] = f" {sign} " if sign in MEANING or category in ("Sm", "Sc", "So") else " "
        return self[code]


MEANT = _Meant()
