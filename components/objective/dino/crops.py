"""`Crops`: from the pictures of a batch to the crops that teacher and student see, and to patches."""

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

from vlmloom.components.contracts.patches import reorder
from vlmloom.components.contracts.visuals import PatchSpec, Visuals
from vlmloom.components.objective.dino.colour import Images, distort


class Views(NamedTuple):
    """Crops of B pictures, of pixels in [0, 1].

    Attributes:
        wide: `[wide * B, 3, H, H]` global crops: the first of every picture, then the second.
        narrow: `[local * B, 3, h, h]` local crops in the same order.
        fine: the global crops before they were distorted, for the Gram teacher; of a higher resolution where
            that is asked for.
    """

    wide: Tensor
    narrow: Tensor
    fine: Tensor


@dataclass(frozen=True)
class Crops:
    """Global and local crops of each picture; sides are in patches of the tower.

    Attributes:
        size: side of a global crop (16 of 16 pixels in DINOv3).
        local_size: side of a local crop.
        local: how many local crops.
        wide: how many global crops, one or two.
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
    wide: int = 2
    source: int | None = None
    scale: tuple[float, float] = (0.32, 1.0)
    local_scale: tuple[float, float] = (0.05, 0.32)

    def __post_init__(self) -> None:
        for name in ("size", "local_size", "local", "source"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; 1 or more would be right")
        if self.wide not in (1, 2):
            raise ValueError(f"wide is {self.wide}; 1 or 2 would be right")
        for name in ("scale", "local_scale"):
            low, high = getattr(self, name)
            if not 0 < low <= high <= 1:
                raise ValueError(f"{name} is {low} to {high}; shares in (0, 1], in order, would be right")

    def draw(
        self,
        pictures: Images,
        patch: int,
        generator: np.random.Generator,
        finer: int = 1,
        aspects: np.ndarray | float = 1.0,
    ) -> Views:
        """Draw the crops, half of them flipped, all of them distorted (see `distort`).

        Every first global crop is blurred, a tenth of the second ones is, a fifth of these is solarised, and
        half of the local crops are blurred.

        Args:
            pictures: `[B, 3, H, W]` of pixels in [0, 1].
            patch: of the tower, in pixels.
            generator: of all draws.
            finer: the resolution of `Views.fine` in that of the global crops.
            aspects: `[B]` width by height of the pictures as they were; crops are squares of those.
        """
        side, short = self.size * patch, self.local_size * patch

        def crop(
            pixels: int, scale: tuple[float, float], finer: int, blurred: float, solarised: float
        ) -> tuple[Images, Images]:
            boxes = draw_boxes(len(pictures), scale, generator, aspects=aspects)
            cut_out = sample(pictures, boxes, pixels * finer, generator.random(len(pictures)) < 0.5)
            # A deviation of 1 was meant for pictures of 224 pixels.
            sharp = finer * side / 224
            return distort(cut_out, generator, blurred=blurred, solarised=solarised, sharp=sharp), cut_out

        wide = [crop(side, self.scale, finer, 1.0, 0.0), crop(side, self.scale, finer, 0.1, 0.2)][: self.wide]
        narrow = [crop(short, self.local_scale, 1, 0.5, 0.0)[0] for _ in range(self.local)]
        seen, fine = (torch.cat(part) for part in zip(*wide, strict=True))
        if finer > 1:
            seen = F.interpolate(seen, (side, side), mode="bicubic", antialias=True).clamp(0, 1)
        return Views(seen, torch.cat(narrow), fine)


def draw_boxes(
    count: int,
    scale: tuple[float, float],
    generator: np.random.Generator,
    tries: int = 10,
    aspects: np.ndarray | float = 1.0,
) -> np.ndarray:
    """`[count, 4]` top, left, height, width in shares of the sides: area within `scale`, aspect 3/4 to 4/3.

    The aspect is that of the box in pictures of these `aspects`, width by height. What does not fit within a
    number of tries has the largest area and the picture's shape.
    """
    area = generator.uniform(*scale, (tries, count))
    aspect = np.exp(generator.uniform(np.log(3 / 4), np.log(4 / 3), (tries, count))) / aspects
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


def joined(visuals: Visuals, spec: PatchSpec) -> tuple[Images, np.ndarray]:
    """The pictures of a batch as pixels in [0, 1], and the aspect of each; a clip gives its middle frame.

    Pictures of several sizes are brought to squares (bicubic) of the longest side among them.

    Args:
        visuals: items of any sizes.
        spec: what they were cut by.

    Returns:
        `[I, 3, H, W]`, and width by height of the items, `[I]`.
    """
    patches, pictures, start = visuals.patches, [], 0
    if (order := reorder(visuals.shapes, visuals.block, 1, patches.device)) is not None:
        patches = patches[order]
    for stored, rows, columns in visuals.shapes:
        area = rows * columns
        middle = start + stored // 2 * area
        pictures.append(
            rearrange(
                patches[middle : middle + area],
                "(r c) (k y x) -> k (r y) (c x)",
                r=rows,
                k=3,
                y=spec.patch,
            ).float()
        )
        start += stored * area
    mean, std = (pictures[0].new_tensor(value).view(3, 1, 1) for value in (spec.mean, spec.std))
    pictures = [(pixels * std + mean).clamp(0, 1) for pixels in pictures]
    if len({pixels.shape for pixels in pictures}) > 1:
        side = max(max(pixels.shape[1:]) for pixels in pictures)
        pictures = [_squeezed(pixels, side) for pixels in pictures]
    return torch.stack(pictures), np.array([columns / rows for _, rows, columns in visuals.shapes])


def _squeezed(pixels: Tensor, side: int) -> Tensor:
    squares = F.interpolate(pixels[None], (side, side), mode="bicubic", antialias=True)
    return squares[0].clamp(0, 1)


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
