"""The merger of the GLM vision-language models."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import nn

from vlmloom.components.contracts.component import Metrics
from vlmloom.components.contracts.visuals import Grid, VisualFeatures
from vlmloom.components.kernels import swiglu
from vlmloom.components.projector.grouping import GroupingProjector
from vlmloom.registry import register


@register("projector/merger")
class Merger(GroupingProjector):
    """GLM's merger: a strided convolution over each group, then a normed and gated MLP.

    downsample (with bias) -> Linear -> LayerNorm -> GELU -> SwiGLU (no bias). The convolution is a linear map
    of the group's tokens side by side; its columns run (row, column, channel).

    Reference: transformers `models/glm_ocr/modeling_glm_ocr.py` (`downsample`, `GlmOcrVisionPatchMerger`).
    """

    def __init__(
        self,
        *,
        in_width: int,
        out_width: int,
        block: int = 2,
        hidden: int | None = None,
        limit: float | None = None,
    ) -> None:
        """Build the merger.

        Args:
            in_width: of the tower's features.
            out_width: of the language part.
            block: side of the groups; 1 merges nothing.
            hidden: inner width of the gated MLP; None is three times `out_width`, as in GLM-OCR.
            limit: clamp of the gate (from above) and of its partner (from both sides), 10 in GLM-5.3-Flash.

        Raises:
            ValueError: a width or the block is below one.
        """
        super().__init__(in_width=in_width, out_width=out_width, block=block)
        if hidden is not None and hidden < 1:
            raise ValueError(f"projector/merger: hidden is {hidden}; 1 or more would be right")
        self.hidden = 3 * out_width if hidden is None else hidden
        self.limit = limit
        self.downsample = nn.Linear(block * block * in_width, out_width)
        self.proj = nn.Linear(out_width, out_width, bias=False)
        self.norm = nn.LayerNorm(out_width)
        self.gate_up = nn.Linear(out_width, 2 * self.hidden, bias=False)
        self.down = nn.Linear(self.hidden, out_width, bias=False)
        self.gate_up.weight.muon_splits = (self.hidden, self.hidden)  # type: ignore[attr-defined]
        for linear in (self.downsample, self.proj, self.gate_up, self.down):
            nn.init.normal_(linear.weight, std=linear.in_features**-0.5)
        nn.init.zeros_(self.downsample.bias)

    def forward(self, features: VisualFeatures) -> tuple[VisualFeatures, Metrics]:
        """`[T, in_width]` to `[T / block^2, out_width]`, in raster order of the merged grids."""
        x = F.gelu(self.norm(self.proj(self.downsample(self.group(features)))))
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return VisualFeatures(self.down(swiglu(gate, up, self.limit)), self.merged_grids(features.shapes)), {}

    def flops(self, grids: Sequence[Grid]) -> int:
        """Forward FLOPs of the matrix products."""
        weights = sum(
            linear.weight.numel() for linear in (self.downsample, self.proj, self.gate_up, self.down)
        )
        return 2 * self.groups(grids) * weights
