"""Which blocks of text of one page are which of another, and how alike they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vlmloom.components.sandbox.look import Block
from vlmloom.registry.errors import UserError

BONUS = 0.1
"""What a pair gains, times the likeness of its neighbours, in the matching alone."""
LEAST = 0.5
"""Pairs less alike than this do not count."""


def likeness(one: Sequence[Block], other: Sequence[Block]) -> np.ndarray:
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


def match(one: Sequence[Block], other: Sequence[Block]) -> list[tuple[Block, Block, float]]:
    """Pairs of blocks with the likeness of their texts.

    Neighbours are merged where together they resemble a block of the other page more than either does alone.
    Then the Hungarian method finds the best pairs, each with a bonus for neighbours that are alike too.

    Reference: arXiv:2403.03163, appendix; NoviScl/Design2Code, `visual_score.py`.
    """
    from scipy.optimize import linear_sum_assignment

    one, other = merged(one, other), merged(other, one)
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


def merged(blocks: Sequence[Block], other: Sequence[Block]) -> list[Block]:
    """The blocks, with neighbours made one where that resembles a block of the other page more."""
    blocks, place = list(blocks), 0
    if not other:
        return blocks
    best = list(likeness(blocks, other).max(1))
    while place + 1 < len(blocks):
        joint = join(blocks[place], blocks[place + 1])
        together = likeness([joint], other).max()
        if together > max(best[place : place + 2]) + 1e-9:
            blocks[place : place + 2], best[place : place + 2] = [joint], [together]
        else:
            place += 1
    return blocks


def join(one: Block, other: Block) -> Block:
    """Two blocks as one, in the colour of the larger."""
    box = (
        min(one.box[0], other.box[0]),
        min(one.box[1], other.box[1]),
        max(one.box[2], other.box[2]),
        max(one.box[3], other.box[3]),
    )
    larger = one if one.area >= other.area else other
    return Block(f"{one.text} {other.text}", box, larger.colour)


def apart(one: Block, other: Block) -> float:
    """How far the middles are from each other, the larger of across and down, as a share of the page."""
    (a, b, c, d), (e, f, g, h) = one.box, other.box
    return max(abs(a + c - e - g), abs(b + d - f - h)) / 2


def hue_likeness(one: Block, other: Block) -> float:
    """1 - CIEDE2000 / 100 of the colours of the text, not below 0."""
    from skimage.color import deltaE_ciede2000, rgb2lab

    lab = rgb2lab(np.array([[one.colour, other.colour]]) / 255)
    return max(0.0, 1 - float(deltaE_ciede2000(lab[0, 0], lab[0, 1])) / 100)
