"""The values of features."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from vlmloom.components.contracts.distance import Distance
from vlmloom.registry import register


@register("distance/smooth_l1")
class SmoothL1(Distance):
    """Smooth-L1 over channels: quadratic below `beta`, linear beyond, so that outliers do not rule.

    >>> import torch
    >>> SmoothL1()(torch.zeros(1, 2), torch.tensor([[0.5, 3.0]]), [1])  # (0.5 * 0.5**2 + 3 - 0.5) / 2
    tensor(1.3125)

    Reference: arXiv 2312.06709 (AM-RADIO); arXiv 2603.06569 (Penguin-VL, the loss of amplitude, beta 1e-3).
    """

    def __init__(self, *, beta: float = 1.0, weight: float = 1.0) -> None:
        """Take both.

        Args:
            beta: where the quadratic ends.
            weight: of this part in the sum.

        Raises:
            ValueError: beta is not above 0, or the weight is negative.
        """
        super().__init__(weight=weight)
        if beta <= 0:
            raise ValueError(f"distance/smooth_l1: beta is {beta}; above 0 would be right")
        self.beta = beta

    def forward(
        self,
        student: Float[Tensor, "places width"],
        teacher: Float[Tensor, "places width"],
        lengths: Sequence[int],
    ) -> Tensor:
        """See `Distance`."""
        return F.smooth_l1_loss(student, teacher, beta=self.beta)
