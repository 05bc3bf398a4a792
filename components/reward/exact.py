"""The same words."""

from __future__ import annotations

import re

from vlmloom.components.contracts.reward import OnError, Verifier
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.reward.parsed import Unreadable, peeled, unwrapped
from vlmloom.components.reward.wording import beside, normal
from vlmloom.registry import register

NAMED = re.compile(
    r"(?:to|on|at) the (.+?)(?: side)?|(.+) (?:image|picture|photo|one)"
    r"|(yes) (?:it|they|there) (?:is|are|does|do)"
    r"|(no) (?:it|they|there) (?:isn't|is not|are not|doesn't|does not|do not)"
)
"""What may stand with the name of a choice."""


@register("reward/exact")
class Exact(Verifier):
    """Full marks for the gold answer, whatever its case, spaces and punctuation.

    `truth["language"]` says whose articles may lead an answer: en (the default), es or de. Signs that carry a
    meaning are no punctuation (C is not C++, < not >, -5 not 5), and where the gold answer is punctuation
    alone, it has to be that. Either way an answer may be marked, quoted or in a code fence.

    Args:
        literal: case, spaces and punctuation count, as in an e-mail address or in what a code says; but not
            the full stop of a sentence round it.
        on_error: see `Verifier`.

    >>> from vlmloom.components.contracts.sample import Scene
    >>> golds = [("dog", "The **Dog**."), ("C++", "C"), ("<", ">"), ("?", ""), ("?", " ?")]
    >>> [Exact().score(Sample("t", "test", 0, [], gold, Scene("")), found).value for gold, found in golds]
    [1.0, 0.0, 0.0, 0.0, 1.0]
    >>> sample = Sample("t", "test", 0, [], "ab-C1", Scene(""))
    >>> [Exact(literal=True).score(sample, found).value for found in ("`ab-C1`", "AB-C1", "abC1")]
    [1.0, 0.0, 0.0]
    """

    def __init__(self, *, literal: bool = False, on_error: OnError = "skip") -> None:
        super().__init__(on_error=on_error)
        self.literal = literal

    def score(self, sample: Sample, response: str) -> Reward:
        """1 or 0."""
        gold, language = sample.answer.strip(), sample.truth.get("language", "en")
        try:
            layers = list(peeled(response))
        except Unreadable as error:
            return Reward(0.0, reason=str(error))
        found = layers[-1]
        whole = response.strip()
        right = whole == gold or (gold in layers and not (self.literal and whole.startswith(gold)))
        right_words = normal(gold, language)
        others = (one for one in sample.choices if f" {normal(one, language)} " not in f" {right_words} ")
        other = beside(response, found, others, language)
        if not self.literal:
            found, gold = normal(found, language), normal(unwrapped(gold), language)
            if sample.choices and gold != found and (named := NAMED.fullmatch(found)):
                found = next(filter(None, named.groups()))
            right = right or (bool(gold) and found == gold)
        if other:
            return Reward(0.0, reason=f"{other!r} beside the answer {found!r}")
        return Reward(float(right), reason=f"answered {found!r}, right is {gold!r}")
