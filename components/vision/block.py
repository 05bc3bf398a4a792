"""`Block`: attention within a frame, then a feed-forward block."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from vlmloom.components.contracts.attention import Attention
from vlmloom.components.contracts.component import Metrics
from vlmloom.components.contracts.ffn import FFN
from vlmloom.components.contracts.mask import Bidirectional
from vlmloom.components.kernels import RMSNorm
from vlmloom.components.vision.rotary import norm_and_rotate


class Block(nn.Module):
    """Attention within frames, then a feed-forward block, each behind an RMSNorm."""

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        qkv_bias: bool,
        proj_bias: bool,
        qk_norm: bool,
        eps: float,
        ffn: FFN,
        attention: Attention,
        gain: float,
        watch_logits: bool = False,
    ) -> None:
        """Build the block; `gain` scales the initial output projection, `watch_logits` reports `logit`."""
        super().__init__()
        self.heads, self.eps = heads, eps
        self.norm1 = RMSNorm(width, eps=eps)
        self.norm2 = RMSNorm(width, eps=eps)
        self.qkv = nn.Linear(width, 3 * width, bias=qkv_bias)
        self.proj = nn.Linear(width, width, bias=proj_bias)
        self.qkv.weight.muon_splits = (width, width, width)  # type: ignore[attr-defined]
        self.q_norm = nn.Parameter(torch.ones(width // heads)) if qk_norm else None
        self.k_norm = nn.Parameter(torch.ones(width // heads)) if qk_norm else None
        self.watch_logits = watch_logits
        self.ffn = ffn
        self.attention = attention
        nn.init.normal_(self.qkv.weight, std=width**-0.5)
        nn.init.normal_(self.proj.weight, std=gain * width**-0.5)
        for linear in (self.qkv, self.proj):
            if linear.bias is not None:
                nn.init.zeros_(linear.bias)

    def forward(
        self, x: Float[Tensor, "tokens width"], tables: Tensor, lengths: list[int]
    ) -> tuple[Float[Tensor, "tokens width"], Metrics]:
        """Run the block over packed frames of these lengths."""
        qkv = self.qkv(self.norm1(x)).view(len(x), 3, self.heads, -1)
        weight = None
        if self.q_norm is not None and self.k_norm is not None:
            weight = torch.stack((self.q_norm, self.k_norm))[:, None]
        both, value = qkv.split((2, 1), dim=1)
        query, key = norm_and_rotate(both, tables, weight, self.eps).unbind(1)
        x = x + self.proj(
            self.attention(query, key, value[:, 0], lengths, Bidirectional()).reshape(len(x), -1)
        )
        out, metrics = self.ffn(self.norm2(x), lengths)
        if self.watch_logits:
            metrics = metrics | {"logit": largest_logit(query, key, lengths)}
        return x + out, metrics


@torch.no_grad()
def largest_logit(query: Tensor, key: Tensor, lengths: list[int]) -> Tensor:
    """The largest scaled product of a query `[T, H, S]` and a key of the same segment, in absolute value."""
    pairs = zip(query.split(lengths), key.split(lengths), strict=True)
    products = [
        (one.transpose(0, 1) @ other.permute(1, 2, 0)).abs().amax() for one, other in pairs if len(one)
    ]
    return torch.stack(products).amax().float() * query.shape[-1] ** -0.5
