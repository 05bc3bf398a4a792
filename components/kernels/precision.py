"""`lowered`: what autocast does to arguments of PyTorch's own products, for those it does not know."""

from __future__ import annotations

import torch
from torch import Tensor


def lowered(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Tensors in the precision of autocast where that is on for the device of the first."""
    kind = tensors[0].device.type
    if not torch.is_autocast_enabled(kind):
        return tensors
    dtype = torch.get_autocast_dtype(kind)
    return tuple(tensor.to(dtype) for tensor in tensors)
