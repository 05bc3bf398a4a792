"""Two-dimensional rotary positions of packed frames, and per-head normalisation folded into them."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from vlmloom.components.contracts.visuals import Grid, raster


@lru_cache(maxsize=16)
def axial_tables(
    shapes: tuple[Grid, ...], block: int, size: int, theta: float, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """Cosines and signed sines of every token, `[2, T, 1, 1, size]`; the halves of `size` share their angles.

    The first half of the angles turns with the row, the second with the column. The sine is negated in the
    first half of `size`, so that a rotation is `x * cos + x.roll(size / 2) * sin`.

    Args:
        shapes: grids in tokens; the frames of one item share their positions.
        block: the order of the tokens.
        size: of one head, a multiple of four.
        theta: the base of the frequencies.
        device: where the tables lie.
        dtype: of the tables; angles are always taken in fp32.
    """
    # A table made in inference mode could not be saved for a later backward pass.
    with torch.inference_mode(False):
        frames = [
            _frame_table(rows, columns, block, size, theta, device).repeat(1, count, 1)
            for count, rows, columns in shapes
        ]
        return torch.cat(frames, dim=1)[:, :, None, None].to(dtype)


@lru_cache(maxsize=512)
def _frame_table(
    rows: int, columns: int, block: int, size: int, theta: float, device: torch.device
) -> Tensor:
    half = size // 2
    frequencies = 1.0 / theta ** (torch.arange(0, half, 2, dtype=torch.float32) / half)
    positions = torch.from_numpy(raster((1, rows, columns), block)).float()
    angles = (positions[:, :, None] * frequencies).flatten(1)
    sine = angles.sin()
    return torch.stack((angles.cos().repeat(1, 2), torch.cat((-sine, sine), dim=-1))).to(device)


def norm_and_rotate(x: Tensor, tables: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    """RMS-normalise each head of queries and keys, scale it by `weight`, and rotate it.

    The scale is folded into the tables (one row for all heads), which saves a pass over queries and keys.

    Args:
        x: `[T, 2, heads, size]` queries and keys.
        tables: `[2, T, 1, 1, size]` of `axial_tables`.
        weight: `[2, 1, size]` of the query norm and the key norm; None rotates without normalising.
        eps: of the norm.
    """
    cosine, sine = tables
    half = x.shape[-1] // 2
    if weight is not None:
        x = F.rms_norm(x, x.shape[-1:], None, eps)
        cosine, sine = cosine * weight, sine * weight.roll(half, -1)
    return torch.addcmul(x * cosine, x.roll(half, -1), sine)
