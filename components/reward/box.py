"""Boxes by their overlap."""

from __future__ import annotations

import re

from vlmloom.components.contracts.boxes import Box, intersection_over_union
from vlmloom.components.contracts.reward import OnError, Verifier
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.registry import register


@register("reward/box")
class BoxOverlap(Verifier):
    """Full marks for a box that overlaps the true one enough; `parts` holds the overlap.

    Args:
        overlap: the intersection over union from which a box counts as right.
        on_error: see `Verifier`.
    """

    def __init__(self, *, overlap: float = 0.5, on_error: OnError = "skip") -> None:
        super().__init__(on_error=on_error)
        if not 0 < overlap <= 1:
            raise ValueError(
                f"reward/box: overlap is {overlap}, but an intersection over union is above 0, at most 1"
            )
        self.overlap = overlap

    def score(self, sample: Sample, response: str) -> Reward:
        """1 or 0."""
        found, gold = read_box(response), read_box(sample.answer)
        if gold is None:
            raise ValueError(f"the gold answer {sample.answer!r} is no box")
        if found is None:
            return Reward(0.0, {"overlap": 0.0}, f"no four numbers in {response!r}")
        overlap = intersection_over_union(found, gold)
        return Reward(float(overlap >= self.overlap), {"overlap": overlap}, f"overlap {overlap:.2f}")


def read_box(text: str) -> Box | None:
    """The four numbers in a text, if it has four and they make a box.

    >>> read_box("at [10, 20, 30, 40].")
    (10, 20, 30, 40)
    """
    numbers = [int(number) for number in re.findall(r"\d{1,6}", text)]
    if len(numbers) != 4 or numbers[0] >= numbers[2] or numbers[1] >= numbers[3]:
        return None
    return numbers[0], numbers[1], numbers[2], numbers[3]
