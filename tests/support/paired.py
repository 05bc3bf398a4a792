"""Captions packed as text, one picture each, for objectives that read both."""

from collections.abc import Sequence

import torch
from torch import Tensor

from vlmloom.components.contracts.packed import Packed
from vlmloom.components.contracts.visuals import Visuals


def paired(ids: Tensor, lengths: Sequence[int], visuals: Visuals, pairs: Tensor) -> Packed:
    """A batch of captions of these lengths; equal numbers in `pairs` are the same caption."""
    total = sum(lengths)
    return Packed(
        ids=ids,
        labels=torch.zeros(total, dtype=torch.long),
        weights=torch.zeros(total),
        positions=torch.cat([torch.arange(n) for n in lengths]).expand(3, -1).contiguous(),
        boundaries=torch.tensor([0, *lengths]).cumsum(0).int(),
        lengths=list(lengths),
        visual_slots=torch.zeros(0, dtype=torch.long),
        modality=torch.zeros(total, dtype=torch.long),
        tags=[],
        visuals={"vision": visuals},
        extras={"pairs": pairs},
    )
