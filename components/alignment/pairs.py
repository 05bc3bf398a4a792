"""Every picture with every caption, a few rows at a time: what SigLIP's and CLIP's losses need.

Shapes: N pictures, M captions, D width. The N x M logits exist for `rows` pictures at a time, and their
gradients are taken at once, so that memory grows with N + M.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from vlmloom.components.alignment.exchange import carried

LOGITS = 2**20
"""About how many logits exist at a time."""


class _SigmoidPairs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        z: Tensor,
        scale: Tensor,
        bias: Tensor,
        pictures: Tensor,
        captions: Tensor,
        rows: int | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        wide = torch.promote_types(x.dtype, torch.float32)
        loss = x.new_zeros((), dtype=wide)
        to_x, own = torch.zeros_like(x), None
        to_scale, to_bias = torch.zeros_like(loss), torch.zeros_like(loss)
        best, found = x.new_full((len(x),), -torch.inf, dtype=wide), torch.zeros_like(pictures)
        for block, tags, to_block in carried(z, captions):
            # What of the rows is there already; the first block finds nothing.
            there, own = (0, to_block) if own is None else (1, own)
            several = rows or max(1, LOGITS // max(len(block), 1))
            for start in range(0, len(x) if len(block) else 0, several):
                part = slice(start, start + several)
                cosines = (x[part] @ block.t()).to(wide)
                largest, place = cosines.max(1)
                found[part] = torch.where(largest > best[part], tags[place], found[part])
                best[part] = torch.maximum(best[part], largest)
                sign = torch.where(pictures[part, None] == tags, 1.0, -1.0)
                margin = sign * (cosines * scale + bias)
                loss -= F.logsigmoid(margin).sum()
                slope = -sign * torch.sigmoid(-margin)
                to_scale += (slope * cosines).sum()
                to_bias += slope.sum()
                slope = (slope * scale).to(x.dtype)
                to_x[part].addmm_(slope, block, beta=there)
                to_block.addmm_(slope.t(), x[part])
        ctx.save_for_backward(to_x, own, to_scale.to(scale.dtype), to_bias.to(bias.dtype))
        ctx.mark_non_differentiable(best, found)
        return loss, best, found

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        return (*(part * gradient for part in ctx.saved_tensors), None, None, None)


def sigmoid_pairs(
    x: Float[Tensor, "pictures width"],
    z: Float[Tensor, "captions width"],
    scale: Float[Tensor, ""],
    bias: Float[Tensor, ""],
    picture_labels: Int[Tensor, "pictures"],
    caption_labels: Int[Tensor, "captions"],
    rows: int | None = None,
) -> tuple[Float[Tensor, ""], Float[Tensor, "pictures"], Int[Tensor, "pictures"]]:
    """`-sum_ij log sigmoid(y_ij (scale <x_i, z_j> + bias))`, y = 1 where labels are equal, else -1.

    Over own pictures and the captions of all ranks (`exchange.carried`). The gradients are taken on the way
    forth, where nothing but them is kept, two of the size of x and z: so every rank's sum has to get the same
    gradient on the way back, as under DDP it does.

    Args:
        x: `[N, D]` unit vectors of pictures.
        z: `[M, D]` unit vectors of captions.
        scale: of the cosines.
        bias: added to them.
        picture_labels: `[N]`.
        caption_labels: `[M]`.
        rows: pictures at a time; None keeps about a million logits.

    Returns:
        The sum; each picture's highest cosine and the label of that caption (without gradients).

    Reference: arXiv 2303.15343, section 3.
    """
    with torch.autocast(x.device.type, enabled=False):
        return _SigmoidPairs.apply(x, z, scale, bias, picture_labels, caption_labels, rows)


class _RowLogSumExp(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, z: Tensor, scale: Tensor, own: Tensor, other: Tensor, rows: int
    ) -> tuple[Tensor, ...]:
        wide = torch.promote_types(x.dtype, torch.float32)
        total, best = (x.new_full((len(x),), -torch.inf, dtype=wide) for _ in range(2))
        positive, partners, place = torch.zeros_like(total), torch.zeros_like(own), torch.zeros_like(own)
        for start in range(0, len(x) if len(z) else 0, rows):
            part = slice(start, start + rows)
            cosines = (x[part] @ z.t()).to(wide)
            best[part], place[part] = cosines.max(1)
            same = own[part, None] == other
            partners[part] = same.sum(1)
            logits = cosines.mul_(scale)
            total[part] = logits.logsumexp(1)
            positive[part] = (logits * same).sum(1)
        ctx.save_for_backward(x, z, scale, own, other, total)
        ctx.rows = rows
        ctx.mark_non_differentiable(partners, best, place)
        return total, positive, partners, best, place

    @staticmethod
    def backward(ctx: Any, to_total: Tensor, to_positive: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, z, scale, own, other, total = ctx.saved_tensors
        to_x, to_z = torch.zeros_like(x), torch.zeros_like(z)
        wide = total.dtype
        to_scale = torch.zeros((), dtype=wide, device=x.device)
        for start in range(0, len(x) if len(z) else 0, ctx.rows):
            part = slice(start, start + ctx.rows)
            cosines = (x[part] @ z.t()).to(wide)
            slope = (cosines * scale - total[part, None]).exp_() * to_total[part, None]
            slope += (own[part, None] == other) * to_positive[part, None]
            to_scale += (slope * cosines).sum()
            slope = (slope * scale).to(x.dtype)
            torch.mm(slope, z, out=to_x[part])
            to_z.addmm_(slope.t(), x[part])
        return to_x, to_z, to_scale.to(scale.dtype), None, None, None


class Rows(NamedTuple):
    """What the rows of `scale * x @ z.T` say of a block.

    Attributes:
        total: `[N]` log sum exp.
        positive: `[N]` the sum of logits whose labels are equal to the row's.
        partners: `[N]` how many those are.
        best: `[N]` the highest cosine.
        place: `[N]` where it is.
    """

    total: Tensor
    positive: Tensor
    partners: Tensor
    best: Tensor
    place: Tensor


def row_log_sum_exp(
    x: Float[Tensor, "items width"],
    z: Float[Tensor, "others width"],
    scale: Float[Tensor, ""],
    own: Int[Tensor, "items"],
    other: Int[Tensor, "others"],
    rows: int | None = None,
) -> Rows:
    """The rows of `scale * x @ z.T`, of which `rows` exist at a time, and once more on the way back.

    Blocks are put together by a further log sum exp of their totals.

    Args:
        x: `[N, D]` unit vectors.
        z: `[M, D]` unit vectors of the other side.
        scale: of the cosines.
        own: `[N]` labels.
        other: `[M]` labels.
        rows: items at a time; None keeps about a million logits.
    """
    rows = max(1, LOGITS // max(len(z), 1)) if rows is None else rows
    with torch.autocast(x.device.type, enabled=False):
        return Rows(*_RowLogSumExp.apply(x, z, scale, own, other, rows))
