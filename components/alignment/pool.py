"""`AttentionPool`: one learned query over the tokens of an item."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class AttentionPool(nn.Module):
    """Multi-head attention pooling: one learned query over the tokens of an item (SigLIP's MAP head)."""

    def __init__(self, *, width: int, heads: int) -> None:
        """Make the query, the attention and the residual MLP.

        Raises:
            ValueError: heads do not divide the width.
        """
        super().__init__()
        if width % heads:
            raise ValueError(f"heads must divide the width: {heads} does not divide {width}")
        self.query = nn.Parameter(torch.randn(1, 1, width) * width**-0.5)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def flops(self, items: int, tokens: int) -> int:
        """Forward FLOPs: keys, values and the query's products for every token, the rest for every item."""
        width = self.query.shape[-1]
        return 4 * tokens * width * (width + 1) + items * 2 * width * width * (2 + 4)

    def forward(self, tokens: Float[Tensor, "tokens width"], lengths: list[int]) -> Tensor:
        """Pool each run of `lengths` tokens into one row: `[items, width]`."""
        items = nn.utils.rnn.pad_sequence(list(tokens.split(lengths)), batch_first=True)
        sizes = torch.tensor(lengths, device=tokens.device)
        padding = torch.arange(items.shape[1], device=tokens.device)[None] >= sizes[:, None]
        ragged = padding if len(set(lengths)) > 1 else None
        query = self.query.expand(items.shape[0], -1, -1)
        pooled, _ = self.attention(query, items, items, key_padding_mask=ragged, need_weights=False)
        pooled = pooled[:, 0]
        return pooled + self.mlp(self.norm(pooled))
