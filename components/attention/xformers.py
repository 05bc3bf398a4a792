"""`attention/xformers`: xFormers' memory-efficient attention with block-diagonal masks."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from vlmloom.components.attention.segments import filled, ready
from vlmloom.components.contracts.attention import Attention
from vlmloom.components.contracts.mask import Bidirectional, Causal, Mask, SlidingWindow
from vlmloom.registry import register


@register("attention/xformers")
class XFormers(Attention):
    """xFormers' memory-efficient attention on CUDA: one call a pack, segments as a block-diagonal mask.

    Reference: xformers.ops.memory_efficient_attention, xformers.ops.fmha.attn_bias.
    """

    masks = (Bidirectional, Causal, SlidingWindow)

    def forward(
        self,
        query: Float[Tensor, "tokens heads size"],
        key: Float[Tensor, "tokens kv_heads size"],
        value: Float[Tensor, "tokens kv_heads size"],
        lengths: Sequence[int],
        mask: Mask,
        scale: float | None = None,
    ) -> Float[Tensor, "tokens heads size"]:
        """Attend within each segment (see `Attention.forward`).

        Raises:
            UserError: xFormers or CUDA is not there, or it cannot do the mask.
            ValueError: the lengths do not sum to the tokens, or the kv heads do not divide the heads.
        """
        query, key, value = ready(self, query, key, value, lengths, mask)
        segments = filled(lengths)
        if not segments:
            return query
        from xformers.ops import memory_efficient_attention

        groups = query.shape[1] // key.shape[1]
        # Grouped queries have five axes here: [1, tokens, kv heads, heads of a group, size].
        query, key, value = (
            part.unflatten(1, (key.shape[1], -1)).expand(-1, -1, groups, -1)[None]
            for part in (query, key, value)
        )
        if groups == 1:
            query, key, value = (part.squeeze(3) for part in (query, key, value))
        out = memory_efficient_attention(
            query, key, value, attn_bias=bias_of(mask, segments, query.device), scale=scale
        )
        return out[0] if groups == 1 else out[0].flatten(1, 2)

    @classmethod
    def available(cls) -> str | None:
        """See `Attention.available`."""
        if importlib.util.find_spec("xformers") is None:
            return 'attention/xformers: xformers is not installed; pip install "vlmloom[xformers]"'
        if not torch.cuda.is_available():
            return "attention/xformers: runs on CUDA alone, and this machine has no CUDA device"
        return None


@lru_cache(maxsize=64)
def bias_of(mask: Mask, lengths: tuple[int, ...], device: torch.device) -> Any:
    """A mask over segments as xFormers describes it; every layer of a step gets the same one."""
    from xformers.ops.fmha.attn_bias import BlockDiagonalMask

    blocks = BlockDiagonalMask.from_seqlens(lengths, device=device)
    if isinstance(mask, SlidingWindow):
        return blocks.make_local_attention(mask.window)
    return blocks.make_causal() if isinstance(mask, Causal) else blocks
