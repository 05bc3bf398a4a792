"""Text by its edit distance."""

from __future__ import annotations

import unicodedata
from contextlib import suppress

from vlmloom.components.contracts.reward import Verifier
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.reward.parsed import Unreadable, peeled
from vlmloom.registry import register
from vlmloom.registry.errors import UserError


@register("reward/edit")
class Edit(Verifier):
    """1 - edits / length of the longer text, as for OCR; case counts, runs of spaces count as one.

    A code fence, Markdown or quotes round all of the text, and "Answer:" before it, count only where they are
    part of the text.

    Reference: arXiv 2507.01006, table 1.

    >>> from vlmloom.components.contracts.sample import Scene
    >>> sample = Sample("t", "test", 0, [], "Main Street", Scene(""))
    >>> [round(reward.value, 2) for reward in Edit().judge(sample, ["Main  Street", "Main Strcet", ""])]
    [1.0, 0.91, 0.0]
    """

    def score(self, sample: Sample, response: str) -> Reward:
        """From 0 to 1."""
        value = similarity(spaced(response), gold := spaced(sample.answer))
        with suppress(Unreadable):
            value = max(value, *(similarity(spaced(text), gold) for text in peeled(response, stop=False)))
        return Reward(value, reason=f"{value:.1%} of the text")


def spaced(text: str) -> str:
    """A text in composed letters with single spaces."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def similarity(found: str, gold: str) -> float:
    """1 - Levenshtein distance / length of the longer one; nothing is no text.

    Raises:
        UserError: rapidfuzz is not installed.
    """
    try:
        from rapidfuzz.distance import Levenshtein
    except ImportError:
        raise UserError("reward/edit: rapidfuzz is not installed; pip install 'vlmloom[tasks]'") from None
    # Where the lengths alone leave less than a tenth, the distance itself is not worth its time.
    if not found or not gold or len(found) > 10 * len(gold):
        return float(found == gold)
    return float(Levenshtein.normalized_similarity(found, gold))
