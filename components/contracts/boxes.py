"""Boxes in pixels and in thousandths of the picture, in which GLM speaks of places."""

from __future__ import annotations

Box = tuple[int, int, int, int]
"""x1, y1, x2, y2, origin top left."""

THOUSAND = 1000
GUI = 999
"""The last mark that GLM's GUI prompts allow: thousandths from 0 to 999."""


def permille(box: tuple[float, float, float, float], width: int, height: int, *, last: int = THOUSAND) -> Box:
    """A box in pixels as thousandths, clipped to the picture.

    Args:
        box: x1, y1, x2, y2 in pixels.
        width: of the picture.
        height: of the picture.
        last: the largest value that may be written; `GUI` for actions on a screen.

    >>> permille((0, 10, 50, 200), 100, 200), permille((50, 0, 100, 200), 100, 200, last=GUI)
    ((0, 50, 500, 1000), (500, 0, 999, 999))

    Reference: arXiv 2507.01006 (round(x / width * 1000)); GLM-V, examples/gui-agent (0 to 999). That the
    latter are the same thousandths, the last mark unused, is how its prompts read; no code there says it.
    """
    x1, y1, x2, y2 = box
    return (
        min(round(1000 * max(x1, 0) / width), last),
        min(round(1000 * max(y1, 0) / height), last),
        min(round(1000 * min(x2, width) / width), last),
        min(round(1000 * min(y2, height) / height), last),
    )


def pixels(box: tuple[float, float, float, float], width: int, height: int) -> Box:
    """A box in thousandths as whole pixels.

    >>> pixels((0, 50, 500, 1000), 100, 200)
    (0, 10, 50, 200)
    """
    x1, y1, x2, y2 = box
    return (
        round(x1 * width / 1000),
        round(y1 * height / 1000),
        round(x2 * width / 1000),
        round(y2 * height / 1000),
    )


def intersection_over_union(one: Box, other: Box) -> float:
    """How much two boxes overlap, from 0 to 1."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = ((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return width * height / (sum(areas) - width * height)
