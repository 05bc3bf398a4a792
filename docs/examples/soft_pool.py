"""A projector that lives outside the package; `plugins: [soft_pool.py]` makes it known."""

from torch import nn

from vlmloom.components.contracts.visuals import VisualFeatures
from vlmloom.components.projector.grouping import GroupingProjector
from vlmloom.registry import register


@register("projector/soft_pool")
class SoftPool(GroupingProjector):
    """Each group of tokens becomes its mean under learned weights, then one linear map."""

    def __init__(self, *, in_width: int, out_width: int, block: int = 2) -> None:
        super().__init__(in_width=in_width, out_width=out_width, block=block)
        self.score = nn.Linear(in_width, 1)
        self.proj = nn.Linear(in_width, out_width)

    def forward(self, features):
        tokens = self.group(features).unflatten(-1, (self.block**2, self.in_width))
        pooled = (self.score(tokens).softmax(dim=1) * tokens).sum(dim=1)
        return VisualFeatures(self.proj(pooled), self.merged_grids(features.shapes)), {}

    def flops(self, grids):
        return 2 * self.groups(grids) * self.in_width * (self.block**2 + self.out_width)
