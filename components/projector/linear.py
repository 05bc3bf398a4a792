"""A single linear map."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from vlmloom.components.contracts.component import Metrics
from vlmloom.components.contracts.visuals import Grid, VisualFeatures
from vlmloom.components.projector.grouping import GroupingProjector
from vlmloom.registry import register


@register("projector/linear")
class Linear(GroupingProjector):
    """One linear map from features to the language's width, over the tokens of a group side by side.

    Reference: arXiv 2304.08485 (LLaVA).
    """

    def __init__(self, *, in_width: int, out_width: int, block: int = 1, bias: bool = True) -> None:
        """Build the map.

        Args:
            in_width: of the tower's features.
            out_width: of the language part.
            block: side of the groups of tokens that become one; 1 merges nothing.
            bias: add a bias.
        """
        super().__init__(in_width=in_width, out_width=out_width, block=block)
        self.proj = nn.Linear(block * block * in_width, out_width, bias=bias)

    def forward(self, features: VisualFeatures) -> tuple[VisualFeatures, Metrics]:
        """`[T, in_width]` to `[T / block^2, out_width]`, in raster order of the merged grids."""
        return VisualFeatures(self.proj(self.group(features)), self.merged_grids(features.shapes)), {}

    def flops(self, grids: Sequence[Grid]) -> int:
        """Forward FLOPs of the matrix product."""
        return 2 * self.groups(grids) * self.proj.weight.numel()
