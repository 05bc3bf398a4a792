"""`Crops`: from the square pictures of a batch to the crops that teacher and student see, and to patches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from vlmloom.components.contracts.visuals import PatchSpec, Visuals
from vlmloom.components.objective.dino.colour import Images, distort


class Views(NamedTuple):
    """Crops of B pictures, of pixels in [0, 1].

    Attributes:
        wide: `[2 * B, 3, H, H]` global crops: the first of every picture, then the second.
        narrow: `[local * B, 3, h, h]` local crops in the same order.
        fine: the global crops at a higher resolution; the same as `wide` where none is asked for.
    """

    wide: Tensor
    narrow: Tensor
    fine: Tensor


@dataclass(frozen=True)
class Crops:
    """Two global and some local crops of each picture; sides are in patches of the tower.

    Attributes:
        size: side of a global crop (16 of 16 pixels in DINOv3).
        local_size: side of a local crop.
        local: how many local crops.
        source: side of the squares that pictures are brought to first; None is twice `size`.
        scale: share of the picture that a global crop shows.
        local_scale: share that a local crop shows.

    Raises:
        ValueError: a number is out of range.

    Reference: arXiv 2006.09882 (multi-crop); arXiv 2508.10104 (256 and 112 pixels, 8 local crops).
    """

    size: int = 16
    local_size: int = 7
    local: int = 8
    source: int | None = None
    scale: tuple[float, float] = (0.32, 1.0)
    local_scale: tuple[float, float] = (0.05, 0.32)

    def __post_init__(self) -> None:
        for name in ("size", "local_size", "local", "source"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; 1 or more would be right")
        for name in ("scale", "local_scale"):
            low, high = getattr(self, name)
            if not 0 < low <= high <= 1:
                raise ValueError(f"{name} is {low} to {high}; shares in (0, 1], in order, would be right")

    def draw(self, pictures: Images, patch: int, generator: np.random.Generator, finer: int = 1) -> Views:
        """Draw the crops, half of them flipped, all of them distorted (see `distort`).

        Every first global crop is blurred, a tenth of the second ones is, a fifth of these is solarised, and
        half of the local crops are blurred.

        Args:
            pictures: `[B, 3, S, S]` of pixels in [0, 1].
            patch: of the tower, in pixels.
            generator: of all draws.
            finer: the resolution of `Views.fine` in that of the global crops.
        """
        side, short = self.size * patch, self.local_size * patch

        def crop(
            pixels: int, scale: tuple[float, float], finer: int, blurred: float, solarised: float
        ) -> Images:
            boxes = draw_boxes(len(pictures), scale, generator)
            cut_out = sample(pictures, boxes, pixels * finer, generator.random(len(pictures)) < 0.5)
            # A deviation of 1 was meant for pictures of 224 pixels.
            sharp = finer * side / 224
            return distort(cut_out, generator, blurred=blurred, solarised=solarised, sharp=sharp)

        wide = [crop(side, self.scale, finer, 1.0, 0.0), crop(side, self.scale, finer, 0.1, 0.2)]
        narrow = [crop(short, self.local_scale, 1, 0.5, 0.0) for _ in range(self.local)]
        fine = torch.cat(wide)
        seen = fine
        if finer > 1:
            seen = F.interpolate(fine, (side, side), mode="bicubic", antialias=True).clamp(0, 1)
        return Views(seen, torch.cat(narrow), fine)


def draw_boxes(
    count: int, scale: tuple[float, float], generator: np.random.Generator, tries: int = 10
) -> np.ndarray:
    """`[count, 4]` top, left, height and width in shares of the side: area within `scale`, aspect 3/4 to 4/3.

    What does not fit within a number of tries is the largest square of the largest area.
    """
    area = generator.uniform(*scale, (tries, count))
    aspect = np.exp(generator.uniform(np.log(3 / 4), np.log(4 / 3), (tries, count)))
    heights, widths = np.sqrt(area / aspect), np.sqrt(area * aspect)
    fits = (heights <= 1) & (widths <= 1)
    first, each = fits.argmax(0), np.arange(count)
    square = scale[1] ** 0.5
    height = np.where(fits.any(0), heights[first, each], square)
    width = np.where(fits.any(0), widths[first, each], square)
    top, left = generator.random(count) * (1 - height), generator.random(count) * (1 - width)
    return np.stack([top, left, height, width], 1)


def sample(
    pictures: Images, boxes: np.ndarray, side: int, flipped: np.ndarray
) -> Float[Tensor, "images 3 side side"]:
    """Boxes of pictures, one each, brought to `side` pixels (bicubic); some from right to left."""
    top, left, height, width = boxes.T
    zero, across = np.zeros_like(top), np.where(flipped, -width, width)
    rows = [[across, zero, 2 * left + width - 1], [zero, height, 2 * top + height - 1]]
    maps = torch.from_numpy(np.array(rows).transpose(2, 0, 1)).to(pictures)
    grid = F.affine_grid(maps, [len(maps), 3, side, side], align_corners=False)
    sampled = F.grid_sample(pictures, grid, mode="bicubic", padding_mode="border", align_corners=False)
    return sampled.clamp(0, 1)


def joined(visuals: Visuals, spec: PatchSpec) -> Images:
    """The square pictures of a batch as pixels in [0, 1]; a clip gives its middle frame.

    Args:
        visuals: items of one size, in the order of block 1.
        spec: what they were cut by.
    """
    frames, start = [], 0
    for stored, rows, columns in visuals.shapes:
        area = rows * columns
        middle = start + stored // 2 * area
        frames.append(visuals.patches[middle : middle + area])
        start += stored * area
    rows = visuals.shapes[0][1]
    pixels = rearrange(
        torch.stack(frames), "i (r c) (k y x) -> i k (r y) (c x)", r=rows, k=3, y=spec.patch
    ).float()
    mean, std = (pixels.new_tensor(value).view(3, 1, 1) for value in (spec.mean, spec.std))
    return (pixels * std + mean).clamp(0, 1)


def parted(groups: Sequence[Tensor], spec: PatchSpec) -> Visuals:
    """Square pictures in [0, 1], in groups of one size, as normalised patches of one batch."""
    patches, shapes = [], []
    for images in groups:
        mean, std = (images.new_tensor(value).view(3, 1, 1) for value in (spec.mean, spec.std))
        cut = "i k (r y) (c x) -> (i r c) (k y x)"
        patches.append(rearrange((images - mean) / std, cut, y=spec.patch, x=spec.patch))
        side = images.shape[-1] // spec.patch
        shapes += [(1, side, side)] * len(images)
    return Visuals(torch.cat(patches), torch.tensor(shapes, device=patches[0].device), shapes)
