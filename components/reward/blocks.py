"""Which blocks of text of one page are which of another, and how alike they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vlmloom.components.sandbox.look import Block, Box, around
from vlmloom.registry.errors import UserError

BONUS = 0.1
"""What a pair gains, times the likeness of its neighbours, in the matching alone."""
NEAR = 0.15
"""How far a block may be from its partner to count half, as a share of the page."""
LEAST = 0.5
"""Pairs less alike than this do not count."""


@dataclass(frozen=True)
class Joint:
    """Neighbouring blocks of one page that are read as one.

    Attributes:
        parts: in the order of the document, at least one.
    """

    parts: tuple[Block, ...]

    @cached_property
    def text(self) -> str:
        """The texts of the parts, with single spaces."""
        return " ".join(part.text for part in self.parts)

    @cached_property
    def lines(self) -> tuple[Box, ...]:
        """Those of the parts."""
        return tuple(line for part in self.parts for line in part.lines)

    @cached_property
    def box(self) -> Box:
        """The box round all lines."""
        return around(self.lines)

    @cached_property
    def area(self) -> float:
        """What its lines cover, as a share of the page."""
        return covered(self.lines, self.lines)[0]


def covered(boxes: Sequence[Box], others: Sequence[Box]) -> tuple[float, float]:
    """The area that both of two sets of boxes cover, and the area that either does.

    >>> covered([(0, 0, 2, 1)], [(1, 0, 3, 1), (1, 0, 2, 1)])
    (1.0, 3.0)
    """
    edges = np.array([*boxes, *others], dtype=np.float64)
    across, down = np.unique(edges[:, ::2]), np.unique(edges[:, 1::2])
    cells = np.zeros((2, len(down) - 1, len(across) - 1), bool)
    for own, page in zip(cells, (boxes, others), strict=True):
        for x1, y1, x2, y2 in page:
            own[slice(*np.searchsorted(down, (y1, y2))), slice(*np.searchsorted(across, (x1, x2)))] = True
    areas = np.diff(down)[:, None] * np.diff(across)
    return float(areas[cells.all(0)].sum()), float(areas[cells.any(0)].sum())


def shared(one: Joint, other: Joint) -> float:
    """The area that two joints have in common, as a share of the page.

    It is the lesser of theirs, by how near they are: `NEAR` of the page off is half as much. Where both are
    one block that is all: a paragraph may be broken into lines anywhere. What is joined of several has a
    layout. There it counts as far as the lines of both, one laid upon the other, middle on middle, cover more
    of the same than not. A paragraph in two spans is the paragraph, and a list with line breaks the list; a
    whole page whose blocks are joined, since the other page has all its words in one heap, lies otherwise.
    """
    area = min(one.area, other.area) / (1 + (apart(one, other) / NEAR) ** 2)
    if len(one.parts) == len(other.parts) == 1:
        return area
    (a, b, c, d), (e, f, g, h) = one.box, other.box
    right, below = (a + c - e - g) / 2, (b + d - f - h) / 2
    laid = [(x1 + right, y1 + below, x2 + right, y2 + below) for x1, y1, x2, y2 in other.lines]
    both, either = covered(one.lines, laid)
    return area * max(0.0, 2 * both / either - 1)


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
