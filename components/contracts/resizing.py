"""How pixels are fitted to whole patches: `Resolution`, `PixelBudget` (GLM's rule), `Fit`."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vlmloom.components.contracts.chance import chance

ASPECT = 200
"""The longest a picture may be, in its own breadths, where it is stretched."""


class UnfitPicture(ValueError):
    """A picture has a size that cannot be fitted; the message names the size."""


@dataclass(frozen=True)
class Fit:
    """Where the pixels of an item go; heights before widths.

    Attributes:
        canvas: the size of all patches together.
        content: the size to which the frames are resized; they lie at the top left of the canvas, on black.
    """

    canvas: tuple[int, int]
    content: tuple[int, int]


@dataclass(frozen=True)
class Resolution:
    """At which size a training sees its pictures. Exactly one of the two is given.

    Attributes:
        tokens: the least and the most patches of a frame, at the picture's own aspect (NaFlex). Each picture
            draws its number between them, ends included, from what it is in the stream of its data: the same
            for a run that was resumed, another when the picture comes again. It gets as many patches as fit
            into that number.
        square: side in pixels; the aspect is given up.

    Raises:
        ValueError: none or both are given, or a number is out of range.

    Reference: arXiv 2502.14786 (SigLIP 2, NaFlex: sequence lengths drawn in training).
    """

    tokens: tuple[int, int] | None = None
    square: int | None = None

    def __post_init__(self) -> None:
        if (self.tokens is None) == (self.square is None):
            found = "none" if self.tokens is None else "both"
            raise ValueError(f"found {found} of tokens and square; exactly one would be right")
        if self.tokens is not None and not 1 <= self.tokens[0] <= self.tokens[1]:
            raise ValueError(
                f"tokens: found {self.tokens[0]} to {self.tokens[1]}; the least, 1 or more, and then the "
                "most would be right"
            )
        if self.square is not None and self.square < 1:
            raise ValueError(f"square: found {self.square}; 1 or more would be right")

    def drawn(self, *item: str | int) -> int | None:
        """How many patches this item may have at most; None where they are squares."""
        if self.tokens is None:
            return None
        least, most = self.tokens
        return least + chance(*item) % (most - least + 1)


@dataclass(frozen=True)
class PixelBudget:
    """How many pixels an item may have over all its frames; a still counts as `temporal` of them.

    Stretching takes the nearest multiples of a merged patch, then shrinks or enlarges both sides by one
    factor until the budget holds. Padding takes the next larger multiples and keeps the aspect: what is not
    covered stays black, and nothing is enlarged that has the least number of pixels.

    Attributes:
        still: least and most pixels of a still: `size.shortest_edge` and `size.longest_edge` of an image
            processor's file. GLM-5.3-Flash counts tokens: times `temporal * (patch * block) ** 2`.
        clip: the same of a clip, from the video processor's file.
        pad: keep the aspect on a padded canvas, as GLM-5.3-Flash does.

    Reference: transformers `models/glm4v/image_processing_glm4v.py`, `models/glm46v`, `models/glm5_next`
    (`smart_resize`).
    """

    still: tuple[int, int] = (112 * 112, 28 * 28 * 15000)
    clip: tuple[int, int] = (112 * 112, 28 * 28 * 2 * 30000)
    pad: bool = False

    def __post_init__(self) -> None:
        """Refuse budgets that no size meets.

        Raises:
            ValueError: the least is not positive, or above the most.
        """
        for name, (least, most) in (("still", self.still), ("clip", self.clip)):
            if not 0 < least <= most:
                raise ValueError(
                    f"PixelBudget: {name} is [{least}, {most}]; the least and the most pixels would be right"
                )

    def fit(self, frames: int, height: int, width: int, step: int, temporal: int) -> Fit:
        """The sizes of an item. Pure and tensor-free.

        Args:
            frames: of the item as it is, 1 for a still.
            height: in pixels.
            width: in pixels.
            step: side of a merged patch in pixels; both sides of the canvas are multiples of it.
            temporal: frames that become one.

        Raises:
            UnfitPicture: it is too narrow to be stretched, or the budget is below one merged patch.
        """
        least, most = self.still if frames == 1 else self.clip
        frames = max(frames, temporal)
        folded = max(temporal, round(frames / temporal) * temporal)
        if self.pad:
            return _padded(frames, folded, height, width, step, temporal, least, most)
        canvas = _stretched(frames, folded, height, width, step, least, most)
        return Fit(canvas, canvas)


def _stretched(
    frames: int, folded: int, height: int, width: int, step: int, least: int, most: int
) -> tuple[int, int]:
    given = f"{width} x {height}"
    if height < step or width < step:
        scale = max(step / height, step / width)
        height, width = int(height * scale), int(width * scale)
    ratio = max(height, width) / min(height, width)
    if ratio > ASPECT:
        raise UnfitPicture(
            f"{given} pixels are {ratio:.0f} times as long as broad; at most {ASPECT} would be right"
        )
    rows, columns = round(height / step), round(width / step)
    if folded * rows * columns * step * step > most:
        shrink = math.sqrt(frames * height * width / most)
        rows, columns = (max(1, math.floor(side / shrink / step)) for side in (height, width))
    elif folded * rows * columns * step * step < least:
        grow = math.sqrt(least / (frames * height * width))
        rows, columns = (math.ceil(side * grow / step) for side in (height, width))
    return rows * step, columns * step


def _padded(
    frames: int, folded: int, height: int, width: int, step: int, temporal: int, least: int, most: int
) -> Fit:
    def aligned(side: int) -> int:
        return math.ceil(side / step) * step

    if folded * step * step > most:
        raise UnfitPicture(
            f"{frames} frames have {folded * step * step} pixels in one merged patch alone; a budget of at "
            f"least that, not {most}, would be right"
        )
    canvas = aligned(height), aligned(width)
    if folded * canvas[0] * canvas[1] < least:
        scale = math.sqrt(least / (frames * height * width))
        canvas = (
            aligned(max(1, math.ceil(height * scale))),
            aligned(max(1, math.ceil(width * scale))),
        )
    if folded * canvas[0] * canvas[1] > most:
        canvas = _largest(folded, height, width, step, most)
    scale = min(canvas[0] / height, canvas[1] / width)
    if frames * height * width >= least:
        scale = min(1.0, scale)
    content = tuple(
        max(1, min(limit, math.floor(side * scale)))
        for side, limit in zip((height, width), canvas, strict=True)
    )
    return Fit(canvas, (content[0], content[1]))


def _largest(folded: int, height: int, width: int, step: int, most: int) -> tuple[int, int]:
    """The canvas of the greatest height at this aspect that holds the budget, by bisection."""
    low, high, best = 1, height, (step, step)
    while low <= high:
        tall = (low + high) // 2
        wide = max(1, math.floor(width * tall / height))
        canvas = math.ceil(tall / step) * step, math.ceil(wide / step) * step
        if folded * canvas[0] * canvas[1] <= most:
            best, low = canvas, tall + 1
        else:
            high = tall - 1
    return best
