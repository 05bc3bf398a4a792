"""The contract of the kind `projector`: features to the language's width."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from torch import nn

from vlmloom.components.contracts.component import Component, Metrics
from vlmloom.components.contracts.visuals import Grid, VisualFeatures


class Projector(Component):
    """Features to the language's width, merging tokens where it does.

    Attributes:
        in_width: the width of the features.
        out_width: the width of the language.
        block: the side of the groups of tokens that it merges (1 = none).
    """

    in_width: int
    out_width: int
    block: int = 1

    @abstractmethod
    def forward(self, features: VisualFeatures) -> tuple[VisualFeatures, Metrics]:
        """Project."""

    def units(self) -> list[nn.Module]:
        """See `Component.units`: a projector is one."""
        return [self]

    @abstractmethod
    def merged_grids(self, grids: Sequence[Grid]) -> list[Grid]:
        """The grids after merging. Pure and tensor-free: the collator counts placeholders with it."""

    @abstractmethod
    def flops(self, grids: Sequence[Grid]) -> int:
        """Forward FLOPs for features of these grids."""
