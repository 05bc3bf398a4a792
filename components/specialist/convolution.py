"""The convolutional blocks that all specialists are made of, with their FLOP account."""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Size: TypeAlias = tuple[int, int]
"""(height, width) in cells of a feature map."""


def flops_of(convolution: nn.Conv2d, size: Size) -> int:
    """Forward FLOPs of one convolution whose output has this size; a multiply-add counts two."""
    inside = convolution.in_channels // convolution.groups
    kernel = convolution.kernel_size[0] * convolution.kernel_size[1]
    return 2 * size[0] * size[1] * inside * kernel * convolution.out_channels


def idle_loss(module: nn.Module) -> Tensor:
    """Zero, with a zero gradient for every parameter: a batch that gives a part nothing to do.

    A gradient of None on one rank would leave the other ranks of a data-parallel run waiting.
    """
    return torch.stack([parameter.sum() for parameter in module.parameters()]).sum() * 0.0


class ConvUnit(nn.Module):
    """Convolution, normalisation of each picture by itself, SiLU; with a skip where the shape allows one.

    The normalisation looks at one picture only (GroupNorm of one group), so that a picture gives the same
    features in any batch.
    """

    def __init__(
        self, inside: int, outside: int, *, kernel: int = 3, stride: Size = (1, 1), skip: bool = False
    ) -> None:
        """Make the block; padding keeps `ceil(size / stride)` cells."""
        super().__init__()
        if skip and (inside != outside or stride != (1, 1)):
            raise ValueError(f"a skip needs equal shapes, found {inside} -> {outside} at stride {stride}")
        self.convolution = nn.Conv2d(inside, outside, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.GroupNorm(1, outside)
        self.skip = skip

    def forward(self, x: Tensor) -> Tensor:
        """`[N, inside, H, W] -> [N, outside, ceil(H / stride), ceil(W / stride)]`."""
        y = F.silu(self.norm(self.convolution(x)))
        return x + y if self.skip else y

    def account(self, size: Size) -> tuple[int, Size]:
        """FLOPs for an input of this size, and the size of the output."""
        rows, columns = (-(-side // step) for side, step in zip(size, self.convolution.stride, strict=True))
        return flops_of(self.convolution, (rows, columns)), (rows, columns)


class Stack(nn.Sequential):
    """Units one after another."""

    def account(self, size: Size) -> tuple[int, Size]:
        """FLOPs for an input of this size, and the size of the output."""
        total = 0
        for unit in self:
            assert isinstance(unit, ConvUnit)
            flops, size = unit.account(size)
            total += flops
        return total, size
