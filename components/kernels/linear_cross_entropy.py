"""`linear_cross_entropy`: an output matrix and the cross entropy behind it, a few rows at a time.

The logits of a large vocabulary are the largest tensor of a training step: N targets of V logits are
written, read by the softmax, written again as its gradient and read by two products. Here they exist for
`rows` targets at a time and stay in the cache; their gradient is taken at once, and only that of the hidden
states and of the matrix is kept.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from vlmloom.components.kernels.precision import lowered

LOGITS = 2**20
"""About how many logits exist at a time: 4 MiB in fp32."""


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, target: Tensor, factor: Tensor, rows: int
    ) -> tuple[Tensor, Tensor]:
        wanted = ctx.needs_input_grad[:2]
        to_hidden = torch.empty_like(hidden) if wanted[0] else None
        to_weight = torch.zeros_like(weight) if wanted[1] else None
        wide = torch.promote_types(hidden.dtype, torch.float32)
        loss = hidden.new_zeros((), dtype=wide)
        right = torch.zeros((), dtype=torch.long, device=hidden.device)
        for start in range(0, len(target), rows):
            part = slice(start, start + rows)
            own, goal, share = hidden[part], target[part, None], factor[part, None]
            logits = (own @ weight.t()).to(wide)
            peak, best = logits.max(-1, keepdim=True)
            right += (best == goal).sum()
            gold = logits.gather(1, goal)
            total = logits.sub_(peak).exp_().sum(-1, keepdim=True)
            loss += ((total.log() + peak - gold) * share).sum()
            if not any(wanted):
                continue
            # The softmax times the row's factor, less the factor at the target.
            slope = logits.mul_(share / total).scatter_add_(1, goal, -share).to(own.dtype)
            if to_hidden is not None:
                torch.mm(slope, weight, out=to_hidden[part])
            if to_weight is not None:
                to_weight.addmm_(slope.t(), own)
        ctx.save_for_backward(*(kept for kept in (to_hidden, to_weight) if kept is not None))
        ctx.wanted = wanted
        ctx.mark_non_differentiable(right)
        return loss, right

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        kept = iter(ctx.saved_tensors)
        to_hidden, to_weight = (next(kept) if wanted else None for wanted in ctx.wanted)
        scaled = (None if part is None else part * gradient.to(part.dtype) for part in (to_hidden, to_weight))
        return (*scaled, None, None, None)


def linear_cross_entropy(
    hidden: Float[Tensor, "targets width"],
    weight: Float[Tensor, "vocab width"],
    target: Int[Tensor, "targets"],
    factor: Float[Tensor, "targets"],
    rows: int | None = None,
) -> tuple[Float[Tensor, ""], Int[Tensor, ""]]:
    """`sum(factor * cross_entropy(hidden @ weight.T, target))`, without ever holding all logits.

    Gradients are those of the plain formula; the factors get none. Logits are products in the dtype of
    autocast where that is on, the softmax is at least fp32. There is no second derivative.

    Args:
        hidden: `[N, D]`.
        weight: `[V, D]`.
        target: `[N]` ids.
        factor: `[N]` of each target's cross entropy.
        rows: targets at a time; None keeps about a million logits.

    Returns:
        The sum, and how many targets have the highest logit.

    Reference: arXiv 2410.10989 (Liger kernel), arXiv 2411.09009 (Cut your losses).
    """
    rows = max(16, LOGITS // len(weight)) if rows is None else rows
    hidden, weight = lowered(hidden, weight)
    with torch.autocast(hidden.device.type, enabled=False):
        return _LinearCrossEntropy.apply(hidden, weight, target, factor, rows)
