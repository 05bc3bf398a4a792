"""Pictures on their way into a vision tower: `Picture`, `PatchSpec`, `Visuals`, `VisualFeatures`.

A *frame* is one uint8 image of any size and aspect. A still has one frame, a clip several. Patches of all
items of a batch lie on one flat axis, frame by frame, in the order that `raster` describes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from vlmloom.components.contracts.resizing import Fit, PixelBudget, Resolution
from vlmloom.components.contracts.sampling import Sampling

Grid: TypeAlias = tuple[int, int, int]
"""(frames, rows, columns) of one item, counted in patches (or in tokens after a projector)."""

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class PatchSpec:
    """What a tower wants its pictures cut into; the collator obeys it.

    Attributes:
        patch: side of a square patch in pixels.
        temporal: frames that the tower folds into one (2 for CogViT). Stills are stored once: the tower
            counts the one frame `temporal` times; clips are padded to a multiple by repeating the last frame.
        block: side of the groups of patches that a projector merges. Rows and columns are multiples of it,
            and patches of one group are neighbours on the flat axis (1 = plain raster order).
        min_patches: items below it are enlarged.
        max_patches: items above it are shrunk, aspect kept. Both count the patches of one frame; where they
            are equal, every item has as many as fit into that number.
        size: a fixed square side in pixels instead of the native aspect.
        mean: per channel, of pixels in [0, 1].
        std: per channel, of pixels in [0, 1].
        resize: GLM's rule instead of the three above.
        sampling: which frames of a video are looked at.
        merge: sides of the squares of patches that the tower itself makes one token of, in a still and in a
            clip. Rows and columns are multiples of it times `block`.

    Raises:
        ValueError: a count or a side is below one.
    """

    patch: int
    temporal: int = 1
    block: int = 1
    min_patches: int = 1
    max_patches: int = 16384
    size: int | None = None
    mean: tuple[float, float, float] = CLIP_MEAN
    std: tuple[float, float, float] = CLIP_STD
    resize: PixelBudget | None = None
    sampling: Sampling = "all"
    merge: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        for name in ("patch", "temporal", "block", "min_patches", "max_patches", "size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; 1 or more would be right")
        if min(self.merge) < 1:
            raise ValueError(
                f"merge is {list(self.merge)}; 1 or more for stills and for clips would be right"
            )

    def merged(self, frames: int) -> int:
        """The side of the squares of patches that become one token of an item of so many frames."""
        return self.merge[frames > 1]

    def with_block(self, block: int) -> PatchSpec:
        """The same spec in the patch order of a projector that merges `block` x `block` patches."""
        return replace(self, block=block)

    def at(self, resolution: Resolution, *item: str | int) -> PatchSpec:
        """The spec of one item, named by `item`, at a resolution (see `Resolution.tokens`)."""
        budget = resolution.drawn(*item)
        if budget is None:
            return replace(self, size=resolution.square, resize=None)
        return replace(self, size=None, resize=None, min_patches=budget, max_patches=budget)

    def fit(self, frames: int, height: int, width: int) -> Fit:
        """The pixel sizes, (height, width), to which an item of this size is brought. Pure and tensor-free.

        Raises:
            UnfitPicture: there is no such size.
        """
        group = self.block * self.merged(frames)
        if self.resize is not None:
            return self.resize.fit(frames, height, width, self.patch * group, self.temporal)
        canvas = self._nearest(height, width, group)
        return Fit(canvas, canvas)

    def _nearest(self, height: int, width: int, group: int) -> tuple[int, int]:
        step = self.patch * group
        if self.size is not None:
            side = max(step, round(self.size / step) * step)
            return side, side
        rows, columns = max(1, round(height / step)), max(1, round(width / step))
        low, high = self.min_patches / group**2, self.max_patches / group**2
        if rows * columns > high or low == high:
            shrink = (height * width / (high * step * step)) ** 0.5
            rows, columns = (max(1, int(side / step / shrink)) for side in (height, width))
            rows, columns = min(rows, max(1, int(high // columns))), min(columns, max(1, int(high // rows)))
        elif rows * columns < low:
            grow = (low * step * step / (height * width)) ** 0.5
            rows, columns = (max(1, -int(-side * grow // step)) for side in (height, width))
        return rows * step, columns * step

    def grid(self, frames: int, height: int, width: int) -> Grid:
        """The grid of an item, in stored frames and patches. Pure and tensor-free."""
        height, width = self.fit(frames, height, width).canvas
        if frames > 1:
            frames = -(-frames // self.temporal) * self.temporal
        return frames, height // self.patch, width // self.patch


def raster(grid: Grid, block: int) -> np.ndarray:
    """Row and column of each patch of one frame, `[rows * columns, 2]`, in the order of the flat axis.

    With `block` = 2 a frame of 2 x 4 patches runs (0,0) (0,1) (1,0) (1,1) (0,2) (0,3) (1,2) (1,3): the four
    patches that a projector merges are neighbours, so no cut at a multiple of four splits a group.
    """
    _, rows, columns = grid
    if rows % block or columns % block:
        raise ValueError(f"grid {rows} x {columns} does not divide into blocks of {block} x {block}")
    row, column = np.mgrid[0:rows, 0:columns]
    cut = (rows // block, block, columns // block, block)
    order = [plane.reshape(cut).transpose(0, 2, 1, 3).reshape(-1) for plane in (row, column)]
    return np.stack(order, axis=-1)


@dataclass
class Visuals:
    """All pictures and clips of a batch, cut for one tower.

    Attributes:
        patches: `[P, 3 * patch * patch]`, channel first within a patch; one row a patch of a stored frame.
        grids: `[I, 3]` stored frames, rows, columns of each item.
        shapes: the same as a host list, so that no layer has to ask the device.
        block: the order of patches (see `raster`).
        weight: 0.0 for the one zero item that stands in for a batch without pictures, else 1.0.
    """

    patches: Float[Tensor, "patches pixels"]
    grids: Int[Tensor, "items 3"]
    shapes: list[Grid]
    block: int = 1
    weight: float = 1.0

    @classmethod
    def blank(cls, spec: PatchSpec) -> Visuals:
        """One item of zeros with weight 0, for a pack without pictures (see `weight`)."""
        side = spec.block * spec.merged(1)
        patches = torch.zeros(side * side, 3 * spec.patch**2)
        return cls(patches, torch.tensor([[1, side, side]]), [(1, side, side)], spec.block, 0.0)

    @classmethod
    def noise(cls, shapes: Sequence[Grid], patch: int, seed: int = 0) -> Visuals:
        """Items of these grids with normal noise for pixels, for examples and tests.

        >>> tuple(Visuals.noise([(1, 2, 3), (2, 2, 2)], patch=4).patches.shape)
        (14, 48)
        """
        count = sum(frames * rows * columns for frames, rows, columns in shapes)
        drawn = torch.randn(count, 3 * patch**2, generator=torch.Generator().manual_seed(seed))
        return cls(drawn, torch.tensor(shapes), list(shapes))


@dataclass
class VisualFeatures:
    """What a tower or a projector gives.

    Attributes:
        tokens: `[P, D]`, in the order of `Visuals` (frames of `shapes`, then `raster`).
        shapes: frames, rows, columns of each item, in tokens.
        block: the order of the tokens.
        taps: hidden states of named layers, where they were asked for.
        pooled: `[I, E]`, where the tower has a pooled embedding.
    """

    tokens: Float[Tensor, "tokens width"]
    shapes: list[Grid]
    block: int = 1
    taps: dict[int, Tensor] = field(default_factory=dict)
    pooled: Float[Tensor, "items pooled_width"] | None = None


@dataclass
class Pictures:
    """Whole decoded pictures with the truth about them, for specialists and teachers that take pixels.

    Attributes:
        frames: one uint8 `[H, W, 3]` a frame, of any size.
        things: what is in each frame (`contracts.sample.Thing`); empty where it is not known.
        keys: equal keys mean equal pixels.
        owners: for each frame, the sample it belongs to.
        tags: one a sample.
        corrupt: messages of pictures that could not be decoded and were left out.
    """

    frames: list[Tensor]
    things: list[tuple]
    keys: list[str]
    owners: list[int]
    tags: list = field(default_factory=list)
    corrupt: list[str] = field(default_factory=list)
