"""`Linear`: a linear map whose product of a few rows is shared among the threads of a CPU."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

MOST = 5
"""Up to so many rows the product is turned over; measured at 256 to 1,024 columns (docs/log.md)."""


class Linear(nn.Linear):
    """`nn.Linear`, by `linear`."""

    def forward(self, input: Float[Tensor, "*rows width"]) -> Float[Tensor, "*rows out"]:
        """`input @ weight.T + bias`."""
        return linear(input, self.weight, self.bias)


def linear(
    x: Float[Tensor, "*rows width"], weight: Float[Tensor, "out width"], bias: Tensor | None = None
) -> Float[Tensor, "*rows out"]:
    """`F.linear`, without gradients as `(weight @ x.T).T` where two to five rows are read, as drafts are.

    Of a product of so few rows the CPU's library shares rows among threads, so one thread does nearly all;
    turned over, each takes its part of the outputs. One row is a product with a vector anyway.
    """
    if (
        x.dim() == 2
        and 1 < len(x) <= MOST
        and x.device.type == "cpu"
        and x.dtype == torch.float32
        and not torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and torch.get_num_threads() > 1
    ):
        out = (weight @ x.t()).t().contiguous()
        return out if bias is None else out.add_(bias)
    return F.linear(x, weight, bias)
