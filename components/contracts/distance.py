"""The contracts of `distance` and `standard`: how features are compared, and on which scale."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from vlmloom.registry import name_of


class Distance(nn.Module):
    """How far a student's features are from a teacher's; a part of a loss, with its weight.

    Attributes:
        weight: of this part in the sum.
    """

    def __init__(self, *, weight: float = 1.0) -> None:
        """Take the weight.

        Raises:
            ValueError: it is negative.
        """
        super().__init__()
        if weight < 0:
            name = name_of(self)
            raise ValueError(f"{name}: weight is {weight}; 0 or more would be right")
        self.weight = weight

    @abstractmethod
    def forward(
        self,
        student: Float[Tensor, "places width"],
        teacher: Float[Tensor, "places width"],
        lengths: Sequence[int],
    ) -> Tensor:
        """One number, the mean over places.

        Args:
            student: fp32 features, mapped to the teacher's width.
            teacher: fp32 features of the same places.
            lengths: how many of the places belong to each item; none may be 0.
        """


class Standard(nn.Module):
    """Features of a teacher on a common scale, so that no teacher and no channel rules a sum of losses."""

    def __init__(self, *, width: int) -> None:
        """Take the width of the features."""
        super().__init__()
        self.width = width

    def observe(self, features: Float[Tensor, "places width"]) -> None:
        """Take in features of training, where the scale is that of the data; all ranks call it together."""

    @abstractmethod
    def forward(self, features: Float[Tensor, "places width"]) -> Float[Tensor, "places width"]:
        """The features on the common scale, fp32."""
