"""Every channel on one scale."""

from __future__ import annotations

import torch
from torch import Tensor

from vlmloom.components.standard.statistics import Statistics
from vlmloom.registry import register

FLOOR = 1e-12
"""A channel whose variance is below this share of the mean variance is no more enlarged."""


@register("standard/channel")
class Channel(Statistics):
    """Plain standardisation: each channel has mean 0 and variance 1 over the data.

    >>> import torch
    >>> standard, features = Channel(width=4), 3 + torch.randn(100, 4) * torch.tensor([1.0, 5.0, 25.0, 125.0])
    >>> standard.observe(features)
    >>> standard(features).std(0, correction=0).round(decimals=2).tolist()
    [1.0, 1.0, 1.0, 1.0]

    Reference: arXiv 2410.01680 (PHI-S), the baseline that it calls standardisation.
    """

    def __init__(self, *, width: int, rows: int = 20_000) -> None:
        """Take the width, and the number of places that the estimate is made from.

        Raises:
            ValueError: there are fewer than two rows.
        """
        super().__init__(width=width, rows=rows, full=False)

    def map_of(self, covariance: Tensor) -> Tensor:
        """See `Statistics`."""
        floor = (covariance.mean() * FLOOR).clamp(min=torch.finfo(torch.float32).tiny)
        return covariance.clamp(min=floor).rsqrt()
