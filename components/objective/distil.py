"""A tower taught by the features of another, frozen one."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vlmloom.components.contracts.component import Metrics, declared_losses
from vlmloom.components.contracts.frozen import Frozen
from vlmloom.components.contracts.intake import Intake, Towers
from vlmloom.components.contracts.kinds import Objective, Vision
from vlmloom.components.contracts.packed import Packed
from vlmloom.components.contracts.patches import reorder
from vlmloom.components.contracts.visuals import Grid, VisualFeatures
from vlmloom.registry import register


@register("objective/distil")
class Distil(Objective):
    """Features of a frozen tower at every place: a linear map of the student's comes to the teacher's.

    The teacher sees the same pictures, cut as it asks, and its features are resampled to the student's grid.
    They are normalised place by place (layer norm without parameters), so that no channel of large scale
    rules.

    Reference: arXiv 2312.06709 (AM-RADIO: a head for each teacher, cosine and smooth-L1 losses on features).
    """

    views = ("pictures", "captions")
    supervised = False

    def __init__(self, *, teacher: Vision, loss: Literal["cosine", "smooth_l1"] = "cosine") -> None:
        """Take the teacher.

        Args:
            teacher: a trained tower, e.g. `teacher/run`, or `vision/timm` with pretrained weights.
            loss: one minus the cosine of both features, or their smooth-L1 distance.

        Raises:
            ValueError: there is no such loss.
        """
        super().__init__()
        if loss not in ("cosine", "smooth_l1"):
            raise ValueError(f"objective/distil: loss is {loss!r}; one of cosine, smooth_l1")
        self.teacher, self.loss = Frozen(teacher), loss
        self.head: nn.Linear | None = None

    def prepare(self, model: Any) -> None:
        """See `Objective.prepare`: make the map between the widths of both towers."""
        if not isinstance(model, Vision):
            name = getattr(model, "registered_name", type(model).__name__)
            raise ValueError(
                f"objective/distil: teaches a vision tower, such as vision/cogvit, and {name} is none; "
                "objective/imitate takes other kinds"
            )
        self.head = nn.Linear(model.out_width, self.teacher.module.out_width)

    def intake(self, model: Any) -> Intake:
        """See `Objective.intake`: pictures twice, for `vision` and for `teacher`."""
        return Towers(
            {"vision": model.patch_spec, "teacher": self.teacher.module.patch_spec}, model.token_grids
        )

    def forward(self, module: Any, batch: Packed) -> tuple[Tensor, Metrics]:
        """The loss over all places; `cosine`, and what the student reports.

        Args:
            module: the student.
            batch: with the same pictures in `visuals["vision"]` and `visuals["teacher"]`.

        Raises:
            RuntimeError: `prepare` was not called.
        """
        if self.head is None:
            raise RuntimeError("objective/distil: prepare(student) comes before the first use")
        features, metrics = module(batch.visuals["vision"])
        target = self.targets(batch, features)
        result = self.head(features.tokens).float()
        cosine = F.cosine_similarity(result, target, dim=-1).mean()
        loss = 1 - cosine if self.loss == "cosine" else F.smooth_l1_loss(result, target)
        if batch.visuals["vision"].weight == 0.0:
            loss = loss * 0.0
        return loss + declared_losses(metrics), {"cosine": cosine.detach()} | metrics

    @torch.no_grad()
    def targets(self, batch: Packed, features: VisualFeatures) -> Tensor:
        """The teacher's normalised features `[P, D]` at the places of the student's."""
        taught, _ = self.teacher.module(batch.visuals["teacher"])
        taught.tokens = F.layer_norm(taught.tokens.float(), taught.tokens.shape[-1:])
        return resample(taught, features.shapes, features.block)

    def flops(self, module: Any, batch: Packed) -> dict[str, int]:
        """See `Objective.flops`."""
        assert self.head is not None
        grids = batch.visuals["vision"].shapes
        places = sum(frames * rows * columns for frames, rows, columns in module.token_grids(grids))
        return {
            "teacher": self.teacher.module.flops(batch.visuals["teacher"].shapes),
            "model": module.flops(grids),
            "objective": 2 * places * self.head.weight.numel(),
        }


def resample(features: VisualFeatures, shapes: list[Grid], block: int = 1) -> Tensor:
    """Features on other grids: `[P, D]` tokens of items of these shapes, in the order of `block`.

    Trilinear over frames, rows and columns of each item, sampled at the middles of the new places; a grid
    that stays as it is keeps its features to the last bit.

    Raises:
        ValueError: there are not as many items.
    """
    if len(shapes) != len(features.shapes):
        raise ValueError(f"resample: {len(features.shapes)} items, but shapes for {len(shapes)}")
    tokens = features.tokens
    order = reorder(features.shapes, features.block, 1, tokens.device)
    tokens = tokens if order is None else tokens[order]
    pieces = []
    sizes = [frames * rows * columns for frames, rows, columns in features.shapes]
    for item, was, wanted in zip(tokens.split(sizes), features.shapes, shapes, strict=True):
        if was != wanted:
            volume = item.t().reshape(1, -1, *was)
            item = F.interpolate(volume, wanted, mode="trilinear", align_corners=False)[0].flatten(1).t()
        pieces.append(item)
    joined = torch.cat(pieces)
    back = reorder(shapes, 1, block, tokens.device)
    return joined if back is None else joined[back]
