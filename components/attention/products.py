"""Attention of short segments as two batched matrix products.

On a CPU the fused kernel tiles its work for long segments. With two threads a forward and backward of
segments of 8 to 20 tokens is up to a third faster as plain products (docs/log.md); with one thread the two
are about even.
"""

from __future__ import annotations

import torch
from torch import Tensor

SHORT = 64
"""The longest segment for which products are taken on a CPU."""


def products(
    query: Tensor, key: Tensor, value: Tensor, seen: Tensor | None, causal: bool, scale: float
) -> Tensor:
    """Attend; the same result as `scaled_dot_product_attention`.

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
        scores = scores.masked_fill(~seen, float("-inf"))
    weights = scores.softmax(-1).view(batch, key.shape[1], groups * length, length)
    return (weights @ value).view(batch, heads, length, size)
