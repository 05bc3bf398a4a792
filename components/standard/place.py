"""Every place on one scale of its own."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from vlmloom.components.contracts.distance import Standard
from vlmloom.registry import register


@register("standard/place")
class Place(Standard):
    """Layer norm without parameters: each place has mean 0 and variance 1 over its channels; no statistics.

    >>> import torch
    >>> features = Place(width=8)(3 + 10 * torch.randn(2, 8))
    >>> features.std(1, correction=0).round(decimals=2).tolist()
    [1.0, 1.0]

    Reference: arXiv 2208.06366 (BEiT v2) and arXiv 2212.07525 (data2vec 2.0) norm their targets so.
    """

    def forward(self, features: Float[Tensor, "places width"]) -> Float[Tensor, "places width"]:
        """See `Standard`."""
        return F.layer_norm(features.float(), features.shape[-1:])
