"""Weighted cross entropy at the supervised places only, shared by the heads of this folder."""

from __future__ import annotations

from torch import Tensor

from vlmloom.components.contracts.packed import IGNORE, Packed, shift
from vlmloom.components.kernels import linear_cross_entropy


def supervised_loss(
    hidden: Tensor, batch: Packed, ahead: int, weight: Tensor, skip_visual: bool = False
) -> tuple[Tensor, Tensor]:
    """The loss of predicting what stands `ahead` tokens later, and the share that was right.

    Logits are computed at supervised places alone, a few at a time: hidden states are gathered first.

    Args:
        hidden: `[T, D]`.
        batch: the pack.
        ahead: 1 for the next token.
        weight: the output matrix `[V, D]`.
        skip_visual: ignore targets that are visual, whatever their labels.

    Returns:
        sum(w * ce) / normaliser, and the accuracy (0 where nothing is supervised), both scalars.
    """
    labels = shift(batch.labels, batch.boundaries, ahead, IGNORE)
    weights = shift(batch.weights, batch.boundaries, ahead, 0.0)
    taken = (labels != IGNORE) & (weights != 0)
    if skip_visual:
        taken &= shift(batch.modality, batch.boundaries, ahead, 0) == 0
    places = taken.nonzero().squeeze(1)
    target, factor = (values.index_select(0, places) for values in (labels, weights / batch.normaliser))
    loss, right = linear_cross_entropy(hidden.index_select(0, places), weight, target, factor)
    return loss, right / max(len(target), 1)
