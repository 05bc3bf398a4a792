"""Every picture with every caption, a few rows at a time: what SigLIP's and CLIP's losses need.

Shapes: N pictures, M captions, D width. The N x M logits exist for `rows` pictures at a time, and their
gradients are taken at once, so that memory grows with N + M.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from vlmloom.components.alignment.exchange import Sum, carried

LOGITS = 2**20
"""About how many logits exist at a time."""


def _rows(x: Tensor, block: Tensor, rows: int | None) -> Iterator[tuple[slice, Tensor]]:
    """A few rows of x at a time and their cosines with the block, in fp32 at least."""
    several = rows or max(1, LOGITS // max(len(block), 1))
    for start in range(0, len(x) if len(block) else 0, several):
        part = slice(start, start + several)
        yield part, (x[part] @ block.t()).to(torch.promote_types(x.dtype, torch.float32))


def _nothing(x: Tensor) -> Tensor:
    """`[N]`, below any number, in fp32 at least."""
    return x.new_full((len(x),), -torch.inf, dtype=torch.promote_types(x.dtype, torch.float32))


def _seek(best: Tensor, found: Tensor, cosines: Tensor, tags: Tensor) -> None:
    """Set, in place, the highest cosine of each row so far and the label of that caption."""
    largest, place = cosines.max(1)
    found.copy_(torch.where(largest > best, tags[place], found))
    torch.maximum(best, largest, out=best)


class _Pairs(torch.autograd.Function):
    """A loss whose gradients are saved on the way forth; its last three arguments have none."""

    @staticmethod
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        return (*(part * gradient for part in ctx.saved_tensors), None, None, None)


class _SigmoidPairs(_Pairs):
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
        best, found = _nothing(x), torch.zeros_like(pictures)
        loss = best.new_zeros(())
        to_x, to_z = torch.zeros_like(x), torch.zeros_like(z)
        to_scale, to_bias = torch.zeros_like(loss), torch.zeros_like(loss)
        for block, tags, to_block in carried((z, captions), [Sum(to_z)]):
            for part, cosines in _rows(x, block, rows):
                _seek(best[part], found[part], cosines, tags)
                sign = torch.where(pictures[part, None] == tags, 1.0, -1.0)
                margin = sign * (cosines * scale + bias)
                loss -= F.logsigmoid(margin).sum()
                slope = -sign * torch.sigmoid(-margin)
                to_scale += (slope * cosines).sum()
                to_bias += slope.sum()
                slope = (slope * scale).to(x.dtype)
                to_x[part].addmm_(slope, block)
                to_block.addmm_(slope.t(), x[part])
        ctx.save_for_backward(to_x, to_z, to_scale.to(scale.dtype), to_bias.to(bias.dtype))
        ctx.mark_non_differentiable(best, found)
        return loss, best, found


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


class _SoftmaxPairs(_Pairs):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, z: Tensor, scale: Tensor, pictures: Tensor, captions: Tensor, rows: int | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        best, found = _nothing(x), torch.zeros_like(pictures)
        # Of a picture over all captions, and of a caption over all pictures: the log of the sum of
        # exponentials of logits, the sum of the logits of its partners, and how many these are.
        over_z, over_x = ([_nothing(of), *_nothing(of).new_zeros(2, len(of))] for of in (x, z))
        sums = [Sum(over_x[0], -torch.inf, torch.logaddexp), *map(Sum, over_x[1:])]
        for block, tags, *columns in carried((z, captions), sums):
            for part, cosines in _rows(x, block, rows):
                _seek(best[part], found[part], cosines, tags)
                logits, same = cosines * scale, pictures[part, None] == tags
                for axis, (total, positive, partners) in ((1, [of[part] for of in over_z]), (0, columns)):
                    torch.logaddexp(total, logits.logsumexp(axis), out=total)
                    positive += (logits * same).sum(axis)
                    partners += same.sum(axis)
        loss = sum((total - positive / partners).sum() for total, positive, partners in (over_z, over_x))

        to_x, to_z, to_scale = torch.zeros_like(x), torch.zeros_like(z), torch.zeros_like(loss)
        known = (z, captions, over_x[0], over_x[2])
        for block, tags, total, partners, to_block in carried(known, [Sum(to_z)]):
            for part, cosines in _rows(x, block, rows):
                logits, same = cosines * scale, pictures[part, None] == tags
                slope = (logits - over_z[0][part, None]).exp_() + (logits - total).exp_()
                slope -= same * (1 / over_z[2][part, None] + 1 / partners)
                to_scale += (slope * cosines).sum()
                slope = (slope * scale).to(x.dtype)
                to_x[part].addmm_(slope, block)
                to_block.addmm_(slope.t(), x[part])
        ctx.save_for_backward(to_x, to_z, to_scale.to(scale.dtype))
        ctx.mark_non_differentiable(best, found)
        return loss, best, found


def softmax_pairs(
    x: Float[Tensor, "pictures width"],
    z: Float[Tensor, "captions width"],
    scale: Float[Tensor, ""],
    picture_labels: Int[Tensor, "pictures"],
    caption_labels: Int[Tensor, "captions"],
    rows: int | None = None,
) -> tuple[Float[Tensor, ""], Float[Tensor, "pictures"], Int[Tensor, "pictures"]]:
    """What it costs to tell own pictures' captions, and own captions' pictures, from those of all ranks.

    `sum_i log sum_j exp(s_ij) - mean_(j of equal label) s_ij` with s = scale * <x_i, z_j>, and the same of
    captions. Two rounds of the blocks: the first finds all sums, the second the gradients, as in
    `sigmoid_pairs`, which also says what the arguments and the results are.

    Reference: CLIP, arXiv 2103.00020, figure 3; UniCL, arXiv 2204.03610 (equal labels).
    """
    with torch.autocast(x.device.type, enabled=False):
        return _SoftmaxPairs.apply(x, z, scale, picture_labels, caption_labels, rows)
