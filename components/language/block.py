"""`Block`: one decoder layer of GLM, attention and a feed-forward part around a residual stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from vlmloom.components.contracts.attention import Attention
from vlmloom.components.contracts.component import Metrics
from vlmloom.components.contracts.ffn import FFN
from vlmloom.components.contracts.mask import Mask
from vlmloom.components.kernels import Linear, RMSNorm
from vlmloom.components.language.cache import KVCache, Step
from vlmloom.components.language.rotary import Angles, Rotation, rotate


class Block(nn.Module):
    """Pre-norm decoder layer with grouped queries; `sandwich_norm` also norms what each branch gives.

    Args:
        width: D.
        heads: H.
        kv_heads: K, dividing H.
        head_size: S.
        ffn: template of the feed-forward part, called with `width`.
        rotation: how components are paired for the rotary positions.
        qk_norm: RMSNorm over each head of queries and keys, before they are rotated.
        qkv_bias: bias of the fused query, key and value matrix.
        sandwich_norm: GLM-4.1V's norms after attention and after the feed-forward part.
        norm_eps: of every norm.
        init_std: of the weights.

    Reference: transformers, models/glm4v_moe/modeling_glm4v_moe.py (Glm4vMoeTextDecoderLayer) and
    models/glm4v/modeling_glm4v.py (Glm4vTextDecoderLayer, sandwich norms).
    """

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        kv_heads: int,
        head_size: int,
        ffn: Callable[..., FFN],
        rotation: Rotation,
        qk_norm: bool,
        qkv_bias: bool,
        sandwich_norm: bool,
        norm_eps: float,
        init_std: float,
    ) -> None:
        super().__init__()
        self.width, self.heads, self.kv_heads, self.head_size = width, heads, kv_heads, head_size
        self.rotation = rotation
        self.attention_norm = RMSNorm(width, eps=norm_eps)
        self.qkv = Linear(width, (heads + 2 * kv_heads) * head_size, bias=qkv_bias)
        self.query_norm = RMSNorm(head_size, eps=norm_eps) if qk_norm else None
        self.key_norm = RMSNorm(head_size, eps=norm_eps) if qk_norm else None
        self.out = Linear(heads * head_size, width, bias=False)
        self.ffn_norm = RMSNorm(width, eps=norm_eps)
        self.ffn = ffn(width=width)
        self.attention_post_norm = RMSNorm(width, eps=norm_eps) if sandwich_norm else None
        self.ffn_post_norm = RMSNorm(width, eps=norm_eps) if sandwich_norm else None
        parts = (heads * head_size, kv_heads * head_size, kv_heads * head_size)
        self.qkv.weight.muon_splits = parts  # type: ignore[attr-defined]
        nn.init.normal_(self.qkv.weight, std=init_std)
        nn.init.normal_(self.out.weight, std=init_std)
        if qkv_bias:
            nn.init.zeros_(self.qkv.bias)

    def forward(
        self,
        hidden: Tensor,
        angles: Angles,
        lengths: Sequence[int],
        mask: Mask,
        attention: Attention,
        cache: tuple[KVCache, int, Step] | None = None,
    ) -> tuple[Tensor, Metrics]:
        """Run the layer.

        Args:
            hidden: `[T, D]`.
            angles: cosines and sines of the rotary positions.
            lengths: of the samples, or of the new tokens of each sequence.
            mask: who sees whom.
            attention: the backend.
            cache: the cache, the number of this layer in it and where new tokens go.
        """
        branch = self._attend(self.attention_norm(hidden), angles, lengths, mask, attention, cache)
        hidden = hidden + (branch if self.attention_post_norm is None else self.attention_post_norm(branch))
        normed = self.ffn_norm(hidden)
        going_on = cache is not None and not cache[2].packed
        branch, metrics = (self.ffn.infer(normed), {}) if going_on else self.ffn(normed, lengths)
        return hidden + (branch if self.ffn_post_norm is None else self.ffn_post_norm(branch)), metrics

    def _attend(
        self,
        hidden: Tensor,
        angles: Angles,
        lengths: Sequence[int],
        mask: Mask,
        attention: Attention,
        cache: tuple[KVCache, int, Step] | None,
    ) -> Tensor:
        heads, kv_heads = self.heads, self.kv_heads
        qkv = self.qkv(hidden).unflatten(-1, (-1, self.head_size))
        if self.query_norm is not None and self.key_norm is not None:
            query, key, value = qkv.split([heads, kv_heads, kv_heads], dim=1)
            qkv = torch.cat([self.query_norm(query), self.key_norm(key), value], dim=1)
        turned = rotate(qkv, angles, heads + kv_heads, self.rotation)
        if cache is not None:
            store, layer, step = cache
            store.write(layer, step, turned[:, heads:])
            if not step.packed:
                return self.out(store.attend(layer, step, turned[:, :heads].contiguous()).flatten(1))
        query, key, value = turned.split([heads, kv_heads, kv_heads], dim=1)
        return self.out(attention(query, key, value, lengths, mask).flatten(1))

    def flops(self, lengths: Sequence[int], full: bool = False) -> int:
        """Forward FLOPs for samples of these lengths; causal attention, which is not `full`, counts half."""
        tokens = sum(lengths)
        inner = self.heads * self.head_size
        matrices = 2 * tokens * self.width * (2 * inner + 2 * self.kv_heads * self.head_size)
        products = (4 if full else 2) * sum(length * length for length in lengths) * inner
        return matrices + products + self.ffn.flops(tokens)

    def active_parameters(self) -> int:
        """The parameters that one token uses."""
        own = sum(parameter.numel() for parameter in self.parameters())
        return (
            own - sum(parameter.numel() for parameter in self.ffn.parameters()) + self.ffn.active_parameters()
        )
