"""A tower's frozen features of a set of pictures, computed once and shared by the probes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from vlmloom.components.contracts.kinds import Vision
from vlmloom.components.contracts.patches import cut, join, reorder


@dataclass(frozen=True)
class Features:
    """Of pictures of one size.

    Attributes:
        pooled: `[N, E]`, the tower's own or the mean of its tokens.
        maps: `[N, rows, columns, D]`, in raster order.
    """

    pooled: Float[Tensor, "pictures pooled_width"]
    maps: Float[Tensor, "pictures rows columns width"]


@torch.inference_mode()
def extract(tower: Vision, frames: np.ndarray, batch: int = 32) -> Features:
    """Look at pictures uint8 `[N, H, W, 3]`, cut as the tower's own `PatchSpec` says, so many at a time."""
    tower.eval()
    pooled, maps = [], []
    for start in range(0, len(frames), batch):
        cuts = [cut(frame[None], tower.patch_spec) for frame in frames[start : start + batch]]
        features, _ = tower(join(cuts, tower.patch_spec))
        order = reorder(features.shapes, features.block, 1)
        tokens = (features.tokens if order is None else features.tokens[order]).float()
        _, rows, columns = features.shapes[0]
        grid = tokens.reshape(len(cuts), rows, columns, -1)
        maps.append(grid)
        pooled.append(grid.mean((1, 2)) if features.pooled is None else features.pooled.float())
    return Features(torch.cat(pooled), torch.cat(maps))
