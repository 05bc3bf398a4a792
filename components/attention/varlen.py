"""`attention/varlen`: FlashAttention over packed segments, PyTorch's own or that of flash-attn."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor

from vlmloom.components.attention.segments import boundaries, filled, ready
from vlmloom.components.contracts.attention import Attention
from vlmloom.components.contracts.mask import Bidirectional, Causal, Mask, SlidingWindow
from vlmloom.registry import register
from vlmloom.registry.errors import UserError

Kernel = Callable[[Tensor, Tensor, Tensor, Tensor, int, tuple[int, int], float | None], Tensor]
"""Query, key, value, boundaries, longest segment, window (back, ahead; -1 is all) and scale -> out."""

HALVES = (torch.float16, torch.bfloat16)


@register("attention/varlen")
class Varlen(Attention):
    """FlashAttention on CUDA over packed segments of any lengths; half precision.

    It takes `torch.nn.attention.varlen` where this PyTorch has it with windows and scale, else flash-attn.

    Reference: arXiv 2307.08691 (FlashAttention-2); torch.nn.attention.varlen.varlen_attn.
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
            UserError: no kernel is there, it cannot do the mask, or the precision is not half.
            ValueError: the lengths do not sum to the tokens, or the kv heads do not divide the heads.
        """
        query, key, value = ready(self, query, key, value, lengths, mask)
        if query.dtype not in HALVES:
            raise UserError(
                f"attention/varlen: found {str(query.dtype)[6:]}, but FlashAttention takes float16 and "
                "bfloat16; precision bf16-mixed or attention/sdpa would be right"
            )
        segments = filled(lengths)
        if not segments:
            return query
        run = kernel()
        assert run is not None
        edges = boundaries(segments, query.device)
        return run(query, key, value, edges, max(segments), window_of(mask), scale)

    @classmethod
    def available(cls) -> str | None:
        """See `Attention.available`."""
        if not torch.cuda.is_available():
            return "attention/varlen: runs on CUDA alone, and this machine has no CUDA device"
        if kernel() is None:
            return (
                "attention/varlen: this PyTorch has no torch.nn.attention.varlen with windows; "
                "a newer one or pip install flash-attn would bring a kernel"
            )
        return None


def window_of(mask: Mask) -> tuple[int, int]:
    """How far back and ahead a token sees, itself not counted; -1 is all."""
    if isinstance(mask, SlidingWindow):
        return mask.window - 1, 0
    return (-1, 0) if isinstance(mask, Causal) else (-1, -1)


@cache
def kernel() -> Kernel | None:
    """The kernel of this installation, PyTorch's before flash-attn's."""
    return of_torch() or of_flash_attn()


def of_torch() -> Kernel | None:
    """`torch.nn.attention.varlen.varlen_attn`, where it takes windows, scale and grouped queries."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    if not {"window_size", "scale", "enable_gqa"} <= inspect.signature(varlen_attn).parameters.keys():
        return None

    def run(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        edges: Tensor,
        longest: int,
        window: tuple[int, int],
        scale: float | None,
    ) -> Tensor:
        options: dict[str, Any] = {
            "scale": scale,
            "window_size": window,
            "enable_gqa": query.shape[1] != key.shape[1],
        }
        out = varlen_attn(query, key, value, edges, edges, longest, longest, **options)
        # A pair is returned only where more is asked for.
        return cast(Tensor, out)

    return run


def of_flash_attn() -> Kernel | None:
    """`flash_attn.flash_attn_varlen_func`, where flash-attn is installed."""
    try:
        from flash_attn import flash_attn_varlen_func
    except ImportError:
        return None

    def run(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        edges: Tensor,
        longest: int,
        window: tuple[int, int],
        scale: float | None,
    ) -> Tensor:
        options: dict[str, Any] = {"softmax_scale": scale, "causal": window[1] == 0, "window_size": window}
        return flash_attn_varlen_func(query, key, value, edges, edges, longest, longest, **options)

    return run
