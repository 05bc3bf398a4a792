"""`AttentionPool`: one learned query over the tokens of an item."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
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
        """Forward FLOPs: the query's, each head's logit and share of every token, the rest for every item."""
        width, heads = self.query.shape[-1], self.attention.num_heads
        return 4 * width * width + 4 * tokens * width * heads + items * 2 * width * width * (2 + 4)

    def forward(self, tokens: Float[Tensor, "tokens width"], lengths: list[int]) -> Tensor:
        """Pool each run of `lengths` tokens into one row: `[items, width]`.

        As `attention` would, whose weights these are. There is one query, so that its product with the matrix
        of keys is taken once, and the values' once an item, not once a token; the bias of the keys adds the
        same to all logits of a head.
        """
        attention = self.attention
        to_query, to_key, to_value = attention.in_proj_weight.chunk(3)
        query_bias, _, value_bias = attention.in_proj_bias.chunk(3)
        query = F.linear(self.query[0], to_query, query_bias) * attention.head_dim**-0.5
        by_head = {"h": attention.num_heads}
        folded = torch.bmm(
            rearrange(query, "one (h d) -> h one d", **by_head),
            rearrange(to_key, "(h d) w -> h d w", **by_head),
        )[:, 0]
        logits = F.linear(tokens, folded)
        items = nn.utils.rnn.pad_sequence(list(tokens.split(lengths)), batch_first=True)
        shares = nn.utils.rnn.pad_sequence(
            list(logits.split(lengths)), batch_first=True, padding_value=-torch.inf
        ).softmax(1)
        means = rearrange(shares.transpose(1, 2) @ items, "i h w -> h i w")
        values = means @ rearrange(to_value, "(h d) w -> h w d", **by_head)
        pooled = attention.out_proj(rearrange(values, "h i d -> i (h d)") + value_bias)
        return pooled + self.mlp(self.norm(pooled))
