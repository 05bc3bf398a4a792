"""Boxes by their overlap."""

from __future__ import annotations

from vlmloom.components.contracts.reward import OnError
from vlmloom.components.contracts.sample import Reward, Sample
from vlmloom.components.reward.leads import spelled
from vlmloom.components.reward.overlap import overlaps, threshold
from vlmloom.components.reward.parsed import Corners, Parsed, Unreadable, numbers, shown
from vlmloom.registry import register


@register("reward/box")
class BoxOverlap(Parsed):
    """Full marks for a box that overlaps the true one enough; `parts` holds the overlap.

    Args:
        overlap: the intersection over union from which a box counts as right.
        on_error: see `Verifier`.
    """

    def __init__(self, *, overlap: float = 0.5, on_error: OnError = "skip") -> None:
        super().__init__(on_error=on_error)
        self.overlap = threshold("reward/box", overlap)

    def read(self, text: str, sample: Sample) -> Corners:
        """The one box."""
        return read_box(text, spelled(sample.prompt))

    def compare(self, found: Corners, gold: Corners, sample: Sample) -> Reward:
        """1 or 0."""
        overlap = float(overlaps([found], [gold])[0, 0])
        return Reward(float(overlap >= self.overlap), {"overlap": overlap}, f"overlap {overlap:.2f}")


def read_box(text: str, question: str = "") -> Corners:
    """The four numbers of a list, if they make a box; see `numbers` for its forms.

    Raises:
        Unreadable: they do not.

    >>> read_box("[10, 20, 30, 40].")
    (10.0, 20.0, 30.0, 40.0)
    """
    x1, y1, x2, y2 = numbers(text, 4, question)
    if x1 >= x2 or y1 >= y2:
        raise Unreadable(f"no box in {shown(text)}: x1 < x2 and y1 < y2 would be right")
    return x1, y1, x2, y2
