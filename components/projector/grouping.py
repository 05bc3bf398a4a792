"""Bringing the tokens of a group together: what every merging projector does first."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from vlmloom.components.contracts.patches import reorder
from vlmloom.components.contracts.projector import Projector
from vlmloom.components.contracts.spec import ShapeMismatch, Spec
from vlmloom.components.contracts.visuals import Grid, VisualFeatures


class GroupingProjector(Projector):
    """A projector that turns each `block` x `block` group of tokens into one token."""

    def __init__(self, *, in_width: int, out_width: int, block: int) -> None:
        """Note the widths and the side of a group.

        Raises:
            ValueError: the block is below one.
        """
        super().__init__()
        if block < 1:
            raise ValueError(
                f"{self.registered_name}: found block {block}; 1 (merge nothing) or more would be right"
            )
        self.in_width, self.out_width, self.block = in_width, out_width, block

    def merged_grids(self, grids: Sequence[Grid]) -> list[Grid]:
        """Rows and columns divided by the block. Pure and tensor-free.

        Raises:
            ShapeMismatch: a grid does not divide.
        """
        for frames, rows, columns in grids:
            if rows % self.block or columns % self.block:
                raise ShapeMismatch(
                    f"{self.registered_name}: found a grid of {frames} x {rows} x {columns}; "
                    f"rows and columns divisible by block {self.block} would be right"
                )
        return [(frames, rows // self.block, columns // self.block) for frames, rows, columns in grids]

    def shapes(self, spec: Spec) -> Spec:
        """`visual` of `in_width` becomes `visual` of `out_width` on the merged grids."""
        spec.need(self.registered_name, "visual", self.in_width)
        return Spec("visual", self.out_width, tuple(self.merged_grids(spec.grids)))

    def group(self, features: VisualFeatures) -> Float[Tensor, "groups joined"]:
        """The tokens of each group side by side, `[T / block^2, block^2 * in_width]`, groups in raster order.

        With block 2 a row is the group's tokens (0,0) (0,1) (1,0) (1,1).
        """
        tokens = features.tokens
        index = reorder(features.shapes, features.block, self.block, tokens.device)
        if index is not None:
            tokens = tokens[index]
        return tokens.reshape(-1, self.block**2 * self.in_width)

    def groups(self, grids: Sequence[Grid]) -> int:
        """How many tokens are left."""
        return sum(frames * rows * columns for frames, rows, columns in self.merged_grids(grids))
