"""`attention/sdpa`: PyTorch's scaled_dot_product_attention over packed segments."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from vlmloom.components.attention.draw import draw, needs_key_mask
from vlmloom.components.attention.plan import plan_for
from vlmloom.components.attention.products import longest, products, trains_low
from vlmloom.components.attention.segments import check
from vlmloom.components.contracts.attention import Attention
from vlmloom.components.contracts.mask import Mask
from vlmloom.registry import register


class _Gather(torch.autograd.Function):
    """Tokens onto the padded axis. Nothing flows back from padding, so the way back is a plain gather."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, gather: Tensor, scatter: Tensor) -> Tensor:
        ctx.save_for_backward(scatter)
        return values.index_select(0, gather)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (scatter,) = ctx.saved_tensors
        return gradient.index_select(0, scatter), None, None


class _Scatter(torch.autograd.Function):
    """Back from the padded axis to the tokens; padding receives a gradient of zero."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, scatter: Tensor) -> Tensor:
        ctx.save_for_backward(scatter)
        ctx.padded = values.shape[0]
        return values.index_select(0, scatter)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (scatter,) = ctx.saved_tensors
        padded = gradient.new_zeros(ctx.padded, *gradient.shape[1:])
        return padded.index_copy_(0, scatter, gradient), None


@register("attention/sdpa")
class SDPA(Attention):
    """Packed attention by PyTorch's own kernel: segments of like length share one call.

    On a CPU short segments go through plain batched products where those are faster (`products.longest`).

    Nothing of the size of all tokens squared is made. Causal segments are padded on the right, where no query
    looks, and so are equal lengths of any kind: they run without a mask. Other masks are drawn once a step
    for all layers.

    Reference: torch.nn.functional.scaled_dot_product_attention.
    """

    def forward(
        self,
        query: Float[Tensor, "tokens heads size"],
        key: Float[Tensor, "tokens kv_heads size"],
        value: Float[Tensor, "tokens kv_heads size"],
        lengths: Sequence[int],
        mask: Mask,
        scale: float | None = None,
    ) -> Float[Tensor, "tokens heads size"]:
        """Attend within each segment.

        Args:
            query: `[T, H, S]`.
            key: `[T, K, S]`; H is a multiple of K.
            value: `[T, K, S]`.
            lengths: of the segments, summing to T; zeros are allowed.
            mask: who sees whom within a segment.
            scale: of the products; None is `S ** -0.5`.

        Raises:
            ValueError: the lengths do not sum to T, or K does not divide H.
            TypeError: no such mask.
        """
        check("attention/sdpa", query, key, lengths, mask)
        size = query.shape[2]
        plan = plan_for(tuple(lengths), query.device, needs_key_mask(mask))
        if not plan.buckets:
            return query
        drawn = draw(mask, plan, query.device)
        if plan.gather is not None:
            query, key, value = (
                _Gather.apply(part, plan.gather, plan.scatter) for part in (query, key, value)
            )
        sizes = [bucket.size for bucket in plan.buckets]
        outputs, limit = [], longest(query)
        for bucket, (seen, causal), *parts in zip(
            plan.buckets, drawn, query.split(sizes), key.split(sizes), value.split(sizes), strict=True
        ):
            shape = (len(bucket.lengths), bucket.length)
            q, k, v = (part.unflatten(0, shape).transpose(1, 2) for part in parts)
            if bucket.length <= limit:
                out = products(q, k, v, seen, causal, size**-0.5 if scale is None else scale)
            else:
                out = _fused(q, k, v, seen, causal, scale)
            outputs.append(out.transpose(1, 2).flatten(0, 1))
        if plan.scatter is None:
            return outputs[0]
        joined = outputs[0] if len(outputs) == 1 else torch.cat(outputs)
        return _Scatter.apply(joined, plan.scatter)


def _fused(
    query: Tensor, key: Tensor, value: Tensor, seen: Tensor | None, causal: bool, scale: float | None
) -> Tensor:
    """PyTorch's kernel; training on a CPU always in fp32, since its way back is slower in bf16."""
    parts = (query, key, value)
    wide = trains_low(query)
    if wide:
        parts = (query.float(), key.float(), value.float())
    with torch.autocast("cpu", enabled=False) if wide else nullcontext():
        out = F.scaled_dot_product_attention(
            *parts,
            attn_mask=seen,
            is_causal=causal,
            scale=scale,
            enable_gqa=key.shape[1] != query.shape[1],
        )
    return out.to(query.dtype)
