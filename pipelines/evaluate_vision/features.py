"""A tower's frozen features of a set of pictures, computed once and shared by the probes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vlmloom.components.contracts.patches import cut, join, reorder
from vlmloom.components.contracts.vision import SharedSpace, Vision
from vlmloom.components.contracts.visuals import VisualFeatures

BATCH = 8
"""Pictures at a time; with 32, whose maps leave a CPU's caches, EfficientNet takes twice as long for each."""


@dataclass(frozen=True)
class Features:
    """Of pictures of one size.

    Attributes:
        pooled: `[N, E]`, the tower's own or the mean of its tokens.
        maps: `[N, rows, columns, D]`, in raster order.
        shared: `[N, S]`, unit vectors in the space that the tower shares with text, where there is one.
    """

    pooled: Float[Tensor, "pictures pooled_width"]
    maps: Float[Tensor, "pictures rows columns width"]
    shared: Float[Tensor, "pictures shared_width"] | None = None


@torch.inference_mode()
def extract(
    tower: Vision,
    frames: Sequence[np.ndarray] | np.ndarray,
    space: SharedSpace | None = None,
    batch: int = BATCH,
) -> Features:
    """Look at pictures uint8 `[N, H, W, 3]`, cut as the tower's own `PatchSpec` says, so many at a time."""
    pooled, maps, shared = [], [], []
    for features in _seen(tower, frames, batch):
        order = reorder(features.shapes, features.block, 1)
        tokens = (features.tokens if order is None else features.tokens[order]).float()
        _, rows, columns = features.shapes[0]
        grid = tokens.reshape(len(features.shapes), rows, columns, -1)
        maps.append(grid)
        pooled.append(grid.mean((1, 2)) if features.pooled is None else features.pooled.float())
        if space is not None:
            shared.append(space.embed_pictures(features))
    return Features(torch.cat(pooled), torch.cat(maps), torch.cat(shared) if shared else None)


@torch.inference_mode()
def embed(
    tower: Vision, frames: Sequence[np.ndarray], space: SharedSpace, batch: int = BATCH
) -> Float[Tensor, "pictures shared_width"]:
    """Unit vectors of pictures uint8 `[H, W, 3]`, of any sizes, in the shared space."""
    return torch.cat([space.embed_pictures(features) for features in _seen(tower, frames, batch)])


def _seen(tower: Vision, frames: Sequence[np.ndarray] | np.ndarray, batch: int) -> Iterator[VisualFeatures]:
    tower.eval()
    for start in range(0, len(frames), batch):
        cuts = [cut(frame[None], tower.patch_spec) for frame in frames[start : start + batch]]
        yield tower(join(cuts, tower.patch_spec))[0]
