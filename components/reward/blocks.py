"""Which blocks of text of one page are which of another, and how alike they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum

import numpy as np

from vlmloom.components.sandbox.look import Block
from vlmloom.registry.errors import UserError

BONUS = 0.1
"""What a pair gains, times the likeness of its neighbours, in the matching alone."""
LEAST = 0.5
"""Pairs less alike than this do not count."""


@dataclass(frozen=True)
class Joint:
    """Neighbouring blocks of one page that are read as one.

    Attributes:
        parts: in the order of the document, at least one.
    """

    parts: tuple[Block, ...]

    @property
    def text(self) -> str:
        """The texts of the parts, with single spaces."""
        return " ".join(part.text for part in self.parts)

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The box round the parts: x1, y1, x2, y2 as shares of the page."""
        left, top, right, bottom = zip(*(part.box for part in self.parts), strict=True)
        return min(left), min(top), max(right), max(bottom)

    @property
    def hull(self) -> float:
        """The area of the box, as a share of the page."""
        x1, y1, x2, y2 = self.box
        return (x2 - x1) * (y2 - y1)

    @property
    def area(self) -> float:
        """What the parts cover, as a share of the page: their sum, where they overlap at most the box."""
        return min(self.hull, fsum(part.area for part in self.parts))

    @property
    def solid(self) -> float:
        """How much more of the box is covered than is not, as a share of it, not below 0; 1 for one part."""
        return max(0.0, 2 * self.area / self.hull - 1)


def shared(one: Joint, other: Joint) -> float:
    """The area that two joints have in common, as a share of the page.

    It is the lesser of theirs, by how solid the less solid is. A paragraph in two spans fills its box, and is
    the paragraph. The blocks of a whole page that are joined, since one heap of words on the other page has
    all of theirs, lie far apart, and the heap is none of them.
    """
    return min(one.area, other.area) * min(one.solid, other.solid)


def likeness(one: Sequence[Joint], other: Sequence[Joint]) -> np.ndarray:
    """The likeness of the texts of all pairs, from 0 to 1, `[one, other]`.

    Twice the longest common subsequence over both lengths. In its place the published code takes difflib's
    matching blocks, a common subsequence too, and needs minutes where many texts are long.

    Raises:
        UserError: rapidfuzz is not installed.
    """
    try:
        from rapidfuzz.distance import Indel
        from rapidfuzz.process import cdist
    except ImportError:
        raise UserError("reward/html: rapidfuzz is not installed; pip install 'vlmloom[tasks]'") from None
    texts, others = ([block.text for block in blocks] for blocks in (one, other))
    return cdist(texts, others, scorer=Indel.normalized_similarity, dtype=np.float64)


def match(one: Sequence[Joint], other: Sequence[Joint]) -> list[tuple[Joint, Joint, float]]:
    """Pairs of the blocks of two pages with the likeness of their texts.

    The Hungarian method finds the best pairs, each with a bonus for neighbours that are alike too.

    Reference: arXiv:2403.03163, appendix; NoviScl/Design2Code, `visual_score.py`.
    """
    from scipy.optimize import linear_sum_assignment

    if not one or not other:
        return []
    same = likeness(one, other)
    around = np.zeros_like(same)
    around[1:, 1:] += same[:-1, :-1]
    around[:-1, :-1] += same[1:, 1:]
    rows, columns = linear_sum_assignment(-(same + BONUS * around / 2))
    return [
        (one[row], other[column], float(same[row, column]))
        for row, column in zip(rows, columns, strict=True)
        if same[row, column] >= LEAST
    ]


def joined(blocks: Sequence[Block], other: Sequence[Block]) -> list[Joint]:
    """The blocks, with neighbours made one where that resembles a block of the other page more."""
    joints, singles, place = [Joint((block,)) for block in blocks], [Joint((block,)) for block in other], 0
    if not joints or not singles:
        return joints
    best = list(likeness(joints, singles).max(1))
    while place + 1 < len(joints):
        both = Joint(joints[place].parts + joints[place + 1].parts)
        together = likeness([both], singles).max()
        if together > max(best[place : place + 2]) + 1e-9:
            joints[place : place + 2], best[place : place + 2] = [both], [together]
        else:
            place += 1
    return joints


def apart(one: Joint, other: Joint) -> float:
    """How far the middles are from each other, the larger of across and down, as a share of the page."""
    (a, b, c, d), (e, f, g, h) = one.box, other.box
    return max(abs(a + c - e - g), abs(b + d - f - h)) / 2


def hue_likeness(one: Joint, other: Joint) -> float:
    """1 - CIEDE2000 / 100 of the colours of the text, not below 0: the mean over all pairs of parts."""
    from skimage.color import deltaE_ciede2000, rgb2lab

    ours, theirs = (rgb2lab(np.array([part.colour for part in joint.parts]) / 255) for joint in (one, other))
    return float(np.maximum(0.0, 1 - deltaE_ciede2000(ours[:, None], theirs[None]) / 100).mean())
