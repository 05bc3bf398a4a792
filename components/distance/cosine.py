"""The direction of features."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from vlmloom.components.contracts.distance import Distance
from vlmloom.registry import register


@register("distance/cosine")
class Cosine(Distance):
    """One minus the cosine of both features: their direction alone.

    >>> import torch
    >>> Cosine()(torch.tensor([[3.0, 0.0], [1.0, 0.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]]), [2])
    tensor(0.5000)

    Reference: arXiv 2312.06709 (AM-RADIO); arXiv 2603.06569 (Penguin-VL, the loss of direction).
    """

    def forward(
        self,
        student: Float[Tensor, "places width"],
        teacher: Float[Tensor, "places width"],
        lengths: Sequence[int],
    ) -> Tensor:
        """See `Distance`; in [0, 2]."""
        return 1 - F.cosine_similarity(student, teacher, dim=-1).mean()
