"""From lists of frames of any size to tensors: groups of equal size, and crops of boxes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import torch
from jaxtyping import Float
from torch import Tensor
from torchvision.ops import roi_align

FULL = 1000
"""Boxes run from 0 to `FULL` over the width and the height of a frame."""


def equal_sizes(
    frames: Sequence[Tensor], device: torch.device, dtype: torch.dtype = torch.float32
) -> Iterator[tuple[list[int], Float[Tensor, "frames 3 height width"]]]:
    """Groups of frames of one size as `[N, 3, H, W]` in [-1, 1], with their places in `frames`.

    Args:
        frames: uint8 `[H, W, 3]` each.
        device: where the pixels go.
        dtype: of the pixels there.
    """

    def size(place: int) -> tuple[int, ...]:
        return tuple(frames[place].shape)

    for _, group in groupby(sorted(range(len(frames)), key=size), key=size):
        places = list(group)
        pixels = torch.stack([frames[place] for place in places]).to(device)
        # Channels stay the fastest axis in memory: convolutions on a CPU run 1.4 times faster so.
        yield places, pixels.permute(0, 3, 1, 2).to(dtype).div_(127.5).sub_(1.0)


def crops(
    frames: Sequence[Tensor],
    owners: Sequence[int],
    boxes: Float[Tensor, "crops 4"],
    size: tuple[int, int],
    device: torch.device,
) -> Float[Tensor, "crops 3 height width"]:
    """Cut boxes out of frames and resize them, in [-1, 1]; pixels beyond a frame repeat its border.

    Args:
        frames: uint8 `[H, W, 3]` each, of any size.
        owners: for each box the frame that it lies in.
        boxes: x1, y1, x2, y2 from 0 to 1000.
        size: of the crops, (height, width).
        device: where the crops go.
    """
    cut = torch.zeros(len(owners), 3, *size, device=device).to(memory_format=torch.channels_last)
    used = sorted(set(owners))
    owner = torch.tensor(list(owners), dtype=torch.long)
    for places, pixels in equal_sizes([frames[place] for place in used], device):
        height, width = pixels.shape[-2:]
        group = torch.tensor([used[place] for place in places])
        row, order = torch.nonzero(owner[:, None] == group[None, :], as_tuple=True)
        pad = max(height, width) // 4
        scaled = (
            boxes[row].to(device) * torch.tensor([width, height, width, height], device=device) / FULL + pad
        )
        regions = torch.cat([order[:, None].to(scaled), scaled], dim=1)
        padded = torch.nn.functional.pad(pixels, (pad, pad, pad, pad), mode="replicate")
        cut[row.to(device)] = roi_align(padded, regions, size, sampling_ratio=2, aligned=True)
    return cut
