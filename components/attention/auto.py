"""`attention/auto`: the backend that suits the device, the precision and the mask."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from vlmloom.components.attention.flex import Flex
from vlmloom.components.attention.sdpa import SDPA
from vlmloom.components.attention.varlen import HALVES, Varlen
from vlmloom.components.attention.xformers import XFormers
from vlmloom.components.contracts.attention import Attention
from vlmloom.components.contracts.mask import Mask
from vlmloom.registry import register

SMALLEST = 16
"""The smallest head that the fast kernels take."""


@register("attention/auto")
class Auto(Attention):
    """Picks a backend by device, precision and mask, and tells what it picked.

    On a CPU `attention/sdpa`, which is the fastest there (docs/performance.md). On CUDA in half precision
    `attention/varlen` where it can do the mask, else `attention/xformers` likewise, else `attention/flex`; in
    fp32, and for heads below 16, `attention/sdpa`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.backends = torch.nn.ModuleDict(
            {"varlen": Varlen(), "xformers": XFormers(), "flex": Flex(), "sdpa": SDPA()}
        )
        self.picks: dict[str, str] = {}

    def forward(
        self,
        query: Float[Tensor, "tokens heads size"],
        key: Float[Tensor, "tokens kv_heads size"],
        value: Float[Tensor, "tokens kv_heads size"],
        lengths: Sequence[int],
        mask: Mask,
        scale: float | None = None,
    ) -> Float[Tensor, "tokens heads size"]:
        """Attend by the backend that is picked (see `Attention.forward`)."""
        kind = query.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else query.dtype
        name = pick(kind, dtype, mask, query.shape[-1])
        case = f"attention ({type(mask).__name__}, {str(dtype).removeprefix('torch.')}, {kind})"
        self.picks[case] = f"attention/{name}"
        return self.backends[name](query, key, value, lengths, mask, scale)


def pick(device: str, dtype: torch.dtype, mask: Mask, size: int) -> str:
    """The backend for a device, a precision, a mask and the size of a head."""
    if device != "cuda" or dtype not in HALVES or size < SMALLEST:
        return "sdpa"
    candidates: tuple[tuple[str, type[Attention]], ...] = (("varlen", Varlen), ("xformers", XFormers))
    for name, backend in candidates:
        if isinstance(mask, backend.masks) and backend.available() is None:
            return name
    return "flex"
