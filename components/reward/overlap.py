"""Pairing boxes by their overlap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vlmloom.components.reward.parsed import Corners, Unreadable

MOST = 300
"""Boxes of one answer; pairing takes time with the cube of their number."""


def overlaps(found: Sequence[Corners], gold: Sequence[Corners]) -> np.ndarray:
    """Intersection over union of every pair, float `[found, gold]`."""
    one = np.asarray(found, float).reshape(-1, 1, 4)
    other = np.asarray(gold, float).reshape(1, -1, 4)
    sides = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    shared = np.prod(np.clip(sides, 0, None), axis=-1)
    areas = [np.prod(boxes[..., 2:] - boxes[..., :2], axis=-1) for boxes in (one, other)]
    return shared / (areas[0] + areas[1] - shared)


def matched(found: Sequence[Corners], gold: Sequence[Corners], overlap: float) -> int:
    """The most pairs that can be made of boxes that overlap enough, each box in one pair at most.

    >>> matched([(0, 0, 9, 9), (0, 0, 10, 10)], [(0, 0, 10, 10)], 0.5)
    1
    """
    if not found or not gold:
        return 0
    enough = overlaps(found, gold) >= overlap
    if len(found) == 1 or len(gold) == 1:
        return int(enough.any())
    from scipy.optimize import linear_sum_assignment

    return int(enough[linear_sum_assignment(~enough)].sum())


def fewer(boxes: int) -> None:
    """Refuse an answer with more boxes than can be paired.

    Raises:
        Unreadable: there are more than `MOST`.
    """
    if boxes > MOST:
        raise Unreadable(f"{boxes} boxes; at most {MOST} are judged")


def threshold(name: str, overlap: float) -> float:
    """The overlap from which a box counts.

    Raises:
        ValueError: it is none.
    """
    if not 0 < overlap <= 1:
        raise ValueError(
            f"{name}: overlap is {overlap}, but an intersection over union is above 0, at most 1"
        )
    return overlap
