"""The same words."""

from __future__ import annotations

import re

from vlmloom.components.contracts.reward import Verifier
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.registry import register


@register("reward/exact")
class Exact(Verifier):
    """Full marks for the gold answer, whatever its case, spaces and punctuation."""

    def score(self, sample: Sample, response: str) -> Reward:
        """1 or 0."""
        found, gold = normal(response), normal(sample.answer)
        return Reward(float(found == gold), reason=f"answered {found!r}, right is {gold!r}")


def normal(text: str) -> str:
    """Lower case, single spaces, no punctuation but what belongs to numbers; no leading article.

    >>> normal(" The  Dog. ")
    'dog'
    >>> normal("-3")
    '-3'
    """
    text = re.sub(r"[^\w\s.-]|(?<!\d)\.|\.(?!\d)|-(?!\d)|(?<=\w)-", " ", text.lower())
    text = " ".join(text.split())
    return re.sub(r"^(an?|the) ", "", text)
