"""Captions packed as text, one picture each, for objectives that read both."""

from collections.abc import Sequence

from torch import Tensor

from vlmloom.components.contracts.packed import Packed
from vlmloom.components.contracts.visuals import Visuals


def paired(ids: Tensor, lengths: Sequence[int], visuals: Visuals, pairs: Tensor) -> Packed:
    """A batch of captions of these lengths; equal numbers in `pairs` are the same caption."""
    captions = [part.tolist() for part in ids.split(list(lengths))]
    return Packed.texts(captions, {"vision": visuals}, pairs=pairs)
