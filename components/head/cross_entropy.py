"""Weighted cross entropy at the supervised places only, shared by the heads of this folder."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from vlmloom.components.contracts.packed import IGNORE, Packed, shift


def supervised_loss(
    hidden: Tensor, batch: Packed, ahead: int, logits: Callable[[Tensor], Tensor], skip_visual: bool = False
) -> tuple[Tensor, Tensor]:
    """The loss of predicting what stands `ahead` tokens later, and the share that was right.

    Logits are computed at supervised places alone: hidden states are gathered first.

    Args:
        hidden: `[T, D]`.
        batch: the pack.
        ahead: 1 for the next token.
        logits: hidden states to logits.
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
    target = labels.index_select(0, places)
    scores = logits(hidden.index_select(0, places)).float()
    ce = F.cross_entropy(scores, target, reduction="none")
    loss = (ce * weights.index_select(0, places)).sum() / batch.normaliser
    with torch.no_grad():
        accuracy = (scores.argmax(-1) == target).sum() / max(len(target), 1)
    return loss, accuracy
