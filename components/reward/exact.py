"""The same words."""

from __future__ import annotations

import re

from vlmloom.components.contracts.reward import Verifier
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.registry import register


@register("reward/exact")
class Exact(Verifier):
    """Full marks for the gold answer, whatever its case, spaces and punctuation.

    `truth["language"]` says whose articles may lead an answer: en (the default), es or de. Signs that carry a
    meaning are no punctuation (C is not C++, < not >), and where the gold answer is punctuation alone, it has
    to be that.

    >>> from vlmloom.components.contracts.sample import Scene
    >>> golds = [("dog", "The **Dog**."), ("C++", "C"), ("<", ">"), ("?", ""), ("?", " ?")]
    >>> [Exact().score(Sample("t", "test", 0, [], gold, Scene("")), found).value for gold, found in golds]
    [1.0, 0.0, 0.0, 0.0, 1.0]
    """

    def score(self, sample: Sample, response: str) -> Reward:
        """1 or 0."""
        language = sample.truth.get("language", "en")
        found, gold = normal(response, language), normal(sample.answer, language)
        right = found == gold and signs(response, sample.answer) == signs(sample.answer, sample.answer)
        if not gold:
            right = response.strip() == sample.answer.strip()
        return Reward(float(right), reason=f"answered {found!r}, right is {gold!r}")


def signs(text: str, gold: str) -> list[str]:
    """The signs of a text that carry a meaning; those of Markdown only where the gold answer has them."""
    return re.findall(r"[+<>=/^&|~*#]" if re.search(r"[*#>]", gold) else r"[+<=/^&|~]", text)


ARTICLES = {
    "en": "an?|the",
    "es": "el|la|los|las|una?|unos|unas",
    "de": "der|die|das|den|dem|eine?|einen|einem|einer",
}


NOT = "≠¬∉✗✘❌❎⛔🚫👎☒\u0335\u0336\u0337\u0338"
"""Signs that deny what they stand with, or strike it out."""
DENIED = re.compile(r"~~|!=|<(?:del|s|strike)\b|<!--|(?<!\w)!(?=\w)", re.I)
"""Other ways to write such a sign."""


def crossed(text: str) -> bool:
    """Whether a sign in a text denies something or strikes it out.

    >>> crossed("~~a red hat~~"), crossed("a hat!")
    (True, False)
    """
    return bool(DENIED.search(text)) or any(sign in NOT for sign in text)


def normal(text: str, language: str = "en") -> str:
    """Lower case, single spaces, no punctuation but what belongs to numbers; no leading article.

    A sign that denies or strikes out is kept: what it stands with is another answer.

    >>> normal(" The  Dog. "), normal("Der Hund!", "de")
    ('dog', 'hund')
    >>> normal("-3"), normal("~~dog~~")
    ('-3', '¬dog¬')
    """
    text = DENIED.sub("¬", text.lower())
    text = re.sub(rf"[^\w\s.{NOT}-]|(?<!\d)\.|\.(?!\d)|-(?!\d)|(?<=\w)-", " ", text)
    text = " ".join(text.split())
    return re.sub(rf"^({ARTICLES[language]}) ", "", text) if language in ARTICLES else text
