"""The same words."""

from __future__ import annotations

import re

from vlmloom.components.contracts.reward import Verifier
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.registry import register


@register("reward/exact")
class Exact(Verifier):
    """Full marks for the gold answer, whatever its case, spaces and punctuation.

    `truth["language"]` says whose articles may lead an answer: en (the default), es or de.
    """

    def score(self, sample: Sample, response: str) -> Reward:
        """1 or 0."""
        language = sample.truth.get("language", "en")
        found, gold = normal(response, language), normal(sample.answer, language)
        return Reward(float(found == gold), reason=f"answered {found!r}, right is {gold!r}")


ARTICLES = {
    "en": "an?|the",
    "es": "el|la|los|las|una?|unos|unas",
    "de": "der|die|das|den|dem|eine?|einen|einem|einer",
}


def normal(text: str, language: str = "en") -> str:
    """Lower case, single spaces, no punctuation but what belongs to numbers; no leading article.

    >>> normal(" The  Dog. "), normal("Der Hund!", "de")
    ('dog', 'hund')
    >>> normal("-3")
    '-3'
    """
    text = re.sub(r"[^\w\s.-]|(?<!\d)\.|\.(?!\d)|-(?!\d)|(?<=\w)-", " ", text.lower())
    text = " ".join(text.split())
    return re.sub(rf"^({ARTICLES[language]}) ", "", text) if language in ARTICLES else text
