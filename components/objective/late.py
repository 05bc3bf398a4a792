"""`Late`: SigLIP 2's last phase, in which the vision tower is also taught by an average of its past."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from vlmloom.components.contracts.component import Metrics, declared_losses
from vlmloom.components.contracts.vision import Vision
from vlmloom.components.contracts.visuals import Grid, Visuals
from vlmloom.components.objective.dino.average import Average
from vlmloom.components.objective.dino.crops import Crops, joined, parted
from vlmloom.components.objective.dino.head import PrototypeHead
from vlmloom.components.objective.dino.losses import cross_entropy, likeness, sinkhorn
from vlmloom.components.objective.masking import draw_mask, flat, generator_of, hide


@dataclass(frozen=True)
class Late:
    """Local-to-global self-distillation and masked prediction, from a share of the training on.

    Published for SigLIP 2: the start, one global and eight local crops, half of the patches hidden, the
    weights 1 and 0.25 (both times 0.25, 0.5, 1 and 0.5 at the sizes B, L, So400m and g), and that the teacher
    starts as the tower, the heads at random. The numbers of the heads, of momentum and of temperatures are
    not; the defaults are those of `objective/dinov3` here.

    Attributes:
        start: the share of the stage after which the terms begin.
        distillation: weight of the local crops' loss to the teacher's global crop.
        prediction: weight of the hidden patches' loss to the teacher's features of them.
        masked: the share of the global crop's patches that the tower does not see.
        crops: of each picture, cut by another draw than what the alignment sees.
        prototypes: of either head.
        hidden: width of both hidden layers of the heads.
        bottleneck: width of the sphere on which the prototypes lie.
        momentum: of the teacher at the start of the terms; it grows to 1 by a cosine.
        temperature: of the tower.
        teacher_temperature: of the teacher.

    Raises:
        ValueError: a number is out of range.

    Reference: arXiv 2502.14786 (SigLIP 2, section 2.3); arXiv 2310.13355 (SILC); arXiv 2410.16512 (TIPS).
    """

    start: float = 0.8
    distillation: float = 1.0
    prediction: float = 0.25
    masked: float = 0.5
    crops: Crops = field(default_factory=lambda: Crops(wide=1))
    prototypes: int = 1024
    hidden: int = 512
    bottleneck: int = 128
    momentum: float = 0.994
    temperature: float = 0.1
    teacher_temperature: float = 0.07

    def __post_init__(self) -> None:
        for name in ("start", "momentum"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; a share in [0, 1] would be right")
        for name in ("prototypes", "hidden", "bottleneck"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; 1 or more would be right")
        if not 0 < self.masked < 1:
            what = "all patches would be hidden" if self.masked >= 1 else "nothing would be hidden"
            raise ValueError(f"masked is {self.masked}, so {what}; a share in (0, 1) would be right")
        if min(self.distillation, self.prediction) < 0:
            raise ValueError("a weight is below 0; 0 or more would be right")
        if min(self.temperature, self.teacher_temperature) <= 0:
            raise ValueError("a temperature is 0 or below; above 0 would be right")


class LateTerms(nn.Module):
    """The two terms of `Late` on a tower, with their heads and the teacher.

    A crop's summary is the mean of its tokens, as in `objective/dinov3`. Sinkhorn-Knopp makes the targets use
    all prototypes alike, where SILC subtracts a running mean.
    """

    begun: Tensor

    def __init__(self, tower: Vision, late: Late) -> None:
        """Make the heads, the teacher, and the patch that hides others.

        Raises:
            ValueError: a global crop has one token, so that nothing can be hidden.
        """
        super().__init__()
        self.late = late
        wide, _ = self._grids(tower)
        if wide[1] * wide[2] < 2:
            raise ValueError(
                f"a global crop of {late.crops.size} x {late.crops.size} patches has one token, so nothing "
                "can be hidden; a larger late.crops.size would be right"
            )
        self.heads = nn.ModuleDict(
            {
                name: PrototypeHead(
                    width=tower.out_width,
                    hidden=late.hidden,
                    bottleneck=late.bottleneck,
                    prototypes=late.prototypes,
                )
                for name in ("summary", "patch")
            }
        )
        self.patch = nn.Parameter(torch.zeros(3 * tower.patch_spec.patch**2))
        self.teacher = nn.ModuleDict(
            {"tower": Average(tower)} | {name: Average(head) for name, head in self.heads.items()}
        )
        self.register_buffer("begun", torch.zeros((), dtype=torch.bool))

    def _grids(self, tower: Vision) -> list[Grid]:
        """The grids of tokens of a global and of a local crop."""
        sides = (self.late.crops.size, self.late.crops.local_size)
        return tower.token_grids([(1, side, side) for side in sides])

    def forward(self, tower: Vision, visuals: Visuals, seed: int, step: int) -> tuple[Tensor, Metrics]:
        """The weighted sum and its parts; before the start 0, without a look at the pictures.

        Args:
            tower: that is trained.
            visuals: what the alignment sees; the crops are cut out of it.
            seed: of the draws, together with the step and the rank.
            step: optimizer steps so far.
        """
        if not self.begun:
            # DDP wants a gradient, be it zero, of what this step does not use.
            return 0.0 * sum((one.sum() for one in self.parameters()), self.patch.sum()), {}
        late, spec, generator = self.late, tower.patch_spec, generator_of(seed + 1, step)
        pictures, aspects = joined(visuals, spec)
        views = late.crops.draw(pictures, spec.patch, generator, aspects=aspects)
        wide, narrow = self._grids(tower)
        count, local = len(views.wide), len(views.narrow)
        masks = [draw_mask(wide, late.masked, "random", generator) for _ in range(count)]
        hidden = torch.from_numpy(np.stack(masks).reshape(count, -1)).to(pictures.device)
        shown = parted([views.wide, views.narrow], spec)
        blank = [np.zeros(narrow, bool)] * local
        where = flat([*masks, *blank], shown.shapes, shown.block).to(pictures.device)
        features, metrics = tower(hide(shown, where, self.patch))
        areas = [math.prod(wide), math.prod(narrow)]
        tokens, parts = (
            part.unflatten(0, (-1, area))
            for part, area in zip(
                features.tokens.split([count * areas[0], local * areas[1]]), areas, strict=True
            )
        )
        with torch.no_grad():
            taught, _ = self.teacher["tower"](parted([views.wide], spec))
            taught = taught.tokens.unflatten(0, (-1, areas[0]))
            target = self._target("summary", taught.mean(1), visuals)
            patch_target = self._target("patch", taught[hidden], visuals)
        guessed = self.heads["summary"](parts.mean(1))
        # A local crop's target is the mean of those of its picture's global crops.
        mean = target.unflatten(0, (late.crops.wide, -1)).mean(0).repeat(late.crops.local, 1)
        distilled = cross_entropy(guessed, mean, late.temperature).mean()
        predicted = cross_entropy(self.heads["patch"](tokens[hidden]), patch_target, late.temperature).mean()
        loss = late.distillation * distilled + late.prediction * predicted
        found = {
            "distillation/loss": distilled.detach(),
            "prediction/loss": predicted.detach(),
            "likeness": likeness(taught.mean(1)),
        }
        return (loss + declared_losses(metrics)) * visuals.weight, found

    def _target(self, head: str, features: Tensor, visuals: Visuals) -> Tensor:
        """The teacher's distributions over prototypes, made alike over all processes."""
        cosines = self.teacher[head](features)
        if visuals.weight:
            return sinkhorn(cosines, self.late.teacher_temperature)
        # A process without pictures takes part in the sums of the others, and has no target itself.
        sinkhorn(cosines[:0], self.late.teacher_temperature)
        return torch.zeros_like(cosines, dtype=torch.float32)

    def after_step(self, tower: Vision, progress: float, seed: int) -> None:
        """The teacher follows; at the start it becomes the tower, and the heads are drawn anew.

        The heads have waited without a gradient, but not without weight decay.
        """
        late, momentum = self.late, 0.0
        if self.begun:
            done = (progress - late.start) / (1.0 - late.start) if late.start < 1 else 1.0
            momentum = 1.0 - (1.0 - late.momentum) * 0.5 * (1.0 + math.cos(math.pi * done))
        elif progress < late.start:
            return
        else:
            generator = torch.Generator().manual_seed(seed)
            for head in self.heads.values():
                cast(PrototypeHead, head).draw(generator)
            self.begun.fill_(True)
        for name, average in self.teacher.items():
            cast(Average, average).follow(tower if name == "tower" else self.heads[name], momentum)

    def flops(self, tower: Vision, items: int) -> dict[str, int]:
        """Forward FLOPs of the teacher, of the tower on crops, and of the heads; none before the start."""
        if not self.begun:
            return {"teacher": 0, "vision": 0, "objective": 0}
        crops, (wide, _) = self.late.crops, self._grids(tower)
        large, small = ([(1, side, side)] for side in (crops.size, crops.local_size))
        globals_, places = crops.wide * items, math.prod(wide)
        summary, patch = (cast(PrototypeHead, self.heads[name]) for name in ("summary", "patch"))
        hidden = globals_ * min(max(round(self.late.masked * places), 1), places - 1)
        return {
            "teacher": tower.flops(large * globals_) + summary.flops(globals_) + patch.flops(hidden),
            "vision": tower.flops(large * globals_ + small * (crops.local * items)),
            "objective": summary.flops(crops.local * items) + patch.flops(hidden),
        }
