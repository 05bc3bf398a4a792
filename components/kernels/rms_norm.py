"""`RMSNorm`: PyTorch's, with fewer passes over memory on a CPU.

On a CPU PyTorch composes the norm of six operations and its way back of a dozen, each a pass over the tokens.
Here the way forth takes three and the way back six, and what is kept is one number a row.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class _RMSNorm(torch.autograd.Function):
    """`y = x * r * weight` with `r = (mean(x ** 2) + eps) ** -0.5`, a row at a time."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        scale = norm.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        ctx.save_for_backward(x, weight, scale)
        return (x * scale).mul_(weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, scale = ctx.saved_tensors
        width = x.shape[-1]
        unit = x * scale
        to_weight = to_x = None
        if ctx.needs_input_grad[1]:
            to_weight = torch.linalg.vecdot(gradient.reshape(-1, width), unit.reshape(-1, width), dim=0)
        if ctx.needs_input_grad[0]:
            to_x = gradient * weight
            along = torch.linalg.vecdot(to_x, unit, dim=-1).div_(width).unsqueeze(-1)
            to_x.addcmul_(unit, along, value=-1).mul_(scale)
        return to_x, to_weight, None


def rms_norm(
    x: Float[Tensor, "*batch width"], weight: Float[Tensor, "width"], eps: float
) -> Float[Tensor, "*batch width"]:
    """Divide by the root mean square over the last axis and multiply by `weight`.

    Equal to `torch.nn.functional.rms_norm`, which is what runs on a GPU, in a model of low precision, and
    where PyTorch compiles.

    Reference: arXiv 1910.07467.
    """
    plain = x.device.type != "cpu" or weight.dtype != torch.float32 or torch.compiler.is_compiling()
    if plain or x.dtype not in (torch.float32, torch.bfloat16):
        return F.rms_norm(x, (x.shape[-1],), weight, eps)
    # PyTorch has no kernel for a norm of lower precision than its weight, as autocast gives one.
    return _RMSNorm.apply(x.float(), weight, eps).to(x.dtype)


class RMSNorm(nn.RMSNorm):
    """`torch.nn.RMSNorm` over one axis, by `rms_norm`.

    Args:
        width: of the last axis.
        eps: added to the mean square.
    """

    eps: float

    def __init__(self, width: int, *, eps: float) -> None:
        super().__init__(width, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        """Norm over the last axis."""
        return rms_norm(x, self.weight, self.eps)
