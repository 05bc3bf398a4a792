"""How the places of one picture relate to each other."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from vlmloom.components.contracts.distance import Distance
from vlmloom.registry import register


@register("distance/relation")
class Relation(Distance):
    """Patch Gram matrices: which places of a picture are alike, whatever the features themselves are.

    Features are normalised to length 1; the matrix of their cosines, item by item, is compared by smooth-L1
    (or by squares, as Gram anchoring does). A rotation of the student's features changes nothing.

    >>> import torch
    >>> places = torch.randn(5, 4)
    >>> bool(Relation()(places, places.flip(1), [3, 2]) < 1e-6)  # flipped channels
    True
    >>> bool(Relation()(places, places.flip(0), [3, 2]) < 1e-6)  # flipped places
    False

    Reference: arXiv 2603.06569 (Penguin-VL, the loss of relation, beta 1e-3); arXiv 2508.10104 (DINOv3, Gram
    anchoring: squares).
    """

    def __init__(self, *, beta: float | None = 1e-3, weight: float = 1.0) -> None:
        """Take both.

        Args:
            beta: where the quadratic of smooth-L1 ends; None is the mean of squares.
            weight: of this part in the sum.

        Raises:
            ValueError: beta is not above 0, or the weight is negative.
        """
        super().__init__(weight=weight)
        if beta is not None and beta <= 0:
            raise ValueError(f"distance/relation: beta is {beta}; above 0, or null, would be right")
        self.beta = beta

    def forward(
        self,
        student: Float[Tensor, "places width"],
        teacher: Float[Tensor, "places width"],
        lengths: Sequence[int],
    ) -> Tensor:
        """See `Distance`: the mean over all pairs of places of one item."""
        total, pairs = student.new_zeros(()), 0
        sides = [F.normalize(side, dim=-1).split(list(lengths)) for side in (student, teacher)]
        for own, theirs in zip(*sides, strict=True):
            gram, wanted = own @ own.t(), theirs @ theirs.t()
            if self.beta is None:
                total = total + (gram - wanted).square().sum()
            else:
                total = total + F.smooth_l1_loss(gram, wanted, beta=self.beta, reduction="sum")
            pairs += len(own) ** 2
        return total / max(pairs, 1)
