"""A plain multi-layer perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from vlmloom.components.contracts.component import Metrics
from vlmloom.components.contracts.visuals import Grid, VisualFeatures
from vlmloom.components.projector.grouping import GroupingProjector
from vlmloom.registry import register


@register("projector/mlp")
class MLP(GroupingProjector):
    """Linear maps with GELU between them, LLaVA's `mlp2x_gelu` by default.

    Reference: arXiv 2310.03744 (LLaVA-1.5).
    """

    def __init__(
        self, *, in_width: int, out_width: int, layers: int = 2, hidden: int | None = None, block: int = 1
    ) -> None:
        """Build the perceptron.

        Args:
            in_width: of the tower's features.
            out_width: of the language part.
            layers: number of linear maps.
            hidden: width between them; None is `out_width`.
            block: side of the groups of tokens that become one; 1 merges nothing.

        Raises:
            ValueError: there is no layer, or a width is below one.
        """
        super().__init__(in_width=in_width, out_width=out_width, block=block)
        if layers < 1:
            raise ValueError(f"projector/mlp: found {layers} layers; 1 or more would be right")
        if hidden is not None and hidden < 1:
            raise ValueError(f"projector/mlp: hidden is {hidden}; 1 or more would be right")
        inner = out_width if hidden is None else hidden
        self.widths = [block * block * in_width, *[inner] * (layers - 1), out_width]
        self.linears = nn.ModuleList([nn.Linear(here, there) for here, there in pairwise(self.widths)])

    def forward(self, features: VisualFeatures) -> tuple[VisualFeatures, Metrics]:
        """`[T, in_width]` to `[T / block^2, out_width]`, in raster order of the merged grids."""
        x = self.group(features)
        for index, linear in enumerate(self.linears):
            x = linear(nn.functional.gelu(x) if index else x)
        return VisualFeatures(x, self.merged_grids(features.shapes)), {}

    def flops(self, grids: Sequence[Grid]) -> int:
        """Forward FLOPs of the matrix products."""
        return 2 * self.groups(grids) * sum(here * there for here, there in pairwise(self.widths))
