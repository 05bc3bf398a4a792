"""Sinkhorn-Knopp targets, the cross-entropy to them, and KoLeo."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, distributed
from torch.nn import functional as F


@torch.no_grad()
def sinkhorn(
    cosines: Float[Tensor, "rows prototypes"], temperature: float, iterations: int = 3
) -> Float[Tensor, "rows prototypes"]:
    """Distributions over prototypes that, over the rows of all processes, use every prototype alike.

    `exp(cosines / temperature)` is divided in turn by its sums over rows and over prototypes. That all rows
    choose one prototype, a collapse, is no solution. Processes may have different numbers of rows, or none;
    all of them have to call it.

    Reference: arXiv 2006.09882 (SwAV, section 3.1); arXiv 2304.07193 (DINOv2: in place of a centre).
    """
    # Cosines are at most 1, so no exponential is above 1; a common factor has no effect.
    shares = torch.exp((cosines.float() - 1.0) / temperature)
    rows, prototypes = _total(shares.new_tensor(len(shares))), shares.shape[1]
    shares = shares / _total(shares.sum())
    for _ in range(iterations):
        shares = shares / (_total(shares.sum(0)) * prototypes).clamp(min=1e-30)
        shares = shares / (shares.sum(1, keepdim=True) * rows).clamp(min=1e-30)
    return shares * rows


def _total(value: Tensor) -> Tensor:
    """The sum over all processes."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(value)
    return value


def cross_entropy(
    cosines: Float[Tensor, "*rows prototypes"], target: Float[Tensor, "*rows prototypes"], temperature: float
) -> Float[Tensor, "*rows"]:
    """`-sum(target * log softmax(cosines / temperature))` of every row."""
    return -(target * F.log_softmax(cosines.float() / temperature, dim=-1)).sum(-1)


def koleo(summaries: Float[Tensor, "pictures width"]) -> Tensor:
    """The mean of `-log` of the distance to the nearest other picture, on the unit sphere.

    It spreads pictures evenly; 0 for fewer than two.

    Reference: arXiv 1806.03198 (the Kozachenko-Leonenko estimate of entropy as a regulariser).
    """
    if len(summaries) < 2:
        return 0.0 * summaries.sum()
    points = F.normalize(summaries.float(), dim=-1, eps=1e-8)
    with torch.no_grad():
        nearest = (points @ points.t()).fill_diagonal_(-torch.inf).argmax(1)
    return -(F.pairwise_distance(points, points[nearest], eps=1e-8) + 1e-8).log().mean()


@torch.no_grad()
def likeness(summaries: Float[Tensor, "pictures width"]) -> Tensor:
    """The mean cosine between different pictures: 1 where all have collapsed to one point."""
    points, count = F.normalize(summaries.float(), dim=-1), len(summaries)
    return (points.sum(0).square().sum() - count) / max(count * (count - 1), 1)
