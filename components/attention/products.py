"""Attention of short segments as two batched matrix products.

On a CPU the fused kernel tiles its work for long segments. With two threads a forward and backward of
segments of 8 to 20 tokens is up to a third faster as plain products; in bf16, whose products are fast and
whose fused way back is not, up to 512 tokens are (docs/log.md).
"""

from __future__ import annotations

import torch
from torch import Tensor


def trains_low(query: Tensor) -> bool:
    """Whether this is training in bf16, by dtype or autocast, on a CPU."""
    lower = query.dtype == torch.bfloat16 or torch.is_autocast_enabled("cpu")
    return lower and query.device.type == "cpu" and torch.is_grad_enabled()


def longest(query: Tensor) -> int:
    """The longest segment for which products are taken."""
    if query.device.type != "cpu":
        return 0
    return 512 if trains_low(query) else 64


def products(
    query: Tensor, key: Tensor, value: Tensor, seen: Tensor | None, causal: bool, scale: float
) -> Tensor:
    """Attend; the same result as `scaled_dot_product_attention`.

    In bf16 scores are rounded to it, and the softmax is taken in fp32, as transformers' eager attention does.

    Args:
        query: `[B, H, L, S]`.
        key: `[B, K, L, S]`; the H / K queries of a group stand one below another, so nothing is repeated.
        value: `[B, K, L, S]`.
        seen: True where a query (row) sees a key (column), `[..., L, L]`; None shows all.
        causal: hide what comes after a query.
        scale: of the products.
    """
    batch, heads, length, size = query.shape
    groups = heads // key.shape[1]
    stacked = (query * scale).reshape(batch, key.shape[1], groups * length, size)
    scores = stacked @ key.transpose(-1, -2)
    scores = scores.view(batch, heads, length, length)
    if causal:
        seen = torch.ones(length, length, dtype=torch.bool, device=query.device).tril()
    if seen is not None:
        # A sum: its way back is no pass over the scores, as that of masked_fill would be.
        scores = scores + torch.zeros_like(seen, dtype=scores.dtype).masked_fill_(~seen, float("-inf"))
    wide = torch.promote_types(scores.dtype, torch.float32)
    weights = scores.softmax(-1, dtype=wide).to(value.dtype)
    weights = weights.view(batch, key.shape[1], groups * length, length)
    return (weights @ value).view(batch, heads, length, size)
