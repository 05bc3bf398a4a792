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
