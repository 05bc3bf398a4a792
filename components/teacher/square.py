"""`SquareTeacher`: a pretrained model that takes whole square images."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Sequence

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from vlmloom.components.contracts.component import Metrics
from vlmloom.components.contracts.patches import reorder
from vlmloom.components.contracts.spec import ShapeMismatch, Spec
from vlmloom.components.contracts.vision import Teacher
from vlmloom.components.contracts.visuals import Grid, PatchSpec, VisualFeatures, Visuals


class SquareTeacher(Teacher):
    """Images `[N, 3, S, S]` to a map of features and one pooled embedding an image; frozen.

    Pictures come cut into squares of the model's stride, and are put together again. A subclass says what the
    model gives (`encode`).

    Args:
        stride: pixels of the image to one place of the map.
        size: S.
        out_width: channels of the map.
        mean: of the normalisation, per channel, of pixels in [0, 1].
        std: of the normalisation.

    Raises:
        ValueError: the side is no multiple of the stride.
    """

    def __init__(
        self, *, stride: int, size: int, out_width: int, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__()
        if size % stride:
            near = max(1, round(size / stride)) * stride
            raise ValueError(
                f"{self.registered_name}: size {size} does not divide into places of {stride} pixels; "
                f"{near} would be right"
            )
        self.out_width = out_width
        self.patch_spec = PatchSpec(stride, size=size, mean=tuple(mean), std=tuple(std))  # type: ignore[arg-type]
        self._cost: int | None = None

    @abstractmethod
    def encode(
        self, images: Float[Tensor, "images 3 height width"]
    ) -> tuple[Float[Tensor, "images channels rows columns"], Float[Tensor, "images pooled"]]:
        """The map, normed as the model norms what it gives, and the pooled embedding."""

    def freeze_all(self) -> None:
        """For subclasses, once the model is there: no gradients, evaluation mode."""
        self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> SquareTeacher:
        """Stay in evaluation mode: a frozen model drops nothing out and moves no running statistics."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, visuals: Visuals, taps: Sequence[int] = ()) -> tuple[VisualFeatures, Metrics]:
        """Features of every place and, in `pooled`, of every item (clips: the mean over frames).

        Raises:
            ShapeMismatch: a grid is not the square one.
            ValueError: taps are asked for.
        """
        if taps:
            raise ValueError(f"{self.registered_name} gives its last layer alone, but taps were asked for")
        shapes, side, stride = self.token_grids(visuals.shapes), self._side, self.patch_spec.patch
        there = reorder(shapes, visuals.block, 1, visuals.patches.device)
        patches = visuals.patches if there is None else visuals.patches[there]
        images = rearrange(patches, "(f r c) (k y x) -> f k (r y) (c x)", r=side, c=side, y=stride, x=stride)
        features, pooled = self.encode(images)
        if features.shape[2:] != (side, side):
            features = torch.nn.functional.interpolate(
                features, (side, side), mode="bilinear", align_corners=False
            )
        tokens = rearrange(features, "f d r c -> (f r c) d")
        back = reorder(shapes, 1, visuals.block, tokens.device)
        counts = [frames for frames, _, _ in shapes]
        items = torch.stack([part.mean(0) for part in pooled.split(counts)])
        return VisualFeatures(
            tokens if back is None else tokens[back], shapes, visuals.block, pooled=items
        ), {}

    @property
    def _side(self) -> int:
        assert self.patch_spec.size is not None
        return self.patch_spec.size // self.patch_spec.patch

    def token_grids(self, grids: Sequence[Grid]) -> list[Grid]:
        """The grids themselves, which have to be the square one. Pure and tensor-free."""
        for frames, rows, columns in grids:
            if (rows, columns) != (self._side, self._side):
                raise ShapeMismatch(
                    f"{self.registered_name}: a grid of {self._side} x {self._side} is needed, but found "
                    f"{frames} x {rows} x {columns}"
                )
        return [(frames, rows, columns) for frames, rows, columns in grids]

    def flops(self, grids: Sequence[Grid]) -> int:
        """Forward FLOPs, by what torch counts for one image on the meta device."""
        if self._cost is None:
            size = self.patch_spec.size
            assert size is not None
            double = copy.deepcopy(self).to("meta")
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                double.encode(torch.empty(1, 3, size, size, device="meta"))
            self._cost = counter.get_total_flops()
        return self._cost * sum(frames for frames, _, _ in grids)

    def shapes(self, spec: Spec) -> Spec:
        """`patches` of 3 * stride * stride become `visual` of the model's width."""
        spec.need(self.registered_name, "patches", 3 * self.patch_spec.patch**2)
        return Spec("visual", self.out_width, tuple(self.token_grids(spec.grids)))
