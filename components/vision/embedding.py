"""Patches to tokens: `PatchEmbed`, which folds the frames of a clip (`folded`), and `LearnedPositions`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from vlmloom.components.contracts.visuals import Grid, Visuals, raster


class PatchEmbed(nn.Linear):
    """A strided convolution over `temporal` frames of patches, as a linear map of a patch.

    Columns run (frame, channel, row, column): a Conv3d kernel with its frame axis moved to the front. A still
    is stored once and counts as `temporal` equal frames, so it meets the sum of the frames' kernels.

    Args:
        patch: side of a patch in pixels.
        temporal: frames folded into one.
        width: of the tokens.
    """

    def __init__(self, *, patch: int, temporal: int, width: int) -> None:
        super().__init__(temporal * 3 * patch * patch, width)
        self.temporal = temporal
        nn.init.normal_(self.weight, std=self.in_features**-0.5)
        nn.init.zeros_(self.bias)

    def forward(self, visuals: Visuals) -> Float[Tensor, "tokens width"]:  # type: ignore[override]
        """Tokens of all items, in the order of the patches of their first frames, of the weights' type."""
        patches = visuals.patches.to(self.weight.dtype)
        if self.temporal == 1:
            return F.linear(patches, self.weight, self.bias)
        if all(frames == 1 for frames, *_ in visuals.shapes):
            return self._stills(patches)
        stills, clips, order = _folds(tuple(visuals.shapes), self.temporal, patches.device)
        clip = F.linear(patches[clips].flatten(1), self.weight, self.bias)
        if order is None:
            return clip
        return torch.cat((self._stills(patches[stills]), clip))[order]

    def flops(self, stored: int) -> int:
        """Forward FLOPs for so many stored patches; a still's are stored once."""
        return 2 * stored * (self.in_features // self.temporal) * self.out_features

    def _stills(self, patches: Tensor) -> Tensor:
        kernel = self.weight.view(self.out_features, self.temporal, -1).sum(1)
        return F.linear(patches, kernel, self.bias)


def folded(grids: Sequence[Grid], temporal: int, who: str) -> list[Grid]:
    """Grids of the tokens of `PatchEmbed`: stills keep theirs, `temporal` frames of a clip become one.

    Raises:
        ValueError: a clip's frames are no multiple of `temporal`.
    """
    for frames, rows, columns in grids:
        if frames > 1 and frames % temporal:
            raise ValueError(
                f"{who}: found a clip of {frames} frames ({rows} x {columns} patches); "
                f"a multiple of {temporal} would be right"
            )
    return [(max(1, frames // temporal), rows, columns) for frames, rows, columns in grids]


@lru_cache(maxsize=16)
def _folds(
    shapes: tuple[Grid, ...], temporal: int, device: torch.device
) -> tuple[Tensor | None, Tensor, Tensor | None]:
    """Rows of the stills `[S]`, of the clips `[K, temporal]`, and the order of their concatenation."""
    stills, clips, kinds, start = [], [], [], 0
    for frames, rows, columns in shapes:
        area = rows * columns
        index = torch.arange(start, start + frames * area)
        if frames == 1:
            stills.append(index)
        else:
            clips.append(index.view(-1, temporal, area).transpose(1, 2).reshape(-1, temporal))
        kinds.append(torch.full((max(1, frames // temporal) * area,), frames > 1))
        start += frames * area
    with torch.inference_mode(False):
        if not stills:
            return None, torch.cat(clips).to(device), None
        order = torch.argsort(torch.argsort(torch.cat(kinds).int(), stable=True))
        return torch.cat(stills).to(device), torch.cat(clips).to(device), order.to(device)


class LearnedPositions(nn.Module):
    """A square table of learned positions, resampled to the grid of each item by cubic convolution.

    Patch i of N lies at `(i + 0.5) / N` of the table's side, and takes four taps an axis (a = -0.75); beyond
    the border the outermost entry is repeated. Weights and sums are fp32, whatever the table is.

    Args:
        side: of the table, in entries.
        width: of an entry.

    Reference: transformers `models/glm4v/modeling_glm4v.py` (`Glm4vVisionEmbeddings`).
    """

    TAPS = 16
    """Entries of the table that one token sums up."""

    def __init__(self, *, side: int, width: int) -> None:
        super().__init__()
        self.side = side
        self.weight = nn.Parameter(torch.empty(side * side, width))
        nn.init.normal_(self.weight, std=0.02)

    def forward(self, shapes: list[Grid], block: int) -> Float[Tensor, "tokens width"]:
        """Positions of all tokens; the frames of an item share theirs."""
        entries, shares = _taps(tuple(shapes), block, self.side, self.weight.device)
        table = self.weight.float()
        return F.embedding_bag(entries, table, per_sample_weights=shares, mode="sum").to(self.weight.dtype)


@lru_cache(maxsize=16)
def _taps(shapes: tuple[Grid, ...], block: int, side: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Entries of the table `[T, 16]` and their shares, fp32."""
    frames = [_frame_taps(rows, columns, block, side) for _, rows, columns in shapes]
    entries, shares = (
        np.concatenate(
            [np.tile(part[kind], (shape[0], 1)) for part, shape in zip(frames, shapes, strict=True)]
        )
        for kind in (0, 1)
    )
    with torch.inference_mode(False):
        return torch.from_numpy(entries).to(device), torch.from_numpy(shares).to(device)


@lru_cache(maxsize=512)
def _frame_taps(rows: int, columns: int, block: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    row, column = raster((1, rows, columns), block).T
    (down, heavy), (across, wide) = _axis_taps(rows, side), _axis_taps(columns, side)
    entries = down[row][:, :, None] * side + across[column][:, None, :]
    shares = heavy[row][:, :, None] * wide[column][:, None, :]
    return entries.reshape(-1, 16), shares.reshape(-1, 16).astype(np.float32)


def _axis_taps(length: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The four entries along one axis for each of `length` places, and their weights."""
    place = (np.arange(length) + 0.5) * side / length - 0.5
    taps = np.floor(place)[:, None] + np.arange(-1, 3)
    far = np.abs(place[:, None] - taps)
    a = -0.75
    near = ((a + 2) * far - (a + 3)) * far * far + 1
    weights = np.where(far <= 1, near, ((a * far - 5 * a) * far + 8 * a) * far - 4 * a)
    return taps.clip(0, side - 1).astype(np.int64), weights
